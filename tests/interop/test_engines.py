"""Captured files in the engines that people have: DuckDB, polars and Apache Spark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import Capture
from sidecar.demo.again import QUERY, with_pyarrow
from sidecar.log import Log
from tests.capture.rows import row
from tests.interop.environments import ENVIRONMENTS, PEERS, ROOT, make
from tests.scenarios.stack import servers, sidecar
from tests.scenarios.test_payload_values import CALLS, predict

# The first run makes the environment.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]
LIVES = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several files of calls to two models that differ by 7 in every answer."""
    made: Path = tmp_path_factory.mktemp("captured") / "calls"
    chosen = {
        "capture.dir": made,
        "capture.what": "all",
        "capture.payloads": "true",
        "capture.outputs": '["*"]',
    }
    with servers(("model",), ("model", "--bias", "7")) as addresses:
        for _ in range(LIVES):
            with sidecar(*addresses, settings=chosen) as it:
                predict(it.address)
                it.settled(CALLS)
    return made


def _run(environment: str, *words: object) -> str:
    make(environment)
    done = subprocess.run(
        [ENVIRONMENTS[environment].python, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SPARK_LOCAL_IP": "127.0.0.1"},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_the_demos_query_finds_the_same_with_duckdb_and_without(tmp_path: Path) -> None:
    capture = Capture(CaptureSettings(dir=str(tmp_path)), "life", Log("test"))
    for number in range(200):
        said = np.array([number % 7]), np.array([number % 3])
        capture.offer(row(number, differs=number % 2 == 1, outputs={"class": said}))
    capture.close()
    ask = "import duckdb, json, sys; print(json.dumps(duckdb.sql(sys.argv[1]).fetchall()))"
    query = QUERY.format(files=f"{tmp_path}/*.parquet")
    command = [str(make("engines").python), "-c", ask, query]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [tuple(found) for found in json.loads(done.stdout)] == with_pyarrow(tmp_path)


def test_duckdb_and_polars_read_what_was_captured_without_our_code(folder: Path) -> None:
    found = json.loads(_run("engines", PEERS / "engines.py", folder))
    assert found["duckdb"] == found["polars"] == {"value": CALLS * LIVES}
    assert found["largest"] == 7
    assert found["first_request"] > 0


@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java: default-jre-headless")
def test_spark_judges_to_the_last_bit_what_this_machine_judges(folder: Path) -> None:
    local = json.loads(_run("spark", "-m", "sidecar", "judge", folder, "--json"))
    words = ("--json", "--spark", "local[2]")
    spark = json.loads(_run("spark", "-m", "sidecar", "judge", folder, *words))
    assert local[0]["verdict"]["calls"] == CALLS * LIVES
    for report in (*local, *spark):
        del report["generated"]
    assert spark == local
