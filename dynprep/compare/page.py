"""comparison.html: runs on one page that needs nothing else."""

import base64
import io
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from PIL import Image

from dynprep.artefacts import Artefact, SceneResults
from dynprep.artefacts.alignment import AlignmentFits
from dynprep.artefacts.depth_map import DepthMap
from dynprep.artefacts.drawing import colour_span, coloured
from dynprep.artefacts.images import Images
from dynprep.compare.agreement import StageAgreement, agreements, common_stems, distinct, store_of
from dynprep.compare.columns import Column, first
from dynprep.compare.entries import Entry
from dynprep.compare.plots import curves
from dynprep.compare.table import shown
from dynprep.cores import cores
from dynprep.files import write_bytes
from dynprep.report.options import CompareOptions
from dynprep.store import ItemWriter, Recipe, Store
from dynprep.version import __version__

_TEMPLATE = "comparison.html.j2"
_VERSION = 1  # raised when the same results are drawn in another way
_QUALITY = 80  # of JPEG pictures
_EXTREMES = 4  # frames named as those of least and most agreement


def write_page(
    path: Path,
    entries: Sequence[Entry],
    undone: Mapping[str, str],
    settings: Sequence[Column],
    numbers: Sequence[Column],
    options: CompareOptions,
) -> None:
    """Write the page to ``path``."""
    scenes = []
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:  # only what shows the same frames can be laid side by side
        groups.setdefault((entry.scene, entry.frames()), []).append(entry)
    names = [scene for scene, _ in groups]
    for (scene, _), same in groups.items():
        runs = ", ".join(e.name for e in same)
        name = f"{scene} (run {runs})" if names.count(scene) > 1 else str(scene)
        scenes.append(_scene(name, same, options))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default_for_string=True, default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    telling = first(numbers)
    page = environment.get_template(_TEMPLATE).render(
        entries=entries,
        undone=undone,
        settings=settings,
        numbers=telling,
        same=[c for c in numbers if c not in telling],
        scenes=scenes,
        version=__version__,
        made=time.strftime("%Y-%m-%d %H:%M"),
    )
    write_bytes(path, page.encode())


def _scene(name: str, entries: list[Entry], options: CompareOptions) -> dict[str, Any]:
    read = {e.name: e.read() for e in entries}
    stems = common_stems(read, options.frames)
    store = store_of(entries)
    agreed = agreements(entries, read, stems, store)
    return {
        "name": name,
        "viewer": Markup(_json(_viewer(entries, read, stems, store, options.width))),
        "agreements": [_agreement_shown(a) for a in agreed],
        "plots": [Markup(svg) for svg in _plots(entries, read, stems, agreed)],
    }


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _agreement_shown(a: StageAgreement) -> dict[str, Any]:
    least, most = a.extremes(_EXTREMES)
    return {
        "stage": a.stage,
        "measure": a.measure,
        "labels": ["run " + ", ".join(names) for names in a.runs],
        "matrix": a.matrix,
        "least": least,
        "most": most,
    }


def _viewer(
    entries: list[Entry],
    read: Mapping[str, SceneResults],
    stems: list[str],
    store: Store,
    width: int,
) -> dict[str, Any]:
    """Stems, and for each stage its title and panels: label and a picture a stem, or null."""
    stages = {}
    names = dict.fromkeys(name for entry in entries for name in entry.results)
    for artefact in (Artefact.registry[name] for name in names):
        panels = []
        span = _span(list(read.values()), artefact)
        is_frames = artefact is Images
        if artefact.picture is None:
            continue
        for same in distinct(entries, artefact.name, shown_only=not is_frames).values():
            result = same[0].results[artefact.name]
            runs = ", ".join(e.name for e in same)
            label = "frames" if is_frames else f"{result['choice']} · run {runs}"
            pictures = _pictures(read[same[0].name], artefact, stems, store, width, span)
            panels.append({"label": label, "pictures": pictures})
        if panels:
            stages[artefact.name] = {"title": artefact.title, "panels": panels}
    return {"stems": stems, "stages": stages}


def _span(scenes: list[SceneResults], artefact: type[Artefact]) -> tuple[float, float] | None:
    """The colours' range, in the artefact's unit, that all results share; None for one without unit.

    It is that of the middle frames: with a range of its own each, a wrong scale would not show.
    """
    if not issubclass(artefact, DepthMap) or not artefact.unit:
        return None
    have = [scene for scene in scenes if artefact in scene]
    if not have:
        return None
    middles = [(s, s.frames.stems[len(s.frames) // 2]) for s in have]
    spans = np.array([colour_span(s[artefact].of(stem)) for s, stem in middles])
    low, high = np.median(spans, axis=0)
    return float(f"{low:.3g}"), float(f"{high:.3g}")


def _pictures(
    scene: SceneResults,
    artefact: type[Artefact],
    stems: list[str],
    store: Store,
    width: int,
    span: tuple[float, float] | None,
) -> list[str | None]:
    """Pictures as data: addresses; None for frames without a picture."""
    drawable = set(scene[artefact].drawable_stems())
    wanted = [stem for stem in stems if stem in drawable]
    if not wanted:
        return [None] * len(stems)
    recipe = Recipe(
        "media",
        f"small {artefact.name}",
        kind_version=_VERSION,
        options={"frames": wanted, "width": width, "span": span},
        inputs={a.name: scene.key(a) for a in (artefact, Images)},
    )
    result = store.cached(recipe, partial(_draw, scene, artefact, wanted, width, span))
    return [
        f"data:image/jpeg;base64,{base64.b64encode(result.file(f'{s}.jpg').read_bytes()).decode()}"
        if s in drawable
        else None
        for s in stems
    ]


def _draw(
    scene: SceneResults,
    artefact: type[Artefact],
    stems: list[str],
    width: int,
    span: tuple[float, float] | None,
    writer: ItemWriter,
) -> None:
    reader = scene[artefact]

    def drawn(stem: str) -> bytes:
        if span is not None and isinstance(reader, DepthMap):
            picture = coloured(reader.of(stem), *span)
        else:
            assert reader.picture is not None
            picture = reader.picture(scene, stem)
        height = max(1, round(picture.shape[0] * width / picture.shape[1]))
        if width < picture.shape[1]:
            picture = np.asarray(
                cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8
            )
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY)
        return buffer.getvalue()

    with ThreadPoolExecutor(cores()) as pool:
        for stem, data in zip(stems, pool.map(drawn, stems), strict=True):
            writer.data(f"{stem}.jpg", data)


def _plots(
    entries: list[Entry],
    read: Mapping[str, SceneResults],
    stems: list[str],
    agreed: list[StageAgreement],
) -> list[str]:
    plots = []
    fits = {e.name: read[e.name][AlignmentFits].fits for e in _fitted(entries)}
    if fits:
        charts = {
            f"alignment: {title}": {
                f"run {name}": [getattr(by_stem[stem], key) for stem in stems]
                for name, by_stem in fits.items()
            }
            for key, title in (
                ("scale", "scale"),
                ("shift", "shift (1/m)"),
                ("residual", "residual (1/m)"),
            )
        }
        plots.append(curves(charts, stems))
    if agreed:
        lines = {a.stage: {a.stage: [a.frames[s] for s in stems]} for a in agreed}
        charts = {f"agreement: {stage}": line for stage, line in lines.items()}
        plots.append(curves(charts, stems))
    return plots


def _fitted(entries: list[Entry]) -> list[Entry]:
    """One entry for each different alignment."""
    return [same[0] for same in distinct(entries, AlignmentFits.name).values()]
