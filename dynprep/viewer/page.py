"""A page that needs nothing else: its styles, scripts and data are inside it."""

import base64
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from dynprep.artefacts.drawing import coloured
from dynprep.version import __version__

_HERE = Path(__file__).parent
_BASE = ("clock.js", "player.js", "curves.js")
_SPACE = ("vendor/three.min.js", "space.js")
_START = "scene.js"
_SIZE = "@size-of-this-page@"  # stands in a template for what is known when it is filled


def render(template: Path, **values: Any) -> str:
    """Fill a page's template, which may extend ``base.html.j2``.

    It may write ``{{ embedded(value) }}`` for data, and ``{{ scripts(space) }}`` for the scripts that read them.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, _HERE]),
        autoescape=select_autoescape(default_for_string=True, default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        version=__version__,
        size=_SIZE,
        style=Markup(_source("page.css")),
        theme=Markup(_source("theme.js")),
        colours=colour_table(),
        embedded=embedded,
        scripts=_scripts,
    )
    page = environment.get_template(template.name).render(**values)
    return page.replace(_SIZE, f"{len(page) / 1e6:.1f} MB")


def embedded(value: Any) -> Markup:
    """A value as JSON that may stand in a page's script."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


@lru_cache
def _source(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _scripts(space: bool) -> Markup:
    names = [*_BASE, *(_SPACE if space else ()), _START]
    return Markup("\n".join(f"<script>\n{_source(name)}</script>" for name in names))


def colour_table() -> str:
    """The colour map of values, 256 times red, green, blue, as base64."""
    levels = np.arange(256, dtype=np.float32)[None]
    return base64.b64encode(coloured(levels, 0, 255).tobytes()).decode()
