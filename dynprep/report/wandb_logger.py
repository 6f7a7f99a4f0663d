"""A run in Weights & Biases, from its plan to its end.

Only the main process speaks to W&B: readers and ranks are forked from it and never touch the run that they inherit.
Keys name no scene, so that runs of different scenes can be laid over each other; what belongs to a scene has the
scene beside it.
"""

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dynprep.artefacts import Artefact
from dynprep.errors import UserError
from dynprep.export.dataset import VERDICT
from dynprep.export.manifest import MANIFEST
from dynprep.pipeline.execute import StageRun
from dynprep.report.media import SceneMedia
from dynprep.report.overview import RUN_PAGE as PAGE
from dynprep.report.run_logger import RunLogger
from dynprep.report.run_names import run_name
from dynprep.report.summary import Summary
from dynprep.store.references import PROVENANCE
from dynprep.watch import Advance, Watch

_EVERY = (
    1.0  # seconds between two reports of a stage's progress, and between two writes of W&B's file
)
_FLUSH = "x_transaction_log_flush_interval"  # the name of the latter in W&B's settings
_LONGEST_TAG = 64  # letters that W&B takes
_CURVES = ("scale", "shift", "inliers", "residual")
_COLUMNS = ("stage", "backend", "made", "found", "seconds", "per_second")
_PUBLISHED = (
    PROVENANCE,
    MANIFEST,
    VERDICT,
    "cameras.json",
    "alignment.json",
    "unidepth_intrins.json",
)


class WandbLogger(RunLogger):
    """One W&B run; it is finished however the run of dynprep ends, unless it is killed."""

    _run: Any = None

    def begin(self, summary: Summary, tags: Sequence[str]) -> None:
        import wandb

        try:
            self._run = wandb.init(
                project=self.options.project,
                group=self.options.group,
                name=run_name(summary.name, summary.folder, self.job.number),
                tags=[tag[:_LONGEST_TAG] for tag in tags],
                job_type="run" if self.job.sweep is None else "job",
                dir=str(summary.folder),
                mode=self.options.mode,
                config={
                    **summary.config,
                    "versions": summary.versions,
                    "command": summary.command,
                },
                settings=_settings(),
            )
        except wandb.errors.Error as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"logger.mode={self.options.mode}: W&B does not begin a run: {reason}; "
                "logger.mode=offline needs no network"
            ) from None
        for name in _CURVES:
            self._run.define_metric(f"alignment/{name}", step_metric="frame")
        self._run.define_metric("frame", hidden=True)

    @contextmanager
    def stage(self, watch: Watch, name: str, total: int) -> Iterator[Advance]:
        done, last = 0, time.monotonic()
        with watch(name, total) as advance:

            def follow(count: int) -> None:
                nonlocal done, last
                done += count
                advance(count)
                if time.monotonic() - last >= _EVERY:
                    last = time.monotonic()
                    self._run.log({f"progress/{name}": done / max(total, 1), **self._counts()})

            yield follow

    def _counts(self) -> dict[str, float]:
        """Of many scenes: how many the stage under way has done, how many failed, and the seconds that are left."""
        if self.progress is None:
            return {}
        left = self.progress.left()
        known = {} if left is None else {"scenes/left_s": left}
        return {"scenes/done": self.progress.done, "scenes/failed": self.progress.failed, **known}

    @property
    def wants_pictures(self) -> bool:
        return True

    def stage_done(self, run: StageRun, media: Sequence[SceneMedia]) -> None:
        values: dict[str, Any] = {
            f"progress/{run.name}": 1.0,
            f"time/{run.name}": run.seconds,
            f"made/{run.name}": run.made,
            f"found/{run.name}": run.found,
        }
        self._run.log({**values, **self._counts(), **_panels(media)})

    def end(self, summary: Summary) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        status = 1
        try:
            _log_outcome(run, summary)
            if self.options.artifact and summary.failure is None:
                _log_artifact(run, summary)
            status = 1 if summary.failure else 0
            self.closing = _closing(run, self.options.mode)
        finally:
            run.finish(exit_code=status)

    def abandon(self, failure: str) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.summary["failure"] = failure
            run.finish(exit_code=1)


