"""What a case of the campaign is, and how the words of a program that refuses are judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

_LONGEST_LINE, _SHOWN = 1500, 1500  # characters
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Case:
    """What was done, and what was wrong with what came of it; None where nothing was."""

    name: str
    fault: str | None


# a source of chance, how many cases, and an empty folder to work in
Campaign = Callable[[Random, int, Path], Iterator[Case]]


def fault_of_words(text: str) -> str | None:
    """What is wrong with the message of an error: it must be one line that can be shown."""
    if not text.strip():
        return "an error without words"
    if "\n" in text.strip():
        return f"an error of several lines: {text[:200]!r}"
    if len(text) > _LONGEST_LINE:
        return f"an error of {len(text)} characters: {text[:200]!r}"
    return None


def fault_of_end(status: int, said: str, errors: str) -> str | None:
    """What is wrong with how a program ended: a traceback, a crash, a failure without a line that says why."""
    if _TRACEBACK in said + errors:
        return f"a traceback: {(said + errors).partition(_TRACEBACK)[2].strip()[-_SHOWN:]}"
    if status < 0:
        return f"ended by signal {-status}"
    if status and "dynprep:" not in errors and "usage:" not in errors and "error" not in errors:
        return f"status {status} without a reason: {errors[-300:]!r}"
    if any(ord(c) < 32 and c not in "\n\r\t" and c != "\x1b" for c in said + errors):
        return "control characters in what is shown"
    return None
