"""docs/backends.md and docs/licences.md, written from conf/: every backend, and under which licence its output is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dynprep.artefacts import Artefact
from dynprep.conf_folder import CONF, choices_of, read_choice
from dynprep.config.typed import TARGET, locate
from dynprep.stages.base import Stage
from dynprep.stages.layout import LayoutStage

_MEASURED = Path(__file__).resolve().parents[2] / "docs" / "measured.yaml"
_BACKENDS = """# Backends

Written by `make docs` from `conf/`; do not edit by hand. `dynprep backends` prints the same in the terminal, with your
own choices. **Bold** is what a run takes by default. Sizes are millions of parameters. Speed, memory and score are what
`make demo` measures, on two CPU cores against the demo's exact truth. Nothing stands there for networks: **none has
been run with its published weights by this project yet**. The publications' own numbers are in their papers, which
`dynprep cite RUN` names.
"""
# what is made of other groups' results has their licences
_DERIVED = {
    "alignment": ("depth", "metric_depth"),
    "prior": ("depth", "metric_depth"),
    "points": ("flow", "depth", "metric_depth", "masks"),
    "normals": ("depth", "metric_depth"),
    "sky": ("depth", "metric_depth"),
    "cameras": ("metric_depth", "masks"),
}
_COLUMNS = ("speed", "memory", "score")  # of what is measured
_HEAD = (
    "| choice | size | licence | weights | papers | speed | memory | score |",
    "| --- | ---: | --- | --- | --- | --- | --- | --- |",
)
_LICENCES = """# Licences by output folder

Written by `make docs` from `conf/`; do not edit by hand. dynprep is Apache-2.0. What a network computed may be bound by
the licence of its weights, whichever folder it lies in. `dynprep.json` of a dataset names the backend and the licence
of each folder, and a licence that forbids commercial use is said when you choose it. Backends without a network add
nothing, and what they make of other folders has the licences of those. This page is no legal advice.
"""


@dataclass(frozen=True)
class Choice:
    """A backend that can be chosen: its group and name, class, and its YAML's values."""

    group: str
    name: str
    backend: type[Stage]
    node: Mapping[str, Any]

    @property
    def licence(self) -> str:
        """The licence of the weights, and whether it forbids commercial use."""
        licence = str(self.node.get("licence", "no weights")).partition(";")[0]
        return licence if self.node.get("commercial", True) else f"{licence}, not commercial"

    @property
    def terms(self) -> str:
        """The licence of what it makes, as far as it decides that itself."""
        made_of = _DERIVED.get(self.backend.makes.name, ())
        if "hub" in self.node or not made_of:
            return self.licence
        return f"that of the {', '.join(made_of)} it is made of"


def backends_page() -> str:
    """The whole of docs/backends.md."""
    measured: dict[str, dict[str, str]] = yaml.safe_load(_MEASURED.read_text(encoding="utf-8"))
    defaults = _defaults()
    parts = [_BACKENDS]
    for group, choices in _groups().items():
        parts += [f"## `{group}`: {choices[0].backend.makes.what}\n", *_HEAD]
        for choice in choices:
            node = choice.node
            name = f"`{choice.name}`"
            cells = (
                f"**{name}**" if defaults.get(group) == choice.name else name,
                f"{node['parameters']:g}" if node.get("parameters") else "",
                choice.licence,
                f"`{node['hub']}`" if "hub" in node else "",
                ", ".join(node.get("cite", choice.backend.cites)),
                *(str(measured.get(f"{group}={choice.name}", {}).get(k, "")) for k in _COLUMNS),
            )
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


def licences_page() -> str:
    """The whole of docs/licences.md."""
    groups = _groups()
    parts = [_LICENCES, "| folder | filled by | licences to choose from |", "| --- | --- | --- |"]
    for group, choices in groups.items():
        artefact: type[Artefact] = choices[0].backend.makes
        licences: dict[str, list[str]] = {}
        for choice in choices:
            licences.setdefault(choice.terms, []).append(f"`{choice.name}`")
        listed = "<br>".join(
            f"{licence}: {', '.join(names)}" for licence, names in licences.items()
        )
        for place in artefact.places:
            parts.append(f"| `{place.default}` | `{group}` | {listed} |")
    return "\n".join([*parts, ""])


def _groups() -> dict[str, list[Choice]]:
    """The backends of every group that has some, those without a network first."""
    by_folder: dict[str, list[Choice]] = {}
    for folder in sorted(path.name for path in CONF.iterdir() if path.is_dir()):
        choices = sorted(_choices(folder), key=lambda c: ("hub" in c.node, c.name))
        if choices:
            by_folder[folder] = choices
    return by_folder


def _choices(group: str) -> Iterator[Choice]:
    for name, path in choices_of(group, [CONF]).items():
        node = read_choice(path)
        if not isinstance(node.get(TARGET), str):
            continue
        cls = locate(node[TARGET], group)
        if issubclass(cls, Stage) and not issubclass(cls, LayoutStage) and not cls.is_helper:
            yield Choice(group, name, cls, node)


def _defaults() -> dict[str, str]:
    """The choice of each group that a run takes when nothing is said."""
    top = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    pairs = (entry for entry in top["defaults"] if isinstance(entry, dict))
    return {group: choice for entry in pairs for group, choice in entry.items()}
