"""Which object of the last frame a part of a mask is.

Shapes: (H, W) pixels.
"""

import cv2
import numpy as np

from dynprep.arrays import BoolArray, UInt8Array, check_shapes

_MOST = 255  # ids of an indexed PNG, 0 being the background


class ObjectIds:
    """Gives the connected parts of masks ids that stay the same from frame to frame.

    A part is the object that covers most of it; a part that none covers is a new object. What touches is one object,
    and parts that came from one stay one. Ids are given in the order in which objects appear; when there are 255,
    all later ones share the last.
    """

    def __init__(self) -> None:
        self.count = 0

    def name(self, mask: BoolArray, carried: UInt8Array) -> UInt8Array:
        """Ids (H, W) of a mask, 0 outside. carried (H, W): the last frame's ids, brought here by flow, 0 for none.

        Raises ValueError for other shapes.
        """
        check_shapes(mask=(mask, "H W"), carried=(carried, "H W"))
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        covered = np.zeros((count, _MOST + 1), np.int64)
        np.add.at(covered, (parts[mask], carried[mask]), 1)
        covered[:, 0] = 0
        names = np.zeros(count, np.uint8)
        largest_first = np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable") + 1
        for part in largest_first:
            if covered[part].any():
                names[part] = covered[part].argmax()
            else:
                self.count = min(self.count + 1, _MOST)
                names[part] = self.count
        return names[parts]
