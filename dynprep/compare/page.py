"""comparison.html: runs on one page that needs nothing else."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dynprep.artefacts import Artefact, SceneResults
from dynprep.artefacts.alignment import AlignmentFits
from dynprep.artefacts.display import Curve
from dynprep.artefacts.images import Images
from dynprep.compare.agreement import StageAgreement, agreements, common_stems, distinct, store_of
from dynprep.compare.columns import NOISE, Column, first
from dynprep.compare.entries import Entry
from dynprep.compare.table import shown
from dynprep.files import write_bytes
from dynprep.report.options import CompareOptions
from dynprep.store import Store
from dynprep.viewer.groups import charts, group, player
from dynprep.viewer.layers import layer
from dynprep.viewer.page import render

_TEMPLATE = Path(__file__).with_name("comparison.html.j2")
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
    telling = first(numbers)
    page = render(
        _TEMPLATE,
        entries=entries,
        undone=undone,
        settings=settings,
        numbers=telling,
        same=[c for c in numbers if c not in telling],
        scenes=scenes,
        made=time.strftime("%Y-%m-%d %H:%M"),
        shown=shown,
        noise=NOISE,
    )
    write_bytes(path, page.encode())


def _scene(name: str, entries: list[Entry], options: CompareOptions) -> dict[str, Any]:
    read = {e.name: e.read() for e in entries}
    stems = common_stems(read, options.frames)
    store = store_of(entries)
    agreed = agreements(entries, read, stems, store)
    return {
        "name": name,
        "player": _player(entries, read, stems, store, options.width),
        "agreements": [_agreement_shown(a) for a in agreed],
        "charts": charts([*_fits(entries, read), *_agreement_curves(agreed, read, stems)]),
    }


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


def _player(
    entries: list[Entry],
    read: Mapping[str, SceneResults],
    stems: list[str],
    store: Store,
    width: int,
) -> dict[str, Any]:
    """Layers of every different result, by stage; frames and the first stage with several are seen at first."""
    groups = []
    names = dict.fromkeys([Images.name, *(name for entry in entries for name in entry.results)])
    for artefact in (Artefact.registry[name] for name in names):
        panels = []
        is_frames = artefact is Images
        for same in distinct(entries, artefact.name, shown_only=not is_frames).values():
            drawn = layer(read[same[0].name], artefact, stems, store, width)
            if drawn is not None:
                runs = ", ".join(e.name for e in same)
                choice = same[0].results[artefact.name]["choice"]
                panels.append({"label": "" if is_frames else f"{choice} · run {runs}", **drawn})
        if panels:
            groups.append(group(artefact, panels[:1] if is_frames else panels))
    several = next((g["name"] for g in groups if len(g["panels"]) > 1), groups[-1]["name"])
    frames = read[entries[0].name].frames
    return player(frames, stems, groups, [Images.name, several], {})


def _fits(entries: list[Entry], read: Mapping[str, SceneResults]) -> list[Curve]:
    """Scale, shift, inliers and residual of each different alignment, a line a run."""
    one_each = [same[0].name for same in distinct(entries, AlignmentFits.name).values()]
    curves: dict[tuple[str, str], Curve] = {}
    for name in one_each:
        for curve in read[name][AlignmentFits].curves(read[name]):
            (values,) = curve.lines.values()
            what = (curve.title, curve.unit)  # a chart has one unit
            before = curves[what].lines if what in curves else {}
            lines = {**before, f"run {name}": values}
            curves[what] = replace(
                curve, lines=lines, marked=curve.marked if len(one_each) == 1 else ()
            )
    return list(curves.values())


def _agreement_curves(
    agreed: list[StageAgreement], read: Mapping[str, SceneResults], stems: list[str]
) -> list[Curve]:
    """How alike the results of a stage are at the frames that are compared."""
    scene = next(iter(read.values()))
    curves = []
    for a in agreed:
        values: list[float | None] = [None] * len(scene.frames)
        for stem in stems:
            values[scene.number(stem)] = a.frames[stem]
        curves.append(Curve(f"Agreement: {a.stage}", "", {a.measure: values}))
    return curves
