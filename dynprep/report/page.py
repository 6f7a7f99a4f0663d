"""report.html: a run on one page that needs nothing else; of several scenes a list, and a page for each."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dynprep.files import write_bytes
from dynprep.metrics.headlines import figures
from dynprep.metrics.names import metric_name
from dynprep.report.scene_page import SceneView
from dynprep.report.summary import Summary, split_details
from dynprep.verdicts.finding import Verdict
from dynprep.viewer.page import render

_TEMPLATE = Path(__file__).with_name("report.html.j2")
PAGE, SCENES = "report.html", "report"  # the page, and the folder of the scenes' own


def write_report(summary: Summary, views: Mapping[str, SceneView]) -> Path:
    """Write the page into the run's folder, with a page for each scene where there are several; returns its path."""
    path = summary.folder / PAGE
    shared: dict[str, Any] = {
        "s": summary,
        "made": time.strftime("%Y-%m-%d %H:%M"),
        "gigabytes": summary.peak_memory / 1e9,
    }
    if len(views) <= 1:
        scene = next((_scene(summary, name, view) for name, view in views.items()), None)
        _write(path, **shared, scene=scene, verdicts=summary.verdict_lines(),
               checks=_checks(summary), folders=_folders(summary, path))  # fmt: skip
        return path
    listed = []
    for name, view in views.items():
        scene = _scene(summary, name, view)
        page = summary.folder / SCENES / f"{name}.html"
        page.parent.mkdir(exist_ok=True)
        lines = summary.verdicts.get(name, Verdict()).lines()
        folders = [f for f in _folders(summary, page) if Path(f[1]).name == name]
        _write(
            page,
            **shared,
            scene=scene,
            back=f"../{PAGE}",
            verdicts=lines,
            checks=0,
            folders=folders,
        )
        listed.append({**scene, "address": quote(f"{SCENES}/{name}.html"), "thumbnail": view.thumbnail,
                       "lines": lines})  # fmt: skip
    _write(
        path,
        **shared,
        scenes=listed,
        verdicts=[],
        checks=_checks(summary),
        folders=_folders(summary, path),
    )
    return path


def _write(path: Path, **values: Any) -> None:
    write_bytes(path, render(_TEMPLATE, **values).encode())


def _checks(summary: Summary) -> int:
    return sum(verdict.checks for verdict in summary.verdicts.values())


def _scene(summary: Summary, name: str, view: SceneView) -> dict[str, Any]:
    scores, others = summary.scores.get(name, {}), summary.consistency.get(name, {})
    media = next((m for m in summary.media if m.scene == name), None)
    return {
        "name": name,
        "size": summary.scenes.get(name, ""),
        "figures": figures({**scores, **others}),
        "player": view.player,
        "charts": view.charts,
        "space": view.space,
        "findings": summary.verdicts.get(name, Verdict()).findings,
        "recording": media.recording if media else None,
        "scores": _numbers(scores),
        "consistency": _numbers(others),
    }


def _numbers(scores: Mapping[str, float]) -> list[list[dict[str, str]]]:
    """Scores as rows, those that a person looks at first, then details; empty without any."""
    return [
        [_row(name, value) for name, value in part.items()]
        for part in split_details(scores)
        if part
    ]


def _row(name: str, value: float) -> dict[str, str]:
    metric = metric_name(name)
    return {
        "name": name,
        "value": f"{value:.4g}",
        "unit": metric.unit if metric else "",
        "arrow": {1: "↑", -1: "↓", 0: ""}[metric.better if metric else 0],
        "text": metric.text if metric else "",
    }


def _folders(summary: Summary, page: Path) -> list[tuple[str, str, str]]:
    """What a run wrote: what it is, where, and the address as seen from the page."""
    named = [("dataset", folder) for folder in summary.datasets]
    named += [(name, folder) for name, folders in summary.layouts.items() for folder in folders]
    return [(title, str(folder), _address(folder, page)) for title, folder in named]


def _address(folder: Path, page: Path) -> str:
    """A relative address where the folder lies in the page's own, so that both may be moved together."""
    folder, home = folder.absolute(), page.parent.absolute()
    if folder.is_relative_to(home):
        return quote(f"{folder.relative_to(home)}/")
    return folder.as_uri() + "/"
