"""A stage run by Lightning's predict loop: reading, computing and writing overlap."""

import logging
import multiprocessing
import os
import re
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import BasePredictionWriter, Callback
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException
from torch.utils.data import DataLoader, Dataset

from dynprep import stopping
from dynprep.artefacts.base import Scene
from dynprep.cores import cores
from dynprep.errors import SceneError, UserError
from dynprep.pipeline.faults import explained, plain_errors
from dynprep.pipeline.memory import give_back
from dynprep.pipeline.refused import why_refused
from dynprep.pipeline.scene_failures import SceneFailures
from dynprep.pipeline.task import Task
from dynprep.pipeline.times import Times
from dynprep.pipeline.trainer import TrainerOptions, one_thread_an_image
from dynprep.stages.base import Deferred, FrameStage, SceneStage, Stage
from dynprep.store import NotFinite
from dynprep.watch import Advance

_LOOK_EVERY = 0.5  # seconds
_START = "fork" if sys.platform == "linux" else "spawn"  # of reader processes


@dataclass(frozen=True)
class _Failed:
    """A user's error on its way from a reader process, whose tracebacks torch would add.

    of_scene: whether it is the scene's fault, and not that of the store's disk.
    """

    message: str
    of_scene: bool


def _start_reader(_: int) -> None:
    stopping.obey_parent()
    torch.set_num_threads(1)


class _OneScene:
    """Lets go of what a scene keeps in memory when work goes on with the next: tasks of a scene follow each other."""

    _last: Scene | None = None

    def at(self, scene: Scene) -> None:
        """Work is at that scene."""
        if self._last is not None and self._last is not scene:
            self._last.forget()
        self._last = scene


class _Samples(Dataset[tuple[int, Any]]):
    """What readers give: a frame stage's sample for each task; of a scene stage nothing, since it reads itself."""

    def __init__(self, stage: Stage, tasks: Sequence[Task]) -> None:
        self.stage, self.tasks, self.scene = stage, tasks, _OneScene()

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        task = self.tasks[index]
        if not isinstance(self.stage, FrameStage):
            return index, None
        self.scene.at(task.scene)
        try:
            return index, self.stage.load(task.scene, task.item)
        except UserError as error:
            return index, _Failed(str(error), of_scene=True)
        except OSError as error:  # torch would rebuild it without its number
            store = task.result.store_folder
            if isinstance(plain := explained(error, "store_dir", store), UserError):
                return index, _Failed(str(plain), of_scene=False)
            raise


