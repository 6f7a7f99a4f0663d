"""What the tests' own set-up promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SKIPS = """
import pytest

@pytest.mark.parity
def test_numbers():
    pytest.skip("no numbers")

@pytest.mark.parity
@pytest.mark.skip(reason="switched off")
def test_switched_off():
    pass

@pytest.mark.parity
def test_runs():
    pass

def test_other():
    pytest.skip("not needed")
"""


@pytest.mark.parametrize(("ci", "failed"), [("true", 2), ("", 0)])
def test_a_skipped_parity_test_fails_in_ci(tmp_path: Path, ci: str, failed: int) -> None:
    (tmp_path / "test_skips.py").write_text(SKIPS)
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    options += ["-p", "tests.conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "CI": ci},
    )  # fmt: skip
    assert done.returncode == bool(failed), done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "parity tests must run in CI" in line]
    reasons = {line.rsplit(": ", 1)[-1] for line in lines}
    assert len(reasons) == failed and all("no numbers" in r or "off" in r for r in reasons), reasons
