"""The papers that dynprep knows, as BibTeX."""

import re
from functools import lru_cache
from pathlib import Path

from dynprep.version import __version__

_FILE = Path(__file__).with_name("papers.bib")
_ENTRY = re.compile(r"^@\w+\{([^,]+),.*?^\}$", re.MULTILINE | re.DOTALL)
OWN = f"""@software{{dynprep,
  title = {{dynprep: any monocular video to the folder a dynamic 3D/4D reconstruction trainer reads}},
  author = {{{{The dynprep developers}}}},
  version = {{{__version__}}},
  license = {{Apache-2.0}}
}}"""


@lru_cache
def entries() -> dict[str, str]:
    """Every entry, by its key."""
    return {m.group(1): m.group(0) for m in _ENTRY.finditer(_FILE.read_text(encoding="utf-8"))}
