"""Runs a network on known frames, and holds its output against what its kind promises."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.depth_map import DepthMap
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.normals import Normals
from dynprep.artefacts.sky import Sky
from dynprep.artefacts.tracks import PairTracks
from dynprep.backends.network import Network
from dynprep.checks.clip import KnownClip
from dynprep.checks.line import Line, Mark
from dynprep.checks.options import CheckBounds
from dynprep.checks.recorded import Recorded, entry_name, take
from dynprep.checks.values import (
    Difference,
    apart,
    covered,
    is_constant,
    nearness,
    turned,
)
from dynprep.errors import UserError
from dynprep.files import human_bytes
from dynprep.models.inference import Precision
from dynprep.pipeline.memory import device_peak, forget_peak, peak
from dynprep.scores import score
from dynprep.stages.base import WHOLE_SCENE, Deferred, FrameStage, SceneStage
from dynprep.store import NotFinite, Recipe

_EXACT: Precision = "32-true"
_TRACKED = "tracks/delta_avg"
_LONGEST = 200  # characters of an error
_NUMBER_FORMAT = ("inference", "precision")  # options that recorded values do not depend on


class TooLarge(UserError):
    """Work that does not fit into the device's memory."""


@dataclass(frozen=True)
class Output:
    """What a network gave. seconds, memory (bytes): of a frame, None where nobody counts."""

    artefact: Artefact
    results: Scene
    seconds: float
    memory: int | None


def run(stage: Network, clip: KnownClip, device: Any, together: bool) -> Output:
    """Run a network of frames on the clip, all frames at once or each alone.

    Raises UserError for what does not fit into memory and for values that are not finite.
    """
    import torch

    scene = clip.scene.read()
    if isinstance(stage, SceneStage):
        return _run_scene(stage, scene, clip, device)
    assert isinstance(stage, FrameStage)
    items = stage.items(scene.frames)
    how = {"precision": stage.inference.precision, "together": together}
    result = clip.plan.store.result(
        Recipe(stage.name, f"check-{stage.backend_id}", options={**stage.key_options(), **how})
    )
    result.begin({})
    stage.setup(device)
    try:
        samples = [stage.load(scene, item) for item in items]
        groups = [samples] if together else [[sample] for sample in samples]
        stage.compute(samples[:1])  # what is done once: kernels are chosen, memory is taken
        forget_peak()
        seconds, outputs = _timed(stage, groups)
        memory = device_peak() if device.type == "cuda" else peak()
        for item, output in zip(items, outputs, strict=True):
            writer = result.writer(item)
            stage.write(writer, scene, item, output)
            result.add(writer)
    except torch.OutOfMemoryError:
        raise TooLarge(
            f"{len(items) if together else 1} frames do not fit into the device's memory; choose a smaller "
            "network or resolution, trainer.precision=bf16-true, or trainer=cpu"
        ) from None
    except NotFinite as error:
        raise _not_finite(error, stage) from None
    finally:
        stage.release()
    result.close(items, {})
    results = Scene(scene.name, scene.frames, {**scene.results, stage.name: result}, scene.source)
    return Output(results[stage.makes], results, seconds / len(items), memory)


def _not_finite(error: NotFinite, stage: Any) -> UserError:
    precision = stage.inference.precision
    return UserError(f"{error} in {precision}; use trainer.precision=bf16-true or 32-true")


def _run_scene(stage: Any, scene: Scene, clip: KnownClip, device: Any) -> Output:
    """Run a network that takes the whole clip."""
    import torch

    options = {**stage.key_options(), "precision": stage.inference.precision}
    recipe = Recipe(stage.name, f"check-{stage.backend_id}", options=options)
    result = clip.plan.store.result(recipe)
    result.begin({})
    stage.setup(device)
    try:
        forget_peak()
        began = time.perf_counter()
        writer = result.writer(WHOLE_SCENE)
        stage.run(scene, writer)
        seconds = time.perf_counter() - began
        memory = device_peak() if device.type == "cuda" else peak()
        result.add(writer)
    except torch.OutOfMemoryError:
        raise UserError(
            f"the clip does not fit into the device's memory; choose {stage.smaller}, trainer.precision=bf16-true, or "
            "trainer=cpu"
        ) from None
    except NotFinite as error:
        raise _not_finite(error, stage) from None
    finally:
        stage.release()
    result.close([WHOLE_SCENE], {})
    results = Scene(scene.name, scene.frames, {**scene.results, stage.name: result}, scene.source)
    return Output(results[stage.makes], results, seconds / len(scene.frames), memory)


def _timed(stage: Any, groups: Sequence[Sequence[Any]]) -> tuple[float, list[Any]]:
    """Seconds for all groups, and their outputs, which the device has finished."""
    began = time.perf_counter()
    outputs = [output for group in groups for output in stage.compute(group)]
    done = [output.get() if isinstance(output, Deferred) else output for output in outputs]
    return time.perf_counter() - began, done


