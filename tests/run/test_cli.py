"""The command line, as a person meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sidecar", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "160"},
    )


@pytest.mark.parametrize("name", ["run", "wire", "observe", "check-config", "demo", "inject"])
def test_every_command_teaches_its_flags(name: str) -> None:
    done = command(name, "--help")
    assert done.returncode == 0
    assert "--" in done.stdout


def test_a_good_file_is_said_to_be_good_and_can_be_shown_whole(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text("shadows: [{address: 'candidate:9000'}]\n")
    assert command("check-config", str(file)).stdout == f"{file}: good\n"
    shown = command("check-config", "--show", str(file)).stdout
    again = tmp_path / "again.yaml"
    again.write_text(shown)
    assert command("check-config", "--show", str(again)).stdout == shown


def test_a_wrong_file_exits_with_2_and_tells_all_errors_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("sample: {fraction: 7}\nshadows: [{}]\n")
    done = command("check-config", str(file))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 2
    assert "--help" in done.stderr


def test_a_skip_reason_that_is_none_is_a_mistake_and_nobody_is_asked() -> None:
    done = command("skipped", "--reason", "nonsense", "127.0.0.1:1")
    assert done.returncode == 2
    assert "queue_full" in done.stderr
    assert "127.0.0.1:1" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--listen", "127.0.0.1:0"], "they come in pairs"),
        ([], "--listen HOST:PORT --upstream HOST:PORT"),
        (["--set", "oops"], "write it as key.path=value"),
        (["--rate", "5"], "give --shadow too"),
        (["--set", "sample.fraction=[", "--shadow", "x"], "sample.fraction"),
        (["--sample", "0.5", "--set", "sample=1"], "sample: 1:"),
        (["--shadow", "h:1", "--set", "shadows.1.name=x"], "'1' is no position in a list of 1"),
    ],
)
def test_contradictory_flags_start_nothing_and_exit_with_2(flags: list[str], says: str) -> None:
    done = command("run", *flags)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
