"""`shadow-sidecar plan`: what a verdict will take, and what is wrong with what was asked."""

from __future__ import annotations

from typer.testing import CliRunner

from sidecar.run.commands import app


def _plan(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["plan", *words])
    return done.exit_code, done.output


def test_a_plan_tells_time_and_calls_for_each_effect() -> None:
    code, text = _plan("--margin", "0.01", "--calls-per-second", "50")
    assert code == 0
    rows = {line.split()[0]: line for line in text.splitlines()[2:] if line.strip()}
    assert "PASS" in rows["0.2"]
    assert "none" in rows["1"]
    assert "FAIL" in rows["3"]
    assert "min" in rows["3"].split("FAIL")[1]
    assert "1\u202fd" in rows["2"]


def test_more_shadows_take_longer() -> None:
    def first(*words: str) -> str:
        return next(line for line in _plan(*words)[1].splitlines() if " 0.2 " in f" {line} ")

    alone = first("--calls-per-second", "50", "--swing", "1")
    assert first("--calls-per-second", "50", "--swing", "1", "--shadows", "50") != alone


def test_everything_that_is_wrong_is_said_at_once() -> None:
    code, text = _plan("--margin", "3", "--calls-per-second", "0", "--shadows", "0")
    assert code == 2
    assert text.count("error: --") == 3
    assert "between --low 0.0 and --high 1.0" in text
