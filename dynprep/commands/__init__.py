"""The front door: ``dynprep``, or ``python run.py`` in a checkout."""

import shutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from dynprep import stopping
from dynprep.errors import UserError, folded, printable
from dynprep.stopping import STOPPED
from dynprep.version import __version__

_LONGEST_WORD = 300  # letters of one word in a fault; values may be of any length
Command = Callable[[Sequence[str]], int]

# the module of ``dynprep.commands`` that answers; imported when it is used, so that each answers at once
COMMANDS = {
    "run": "job",
    "compare": "compare",
    "store": "store",
    "reproduce": "reproduce",
    "backends": "backends",
    "validate": "validate",
    "export": "export",
    "check": "check",
    "unpack": "unpack",
    "push": "push",
    "pick": "pick",
    "cite": "cite",
}


def main() -> int:
    """Run the command line and return the exit status. Without a command's name it is ``run``."""
    stopping.install()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--version"]:
        print(f"dynprep {__version__}")
        return 0
    name = "run"
    if arguments and arguments[0] in COMMANDS:
        name, arguments = arguments[0], arguments[1:]
    try:
        command: Command = import_module(f"dynprep.commands.{COMMANDS[name]}").main
        status = command(arguments)
    except KeyboardInterrupt:
        status = STOPPED
    except BrokenPipeError:  # whoever reads has seen enough
        sys.stderr.close()
        return 0
    except (UserError, OSError) as error:
        if not stopping.is_told():
            return fail(str(error))
        status = STOPPED
    if stopping.is_told():  # even where a library swallowed the interrupt
        fail(stopping.MESSAGE)
        return STOPPED
    return status


def fail(text: str) -> int:
    """Say a fault on standard error, in one line, which a terminal gets folded; returns the exit status for it."""
    words = (w if len(w) <= _LONGEST_WORD else f"{w[:_LONGEST_WORD]}…" for w in text.split())
    line = f"dynprep: {printable(' '.join(words))}"
    if sys.stderr.isatty():
        line = folded(line, shutil.get_terminal_size().columns)
    print(line, file=sys.stderr)
    return 1