def _as_list(batch: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    return batch


class StageModule(L.LightningModule):
    """Computes batches of a stage's samples, in smaller parts once a GPU's memory has run out.

    failures: takes scenes that fail, so that others go on; None lets the first one stop all.
    """

    def __init__(
        self, stage: Stage, tasks: Sequence[Task], failures: SceneFailures | None = None
    ) -> None:
        super().__init__()
        self.stage, self.tasks, self.failures = stage, tasks, failures
        self.most_at_once: int | None = None  # samples, once memory has run out
        self.parent = os.getpid()

    def setup(self, stage: str) -> None:
        if os.getpid() != self.parent:  # one of several ranks
            stopping.obey_parent()
        one_thread_an_image()
        if self.trainer.world_size > 1:
            torch.set_num_threads(max(1, cores() // self.trainer.world_size))
        self.stage.setup(self.device)

    def teardown(self, stage: str) -> None:
        self.stage.release()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        return batch  # samples are the stage's own; it moves what its network needs

    def predict_step(self, batch: list[tuple[int, Any]], batch_idx: int) -> list[tuple[int, Any]]:
        if isinstance(self.stage, SceneStage):
            for index, _ in batch:
                try:
                    self._run_scene(self.stage, self.tasks[index])
                except SceneError as error:
                    _note_or_raise(self.failures, error)
            return []
        assert isinstance(self.stage, FrameStage)
        for index, sample in batch:
            if isinstance(sample, _Failed):
                scene = self.tasks[index].scene.name
                kind = SceneError(scene, sample.message) if sample.of_scene else None
                _note_or_raise(self.failures, kind or UserError(sample.message))
        batch = [(index, sample) for index, sample in batch if not isinstance(sample, _Failed)]
        outputs: list[Any] = []
        while len(outputs) < len(batch):
            part = batch[len(outputs) :][: self.most_at_once]
            try:
                outputs += self.stage.compute([sample for _, sample in part])
                continue
            except torch.OutOfMemoryError:
                tried = len(part)
            except RuntimeError as error:
                self._take_as_memory(error, len(part))
                tried = len(part)
            self._halve(tried)  # outside: the error holds what was computed so far
        return [(index, output) for (index, _), output in zip(batch, outputs, strict=True)]

    def _run_scene(self, stage: SceneStage, task: Task) -> None:
        with plain_errors("store_dir", task.result.store_folder):
            writer = task.result.writer(task.item)
            try:
                stage.run(task.scene, writer)
            except NotFinite as error:
                raise _of_scene(stage, task, error) from None
            except UserError as error:
                raise SceneError(task.scene.name, str(error)) from None
            except torch.OutOfMemoryError:
                raise SceneError(
                    task.scene.name,
                    f"{stage.name}: the scene does not fit into the device's memory; choose {stage.smaller}, "
                    "trainer.precision=bf16-true, or trainer=cpu",
                ) from None
            except RuntimeError as error:
                self._take_as_memory(error, 1)
            task.result.add(writer)
            task.scene.forget()
            give_back()

    def _take_as_memory(self, error: RuntimeError, tried: int) -> None:
        """Return where a GPU's library refuses what may be too large: fewer samples may do.

        Raises UserError when it refuses a single sample, and ``error`` itself when it is another one.
        """
        why = why_refused(error)
        if why is None:
            raise error
        assert isinstance(self.stage, FrameStage | SceneStage)
        is_single = tried == 1 or isinstance(self.stage, SceneStage) or self.stage.one_by_one
        if is_single:
            raise UserError(
                f"{self.stage.name}: the device refuses {tried} at once ({why}); choose a smaller network or "
                "resolution, batch_size=1, trainer.precision=32-true, or trainer=cpu"
            ) from None

    def _halve(self, tried: int) -> None:
        assert isinstance(self.stage, FrameStage)
        if tried == 1 or self.stage.one_by_one:
            raise UserError(
                f"{self.stage.name}: one frame does not fit into the device's memory; choose a smaller "
                "network or resolution, a lower at_once where the backend has that option, "
                "trainer.precision=bf16-true, or trainer=cpu"
            )
        self.most_at_once = tried // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        print(
            f"{self.stage.name}: {tried} at once do not fit into the device's memory, going on with "
            f"{self.most_at_once} (batch_size={self.most_at_once} starts with that)",
            file=sys.stderr,
            flush=True,
        )


class StoreWriter(BasePredictionWriter):
    """Puts every item of a frame stage into the store from the rank that made it, in threads."""

    def __init__(
        self,
        stage: Stage,
        tasks: Sequence[Task],
        threads: int,
        failures: SceneFailures | None = None,
    ) -> None:
        super().__init__(write_interval="batch")
        self.stage, self.tasks, self.threads, self.failures = stage, tasks, threads, failures
        self._pool: ThreadPoolExecutor | None = None
        self._scene = _OneScene()
        self._waiting: deque[Future[None]] = deque()
        self.waited = 0.0  # seconds that the loop stood still for writers

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        began = time.perf_counter()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads)
        for index, output in prediction:
            self._scene.at(self.tasks[index].scene)
            self._waiting.append(self._pool.submit(self._write, self.tasks[index], output))
        # memory does not grow when disks are slow; yet one batch may wait while the next is computed
        while len(self._waiting) > max(2 * self.threads, len(prediction)):
            self._waiting.popleft().result()
        self.waited += time.perf_counter() - began

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        began = time.perf_counter()
        while self._waiting:
            self._waiting.popleft().result()
        self._close()
        self.waited += time.perf_counter() - began

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _write(self, task: Task, output: Any) -> None:
        with plain_errors("store_dir", task.result.store_folder):
            assert isinstance(self.stage, FrameStage)
            writer = task.result.writer(task.item)
            if isinstance(output, Deferred):
                output = output.get()
            try:
                self.stage.write(writer, task.scene, task.item, output)
            except NotFinite as error:
                _note_or_raise(self.failures, _of_scene(self.stage, task, error))
                return
            task.result.add(writer)


def _of_scene(stage: Stage, task: Task, error: NotFinite) -> SceneError:
    """A value that is not finite, with the stage and the scene that it was made in."""
    name = task.scene.name
    return SceneError(name, f"stage {stage.name}, scene {name}: {error}")


def _note_or_raise(failures: SceneFailures | None, error: UserError) -> None:
    """Note a scene that failed, where others are to go on."""
    if failures is None or not isinstance(error, SceneError):
        raise error
    failures.add(error.scene, str(error))


class _Signals(Callback):
    """Puts back the handlers that Lightning replaces: its own takes note of SIGTERM and goes on."""

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, StageModule)
        if os.getpid() == pl_module.parent:
            stopping.restore()
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def on_predict_batch_start(self, *_: Any) -> None:
        stopping.check()  # where the interrupt itself was swallowed


