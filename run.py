"""dynprep in a checkout: the same command as ``dynprep``. See ``python run.py --help``."""

import sys

from dynprep.commands import main

if __name__ == "__main__":
    sys.exit(main())
