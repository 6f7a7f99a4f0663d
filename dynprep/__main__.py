"""``python -m dynprep``, and what the command ``dynprep`` and ``run.py`` start."""

import gc
import sys
from typing import NoReturn

from dynprep.commands import main


def start() -> NoReturn:
    """Run the command line and end the program."""
    status = main()
    # else Python looks through all that PyTorch and others have imported, for more than a second, before it ends
    gc.freeze()
    sys.exit(status)


if __name__ == "__main__":
    start()
