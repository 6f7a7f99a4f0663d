"""dynprep in a checkout: the same command as ``dynprep``. See ``python run.py --help``."""

from dynprep.__main__ import start

if __name__ == "__main__":
    start()