def _settings() -> Any:
    """W&B's settings: silent, and its file written out every second, so that a kill loses no more than that."""
    import wandb

    options: dict[str, Any] = {"silent": True, "console": "off"}
    if _FLUSH in getattr(wandb.Settings, "model_fields", {}):  # which older versions lack
        options[_FLUSH] = _EVERY
    return wandb.Settings(**options)


def _panels(media: Sequence[SceneMedia]) -> dict[str, Any]:
    """Pictures, videos and clouds of what was drawn; the scene stands in captions."""
    import wandb

    panels: dict[str, Any] = {}
    for scene in media:
        for stage, pictures in scene.pictures.items():
            title = Artefact.registry[stage].title
            panels.setdefault(f"pictures/{stage}", []).extend(
                wandb.Image(str(path), caption=f"{scene.scene} {stem} · {title}")
                for stem, path in pictures
            )
        for stage, path in scene.videos.items():
            video = wandb.Video(str(path), format="mp4", caption=scene.scene)
            panels.setdefault(f"videos/{stage}", []).append(video)
        if scene.cloud is not None:
            panels.setdefault("pictures/point_cloud", []).append(wandb.Object3D(scene.cloud))
        if scene.clouds:
            panels.setdefault("pictures/points", []).extend(map(wandb.Object3D, scene.clouds))
    return panels


def _log_outcome(run: Any, summary: Summary) -> None:
    """What is known at the end: the stages as a table, curves over frames, scores, the verdict, why it failed."""
    import wandb

    rows = [list(row) for row in summary.rows()]
    run.log({"stages": wandb.Table(columns=list(_COLUMNS), data=rows)})
    for scene, report in summary.alignments.items():
        for number, fit in enumerate(report["frames"].values()):
            values = {f"alignment/{name}": fit[name] for name in _CURVES}
            run.log({"frame": number, "scene": scene, **values})
    for kind, scores in (("score", summary.scores), ("consistency", summary.consistency)):
        _log_scores(run, kind, scores)
    for row in summary.rows():
        run.summary[f"time/{row[0]}"] = row[4]
    findings = {scene: verdict for scene, verdict in summary.verdicts.items() if verdict.findings}
    run.summary["verdict/findings"] = sum(len(v.findings) for v in findings.values())
    lines = [f"{scene}: {line}" for scene, v in findings.items() for line in v.lines()]
    run.summary["verdict"] = "; ".join(lines) or "nothing found"
    run.summary["scenes/done"], run.summary["scenes/failed"] = (
        len(summary.scenes),
        len(summary.failed),
    )
    run.summary["seconds"] = summary.seconds
    if summary.failure:
        run.summary["failure"] = summary.failure


def _log_scores(run: Any, kind: str, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Means over scenes as the run's own figures, and every scene's as a table."""
    import wandb

    names = dict.fromkeys(name for values in scores.values() for name in values)
    for name in names:
        known = [values[name] for values in scores.values() if name in values]
        run.summary[f"{kind}/{name}"] = sum(known) / len(known)
    if names:
        rows = [[scene, *(values.get(name) for name in names)] for scene, values in scores.items()]
        run.log({f"scenes/{kind}": wandb.Table(columns=["scene", *names], data=rows)})


def _log_artifact(run: Any, summary: Summary) -> None:
    """What describes each dataset, and the page; not the files that grow with the clip."""
    import wandb

    for folder in summary.datasets:
        artifact = wandb.Artifact(f"dataset-{_plain(folder.name)}", type="dataset")
        for name in _PUBLISHED:
            if (folder / name).is_file():
                artifact.add_file(str((folder / name).resolve()), name=name)
        if (summary.folder / PAGE).is_file():
            artifact.add_file(str(summary.folder / PAGE), name=PAGE)
        run.log_artifact(artifact)


def _plain(name: str) -> str:
    """A name with the letters that W&B takes for artifacts."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)


def _closing(run: Any, mode: str) -> list[str]:
    """Where the run is, and how it gets to the server."""
    if mode == "offline":
        folder = str(run.settings.sync_dir)
        return [f"wandb    {folder}", f"         wandb sync {shlex.quote(folder)}"]
    return [f"wandb    {run.url}"] if run.url else []
