"""report.html: a run on one page that needs nothing else; of several scenes a list, and a page for each."""

import base64
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from dynprep.files import write_bytes
from dynprep.metrics.headlines import figures
from dynprep.metrics.names import metric_name
from dynprep.report.overview import RUN_PAGE as PAGE
from dynprep.report.overview import SCENES, SceneRow, columns, rows_of_run
from dynprep.report.scene_page import SceneView
from dynprep.report.summary import Summary, split_details
from dynprep.verdicts.finding import Verdict
from dynprep.viewer.page import render

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_CARDS = 8  # scenes that are shown as cards; more are a table
_SMALL = 192  # pixels across the picture of a scene in a table
_DATA = "base64,"  # before the content of an address that holds it


@dataclass
class ReportWriter:
    """Writes the page of a run: of one scene at the end, of several a page each as it is ready, and a list at the end.

    A scene's pictures are let go of when its page is written, so that memory does not grow with the scenes.
    """

    summary: Summary
    several: bool
    _scenes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, view: SceneView) -> None:
        """Take what is shown of a scene whose media are drawn."""
        scene = _scene(self.summary, name, view)
        page = self.summary.folder / SCENES / f"{name}.html"
        page.parent.mkdir(exist_ok=True)
        _write_small(view.thumbnail, page.with_name(f"{name}.jpg"))
        if not self.several:
            self._scenes.append(scene)
            return
        lines = self.summary.verdicts.get(name, Verdict()).lines()
        folders = [f for f in _folders(self.summary, page) if Path(f[1]).name == name]
        self._write(page, scene=scene, back=f"../{PAGE}", verdicts=lines, checks=0, folders=folders)
        listed = {key: scene[key] for key in ("name", "size", "figures")}
        address = quote(f"{SCENES}/{name}.html")
        self._scenes.append(
            {**listed, "address": address, "thumbnail": view.thumbnail, "lines": lines}
        )

    def end(self) -> Path:
        """Write the page, or the list; returns its path."""
        path = self.summary.folder / PAGE
        if not self.several:
            shown: dict[str, Any] = {"scene": next(iter(self._scenes), None)}
        elif len(self._scenes) <= _CARDS:
            shown = {"scenes": self._scenes}
        else:
            rows = self._rows(path.parent)
            shown = {"rows": rows, "columns": columns(rows)}
        verdicts = [] if self.several else self.summary.verdict_lines()
        findings = sum(len(verdict.findings) for verdict in self.summary.verdicts.values())
        checks = 0 if findings else sum(v.checks for v in self.summary.verdicts.values())
        self._write(
            path, **shown, verdicts=verdicts, checks=checks, folders=_folders(self.summary, path)
        )
        return path

    def _rows(self, home: Path) -> list[SceneRow]:
        summary = self.summary
        record = {
            "scores": summary.scores,
            "consistency": summary.consistency,
            "verdicts": {name: verdict.lines() for name, verdict in summary.verdicts.items()},
            "sizes": summary.scenes,
            "failed": summary.failed,
            "datasets": summary.datasets,
        }
        return rows_of_run(summary.folder, record, home)

    def _write(self, path: Path, **values: Any) -> None:
        when = time.strftime("%Y-%m-%d %H:%M")
        gigabytes = self.summary.peak_memory / 1e9
        page = render(_TEMPLATE, s=self.summary, made=when, gigabytes=gigabytes, **values)
        write_bytes(path, page.encode())


def _write_small(picture: str | None, path: Path) -> None:
    """Write a scene's picture, given as a data: address, as a small file beside its page."""
    if picture is None:
        return
    content = base64.b64decode(picture.partition(_DATA)[2])
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as image:
        small = image.convert("RGB")
        small.thumbnail((_SMALL, _SMALL))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=80)
    write_bytes(path, buffer.getvalue())


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
