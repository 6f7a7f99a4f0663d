"""``dynprep check OVERRIDES``: whether a run with these overrides can begin. Nothing is downloaded."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dynprep.backends.network import Network
from dynprep.commands import fail
from dynprep.config.build import Settings, settings
from dynprep.config.compose import compose_config
from dynprep.errors import UserError
from dynprep.report.options import check_logger
from dynprep.scene.resolution import expected_frames
from dynprep.scene.source import Source
from dynprep.scene.truth import Truth
from dynprep.stages.base import Stage
from dynprep.store import Store

_USUAL = {"dataset_dir": "outputs/dataset", "store_dir": "outputs/store"}


def main(arguments: Sequence[str]) -> int:
    """Print a line for every scene and every stage, and return the exit status: 1 where a run could not begin."""
    if any(argument.startswith("-") for argument in arguments):
        raise UserError(
            "check: give overrides alone, such as dynprep check data=video data.path=dog.mp4"
        )
    overridden = [argument.partition("=")[0] for argument in arguments]
    usual = [f"{k}={Path(v).absolute()}" for k, v in _USUAL.items() if k not in overridden]
    config, choices = compose_config([*arguments, *usual])
    chosen = settings(config, choices)
    check_logger(chosen.logger)
    chosen.trainer.check()
    for line in chosen.ignored_options(overridden):
        print(line)
    status = 0
    sources = chosen.data.sources(Store(Path(chosen.run.store_dir).expanduser(), False))
    for line in _about_scenes(chosen, sources):
        print(line)
    for name in chosen.wanted:
        stage = chosen.stages[name]
        label = f"{name} ({choices.get(chosen.groups[name], chosen.groups[name])})"
        try:
            for source in sources:
                stage.check(source)
            print(f"{label}: {_about_weights(stage)}")
        except UserError as error:
            status = fail(f"{label}: {error}")
    return status


def _about_scenes(chosen: Settings, sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        probe = source.probe()
        frames = expected_frames(probe, chosen.resolution)
        if source.truth is not None:
            Truth(source.truth).check()
        yield f"{source.name}: {len(frames)} frames of {frames.width}x{frames.height}"


def _about_weights(stage: Stage) -> str:
    """Where the weights of a network are. Raises UserError for a local copy that is absent or does not fit."""
    if not isinstance(stage, Network):
        return "no network"
    licence = "" if stage.commercial else f"; licence {stage.licence}, not for commercial use"
    if stage.checkpoint is None:
        try:
            place = stage.published().place()
        except UserError:
            return f"weights are not on this machine, a run downloads {stage.hub}{licence}"
    else:
        place = Path(stage.checkpoint)
    stage.inspect()
    return f"weights in {os.path.relpath(place)} fit{licence}"