class _Clock(Callback):
    """Measures what the loop of one process does. It stands before the writer in the list of callbacks."""

    def __init__(self, writer: StoreWriter) -> None:
        self.writer, self.times, self.mark = writer, Times(), 0.0

    def on_predict_start(self, *_: Any) -> None:
        self.mark = time.perf_counter()

    def on_predict_batch_start(self, *_: Any) -> None:
        now = time.perf_counter()
        waited = self.writer.waited - self.times.writing  # since the last batch
        self.times.reading += now - self.mark - waited
        self.times.writing = self.writer.waited
        self.mark = now

    def on_predict_batch_end(self, *_: Any) -> None:
        now = time.perf_counter()
        self.times.computing += now - self.mark
        self.mark = now

    def result(self) -> Times:
        """The times, once the loop has ended."""
        self.times.writing = self.writer.waited
        return self.times


class _Progress(Callback):
    def __init__(self, advance: Advance) -> None:
        self.advance = advance

    def on_predict_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if trainer.is_global_zero:
            self.advance(len(batch) * trainer.world_size)


def predict(
    stage: Stage,
    tasks: Sequence[Task],
    options: TrainerOptions,
    batch_size: int | None,
    advance: Advance,
    failures: SceneFailures | None = None,
) -> Times | None:
    """Run ``stage`` over ``tasks``; returns when all are written and indexed, with the times of this process's loop;
    None where other processes ran it.

    failures: takes scenes that fail, so that others go on; None lets the first one stop all.

    Raises UserError for a user's error in any process. What another process failed to write is found by
    ``Result.close``.
    """
    where = options.resolve(len(tasks), stage.uses_device)
    on_device = stage.uses_device and where["accelerator"] != "cpu"
    at_once = 1
    if isinstance(stage, FrameStage):
        threads = max(1, cores() // where["devices"])
        at_once = options.gpu_batch if on_device else stage.batch(threads)
    reading, writing = options.readers_and_writers(where["devices"])
    writer = StoreWriter(stage, tasks, writing, failures)
    clock = _Clock(writer)
    callbacks: list[Callback] = [clock, writer, _Signals()]
    following = None
    if where["devices"] == 1:
        callbacks.append(_Progress(advance))
    else:  # the items are made in other processes: count what they index
        following = _Follower(tasks, advance)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    readers = min(reading, len(tasks)) if isinstance(stage, FrameStage) and len(tasks) > 1 else 0
    loader = DataLoader(
        _Samples(stage, tasks),
        batch_size=batch_size or min(at_once, len(tasks)),
        num_workers=readers,
        # said outright: a parallel launcher sets a start method of its own, which readers cannot use
        multiprocessing_context=_START if readers else None,
        collate_fn=_as_list,
        worker_init_fn=_start_reader,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", module="torch.utils.data")
        trainer = L.Trainer(
            **where,
            logger=False,
            deterministic=options.deterministic,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            barebones=False,
        )
        try:
            if following is not None:
                following.start()
            trainer.predict(StageModule(stage, tasks, failures), loader, return_predictions=False)
        except (SystemExit, KeyboardInterrupt) as error:
            stopping.restore()
            _end_children()
            raise _interrupt(error) from None
        except ProcessRaisedException as error:
            raise _from_child(error) from None
        except (ProcessExitedException, RuntimeError) as error:
            if stopping.is_told():  # the signal went to the whole group
                raise KeyboardInterrupt from None
            if isinstance(error, ProcessExitedException) or "DataLoader worker" in str(error):
                raise UserError(
                    f"{stage.name}: a worker process was killed, most often for want of memory; use "
                    "fewer trainer.devices or trainer.readers, or a smaller batch_size, and run again"
                ) from None
            raise
        finally:
            if following is not None:
                following.stop()
    return clock.result() if where["devices"] == 1 else None


class _Follower:
    """Advances a bar by what other processes have indexed."""

    def __init__(self, tasks: Sequence[Task], advance: Advance) -> None:
        self.results = {task.result.key: task.result for task in tasks}
        self.advance, self.ended, self.seen = advance, Event(), self._count()
        self.thread = Thread(target=self._follow, daemon=True)

    def _count(self) -> int:
        return sum(len(result.items()) for result in self.results.values())

    def _follow(self) -> None:
        while not self.ended.wait(_LOOK_EVERY):
            count = self._count()
            self.advance(count - self.seen)
            self.seen = count

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()


def _interrupt(error: BaseException) -> BaseException:
    """Ctrl-C again, which Lightning turned into an exit of its own; any other exit is that of a launcher, which takes
    the job back and begins it again later."""
    is_lightnings = isinstance(error.__context__, KeyboardInterrupt)
    return KeyboardInterrupt() if is_lightnings or stopping.is_told() else error


def _end_children() -> None:
    """End ranks, which Python would wait for at its end."""
    for child in multiprocessing.active_children():
        child.kill()


def _from_child(error: Exception) -> Exception:
    """The user's error that a child process raised, or the child's own report."""
    names = "|".join(kind.__qualname__ for kind in (UserError, SceneError))
    where = re.escape(UserError.__module__)
    match = re.search(rf"^{where}\.(?:{names}): (.*)", str(error), re.MULTILINE)
    return UserError(match.group(1)) if match else error
