"""Points in 3D over time, for the page, W&B and Rerun."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynprep.errors import UserError
from dynprep.stages.inputs import SceneResults
from dynprep.stages.points import FILES

_SHOWN = 1500  # points of each kind on the page: more would make it heavy
_SEEN = 0.5  # visibility from which on a point is drawn
_OUTER = (0.02, 0.98)  # quantiles that the view spans, so that single points do not squeeze it
_STEPS = 4095  # of a coordinate on the page


@dataclass(frozen=True)
class Trajectories:
    """positions (N, T, 3), visible (N, T), colours (N, 3) uint8, object (N,): which are the
    object's."""

    positions: NDArray[np.float32]
    visible: NDArray[np.bool_]
    colours: NDArray[np.uint8]
    object: NDArray[np.bool_]

    @staticmethod
    def of(inputs: SceneResults, most: int | None = None) -> "Trajectories":
        """The result of the stage ``points``; ``most``: of each kind, evenly thinned."""
        parts: dict[str, list[NDArray[Any]]] = {k: [] for k in ("positions", "visible", "colours")}
        kinds = []
        for kind, file in FILES.items():
            found = inputs["points"].arrays(file)
            step = 1 if most is None else max(1, -(-len(found["query"]) // most))
            parts["positions"].append(found["positions"][::step])
            parts["visible"].append(found["visibility"][::step] >= _SEEN)
            parts["colours"].append(found["colours"][::step])
            kinds.append(np.full(len(parts["colours"][-1]), kind == "fg"))
        joined = {name: np.concatenate(values) for name, values in parts.items()}
        return Trajectories(**joined, object=np.concatenate(kinds))


def clouds(shown: Trajectories, frames: list[int]) -> list[NDArray[np.float32]]:
    """For each of ``frames`` (N, 6): x, y up, z towards the viewer, r, g, b 0..255."""
    found = []
    for frame in frames:
        seen = shown.visible[:, frame]
        xyz = shown.positions[seen, frame] * np.array([1, -1, -1], np.float32)
        found.append(np.concatenate([xyz, shown.colours[seen]], 1).astype(np.float32))
    return found


def page_data(inputs: SceneResults) -> str | None:
    """JSON for the page's viewer: coordinates as 16-bit integers over the view's span, 0xffff
    where a point is not seen; None where there is nothing to show."""
    shown = Trajectories.of(inputs, _SHOWN)
    if not shown.visible.any():
        return None
    seen = shown.positions[shown.visible]
    low, high = (np.quantile(seen, q, axis=0) for q in _OUTER)
    unit = (shown.positions - low) / np.maximum(high - low, 1e-9)
    inside = shown.visible & ((unit > -0.5) & (unit < 1.5)).all(-1)
    whole = np.rint((np.clip(unit, -0.5, 1.5) + 0.5) / 2 * _STEPS).astype(np.uint16)
    whole[~inside] = 0xFFFF
    packed = np.ascontiguousarray(whole.transpose(1, 0, 2)).astype("<u2").tobytes()
    return json.dumps(
        {
            "count": len(shown.colours),
            "frames": shown.visible.shape[1],
            "span": [float(v) for v in high - low],
            "places": base64.b64encode(packed).decode(),
            "colours": base64.b64encode(shown.colours.tobytes()).decode(),
            "object": base64.b64encode(shown.object.astype(np.uint8).tobytes()).decode(),
        }
    )


def need_rerun() -> Any:
    """The package, or UserError saying how to get it."""
    try:
        import rerun
    except ImportError:
        raise UserError(
            "logger.rerun=true: the package rerun-sdk is not installed: pip install rerun-sdk, "
            "or set logger.rerun=false"
        ) from None
    return rerun


def write_recording(inputs: SceneResults, path: Path) -> None:
    """A Rerun recording (.rrd): the frames, and the points of object and background over time."""
    rr = need_rerun()
    shown = Trajectories.of(inputs)
    stream = rr.RecordingStream("dynprep", recording_id=f"dynprep-{inputs['points'].key}")
    stream.save(str(path))
    stream.log("world", rr.ViewCoordinates.RDF, static=True)
    for number, stem in enumerate(inputs.frames.stems):
        stream.set_time("frame", sequence=number)
        stream.log("frame", rr.Image(inputs.rgb(stem)).compress(jpeg_quality=85))
        for name, kind in (("object", shown.object), ("background", ~shown.object)):
            seen = shown.visible[:, number] & kind
            points = rr.Points3D(shown.positions[seen, number], colors=shown.colours[seen])
            stream.log(f"world/{name}", points)
    stream.disconnect()
