"""``metrics.csv``: the times of stages and the scores of a run."""

import csv

from dynprep.files import atomic_path
from dynprep.report.run_logger import RunLogger
from dynprep.report.summary import Summary


class CsvLogger(RunLogger):
    """Writes rows of name and value when the run ends."""

    def end(self, summary: Summary) -> None:
        with atomic_path(summary.folder / "metrics.csv") as temporary:
            with temporary.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["name", "value"])
                for row in summary.rows():
                    writer.writerow([f"time/{row[0]}", row[4]])
                writer.writerows(summary.flat_scores().items())
                writer.writerows(summary.flat_consistency().items())
