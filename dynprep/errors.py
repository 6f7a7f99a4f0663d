"""What a user did that cannot work, said in one line."""

import difflib
import textwrap
from collections.abc import Sequence


class UserError(Exception):
    """A fault that its reader can mend: what is wrong, in which file or option, and what to do.

    It is shown as one line without a traceback, and the program ends with a non-zero status.
    """


class SceneError(UserError):
    """A fault of one scene, which does not keep others from being made. scene: its name."""

    def __init__(self, scene: str, message: str) -> None:
        super().__init__(message)
        self.scene = scene

    def __reduce__(self) -> tuple[type["SceneError"], tuple[str, str]]:
        """How it travels from a launcher's process: exceptions keep their message alone."""
        return type(self), (self.scene, str(self))


class NothingToDo(UserError):
    """A job of a multirun that has no scene, where others have."""


WARNING = "! "  # how a line begins that must be seen


def printable(text: str) -> str:
    """``text`` with control characters and halves of characters written out: a file's name may hold anything, and a
    terminal would obey it."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return 'did you mean a or b?' for a mistyped ``name``, or 'there is …' with all names where none is near."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there is {', '.join(sorted(known))}"


def folded(text: str, width: int) -> str:
    """A text in lines of at most ``width``, broken between words alone; line ends and leading blanks stay."""
    lines = [
        textwrap.fill(
            line, max(width, 20), subsequent_indent="  ", drop_whitespace=True,
            break_long_words=False, break_on_hyphens=False, replace_whitespace=False,
        ) if len(line) > width else line
        for line in text.split("\n")
    ]  # fmt: skip
    return "\n".join(lines)
