"""What was captured is asked again: the same answers, the same comparison, the same verdict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.replay.results import ResultsError, add, read_results
from tests.processes import server
from tests.scenarios.stack import servers, sidecar
from tests.scenarios.test_payload_values import CALLS, predict

pytestmark = pytest.mark.timeout(600)  # a command takes a second, and twenty on a busy machine

CONFIG = """\
judge:
  min_calls: 10
  min_duration_seconds: 0
  repeat_seconds: 0
  criteria:
    - {name: same, kind: disagreement, margin: 0.3, required: true}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captured calls to two models that differ in every answer."""
    made: Path = tmp_path_factory.mktemp("captured") / "calls"
    chosen = {"capture.dir": made, "capture.what": "all", "capture.payloads": "true"}
    with servers(("model",), ("model", "--bias", "7")) as addresses:
        with sidecar(*addresses, settings=chosen) as it:
            predict(it.address)
            it.settled(CALLS)
    return made


def replay(*words: object, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "sidecar", "replay", *map(str, words)]
    env = {**os.environ, "COLUMNS": "160"}  # a table is as wide as its terminal
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env)


@contextmanager
def model(*flags: str) -> Iterator[str]:
    """A model server's address."""
    with server("model", *flags) as process:
        yield process.wait_ready()["address"]


def _config(tmp_path: Path) -> Path:
    file = tmp_path / "replay.yaml"
    file.write_text(CONFIG)
    return file


