"""A campaign of faults against this checkout.

    python -m tests.faults                       all classes, some thousand cases
    python -m tests.faults inputs --seed 7       one class, other cases
    python -m tests.faults --share 0.1           a tenth of the cases

The table that is printed has a line a class: what was done, how often, and how often what came of it was wrong. What
was wrong is listed after it, and the exit status is 1 then.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.faults.case import Case
from tests.faults.classes import CLASSES
from tests.faults.whole import forget

_SHOWN = 40  # failures of a class


def main() -> int:
    """Run the classes that the command line names and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("classes", nargs="*", help=f"of {', '.join(CLASSES)}; all without")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of cases")
    named = parser.parse_args()
    wrong: dict[str, list[Case]] = {}
    rows = []
    for name in named.classes or CLASSES:
        described = CLASSES[name]
        count = max(1, round(described.count * named.share))
        started = time.monotonic()
        cases = 0
        with tempfile.TemporaryDirectory(prefix="dynprep-faults-") as folder:
            for case in described.cases(Random(f"{name} {named.seed}"), count, Path(folder)):
                cases += 1
                if case.fault:
                    wrong.setdefault(name, []).append(case)
                    print(f"{name}: {case.name}: {case.fault}", file=sys.stderr, flush=True)
        took = time.monotonic() - started
        rows.append((described.what, cases, len(wrong.get(name, [])), took))
        print(f"{name}: {cases} cases, {rows[-1][2]} wrong, {took:.0f} s", flush=True)
    forget()
    print("\n| what is done | cases | wrong | seconds |\n| --- | ---: | ---: | ---: |")
    for what, cases, failures, took in rows:
        print(f"| {what} | {cases:,} | {failures} | {took:.0f} |")
    total = [sum(row[k] for row in rows) for k in (1, 2, 3)]
    print(f"| all | {total[0]:,} | {total[1]} | {total[2]:.0f} |")
    for name, cases_wrong in wrong.items():
        print(f"\n{name}:")
        for case in cases_wrong[:_SHOWN]:
            print(f"- {case.name}: {case.fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
