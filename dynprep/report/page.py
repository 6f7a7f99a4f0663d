"""report.html: a run on one page that needs nothing else."""

import base64
import time
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape

from dynprep.artefacts import Artefact
from dynprep.files import write_bytes
from dynprep.report.summary import Summary, split_details
from dynprep.verdicts.finding import Verdict
from dynprep.version import __version__

_TEMPLATE = "page.html.j2"


def _data(path: Path, kind: str) -> str:
    """A file as a data: address."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def write_report(summary: Summary) -> Path:
    """Write the page into the run's folder; returns its path."""
    scenes: list[dict[str, Any]] = []
    for media in summary.media:
        verdict = summary.verdicts.get(media.scene, Verdict())
        marks = verdict.frames()
        sheets = [
            {
                "stage": stage,
                "marks": {
                    stem: [f.what for f in marks.get(stem, []) if f.stage == stage]
                    for stem, _ in pictures
                },
                "title": Artefact.registry[stage].title,
                "pictures": [(stem, _data(path, "image/jpeg")) for stem, path in pictures],
            }
            for stage, pictures in media.pictures.items()
        ]
        report = summary.alignments.get(media.scene)
        scenes.append(
            {
                "name": media.scene,
                "size": summary.scenes.get(media.scene, ""),
                "sheets": sheets,
                "findings": verdict.findings,
                "videos": [
                    (Artefact.registry[stage].video_title, _data(path, "video/mp4"))
                    for stage, path in media.videos.items()
                ],
                "trajectories": media.trajectories,
                "recording": media.recording,
                "alignment": media.alignment,
                "how": f"{report['method']}, per {report['per']}" if report else "",
                "scores": split_details(summary.scores.get(media.scene, {})),
                "consistency": split_details(summary.consistency.get(media.scene, {})),
            }
        )
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default_for_string=True, default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(_TEMPLATE).render(
        s=summary,
        scenes=scenes,
        version=__version__,
        made=time.strftime("%Y-%m-%d %H:%M"),
        gigabytes=summary.peak_memory / 1e9,
    )
    path = summary.folder / "report.html"
    write_bytes(path, page.encode())
    return path
