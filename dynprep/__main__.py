"""``python -m dynprep`` is the command ``dynprep``."""

import sys

from dynprep.commands import main

if __name__ == "__main__":
    sys.exit(main())
