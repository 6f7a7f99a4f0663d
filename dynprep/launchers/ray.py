"""Jobs of a multirun on a Ray cluster, in workers that stay for the jobs that follow."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from dynprep.errors import UserError
from dynprep.launchers.needs import needs_device

_PATIENCE = 5.0  # seconds in which a cluster answers
_PREFIX = "DYNPREP_"  # of the environment that jobs read


@dataclass(frozen=True)
class _Started:
    """What a worker needs to do a job as if Hydra had started it there."""

    context: HydraContext
    config: DictConfig
    function: TaskFunction
    state: Any


class _Worker:
    """A process of the cluster. It imports the program once, and keeps its share of a GPU as long as it lives."""

    def __init__(self, folder: str, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        if Path(folder).is_dir():  # paths of a command are relative to where it was given
            os.chdir(folder)

    def run(self, job: _Started) -> JobReturn:
        """Do a job. One that fails is returned, not raised: the worker goes on."""
        from hydra.core.hydra_config import HydraConfig

        setup_globals()
        Singleton.set_state(job.state)
        HydraConfig.instance().set_config(job.config)
        return run_job(
            hydra_context=job.context,
            task_function=job.function,
            config=job.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )


class RayLauncher(Launcher):
    """Starts workers in a cluster and hands them jobs, as each gets free.

    address: of a cluster, None for one on this machine; cpus, gpus: cores and GPUs, or a share of one, that a worker
    takes, GPUs for jobs alone that run networks; workers: how many at most, None for as many as fit; retries: how often
    a job is begun again whose worker was lost. ``options`` of ``ray.init`` are passed on.
    """

    def __init__(
        self,
        address: str | None,
        cpus: float,
        gpus: float,
        workers: int | None,
        retries: int,
        options: DictConfig,
    ) -> None:
        self.address, self.cpus, self.gpus = address, cpus, gpus
        self.workers, self.retries, self.options = workers, retries, options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Remember what the jobs are made of."""
        self.context, self.function, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run all jobs, and return how they ended, in their order."""
        self._check()
        if find_spec("ray") is None:
            raise UserError(
                "hydra/launcher=ray: needs Ray, which is not installed: pip install 'dynprep[ray]'"
            )
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        jobs = [
            self._started(initial_job_idx + k, overrides)
            for k, overrides in enumerate(job_overrides)
        ]
        with_gpu = [needs_device(job.config) for job in jobs]
        resources = self._connect()
        return _Pool(self, resources).run(jobs, with_gpu)

    def _check(self) -> None:
        """Raise UserError for options out of their range."""
        few = self.workers is not None and self.workers < 1
        if self.cpus <= 0 or self.gpus < 0 or self.retries < 0 or few:
            raise UserError(
                f"hydra.launcher: cpus={self.cpus} gpus={self.gpus} workers={self.workers} retries={self.retries}: "
                "cpus must be above 0, gpus and retries 0 or more, workers 1 or more"
            )

    def _started(self, number: int, overrides: Sequence[str]) -> _Started:
        loader = self.context.config_loader
        config = loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = f"job_{number}"
            config.hydra.job.num = number
        return _Started(self.context, config, self.function, Singleton.get_state())

    def _connect(self) -> dict[str, float]:
        """Reach the cluster, or start one; returns its cores and GPUs."""
        import ray

        if not ray.is_initialized():
            _knock(self.address)
            options: dict[str, Any] = {str(k): v for k, v in self.options.items()}
            try:
                ray.init(address=self.address, log_to_driver=False, **options)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise _no_cluster(self.address, str(error).strip().partition("\n")[0]) from None
        return {name: float(count) for name, count in ray.cluster_resources().items()}


def _knock(address: str | None) -> None:
    """Raise UserError where nobody answers at a cluster's address: Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition("://")[2].partition("/")[0].rpartition(":")
    if not port.isdigit():  # null, auto, local
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise _no_cluster(address, str(error)) from None


def _no_cluster(address: str | None, reason: str) -> UserError:
    return UserError(
        f"hydra.launcher.address={address}: no Ray cluster answers there ({reason}); start one with ray start --head, "
        "or leave the address out"
    )


class _Pool:
    """The workers of a launch, some with a share of a GPU and some without."""

    def __init__(self, launcher: RayLauncher, resources: dict[str, float]) -> None:
        self.launcher = launcher
        self.room = int(resources.get("CPU", 0) / launcher.cpus)
        self.gpus = int(resources.get("GPU", 0) / launcher.gpus) if launcher.gpus else 0
        if self.room < 1:
            raise UserError(
                f"hydra.launcher.cpus={launcher.cpus}: the cluster has {resources.get('CPU', 0):g} cores in all; take "
                "fewer"
            )

    def run(self, jobs: Sequence[_Started], with_gpu: Sequence[bool]) -> list[JobReturn]:
        """Hand out jobs until all are done. With no GPU in the cluster all run on cores."""
        import ray

        waiting: dict[bool, list[int]] = {True: [], False: []}
        for number, needs in enumerate(with_gpu):
            waiting[needs and self.gpus > 0].append(number)
        most = min(self.room, self.launcher.workers or self.room)
        gpu_workers = min(len(waiting[True]), self.gpus, most)
        other_workers = min(len(waiting[False]), most - gpu_workers)
        if waiting[False] and other_workers == 0:  # no core is left beside them
            waiting[True] += waiting[False]
            waiting[False] = []
        idle = [(True, self._worker(True)) for _ in range(gpu_workers)]
        idle += [(False, self._worker(False)) for _ in range(other_workers)]
        running: dict[Any, tuple[int, bool, Any]] = {}
        ended: dict[int, JobReturn] = {}
        while len(ended) < len(jobs):
            for kind, worker in list(idle):
                if waiting[kind]:
                    number = waiting[kind].pop(0)
                    running[worker.run.remote(jobs[number])] = number, kind, worker
                    idle.remove((kind, worker))
            (done,), _ = ray.wait(list(running), num_returns=1)
            number, kind, worker = running.pop(done)
            ended[number] = ray.get(done)
            if waiting[kind]:
                idle.append((kind, worker))
            else:  # a worker that found no room yet may need its place
                ray.kill(worker)
        return [ended[number] for number in range(len(jobs))]

    def _worker(self, with_gpu: bool) -> Any:
        import ray

        launcher = self.launcher
        environment = {k: v for k, v in os.environ.items() if k.startswith(_PREFIX)}
        actor = ray.remote(_Worker).options(
            num_cpus=launcher.cpus,
            num_gpus=launcher.gpus if with_gpu else 0,
            max_restarts=-1,
            max_task_retries=launcher.retries,
        )
        return actor.remote(os.getcwd(), environment)
