"""Whether results are good, without truth: measured frame by frame, held against bounds, said in words."""

from dynprep.verdicts.finding import Finding, Verdict
from dynprep.verdicts.judge import judge
from dynprep.verdicts.options import VerdictBounds

__all__ = ["Finding", "Verdict", "VerdictBounds", "judge"]