def _as_many_as_fit(stage: Network, clip: KnownClip, device: Any) -> tuple[Output, bool]:
    """What a network gives of all frames at once, else of each alone, and whether all fitted at once."""
    try:
        return run(stage, clip, device, together=True), True
    except TooLarge:
        return run(stage, clip, device, together=False), False


def check_network(
    stage: Network,
    about: str,
    clip: KnownClip,
    device: Any,
    bounds: CheckBounds,
    against: Recorded | None,
    record: Recorded | None,
) -> Iterator[Line]:
    """Lines on what a network gives; what it gives is noted in ``record`` and compared with ``against``."""
    try:
        clip.make_ready(stage.name)
        together, fits = _as_many_as_fit(stage, clip, device)
        if not fits:
            text = f"{bounds.frames} frames do not fit into the device's memory at once: a run takes fewer"
            yield Line(about, Mark.NOTE, text)
        alone = together
        if isinstance(stage, FrameStage) and fits:
            alone = run(stage, clip, device, together=False)
        precision = stage.inference.precision
        exact = together
        if precision != _EXACT:
            exact, _ = _as_many_as_fit(stage.in_precision(_EXACT), clip, device)
    except UserError as error:
        yield Line(about, Mark.WRONG, str(error))
        return
    except Exception as error:  # whatever a network and its libraries raise is what is looked for
        first = (str(error).strip().splitlines() or [""])[0]
        yield Line(about, Mark.WRONG, f"cannot run: {type(error).__name__}: {first[:_LONGEST]}")
        return
    memory = f", {human_bytes(together.memory)} at most" if together.memory else ""
    yield Line(
        about,
        Mark.OK,
        f"runs on {device} in {precision}: {together.seconds:.3g} s a frame{memory}",
        {"seconds": together.seconds, "memory": together.memory, "precision": precision},
    )
    yield from _of_its_kind(stage, about, together, clip, bounds)
    off = apart(together.artefact, alone.artefact)
    most = bounds.batch_error if precision == _EXACT else bounds.half_error
    if alone is not together:
        yield _line(about, "frames together and alone", off, off.most <= most, most)
    if precision != _EXACT:
        off = apart(together.artefact, exact.artefact)
        good = off.middle <= bounds.half_error
        yield _line(about, f"{precision} and {_EXACT}", off, good, bounds.half_error)
    entry = take(together.artefact, precision)
    options = {k: v for k, v in stage.key_options().items() if k not in _NUMBER_FORMAT}
    name = entry_name(stage.name, stage.weights() or "", options)
    if record is not None:
        record.put(name, entry)
    if against is not None:
        yield from against.compare(name, about, entry, bounds.recorded_error, bounds.half_error)


def _of_its_kind(
    stage: Network, about: str, output: Output, clip: KnownClip, bounds: CheckBounds
) -> Iterator[Line]:
    """What the kind of a result promises. Bounds that need a network that has learned hold for published weights."""
    artefact = output.artefact
    is_published = stage.checkpoint is None
    if not isinstance(artefact, ObjectMasks | Sky) and is_constant(artefact):
        yield Line(
            about, Mark.WRONG, "gives the same everywhere: the weights are not this network's"
        )
        return
    if isinstance(artefact, DepthMap):
        name, value, least = (
            "near is near: rank correlation",
            nearness(artefact, clip.truth),
            bounds.nearness,
        )
    elif isinstance(artefact, PairTracks):
        scores = score(output.results, [stage.name], clip.truth.folder, clip.plan.store)
        name, value, least = (
            "points found: percent",
            scores.get(_TRACKED, float("nan")),
            bounds.tracked,
        )
    elif isinstance(artefact, ObjectMasks):
        name, value = "a marked object is found: J", covered(artefact, clip.truth)
        least = bounds.covered
    elif isinstance(artefact, Normals):
        name, value = "surfaces face where they do: mean cosine", turned(artefact, clip.truth)
        least = bounds.turned
    else:
        return
    good = value >= least
    mark = Mark.OK if good else Mark.WRONG if is_published else Mark.NOTE
    advice = ""
    if not good:
        advice = (
            f", {least:g} or more is expected of published weights: "
            "this build of PyTorch or these weights do not do what they should"
            if is_published
            else f", {least:g} or more is expected of weights that were trained"
        )
    yield Line(about, mark, f"{name} {value:.3g}{advice}", {"value": value, "least": least})


def _line(about: str, what: str, off: Difference, good: bool, bound: float) -> Line:
    text = f"{what} differ by {off.most:.2g} of the range at most, {off.middle:.2g} in the median"
    if not good:
        text += f"; {bound:g} is allowed: try another precision or build of PyTorch"
    return Line(
        about,
        Mark.OK if good else Mark.WRONG,
        text,
        {"most": off.most, "middle": off.middle, "bound": bound},
    )
