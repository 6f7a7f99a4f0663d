"""python -m dynprep.store ls|du|verify|gc|export: look after the store of results."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dynprep.errors import UserError
from dynprep.files import human_bytes
from dynprep.store.store import Store
from dynprep.store.tools import Kept, contents, export, remove, unused, verify

_DEFAULT = "outputs/store"  # where runs from this folder keep results, unless told otherwise
_SHOWN = 12  # of a key's digits


def _ls(store: Store, given: argparse.Namespace) -> int:
    print(f"{'stage':<14} {'key':<{_SHOWN}} {'made':<16} {'size':>8} {'runs':>4}  backend")
    for kept in contents(store):
        if given.stage in (None, kept.stage):
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.made))
            state = kept.backend if kept.whole else "(unfinished)"
            size = human_bytes(kept.bytes)
            print(
                f"{kept.stage:<14} {kept.key[:_SHOWN]} {made} {size:>8} {len(kept.users):>4}  {state}"
            )
            for user in kept.users if given.users else ():
                print(f"{'':14} {user}")
    return 0


def _du(store: Store, given: argparse.Namespace) -> int:
    everything = contents(store)
    for stage in sorted({k.stage for k in everything}):
        mine = [k for k in everything if k.stage == stage]
        print(f"{stage:<16} {len(mine):>5} results {human_bytes(sum(k.bytes for k in mine)):>9}")
    free = sum(k.bytes for k in unused(store))
    total = human_bytes(sum(k.bytes for k in everything))
    print(
        f"{'all':<16} {len(everything):>5} results {total:>9}, {human_bytes(free)} of them unused"
    )
    return 0


def _verify(store: Store, given: argparse.Namespace) -> int:
    damaged = verify(store, print)
    print(f"{damaged} damaged items" if damaged else "every file is as it was written")
    if damaged:
        print("the next run that needs them makes them again with store.verify=true")
    return 1 if damaged else 0


def _gc(store: Store, given: argparse.Namespace) -> int:
    going = unused(store)
    if not going:
        print("nothing to remove: every result is used by a run or dataset that is still there")
        return 0
    _list(going)
    if not given.yes:
        try:
            said = input("remove them? [y/N] ")
        except EOFError:
            said = ""
        if said.strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return 1
    gone, busy = remove(store, going)
    print(f"removed {len(gone)} results, {human_bytes(sum(k.bytes for k in gone))}")
    for kept in busy:
        print(f"left alone, somebody uses it now: {kept.folder}")
    return 0


def _list(results: list[Kept]) -> None:
    for kept in results:
        print(f"{kept.stage:<14} {kept.key[:_SHOWN]} {human_bytes(kept.bytes):>8}  {kept.backend}")
    size = human_bytes(sum(k.bytes for k in results))
    print(f"{len(results)} results, {size}, that no run or dataset refers to")


def _export(store: Store, given: argparse.Namespace) -> int:
    count, size = export(store, given.run, given.scene, given.target)
    print(f"{count} results, {human_bytes(size)}, to {given.target}; use it with store_dir=")
    return 0


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dynprep.store", description=__doc__)
    parser.add_argument("--store", type=Path, default=Path(_DEFAULT), help=f"default: {_DEFAULT}")
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text)
        found.set_defaults(run_command=run)
        return found

    listing = command("ls", _ls, "every result: stage, key, age, size, how many runs use it")
    listing.add_argument("stage", nargs="?", help="of this stage alone")
    listing.add_argument("--users", action="store_true", help="name the runs")
    command("du", _du, "size by stage, and how much of it is unused")
    command("verify", _verify, "re-hash every file; status 1 if one is damaged")
    removing = command("gc", _gc, "remove what no run or dataset that is still there refers to")
    removing.add_argument("--yes", action="store_true", help="do not ask")
    exporting = command("export", _export, "copy one scene of a run, with all its results")
    exporting.add_argument("run", type=Path, help="folder of the run, or its dataset_dir")
    exporting.add_argument("scene")
    exporting.add_argument("target", type=Path, help="store to copy to; made if absent")
    given = parser.parse_args()
    try:
        if not given.store.is_dir():
            raise UserError(f"{given.store}: no such store; name it with --store FOLDER")
        status: int = given.run_command(Store(given.store), given)
        return status
    except BrokenPipeError:  # whoever reads has seen enough
        sys.stderr.close()
        return 0
    except (UserError, OSError) as error:
        print(f"dynprep: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
