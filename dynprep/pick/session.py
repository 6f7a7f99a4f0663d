"""What is marked on the page, and the file that it is saved to."""

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynprep.arrays import UInt8Array
from dynprep.errors import UserError
from dynprep.pick.clip import Clip
from dynprep.scene.prompts import (
    PromptShape,
    check_prompts,
    parse_prompts,
    read_entries,
    write_entries,
)
from dynprep.watch import Advance

_WHERE = "the page"  # names the entries in messages


@dataclass
class Progress:
    """How far the objects have been followed. stage: that runs; done, total: its items; error: why it failed."""

    state: str = "idle"  # idle, running, done or failed
    stage: str = ""
    done: int = 0
    total: int = 0
    error: str = ""

    @contextmanager
    def watch(self, stage: str, total: int) -> Iterator[Advance]:
        """Follow a stage."""
        self.stage, self.done, self.total = stage, 0, total

        def advance(count: int) -> None:
            self.done += count

        yield advance


@dataclass
class Session:
    """Marks objects of a clip. file: of prompts, which may hold other scenes; overrides: that the user chose the clip
    and the backend with, as on the command line."""

    clip: Clip
    file: Path
    overrides: Sequence[str]
    progress: Progress
    saved: list[PromptShape] = field(init=False)  # of this scene, in the file

    def __post_init__(self) -> None:
        self.saved = self._all_saved().get(self.clip.name, [])

    def _all_saved(self) -> dict[str, list[PromptShape]]:
        return read_entries(self.file) if self.file.exists() else {}

    def marked(self, entries: Sequence[PromptShape]) -> UInt8Array:
        """Ids (H, W) of what the entries of one frame mark on it. Raises UserError for what marks nothing."""
        prompts = parse_prompts(entries, self.file.parent, _WHERE)
        check_prompts(prompts, self.clip.frames, _WHERE)
        if len({prompt.frame for prompt in prompts}) != 1:
            raise UserError(f"{_WHERE}: one frame's marks are shown at a time")
        return self.clip.marked(prompts)

    def follow(self, entries: Sequence[PromptShape]) -> None:
        """Follow what the entries mark through the clip; what is not saved stays so."""
        self._check(entries)
        # names of masks are counted from a file's folder, and this file lies elsewhere
        placed: list[PromptShape] = [
            {**e, "mask": str((self.file.parent / e["mask"]).absolute())} if "mask" in e else e
            for e in entries
        ]
        with tempfile.TemporaryDirectory(prefix="dynprep-") as folder:
            file = Path(folder) / "prompts.yaml"
            write_entries(file, {self.clip.name: placed})
            self.clip.follow(file)

    def save(self, entries: Sequence[PromptShape]) -> str:
        """Write the entries to the file, where those of other scenes stay, and return the command that uses it."""
        self._check(entries)
        write_entries(self.file, {**self._all_saved(), self.clip.name: entries})
        self.saved = list(entries)
        return shlex.join(["dynprep", *self.overrides, f"masks.prompts={self.file}"])

    def _check(self, entries: Sequence[PromptShape]) -> None:
        prompts = parse_prompts(entries, self.file.parent, _WHERE)
        check_prompts(prompts, self.clip.frames, _WHERE)

    def run_following(self, entries: Sequence[PromptShape]) -> Callable[[], Any]:
        """The work of following, which keeps ``progress``."""
        self.progress.state, self.progress.error = "running", ""

        def work() -> None:
            try:
                self.follow(entries)
                self.progress.state = "done"
            except UserError as error:
                self.progress.state, self.progress.error = "failed", str(error)
            except BaseException as error:
                self.progress.state, self.progress.error = "failed", repr(error)
                raise

        return work
