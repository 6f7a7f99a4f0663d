"""Values of options that make no sense."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from dynprep.errors import UserError
from tests.conftest import composed
from tests.faults.case import Case, fault_of_words
from tests.faults.mutations import HOSTILE
from tests.faults.whole import SMALL

_GROUPS: tuple[tuple[str, ...], ...] = (
    (),
    ("alignment=sequence",),
    ("alignment=median", "metric_depth=sensor", "flow=dis"),
    ("masks=none", "points=none", "prior=none"),
)
_NUMBERS = (-1, 0, 1, 3, 0.5, 1e-9, 1e9, 20000, 2**40, -0.5)


def options(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """Set one option to something else, and run: it is refused before any work, or the run ends well or in one
    line."""
    from dynprep.app import run
    from dynprep.config.build import settings

    for number in range(count):
        folder = room / f"{number}"
        overrides = [*SMALL, f"store_dir={room / 'store'}", f"dataset_dir={folder / 'dataset'}"]
        config, choices = composed([*overrides, *rng.choice(_GROUPS)])
        path, node, name = _pick(rng, config)
        value = rng.choice(_NUMBERS) if rng.random() < 0.5 else rng.choice(HOSTILE)
        node[name] = value
        shown = (
            repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a long number"
        )
        case = f"{path}={shown[:60]}, number {number}"
        # what would take its time, or go elsewhere, is not run
        big = isinstance(value, int | float) and value > 100
        try:
            settings(config, choices)
            if not big and not path.startswith(("store_dir", "dataset_dir", "hydra")):
                (folder / "run").mkdir(parents=True)
                _quiet(run, config, choices, folder / "run")
            fault = None
        except UserError as error:
            fault = fault_of_words(str(error))
        except Exception as error:
            at = error.__traceback__
            while at is not None and at.tb_next is not None:
                at = at.tb_next
            where = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at else ""
            fault = f"{type(error).__name__} at {where}: {str(error)[:200]}"
        yield Case(case, fault)


def _pick(rng: Random, config: Any) -> tuple[str, Any, str]:
    """An option: its dotted name, the node that holds it, and its own name."""
    every: list[tuple[str, Any, str]] = []

    def look(node: Any, above: str) -> None:
        for name, value in node.items():
            path = f"{above}{name}"
            if name not in ("hydra", "packages"):
                every.append((path, node, name))
            if isinstance(value, dict) and name != "hydra":
                look(value, f"{path}.")

    look(config, "")
    return rng.choice(every)


def _quiet(run: Any, *arguments: Any) -> None:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(*arguments)
