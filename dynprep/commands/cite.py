"""``dynprep cite RUN``: what to cite for what a run used, as BibTeX."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynprep.citations.bibtex import OWN, entries
from dynprep.config.typed import TARGET, locate
from dynprep.errors import UserError
from dynprep.record_shape import RecordShape, read_record


def main(arguments: Sequence[str]) -> int:
    """Print BibTeX on standard output, and return the exit status."""
    parser = argparse.ArgumentParser(prog="dynprep cite", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run, such as outputs/runs/latest")
    record = read_record(parser.parse_args(list(arguments)).run)
    cited: dict[str, list[str]] = {}
    for choice, papers in _used(record):
        for paper in papers:
            cited.setdefault(paper, [])
            if choice not in cited[paper]:
                cited[paper].append(choice)
    known = entries()
    print(f"% for the preprocessing itself\n{OWN}")
    for paper, choices in cited.items():
        print(f"\n% for {', '.join(choices)}")
        print(known.get(paper, f"% {paper}: dynprep has no entry of this name"))
    return 0


def _used(record: RecordShape) -> Iterator[tuple[str, Sequence[str]]]:
    """The backends that a run's results are from, as they were chosen, and the keys of their papers."""
    if "scenes" not in record:
        raise UserError("this run has not come so far that it used anything; name one that is done")
    for scene in record["scenes"].values():
        for name, result in scene["results"].items():
            node = _node(record["config"], result["group"])
            if node is None:
                continue
            papers: Sequence[str] = (
                node["cite"] if "cite" in node else _of_class(node, result["group"])
            )
            said = result["group"] if result["helper"] else f"{result['group']}={result['choice']}"
            yield said if papers else name, papers


def _of_class(node: Mapping[str, Any], where: str) -> Sequence[str]:
    """The papers that a backend's class names; none where it is not to be had here, such as a user's own."""
    try:
        cites: Sequence[str] = getattr(locate(node[TARGET], where), "cites", ())
    except UserError:
        return ()
    return cites


def _node(config: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The configuration at a dotted path, where it names a class."""
    node: Any = config
    for part in path.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) and isinstance(node.get(TARGET), str) else None
