"""Pictures and numbers of a run to W&B or to a CSV file."""

import csv
from typing import Any

from dynprep.artefacts import Artefact
from dynprep.files import atomic_path
from dynprep.report.options import LoggerOptions
from dynprep.report.summary import Summary

_COLUMNS = ("stage", "backend", "made", "found", "seconds", "per_second")


def log(summary: Summary, options: LoggerOptions) -> None:
    """Send ``summary`` where ``options`` say."""
    if options.kind == "csv":
        _csv(summary)
    if options.kind == "wandb" and options.mode != "disabled":
        _wandb(summary, options)


def _csv(summary: Summary) -> None:
    """metrics.csv: name, value; the times of stages and the scores."""
    with atomic_path(summary.folder / "metrics.csv") as temporary:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["name", "value"])
            for row in summary.rows():
                writer.writerow([f"time/{row[0]}", row[4]])
            writer.writerows(summary.flat_scores().items())
            writer.writerows(summary.flat_consistency().items())


def _wandb(summary: Summary, options: LoggerOptions) -> None:
    """One W&B run, finished whatever happens; it fails if the run did."""
    import wandb

    run = wandb.init(
        project=options.project,
        group=options.group,
        name=summary.name,
        dir=str(summary.folder),
        mode=options.mode,
        config={**summary.config, "versions": summary.versions},
        settings=wandb.Settings(silent=True),
    )
    status = 1
    try:
        _panels(run, summary)
        status = 1 if summary.failure else 0
    finally:
        run.finish(exit_code=status)


def _panels(run: Any, summary: Summary) -> None:
    import wandb

    panels: dict[str, Any] = {}
    for media in summary.media:
        for stage, pictures in media.pictures.items():
            panels[f"{media.scene}/{stage}"] = [
                wandb.Image(str(path), caption=f"{Artefact.registry[stage].title} · {stem}")
                for stem, path in pictures
            ]
        for stage, path in media.videos.items():
            panels[f"{media.scene}/{stage}_video"] = wandb.Video(str(path), format="mp4")
        if media.cloud is not None:
            panels[f"{media.scene}/point_cloud"] = wandb.Object3D(media.cloud)
        if media.clouds:
            panels[f"{media.scene}/points"] = [wandb.Object3D(cloud) for cloud in media.clouds]
    panels["stages"] = wandb.Table(
        columns=list(_COLUMNS), data=[list(row) for row in summary.rows()]
    )
    run.log(panels)
    _alignment_curves(run, summary)
    for row in summary.rows():
        run.summary[f"time/{row[0]}"] = row[4]
    for name, value in summary.flat_scores().items():
        run.summary[f"score/{name}"] = value
    for name, value in summary.flat_consistency().items():
        run.summary[f"consistency/{name}"] = value
    for scene, verdict in summary.verdicts.items():
        run.summary[f"verdict/{scene}/findings"] = len(verdict.findings)
        run.summary[f"verdict/{scene}"] = "; ".join(verdict.lines()) or "nothing found"
    run.summary["seconds"] = summary.seconds
    if summary.failure:
        run.summary["failure"] = summary.failure


def _alignment_curves(run: Any, summary: Summary) -> None:
    """The fits of every frame, over frames."""
    for scene, report in summary.alignments.items():
        curves = ("scale", "shift", "inliers", "residual")
        run.define_metric(f"{scene}/frame", hidden=True)
        for name in curves:
            run.define_metric(f"{scene}/alignment/{name}", step_metric=f"{scene}/frame")
        for number, fit in enumerate(report["frames"].values()):
            values = {f"{scene}/alignment/{name}": fit[name] for name in curves}
            run.log({f"{scene}/frame": number, **values})
