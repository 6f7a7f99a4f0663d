"""The file that records a run, and what it says of how the run went."""

RUN_FILE = "run.json"
RUNNING, DONE, FAILED = "running", "done", "failed"
