"""Sliding windows over the frames of one pass: which frames a window holds, which results are kept."""

import math
from dataclasses import dataclass

SLOTS, STEP = 16, 8


@dataclass(frozen=True)
class Window:
    """frames: number, in the pass, of the frame in each slot; kept: (slot, frame) whose results
    are final; fresh: no window came before it."""

    frames: tuple[int, ...]
    kept: tuple[tuple[int, int], ...]
    fresh: bool


def windows(length: int) -> list[Window]:
    """Windows of a pass over ``length`` frames, the query frame first.

    One frame has none. Two have one window of one slot, the other frame. From three on a window
    has 16 slots, those behind the end filled with the last frame, and starts 8 frames after the
    one before it; a frame's result is the first window's that holds it.
    """
    if length < 2:
        return []
    if length == 2:
        return [Window((1,), ((0, 1),), True)]
    found = []
    for number in range(1 + max(0, math.ceil((length - SLOTS) / STEP))):
        start = number * STEP
        frames = tuple(min(start + slot, length - 1) for slot in range(SLOTS))
        first = 0 if number == 0 else SLOTS - STEP
        kept = tuple((s, start + s) for s in range(first, SLOTS) if start + s < length)
        found.append(Window(frames, kept, number == 0))
    return found
