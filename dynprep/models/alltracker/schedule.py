"""Sliding windows over the frames of one pass: which frames a window holds, which results it gives.

A pass goes from the query frame to one end of the clip; its frames are numbered from 0, the query frame.
"""

import math
from dataclasses import dataclass

SLOTS, STEP = 16, 8  # frames a window, and frames from one window's start to the next one's


@dataclass(frozen=True)
class Window:
    """The frames that are tracked together.

    frames: number of the frame in each slot; results: (slot, frame) pairs whose tracks are final after
    this window; fresh: whether it is the first one, so that no earlier window gives it a start.
    """

    frames: tuple[int, ...]
    results: tuple[tuple[int, int], ...]
    fresh: bool


def windows(length: int) -> list[Window]:
    """Return the windows of a pass over ``length`` frames, the query frame included.

    One frame has none. Two frames have one window of one slot, which holds the other frame. From three
    frames on a window has 16 slots, those behind the end filled with the last frame, and starts 8 frames
    after the one before it; a frame's tracks are those of the first window that holds it.
    """
    if length < 2:
        return []
    if length == 2:
        return [Window((1,), ((0, 1),), True)]
    schedule = []
    for number in range(1 + max(0, math.ceil((length - SLOTS) / STEP))):
        start = number * STEP
        frames = tuple(min(start + slot, length - 1) for slot in range(SLOTS))
        # the earlier half is the last window's later one
        first = 0 if number == 0 else SLOTS - STEP
        results = tuple((s, start + s) for s in range(first, SLOTS) if start + s < length)
        schedule.append(Window(frames, results, number == 0))
    return schedule
