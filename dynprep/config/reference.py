"""python -m dynprep.config.reference: writes docs/options.md, every option of every choice."""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from dynprep.config.build import CompareOptions, RunOptions
from dynprep.config.typed import TARGET, locate, spoken
from dynprep.files import write_bytes

_ROOT = Path(__file__).resolve().parents[2]
_CONF, _PAGE = _ROOT / "conf", _ROOT / "docs" / "options.md"
_UNIT = re.compile(r"^\[([^\]]+)\] ")  # how a comment begins
_ASIDE = ("hydra", "experiment")
_LINE = re.compile(r"^( *)([\w.]+):\s*((?:[^#\s].*?)?)(?:\s+#\s*(.*))?$")
_HEAD = """# Options

Written by `python -m dynprep.config.reference` from `conf/`; do not edit by hand. An option is set on the
command line as `name=value`. Where choices of a group have different defaults, they are listed.
"""


@dataclass(frozen=True)
class Option:
    """One option of one file: dotted name, default and comment as written, type in words."""

    name: str
    default: str
    comment: str
    kind: str

    @property
    def unit(self) -> str:
        """What a number counts: ``[unit]`` in front of its comment."""
        found = _UNIT.match(self.comment)
        return found.group(1) if found else ""

    @property
    def effect(self) -> str:
        """The comment without the unit."""
        return _UNIT.sub("", self.comment)


def every_option() -> list[Option]:
    """Of the top, and of every choice."""
    files = [p for p in sorted(_CONF.glob("*/*.yaml")) if p.parent.name not in _ASIDE]
    return [*_top(), *(o for path in files for o in _options(path, path.parent.name))]


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "## Top of the configuration\n", _table(list(_top()), {})]
    groups = sorted(
        p for p in _CONF.iterdir() if p.is_dir() and p.name not in ("hydra", "experiment")
    )
    for group in groups:
        choices = {
            path.stem: list(_options(path, group.name)) for path in sorted(group.glob("*.yaml"))
        }
        parts.append(f"## `{group.name}`\n")
        for name in choices:
            first = (group / f"{name}.yaml").read_text().splitlines()[0].lstrip("# ")
            parts.append(f"- `{group.name}={name}`: {first}")
        merged: dict[str, Option] = {}
        defaults: dict[str, dict[str, str]] = {}
        for choice, options in choices.items():
            for option in options:
                merged.setdefault(option.name, option)
                defaults.setdefault(option.name, {})[choice] = option.default
        parts += ["", _table(list(merged.values()), defaults)]
    parts += ["## `experiment`\n"]
    for path in sorted((_CONF / "experiment").glob("*.yaml")):
        text = [line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#")]
        parts.append(f"- `experiment={path.stem}`: {' '.join(text[1:])}")
    return "\n".join(parts) + "\n"


def _top() -> Iterator[Option]:
    hints = {**get_type_hints(RunOptions), "store.verify": bool}
    hints |= {f"compare.{k}": v for k, v in get_type_hints(CompareOptions).items()}
    for option in _lines(_CONF / "config.yaml", "", hints):
        if option.name in hints:
            yield option


def _options(path: Path, group: str) -> Iterator[Option]:
    """Of one choice. An option's type is that of the field of the class it goes to."""
    raw = yaml.safe_load(path.read_text())
    hints: dict[str, Any] = {}
    for where, node in [(group, raw), *((f"{group}.{k}", v) for k, v in raw.items())]:
        target = node.get(TARGET) if isinstance(node, Mapping) else None
        for name in [target] if isinstance(target, str) else target or []:
            cls = locate(name, where)
            own = get_type_hints(cls)
            hints |= {f"{where}.{f.name}": own[f.name] for f in fields(cls)}  # type: ignore[arg-type]
    yield from _lines(path, group, hints)


def _lines(path: Path, above: str, hints: Mapping[str, Any]) -> Iterator[Option]:
    """Options in the order of the file, with what stands behind them."""
    inside: list[tuple[int, str]] = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        found = _LINE.match(line)
        if found is None or line.lstrip().startswith(("#", "-")):
            continue
        indent, key, value, comment = len(found[1]), found[2], found[3], found[4] or ""
        inside = [(depth, name) for depth, name in inside if depth < indent]
        name = ".".join([*([above] if above else []), *(n for _, n in inside), key])
        if value == "":
            inside.append((indent, key))
        elif key not in (TARGET, "defaults"):
            comment = " ".join([comment, *_more(lines[number + 1 :])])
            yield Option(name, value, comment, spoken(hints[name]) if name in hints else "")


def _more(lines: list[str]) -> Iterator[str]:
    """Lines that go on with a comment."""
    for line in lines:
        if not re.match(r"^ +#", line):
            return
        yield line.lstrip(" #")


def _table(options: list[Option], defaults: Mapping[str, Mapping[str, str]]) -> str:
    rows = ["| option | type | default | unit | effect |", "| --- | --- | --- | --- | --- |"]
    for option in options:
        rows.append(
            f"| `{option.name}` | {_cell(option.kind)} | {_default(option, defaults)} "
            f"| {option.unit} | {_cell(option.effect)} |"
        )
    return "\n".join([*rows, ""])


def _default(option: Option, defaults: Mapping[str, Mapping[str, str]]) -> str:
    by_choice = defaults.get(option.name, {})
    values = dict.fromkeys(by_choice.values())
    if len(values) < 2:
        return f"`{_cell(option.default)}`"
    return ", ".join(
        f"`{_cell(value)}` ({', '.join(c for c, v in by_choice.items() if v == value)})"
        for value in values
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the page; with ``--check`` only say whether it is current."""
    if "--check" in sys.argv:
        current = _PAGE.is_file() and _PAGE.read_text() == page()
        print(f"{_PAGE.name}: " + ("current" if current else "stale; run make docs"))
        return 0 if current else 1
    write_bytes(_PAGE, page().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
