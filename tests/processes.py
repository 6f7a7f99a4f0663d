"""Processes that run the command line without importing its libraries first, which takes most of a short run.

They are forked from one process that has imported them: of their own in everything else, so that they can be
killed, wait for each other and share a store.
"""

import fcntl
import json
import multiprocessing
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

_CONTEXT: Any = multiprocessing.get_context("forkserver")
# of these modules, imported once; a child imports what else it needs
_PRELOADED = [
    "dynprep.commands.job",
    "dynprep.app",
    "dynprep.api",
    "dynprep.pipeline.predict",
    "dynprep.compare.make",
    "dynprep.scores",
    "dynprep.report.loggers",
    "hydra.core.hydra_config",
]
_CONTEXT.set_forkserver_preload(_PRELOADED)
TIMEOUT = 500  # seconds


def _main(job: str) -> None:
    """In the child: be the command line that ``job`` describes."""
    told = json.loads(job)
    # whoever starts the tests in the background has it ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if told["own_group"]:
        os.setsid()
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["env"])
    for number, path in enumerate((os.devnull, told["out"], told["err"])):
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOCTTY)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (open(k, "w", buffering=1, closefd=False) for k in (1, 2))  # noqa: SIM115
    sys.argv = ["dynprep", *told["arguments"]]
    from dynprep.commands import main

    sys.exit(main())


class Forked:
    """A command line that runs in ``folder`` in a process of its own.

    own_group: it gets a process group that a terminal's Ctrl-C or a kill can be sent to; columns: of the terminal that
    its standard error is, None for a file.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        own_group: bool = False,
        columns: int | None = None,
    ) -> None:
        self.arguments = list(arguments)
        self._out, self._err = (_file() for _ in range(2))
        self._terminal = None if columns is None else _Terminal(columns, self._err.name)
        job = {
            "arguments": arguments,
            "folder": str(folder),
            "env": {**os.environ, **(env or {})},
            "out": self._out.name,
            "err": self._err.name if self._terminal is None else self._terminal.name,
            "own_group": own_group,
        }
        self._process = _CONTEXT.Process(target=_main, args=(json.dumps(job),))
        self._process.start()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        status: int | None = self._process.exitcode
        return status

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = TIMEOUT) -> subprocess.CompletedProcess[str]:
        """How it ended, with what it said."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            self.kill()
            raise TimeoutError(f"{self.arguments} took more than {timeout} s")
        if self._terminal is not None:
            self._terminal.close()
        said = [Path(file.name).read_text() for file in (self._out, self._err)]
        return subprocess.CompletedProcess(self.arguments, status, *said)


class _Terminal:
    """A terminal of so many columns, whose output is written to a file."""

    def __init__(self, columns: int, path: str) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.name = os.ttyname(self._slave)
        self._reader = threading.Thread(target=self._copy, args=(path,), daemon=True)
        self._reader.start()

    def _copy(self, path: str) -> None:
        with open(path, "ab", buffering=0) as file:
            while True:
                try:
                    data = os.read(self._master, 65536)
                except OSError:  # the last of those who write to it is gone
                    return
                file.write(data)

    def close(self) -> None:
        os.close(self._slave)
        self._reader.join(10)
        os.close(self._master)


def _file() -> IO[bytes]:
    return tempfile.NamedTemporaryFile(prefix="dynprep-test-")
