"""The Python API: read a dataset, use a backend on arrays, run what the command line runs.

Shapes: T frames, (H, W) pixels.
"""

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynprep.arrays import Float64Array, UInt8Array, check_shapes
from dynprep.artefacts.images import Images
from dynprep.config.build import Settings, settings
from dynprep.config.compose import compose_config
from dynprep.config.typed import trust_packages
from dynprep.dataset import DatasetScene
from dynprep.errors import UserError, nearest
from dynprep.scene.in_memory import ArraySource
from dynprep.scene.resolution import expected_frames
from dynprep.store import Store

if TYPE_CHECKING:
    from dynprep.report.summary import Summary

_RUNS = "outputs/runs"
_STORE = "outputs/store"


def open(folder: str | Path) -> DatasetScene:
    """Open one scene of a dataset, such as ``OUT/dog``, for reading. Raises UserError where there is none."""
    return DatasetScene(Path(folder).expanduser())


def run(overrides: Sequence[str]) -> "Summary":
    """Run dynprep as the command line does with these overrides, and return the run's summary.

    The run's folder is ``outputs/runs/DATE/TIME`` and the store ``outputs/store`` in the working directory, unless
    ``hydra.run.dir`` and ``store_dir`` say otherwise. Raises UserError for what the user can mend.
    """
    from dynprep.app import run as run_app
    from dynprep.job import Job

    overridden = dict(o.split("=", 1) for o in overrides if "=" in o)
    now = datetime.now()
    usual = Path(_RUNS, f"{now:%Y-%m-%d}", f"{now:%H-%M-%S-%f}")
    folder = Path(overridden.get("hydra.run.dir", usual)).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    own = [o for o in overrides if not o.startswith("hydra.run.dir=")]
    usual_places = {"dataset_dir": folder / "dataset", "store_dir": Path(_STORE).absolute()}
    places = [f"{name}={path}" for name, path in usual_places.items() if name not in overridden]
    config, choices = compose_config([*own, *places])
    if any(override.startswith("packages=") for override in own):
        trust_packages(config["packages"])
    return run_app(config, choices, folder, Job(tuple(own)))


def backend(choice: str, *overrides: str) -> "Backend":
    """A backend that is used on arrays.

    choice: such as ``depth=depth_anything_v2_small``, ``metric_depth=unidepth_v2_vitl14``, ``masks=motion`` or
    ``flow=alltracker``; overrides: more options, such as ``depth.checkpoint=FOLDER``. Raises UserError for what does
    not exist and for weights that cannot be had.
    """
    return Backend(choice, overrides)


class Backend:
    """One backend with its options, ready for ``predict``."""

    def __init__(self, choice: str, overrides: Sequence[str] = ()) -> None:
        self.group = choice.partition("=")[0]
        self.settings = self._settings(choice, overrides)
        stages = {group: name for name, group in self.settings.groups.items()}
        if self.group not in stages or self.settings.stages[stages[self.group]].is_helper:
            groups = [g for g, name in stages.items() if not self.settings.stages[name].is_helper]
            raise UserError(f"{choice}: no group of backends; {nearest(self.group, groups)}")
        self.stage = self.settings.stages[stages[self.group]]
        self.stage.fetch(lambda line: None)

    def _settings(self, choice: str, overrides: Sequence[str]) -> Settings:
        quiet = [
            "logger=none",
            "data=frames",
            "data.path=none",
            "dataset_dir=none",
            "store_dir=none",
        ]
        return settings(*compose_config([*quiet, "trainer.readers=0", choice, *overrides]))

    def predict(self, images: UInt8Array, intrinsics: Float64Array | None = None) -> Any:
        """What the backend makes of a clip.

        images (T, H, W, 3): RGB uint8; intrinsics (T, 4) or (4,): fx, fy, cx, cy in pixels with centres at whole
        numbers, where they are known. Frames are one clip, in order: backends that look at one frame at a time do
        not mind, others need that. Returns, for ``depth`` affine-invariant disparity (T, H, W); ``metric_depth``
        disparity (T, H, W) in 1/m and intrinsics (T, 4); ``masks`` booleans (T, H, W); ``prior`` depth (T, H, W) in
        [0, 1]; ``alignment`` disparity (T, H, W) in 1/m, 0 invalid; ``normals`` unit normals (T, H, W, 3);
        ``flow`` a dict of tracks (N, 4) by (query, target); ``points`` trajectories by ``fg`` and ``bg``. Raises
        ValueError for other shapes, UserError for what cannot work.
        """
        from dynprep.pipeline.execute import load_frame_table, run_stage
        from dynprep.pipeline.plan import choose_stages, make_plan
        from dynprep.pipeline.trainer import one_thread_an_image
        from dynprep.watch import no_progress

        one_thread_an_image()
        source = ArraySource(images, _rows(intrinsics, len(images)))
        self.stage.check(source)
        with tempfile.TemporaryDirectory(prefix="dynprep-") as folder:
            expected = expected_frames(source.probe(), self.settings.resolution)
            stages = self.settings.stages
            plan = make_plan(
                stages,
                self.settings.with_what_it_reads(self.stage.name),
                [(source, expected)],
                Store(Path(folder)),
            )
            choose_stages(plan, ())
            for name in plan.stages:
                plan.stages[name].inspect()
                trainer = self.settings.trainer
                run_stage(plan, name, trainer, self.settings.run.batch_size, no_progress, _silent)
                if name == Images.name:
                    load_frame_table(plan.scenes[0])
            return plan.scenes[0].read()[self.stage.makes].as_arrays()


def _rows(intrinsics: Float64Array | None, count: int) -> list[list[float]] | None:
    """[fx, fy, cx, cy] of every frame."""
    if intrinsics is None:
        return None
    if intrinsics.ndim == 1:
        check_shapes(intrinsics=(intrinsics, "4"))
        return [[float(v) for v in intrinsics]] * count
    check_shapes(intrinsics=(intrinsics, f"{count} 4"))
    return [[float(v) for v in row] for row in intrinsics]


def _silent(line: str) -> None:
    """Show nothing."""
