"""A pytest plugin: asks a candidate what production was asked, as a fixture.

    pytest -p shadow_gate --shadow-calls calls/ --shadow-candidate 127.0.0.1:9003 \\
        --shadow-config criteria.yaml

    def test_the_candidate_may_replace_production(candidate):
        assert candidate.passes, candidate.says

Copy it beside your tests; `shadow-sidecar[capture]` must be installed where pytest runs.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

CODES = {0: "PASS", 1: "FAIL", 3: "WATCHING", 4: "INCONCLUSIVE"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What `shadow-sidecar replay --gate` found."""

    verdict: str
    says: str  # the report, as its command prints it

    @property
    def passes(self) -> bool:
        """Whether it may replace production."""
        return self.verdict == "PASS"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the three options."""
    group = parser.getgroup("shadow-sidecar")
    group.addoption("--shadow-calls", metavar="DIR", help="captured calls")
    group.addoption("--shadow-candidate", metavar="HOST:PORT", help="the candidate's gRPC address")
    group.addoption("--shadow-config", metavar="FILE", help="criteria and rules")


@pytest.fixture(scope="session")
def candidate(pytestconfig: pytest.Config) -> Candidate:
    """Replay once for all tests that ask for it.

    Raises:
        pytest.UsageError: nothing could be asked, or an option is missing or wrong.
    """
    calls = pytestconfig.getoption("--shadow-calls")
    address = pytestconfig.getoption("--shadow-candidate")
    if not calls or not address:
        raise pytest.UsageError("give --shadow-calls DIR and --shadow-candidate HOST:PORT")
    command = [sys.executable, "-m", "sidecar", "replay", calls, "--shadow", address, "--gate"]
    if config := pytestconfig.getoption("--shadow-config"):
        command += ["--config", config]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in CODES:
        raise pytest.UsageError(done.stderr.strip())
    return Candidate(CODES[done.returncode], done.stdout)
