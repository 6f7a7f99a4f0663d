"""The group ``verdict``."""

from dataclasses import dataclass

from dynprep.options import NotNegativeFloat, Positive, Share

Correlation = float  # -1 to 1


@dataclass
class VerdictBounds:
    """Bounds of the checks, explained in ``conf/verdict/default.yaml``; None switches one off."""

    strict: bool
    black: NotNegativeFloat | None
    duplicate: NotNegativeFloat | None
    cut: Share | None
    cut_likeness: Correlation
    blurred: Share | None
    exposure: Positive | None
    jump: Positive | None
    turn: Positive
    constant: NotNegativeFloat | None
    speckle: Share | None
    follows: Correlation | None
    level: Positive | None
    wanders: Share | None
    upside_down: Correlation | None
    leans: Share | None
    on_edges: Share | None
    agrees: Correlation | None
    inliers: Share | None
    scale_leap: Positive | None
    invalid: Share | None
    tiny: Share | None
    full: Share | None
    area_leap: Positive | None
    place_leap: Positive | None
    lost: Share | None
    cycle: Positive | None
    outside: Share | None
