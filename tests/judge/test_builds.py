"""What a judge counts is the same in either build, and what an earlier build kept is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sidecar
from sidecar.build import BUILD
from sidecar.judge.counts import Coverage
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.pieces import restore
from tests.judge.counted import everything, kept
from tests.judge.pairs import MS, settings
from tests.judge.test_kinds import LIVES

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(BUILD == "python", reason="the other build is not there")
def test_every_kind_counts_alike_to_the_last_bit_in_both_builds() -> None:
    as_python = subprocess.run(
        [sys.executable, "-m", "tests.judge.counted"],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert Path(sidecar.__file__).parents[1] != ROOT  # ours is the compiled one
    found = json.loads(json.dumps(everything()))
    assert found == json.loads(as_python.stdout)


def test_a_call_that_waits_for_its_label_is_read_where_its_class_was_before() -> None:
    life = LIVES["accuracy"]
    declared = settings(life.criterion)
    one, two = Judge(declared, "pod", 0), Judge(declared, "pod", 0)
    for i in range(20):
        one.observe(life.harmed(i), i * MS)
    text = json.dumps(kept(one))
    assert "judge.waiting:Waiting" in text
    then = json.loads(text.replace("judge.waiting:Waiting", "judge.held:Waiting"))
    restore(two, then, 20 * MS)
    for judge in (one, two):
        assert judge.label(Label("id-3", 1), 21 * MS) == ""
        assert judge.label_fates["joined"] == 1
    a, b = (judge.verdict(30 * MS, Coverage(20, 20)).criteria[0] for judge in (one, two))
    assert (a.n, a.estimate, a.log_fail) == (b.n, b.estimate, b.log_fail)
