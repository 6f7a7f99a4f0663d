"""Pages of docs/ that are written from conf/ and the classes it configures. ``python -m dynprep.config.pages``."""

import sys
from pathlib import Path

from dynprep.config import reference
from dynprep.config.backends_page import backends_page, licences_page
from dynprep.files import write_bytes

DOCS = Path(__file__).resolve().parents[2] / "docs"


def pages() -> dict[str, str]:
    """The content of each page, by its file's name."""
    return {
        "options.md": reference.page(),
        "backends.md": backends_page(),
        "licences.md": licences_page(),
    }


def main() -> int:
    """Write the pages."""
    for name, text in pages().items():
        write_bytes(DOCS / name, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
