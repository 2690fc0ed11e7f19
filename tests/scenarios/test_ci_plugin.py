"""`examples/ci/shadow_gate.py` in a pytest of its own: one that agrees, one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.processes import server
from tests.scenarios.test_replay import CONFIG, folder

__all__ = ["folder"]

CI = Path(__file__).resolve().parents[2] / "examples" / "ci"
TEST = """\
def test_the_candidate_may_replace_production(candidate):
    assert candidate.passes, candidate.says
"""


def _pytest(where: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (where / "test_candidate.py").write_text(TEST, encoding="utf-8")
    (where / "criteria.yaml").write_text(CONFIG, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "shadow_gate", "-q", *options]
    path = os.pathsep.join([str(CI), str(CI.parents[1])])
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, timeout=120)


def _asked(folder: Path, where: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    with server("model", *flags) as process:
        address = process.wait_ready()["address"]
        options = ("--shadow-calls", str(folder), "--shadow-candidate", address)
        return _pytest(where, *options, "--shadow-config", "criteria.yaml")


def test_a_candidate_that_agrees_passes(folder: Path, tmp_path: Path) -> None:
    done = _asked(folder, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_one_that_differs_fails_with_the_report(folder: Path, tmp_path: Path) -> None:
    done = _asked(folder, tmp_path, "--bias", "7")
    assert done.returncode == 1
    assert "FAIL" in done.stdout


def test_a_missing_option_is_said(tmp_path: Path) -> None:
    done = _pytest(tmp_path)
    assert "give --shadow-calls DIR and --shadow-candidate HOST:PORT" in done.stdout
    assert done.returncode != 0
