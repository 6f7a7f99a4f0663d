"""README.md of datasets that lie elsewhere: what they hold, what made it, and under which licences."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dynprep.dataset import DatasetScene
from dynprep.foreign import shown
from dynprep.version import __version__

NAME = "README.md"
MARK = "<!-- written by dynprep push -->"  # tells its own cards from those that somebody wrote
_TEMPLATE = "card.md.j2"


def card(scenes: Sequence[DatasetScene]) -> str:
    """The card of some scenes, with the metadata that the Hugging Face hub reads on top."""
    rows: dict[tuple[str, str, str], int] = {}
    for scene in scenes:
        for inner, entry in scene.provenance.get("folders", {}).items():
            licence = entry.get("licence")
            row = (inner, str(entry.get("backend")), str(licence) if licence else "")
            rows[row] = rows.get(row, 0) + 1
    licences = sorted({licence for _, _, licence in rows if licence})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        keep_trailing_newline=True,
    )
    return environment.get_template(_TEMPLATE).render(
        scenes=scenes,
        frames=sum(len(scene) for scene in scenes),
        rows=[(*row, count) for row, count in sorted(rows.items())],
        licences=licences,
        version=__version__,
        packed=sorted({scene.packed for scene in scenes if scene.packed}),
        mark=MARK,
        plain=lambda text: shown(str(text)).strip("'\"").replace("|", "/"),
    )
