"""Names of files, folders and scenes that nobody expects."""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.conftest import sliding, write_frames, write_video
from tests.faults.case import Case
from tests.faults.whole import command

_NAMES = (
    "a b", " a", "a ", ".a", "..", "...", "a.", "a..b", "-rf", "--help", "a=b", "a,b", "a:b", "a;b", "a'b",
    'a"b', "[a]", "[/red]", "[bold]a[/bold]", "{a}", "{0}", "%s", "%(a)s", "$HOME", "${oc.env:HOME}", "${a}",
    "~", "~root", "$x^$", "\\frac{a}{b}", "a_b^c", "<b>a</b>", "<!--<script>", "<img src=x onerror=alert(1)>",
    "</script>", "&amp;", "a\nb", "a\tb", "a\rb", "\x1b[31mred", "a\x00b", "a\x7fb", "\u202egnp", "\u200b",
    "é", "é", "日本", "🦢", "\ufeffa", "a" * 255, "a" * 200, "é" * 127, "con", "nul", "aux.txt", "images",
    "masks", "locks", "references", "demo", "null", "true", "1", "01", "1e5", "0x10", "-1", "*", "?", "a*",
    "!a", "#a", "@a", "a|b", "a>b", "`a`", "(a)", "a\\b", "*.mp4",
)  # fmt: skip
_BYTES = (b"\xff", b"a\xffb", b"\xc3\x28", b"\xed\xa0\x80")


def names(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """Frames and videos under odd names: a dataset in its place, or one line; nothing outside, no markup obeyed."""
    frames = sliding(2, 64, 96)
    known = [*(name.encode("utf-8", "surrogatepass") for name in _NAMES), *_BYTES]
    for number in range(count):
        raw = known[number % len(known)] if number < len(known) else _random_name(rng)
        folder = room / f"{number}"
        inside = folder / "in"
        inside.mkdir(parents=True)
        name = os.fsdecode(raw)
        is_video = rng.random() < 0.5
        path = inside / (f"{name}.mp4" if is_video else name)
        try:
            if is_video:
                write_video(folder / "plain.mp4", frames)
                (folder / "plain.mp4").rename(path)
            elif name in (".", "..") or "/" in name:
                continue
            else:
                write_frames(path, frames)
        except (OSError, ValueError):  # no file system has such a name
            continue
        yield Case(f"{raw!r}", _fault(folder, inside, name, is_video))


def _fault(folder: Path, inside: Path, name: str, is_video: bool) -> str | None:
    end = command(
        folder,
        *(f"data={'video' if is_video else 'frames'}", f"data.path={inside}", "stages=[images]", "logger=csv"),
        *("store_dir=store", "dataset_dir=out", "hydra.run.dir=run", "trainer.readers=0"),
    )  # fmt: skip
    if end.fault:
        return end.fault
    outside = {p.name for p in folder.iterdir()} - {"in", "store", "out", "run", "plain.mp4"}
    if outside:
        return f"writes {sorted(outside)} elsewhere"
    if end.status:
        return None
    made = [p for p in (folder / "out").iterdir() if (p / "images").is_dir()]
    if len(made) != 1 or not (made[0] / "images" / "00000.png").is_file():
        return f"no dataset in {made}"
    page = folder / "run" / "report.html"
    if page.exists() and "<" in name and name in page.read_text(errors="replace"):
        return "the name stands in the page as it is"
    compared = command(folder, "compare", "run", "run", "--out", "compared")
    return compared.fault


def _random_name(rng: Random) -> bytes:
    signs = "".join(chr(c) for c in range(32, 127) if chr(c) != "/") + "éß日🦢\u202e\n\t"
    return "".join(rng.choice(signs) for _ in range(rng.randint(1, 12))).encode()
