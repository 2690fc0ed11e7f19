"""`shadow-sidecar captured`: what was captured is told, exported, followed and forgotten."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

from sidecar.capture.reader import open_captured
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import Capture
from sidecar.log import Log
from tests.capture.rows import row


def _folder(tmp_path: Path, rows: int = 10) -> Path:
    folder = tmp_path / "calls"
    settings = CaptureSettings(dir=str(folder), payloads=True)
    capture = Capture(settings, "life", Log("test"))
    for number in range(rows):
        capture.offer(row(number, differs=number % 2 == 1))
    capture.close()
    return folder


def captured(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sidecar", "captured", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_summary_counts_pairs_by_day_method_outcome_and_version(tmp_path: Path) -> None:
    done = captured(_folder(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(r["outcome"], r["pairs"]) for r in found] == [("equal", 5), ("value", 5)]
    assert {(r["production"], r["shadow"]) for r in found} == {("m:1", "candidate m:2")}
    shown = captured(_folder(tmp_path / "b"))
    assert "10 pairs in 1 files" in shown.stdout


def test_rows_are_exported_as_lines_of_json_and_as_csv(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    lines = captured(folder, "--export", "jsonl", "--where", "outcome == 'value'").stdout
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [r["correlation_id"] for r in rows] == [f"id-{n}" for n in range(1, 10, 2)]
    table = list(csv.DictReader(io.StringIO(captured(folder, "--export", "csv").stdout)))
    assert len(table) == 10
    assert table[0]["input.age"] == "30"


def test_a_call_can_be_forgotten(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    done = captured(folder, "--forget", "id-3", "--forget", "id-4", "--forget", "unknown")
    assert done.stdout == "2 pairs forgotten, 1 files rewritten\n", done.stderr
    left = [r["correlation_id"] for r in open_captured([str(folder)]).rows()]
    assert left == [f"id-{n}" for n in range(10) if n not in (3, 4)]
    assert [f.stat().st_mode & 0o777 for f in folder.iterdir()] == [0o600]


def test_what_cannot_be_is_told_in_a_line_with_exit_code_2(tmp_path: Path) -> None:
    for words in ((tmp_path,), (_folder(tmp_path / "c"), "--where", "1 +"), ("s3:/x", "--follow")):
        done = captured(*words)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