def _result(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_production_itself_agrees_with_what_it_answered(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with model() as address:
        done = replay(folder, "--shadow", address, "-c", _config(tmp_path), "--gate", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    report = _result(out)["reports"][0]
    assert report["outcomes"] == {"equal": CALLS}
    assert report["verdict"]["calls"] == CALLS


def test_a_candidate_that_differed_differs_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with model("--bias", "7") as address:
        done = replay(folder, "--shadow", address, "-c", _config(tmp_path), "--gate", "--out", out)
    assert done.returncode == 1, done.stdout + done.stderr
    assert _result(out)["reports"][0]["outcomes"] == {"value": CALLS}


def test_a_server_in_productions_place_is_asked_too(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with model("--bias", "7") as address, model("--bias", "7") as other:
        done = replay(folder, "--shadow", address, "--against", other, "--out", out)
    assert done.returncode == 0, done.stderr
    assert _result(out)["reports"][0]["outcomes"] == {"equal": CALLS}


def test_several_candidates_stand_side_by_side(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with model() as one, model("--bias", "1") as other:
        done = replay(folder, "--shadow", f"a={one}", "--shadow", f"b={other}", "--out", out)
    assert done.returncode == 0, done.stderr
    assert [r["outcomes"] for r in _result(out)["reports"]] == [{"equal": CALLS}, {"value": CALLS}]
    shown = replay("--compare", out, "--compare", out)
    assert shown.returncode == 0
    assert "1. a" in shown.stdout
    assert "4. b" in shown.stdout


def test_a_selection_a_limit_and_shards_choose_calls(folder: Path, tmp_path: Path) -> None:
    counts = []
    with model() as address:
        for words in (
            ("--limit", "7"),
            ("--where", "correlation_id == 'call-3'"),
            ("--shard", "0/4"),
            ("--shard", "1/4"),
            ("--shard", "2/4"),
            ("--shard", "3/4"),
        ):
            out = tmp_path / "out.json"
            done = replay(folder, "--shadow", address, "--out", out, *words)
            assert done.returncode == 0, done.stderr
            counts.append(_result(out)["calls"])
    assert counts[:2] == [7, 1]
    assert sum(counts[2:]) == CALLS


def test_a_candidate_that_hangs_or_is_not_there_fails_and_is_named(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    flags = (
        *("-c", _config(tmp_path), "--gate", "--out", out),
        *("--set", "shadows.0.deadline_seconds=0.5"),
    )
    told = {}
    with model("--hang") as address:
        told["hangs, or takes longer than 0.5 s"] = replay(folder, "--shadow", address, *flags)
    with server("bytes") as process:
        address = process.wait_ready()["address"]
        told["does not know their method"] = replay(folder, "--shadow", address, *flags)
    with server("garbage") as process:
        address = process.wait_ready()["address"]
        told["nobody answers there (garbage)"] = replay(folder, "--shadow", address, *flags)
    told["nobody answers there"] = replay(folder, "--shadow", "127.0.0.1:1", *flags)
    for why, done in told.items():
        assert done.returncode == 2, done.stdout + done.stderr
        assert f"none of {CALLS} calls was answered" in done.stderr, why
        assert why.partition(" (")[0] in done.stderr
        assert f"{CALLS} calls had been sent; that is no result." in done.stderr
        assert "Traceback" not in done.stderr
        assert not out.exists(), "nothing half written is left"


def test_a_candidate_that_answers_with_errors_is_judged_and_its_failures_are_named(
    folder: Path, tmp_path: Path
) -> None:
    with model("--error", "INVALID_ARGUMENT") as address:
        done = replay(folder, "--shadow", address, "-c", _config(tmp_path), "--gate")
    assert done.returncode == 1, done.stdout + done.stderr
    told = f"candidate failed {CALLS} calls: {CALLS} x INVALID_ARGUMENT"
    assert told in " ".join(done.stdout.split())


def test_a_flood_of_an_answer_is_bounded_and_judged(folder: Path, tmp_path: Path) -> None:
    with model("--flood", str(20 << 20)) as address:
        done = replay(
            folder, "--shadow", address, "-c", _config(tmp_path), "--gate", "--limit", "4"
        )
    assert done.returncode in {1, 3, 4}, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_everything_wrong_is_told_at_once_and_nothing_is_sent(folder: Path, tmp_path: Path) -> None:
    done = replay(
        tmp_path / "none",
        *("--shadow", "nowhere:port", "--speed", "fast", "--shard", "3/3"),
        *("--set", "judge.alpha=7", "--out", tmp_path / "none" / "out.json", "--resume"),
    )
    assert done.returncode == 2
    for told in (
        "none: no such file or folder",
        "--speed: 'fast': must be max, a factor such as 1x, or calls a second",
        "--shard '3/3': must be I/N",
        "judge.alpha: 7",
        "shadows.0.address",
        "--out",
        "there is no folder",
        "Nothing was sent.",
    ):
        assert told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    done = replay(folder, "--shadow", "127.0.0.1:1", "--where", "outcome == 'nothing'")
    assert done.returncode == 2
    assert "no call matches --where" in done.stderr


def test_calls_without_payload_cannot_be_asked_again(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    chosen = {"capture.dir": folder, "capture.what": "all"}
    with servers(("model",), ("model",)) as addresses:
        with sidecar(*addresses, settings=chosen) as it:
            predict(it.address)
            it.settled(CALLS)
        done = replay(folder, "--shadow", addresses[0])
    assert done.returncode == 2
    assert "its calls were captured without payloads" in done.stderr
    assert "capture.payloads: true" in done.stderr


def _interrupted(*words: object, by: signal.Signals) -> tuple[int, str]:
    """Run the command until it says that calls are answered, and interrupt it."""
    command = [sys.executable, "-m", "sidecar", "replay", *map(str, words)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stderr is not None
        said = iter(process.stderr.readline, "")
        assert any(line.startswith("Replaying: 1 of ") for line in said)
        process.send_signal(by)
        shown, _ = process.communicate(timeout=60)
        return process.returncode, shown


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_replay_ends_with_what_there_is_and_goes_on_from_there(
    folder: Path, tmp_path: Path, by: signal.Signals
) -> None:
    out, whole = tmp_path / "out.json", tmp_path / "whole.json"
    rules = ("-c", _config(tmp_path))
    with model("--bias", "7") as address:
        asked = (folder, "--shadow", address, *rules, "--out", out)
        code, shown = _interrupted(*asked, "--speed", "3", by=by)
        assert code == 130
        assert "interrupted: the rest was not sent" in " ".join(shown.split())
        found = _result(out)
        assert found["unfinished"]
        assert 0 < found["calls"] < CALLS
        other = replay(*asked, "--resume", "--limit", "20")
        assert other.returncode == 2
        assert "another replay was begun there: limit is 20 here and 0 there" in other.stderr
        assert _result(out) == found, "what is not gone on from stays as it is"
        done = replay(*asked, "--resume", "--gate")
        assert done.returncode == 1, done.stdout + done.stderr
        finished = _result(out)
        assert (finished["calls"], finished["unfinished"]) == (CALLS, False)
        assert replay(*asked, "--resume", "--gate").returncode == 1, "nothing is left to send"
        assert _result(out)["calls"] == CALLS
        replay(folder, "--shadow", address, *rules, "--out", whole)
    one, other_one = (_result(file)["reports"][0] for file in (out, whole))
    for part in ("outcomes", "skipped"):
        assert one[part] == other_one[part]
    for part in ("state", "calls", "coverage", "criteria"):
        assert one["verdict"][part] == other_one["verdict"][part]


def test_shards_add_up_to_the_whole(folder: Path, tmp_path: Path) -> None:
    whole, files = tmp_path / "whole.json", [tmp_path / f"{i}.json" for i in range(3)]
    rules = ("-c", _config(tmp_path))
    with model("--bias", "7") as address:
        asked = (folder, "--shadow", address, *rules)
        replay(*asked, "--out", whole)
        for i, file in enumerate(files):
            assert replay(*asked, "--shard", f"{i}/3", "--out", file).returncode == 0
        replay(*asked, "--limit", "20", "--shard", "0/3", "--out", tmp_path / "other.json")
    flags = [word for file in files for word in ("--add", str(file))]
    out = tmp_path / "sum.json"
    done = replay(*flags, "--gate", "--out", out)
    assert done.returncode == 1, done.stdout + done.stderr
    one, other = _result(out), _result(whole)
    assert one["calls"] == other["calls"] == CALLS
    assert one["status"] == other["status"]
    for part in ("state", "calls", "coverage", "criteria"):
        assert one["reports"][0]["verdict"][part] == other["reports"][0]["verdict"][part]
    read = {str(file): read_results(file) for file in [*files, whole, tmp_path / "other.json"]}
    first, second, third, all_of_it, other_replay = read
    for names, told in (
        ([first, second], "shard 2 of 3 is missing"),
        ([first, second, third, first], "shard 0 of 3, as"),
        ([first, second, all_of_it], "no part of a replay in shards"),
        ([second, third, other_replay], "not of the same replay"),
    ):
        with pytest.raises(ResultsError, match=told):
            add([(name, read[name]) for name in names])
    halted = replace(read[third], unfinished=True)
    with pytest.raises(ResultsError, match="unfinished"):
        add([(first, read[first]), (third, halted)])
    bad = replay(*flags, "--add", rules[1])
    assert bad.returncode == 2
    assert "cannot be read" in bad.stderr


def test_labels_decide_offline_as_they_do_live(folder: Path, tmp_path: Path) -> None:
    config, truth = tmp_path / "accuracy.yaml", tmp_path / "truth.csv"
    config.write_text(
        "judge:\n  min_calls: 10\n  repeat_seconds: 0\n  labels: {correlation: request_id}\n"
        "  criteria:\n    - {name: accuracy, kind: accuracy, outputs: amount, margin: 0.1,\n"
        "       required: true, decision: {threshold: 62674005}}\n"
    )
    truth.write_text("correlation_id,value\n" + "".join(f"call-{n},0\n" for n in range(CALLS)))
    out = tmp_path / "out.json"
    with model("--bias", "7") as address:
        done = replay(folder, "--shadow", address, "-c", config, "--labels", truth, "--out", out)
    assert done.returncode == 0, done.stderr
    verdict = _result(out)["reports"][0]["verdict"]
    assert verdict["events"]["joined"] == CALLS
    assert (verdict["state"], verdict["criteria"][0]["estimate"]) == ("FAIL", 1.0)
    bad = replay(folder, "--shadow", "127.0.0.1:1", "--labels", tmp_path / "none.csv")
    assert bad.returncode == 2
    assert "--labels" in bad.stderr


def test_the_capacity_of_a_slow_candidate_is_found(folder: Path, tmp_path: Path) -> None:
    plot = tmp_path / "capacity.html"
    with model("--delay-ms", "200") as address:
        command = [
            *(sys.executable, "-m", "sidecar", "capacity", "--from", str(folder), "--json"),
            *("--shadow", address, "--first", "4", "--most", "8", "--seconds", "1"),
            *("--html", str(plot)),
        ]
        easy = subprocess.run(command, capture_output=True, text=True, timeout=120)
        strict = [*command, "--slo", "p50=100ms"]
        hard = subprocess.run(strict, capture_output=True, text=True, timeout=120)
    assert easy.returncode == hard.returncode == 0, easy.stderr + hard.stderr
    assert json.loads(easy.stdout)["holds"] == 8
    found = json.loads(hard.stdout)
    assert (found["holds"], found["breaks"], found["advice"]) == (0, 4, None)
    assert "<svg" in plot.read_text()


def test_production_is_not_loaded_by_mistake(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "production.yaml"
    config.write_text('wire: {routes: [{listen: "127.0.0.1:1", upstream: "127.0.0.1:2"}]}\n')
    command = [
        *(sys.executable, "-m", "sidecar", "capacity", "--from", str(folder)),
        *("--shadow", "127.0.0.1:2", "-c", str(config)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "is production" in done.stderr
    assert "--even-production" in done.stderr


def test_a_missing_input_flips_every_answer_and_is_told_by_version(
    folder: Path, tmp_path: Path
) -> None:
    plot = tmp_path / "sensitivity.html"
    with model() as one, model("--bias", "7") as other:
        done = replay(
            *(folder, "--shadow", f"new={other}", "--against", one, "--limit", "5"),
            *("--perturb", "amount=missing", "--perturb", "amount:noise=0.1", "--html", plot),
        )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["amount=missing", "production", "100.0%"] in [line[:3] for line in lines]
    assert ["new", "100.0%"] in [line[:2] for line in lines]
    assert "(5 left out)" in " ".join(done.stdout.split()), "an integer takes no noise"
    assert "amount=missing" in plot.read_text()
    bad = replay(folder, "--shadow", "127.0.0.1:1", "--perturb", "amount", "--perturb", "x:noise")
    assert bad.returncode == 2
    assert bad.stderr.count("--perturb '") == 2
