"""``dynprep store stat|ls|du|verify|gc|export|merge``: look after the store of results."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dynprep.errors import UserError
from dynprep.files import free_bytes, human_bytes
from dynprep.store.merge import merge
from dynprep.store.stat import counts, users
from dynprep.store.store import Store
from dynprep.store.tools import StoredResult, contents, export, remove, unused, unused_of, verify

# where runs from this folder keep results, unless store_dir says otherwise
_DEFAULT = "outputs/store"
_SHOWN = 12  # of a key's digits


def _ls(store: Store, arguments: argparse.Namespace) -> int:
    print(f"{'stage':<14} {'key':<{_SHOWN}} {'made':<16} {'size':>8} {'runs':>4}  backend")
    for result in contents(store):
        if arguments.stage in (None, result.stage):
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(result.made))
            state = result.backend if result.is_complete else "(unfinished)"
            size = human_bytes(result.bytes)
            print(
                f"{result.stage:<14} {result.key[:_SHOWN]} {made} {size:>8} {len(result.users):>4}  {state}"
            )
            for user in result.users if arguments.users else ():
                print(f"{'':14} {user}")
    return 0


def _du(store: Store, arguments: argparse.Namespace) -> int:
    everything = contents(store)
    sizes: dict[str, list[int]] = {}
    for stored in everything:
        sizes.setdefault(stored.stage, []).append(stored.bytes)
    for stage, each in sorted(sizes.items()):
        print(f"{stage:<16} {len(each):>5} results {human_bytes(sum(each)):>9}")
    free = sum(k.bytes for k in unused_of(everything))
    total = human_bytes(sum(k.bytes for k in everything))
    print(
        f"{'all':<16} {len(everything):>5} results {total:>9}, {human_bytes(free)} of them unused"
    )
    return 0


def _stat(store: Store, arguments: argparse.Namespace) -> int:
    by_stage = counts(store)
    print(f"{'stage':<16} {'results':>9} {'unfinished':>10}")
    for stage, count in by_stage.items():
        print(f"{stage:<16} {count.complete:>9} {count.unfinished or '':>10}")
    total = sum(count.complete for count in by_stage.values())
    unfinished = sum(count.unfinished for count in by_stage.values())
    print(f"{'all':<16} {total:>9} {unfinished or '':>10}")
    free = human_bytes(free_bytes(store.root))
    print(f"{users(store)} runs have used it; {free} of its disk are free")
    return 0


def _verify(store: Store, arguments: argparse.Namespace) -> int:
    damaged = verify(store, print)
    print(f"{damaged} damaged items" if damaged else "every file is as it was written")
    if damaged:
        print("the next run that needs them makes them again")
    return 1 if damaged else 0


def _gc(store: Store, arguments: argparse.Namespace) -> int:
    going = unused(store)
    if not going:
        print("nothing to remove: every result is used by a run or dataset that is still there")
        return 0
    _list(going)
    if not arguments.yes:
        try:
            said = input("remove them? [y/N] ")
        except EOFError:
            said = ""
        if said.strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return 1
    gone, busy = remove(store, going)
    print(f"removed {len(gone)} results, {human_bytes(sum(k.bytes for k in gone))}")
    for result in busy:
        print(f"left alone, somebody uses it now: {result.folder}")
    return 0


def _list(results: list[StoredResult]) -> None:
    for result in results:
        print(
            f"{result.stage:<14} {result.key[:_SHOWN]} {human_bytes(result.bytes):>8}  {result.backend}"
        )
    size = human_bytes(sum(k.bytes for k in results))
    print(f"{len(results)} results, {size}, that no run or dataset refers to")


def _export(store: Store, arguments: argparse.Namespace) -> int:
    count, size = export(store, arguments.run, arguments.scene, arguments.target)
    print(f"{count} results, {human_bytes(size)}, to {arguments.target}; use it with store_dir=")
    return 0


def _merge(store: Store, arguments: argparse.Namespace) -> int:
    for other in arguments.others:
        if not other.is_dir():
            raise UserError(f"{other}: no such store")
        count, size = merge(store, Store(other, may_make=False))
        print(f"{count} results, {human_bytes(size)}, from {other}")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say, and return the exit status."""
    parser = argparse.ArgumentParser(prog="dynprep store", description=__doc__)
    parser.add_argument("--store", type=Path, default=Path(_DEFAULT), help=f"default: {_DEFAULT}")
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run_command=run)
        return added

    command("stat", _stat, "how many results of each stage there are, at once")
    listing = command("ls", _ls, "every result: stage, key, age, size, how many runs use it")
    listing.add_argument("stage", nargs="?", help="of this stage alone")
    listing.add_argument("--users", action="store_true", help="name the runs")
    command("du", _du, "size by stage, and how much of it is unused")
    command("verify", _verify, "re-hash every file; status 1 if one is damaged")
    removing = command("gc", _gc, "remove what no run or dataset that still exists refers to")
    removing.add_argument("--yes", action="store_true", help="do not ask")
    exporting = command("export", _export, "copy one scene of a run, with all its results")
    exporting.add_argument("run", type=Path, help="folder of the run, or its dataset_dir")
    exporting.add_argument("scene")
    exporting.add_argument("target", type=Path, help="store to copy to; made if absent")
    merging = command(
        "merge", _merge, "take in the results of other stores, which stay as they are"
    )
    merging.add_argument("others", type=Path, nargs="+", metavar="STORE")
    named = parser.parse_args(list(arguments))
    if not named.store.is_dir():
        raise UserError(f"{named.store}: no such store; name it with --store FOLDER")
    status: int = named.run_command(Store(named.store, may_make=False), named)
    return status
