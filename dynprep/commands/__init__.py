"""The front door: ``dynprep``, or ``python run.py`` in a checkout."""

import sys
from collections.abc import Callable, Sequence

from dynprep.errors import UserError
from dynprep.version import __version__

Command = Callable[[Sequence[str]], int]


def _compare(arguments: Sequence[str]) -> int:
    from dynprep.commands.compare import main

    return main(arguments)


def _store(arguments: Sequence[str]) -> int:
    from dynprep.commands.store import main

    return main(arguments)


def _reproduce(arguments: Sequence[str]) -> int:
    from dynprep.commands.reproduce import main

    return main(arguments)


def _backends(arguments: Sequence[str]) -> int:
    from dynprep.commands.backends import main

    return main(arguments)


def _validate(arguments: Sequence[str]) -> int:
    from dynprep.commands.validate import main

    return main(arguments)


def _check(arguments: Sequence[str]) -> int:
    from dynprep.commands.check import main

    return main(arguments)


def _run(arguments: Sequence[str]) -> int:
    from dynprep.commands.job import main

    return main(arguments)


# imported when they are used, so that each answers at once
COMMANDS: dict[str, Command] = {
    "run": _run,
    "compare": _compare,
    "store": _store,
    "reproduce": _reproduce,
    "backends": _backends,
    "validate": _validate,
    "check": _check,
}


def main() -> int:
    """Run the command line and return the exit status. Without a command's name it is ``run``."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--version"]:
        print(f"dynprep {__version__}")
        return 0
    command: Command = _run
    if arguments and arguments[0] in COMMANDS:
        command, arguments = COMMANDS[arguments[0]], arguments[1:]
    try:
        return command(arguments)
    except BrokenPipeError:  # whoever reads has seen enough
        sys.stderr.close()
        return 0
    except (UserError, OSError) as error:
        return fail(str(error))


def fail(text: str) -> int:
    """Say a fault in one line on standard error; returns the exit status for it."""
    print(f"dynprep: {' '.join(text.split())}", file=sys.stderr)
    return 1
