"""dynprep's command: ``python run.py --help``."""

import sys

from dynprep.command import start

if __name__ == "__main__":
    sys.exit(start())
