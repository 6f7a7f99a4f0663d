"""docs/options.md, written from conf/: every option of every choice."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from dynprep.conf_folder import CONF, choices_of, read_choice, shared_parts
from dynprep.config.build import DatasetOptions, RunOptions, StoreOptions
from dynprep.config.typed import TARGET, locate, option_types, ranges_of
from dynprep.foreign import describe_type
from dynprep.report.options import CompareOptions, ReportOptions

_UNIT = re.compile(r"^\[([^\]]+)\] ")  # how a comment begins
_ASIDE = ("hydra", "experiment")
_LINE = re.compile(r"^( *)([\w.]+):\s*((?:[^#\s].*?)?)(?:\s+#\s*(.*))?$")
_HEAD = """# Options

Written by `make docs` from `conf/` and the classes that it configures; do not edit by hand. An option is set on the
command line as `name=value`. Where choices of a group have different defaults, they are listed.
"""


@dataclass(frozen=True)
class Option:
    """One option of one choice: dotted name, default and comment as written, type and range in words."""

    name: str
    default: str
    comment: str
    kind: str = ""
    allowed: str = ""

    @property
    def unit(self) -> str:
        """What a number counts: ``[unit]`` in front of its comment."""
        match = _UNIT.match(self.comment)
        return match.group(1) if match else ""

    @property
    def effect(self) -> str:
        """The comment without the unit."""
        return _UNIT.sub("", self.comment)


def every_option() -> list[Option]:
    """The options of the top, and of every choice."""
    return [*_top(), *(o for group in _groups() for c in _choices(group).values() for o in c)]


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "## Top of the configuration\n", _table(list(_top()), {})]
    for group in _groups():
        parts.append(f"## `{group}`\n")
        for choice, path in sorted(choices_of(group, [CONF]).items()):
            parts.append(f"- `{group}={choice}`: {path.read_text().splitlines()[0].lstrip('# ')}")
        merged: dict[str, Option] = {}
        defaults: dict[str, dict[str, str]] = {}
        for choice, options in _choices(group).items():
            for option in options:
                merged.setdefault(option.name, option)
                defaults.setdefault(option.name, {})[choice] = option.default
        parts += ["", _table(list(merged.values()), defaults)]
    parts += ["## `experiment`\n"]
    for path in sorted((CONF / "experiment").glob("*.yaml")):
        text = [line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#")]
        parts.append(f"- `experiment={path.stem}`: {' '.join(text[1:])}")
    return "\n".join(parts) + "\n"


def _groups() -> list[str]:
    folders = sorted(path.name for path in CONF.iterdir() if path.is_dir())
    return [name for name in folders if name not in _ASIDE and not name.startswith("_")]


def _choices(group: str) -> dict[str, list[Option]]:
    """The options of each choice of a group."""
    return {
        choice: list(_options(path, group))
        for choice, path in sorted(choices_of(group, [CONF]).items())
    }


def _top() -> Iterator[Option]:
    kinds = dict(get_type_hints(RunOptions, include_extras=True))
    for node, cls in (
        ("store", StoreOptions),
        ("dataset", DatasetOptions),
        ("report", ReportOptions),
        ("compare", CompareOptions),
    ):
        kinds |= {f"{node}.{k}": v for k, v in option_types(cls).items()}
    for option in _lines(CONF / "config.yaml", ""):
        if option.name in kinds:
            yield _typed(option, kinds)


def _options(path: Path, group: str) -> Iterator[Option]:
    """The options of one choice, those of its shared parts included."""
    node = read_choice(path)
    kinds: dict[str, Any] = {}
    for where, part in [(group, node), *((f"{group}.{k}", v) for k, v in node.items())]:
        target = part.get(TARGET) if isinstance(part, Mapping) else None
        if isinstance(target, str):
            kinds |= {f"{where}.{k}": v for k, v in option_types(locate(target, where)).items()}
    for option in _merged_lines(path, group).values():
        yield _typed(option, kinds)


def _merged_lines(path: Path, group: str) -> dict[str, Option]:
    """Options by name: a choice's own values, with the comments of the part that introduces the option."""
    options: dict[str, Option] = {}
    for part, node in shared_parts(path):
        options |= _merged_lines(part, f"{group}.{node}" if node else group)
    for option in _lines(path, group):
        earlier = options.get(option.name)
        comment = option.comment.strip() or (earlier.comment if earlier else "")
        options[option.name] = replace(option, comment=comment)
    return options


def _typed(option: Option, kinds: Mapping[str, Any]) -> Option:
    kind = kinds.get(option.name)
    if kind is None:
        return option
    allowed = ", ".join(limits.describe() for _, limits in ranges_of(kind))
    return replace(option, kind=describe_type(kind), allowed=allowed)


def _lines(path: Path, above: str) -> Iterator[Option]:
    """Options in the order of the file, with what stands behind them."""
    inside: list[tuple[int, str]] = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None or line.lstrip().startswith(("#", "-")):
            continue
        indent, key, value, comment = len(match[1]), match[2], match[3], match[4] or ""
        inside = [(depth, name) for depth, name in inside if depth < indent]
        name = ".".join([*([above] if above else []), *(n for _, n in inside), key])
        if value == "":
            inside.append((indent, key))
        elif key not in (TARGET, "defaults"):
            yield Option(name, value, " ".join([comment, *_more(lines[number + 1 :])]))


def _more(lines: list[str]) -> Iterator[str]:
    """Lines that go on with a comment."""
    for line in lines:
        if not re.match(r"^ +#", line):
            return
        yield line.lstrip(" #")


def _table(options: list[Option], defaults: Mapping[str, Mapping[str, str]]) -> str:
    rows = [
        "| option | type | range | default | unit | effect |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for option in options:
        cells = [
            f"`{option.name}`",
            _cell(option.kind),
            option.allowed,
            _default(option, defaults),
            option.unit,
            _cell(option.effect),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, ""]) if options else ""


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
