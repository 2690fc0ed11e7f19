"""Verdicts through real processes: traffic in at one end, an exit code out at the other."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

from tests.processes import http_json, python
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.verdicts import (
    AT_ONCE,
    CLASSES,
    FAIL,
    INCONCLUSIVE,
    MODEL,
    PASS,
    SAME,
    UNASKED,
    UP,
    WATCHING,
    admin,
    command,
    infer,
    judge,
    predict,
    report,
    shadow,
    states,
    status_of,
)


def test_an_equal_candidate_passes_every_way_it_is_asked_for(tmp_path: Path) -> None:
    with servers(MODEL, MODEL) as (production, candidate):
        with sidecar(production, candidate, settings=judge(SAME, UP)) as it:
            assert status_of(it, "/gate?wait=true") == 503
            assert status_of(it, "/gate", "POST") == 409
            infer(it, 400)
            page = tmp_path / "report.html"
            code, told = report(admin(it), "--html", str(page))
            line = command("gate", admin(it))
            over_http, _ = report(f"http://{it.http}")
            verdict = http_json(it.http, "/verdict")
            gates = {
                "argo": status_of(it, "/gate?wait=true"),
                "promote": status_of(it, "/gate", "POST"),
                "rollout": status_of(it, "/gate?hook=rollout", "POST"),
                "rollback": status_of(it, "/gate?hook=rollback", "POST"),
            }
    assert (code, over_http, states(told)) == (PASS, PASS, {"same": "PASS", "up": "PASS"})
    assert (verdict["state"], verdict["calls"], verdict["coverage"]) == ("PASS", 400, 1.0)
    assert gates == {"argo": 200, "promote": 200, "rollout": 200, "rollback": 409}
    assert line.returncode == PASS
    assert line.stdout.startswith("PASS shadow: every required criterion passes: same, up (400 ")
    assert sum(point["compared"] for point in told["over_time"]["points"]) == 400
    assert told["latency"]["shadow"]["count"] == told["outcomes"]["equal"] == 400
    assert "PASS" in page.read_text(encoding="utf-8")


def test_a_candidate_that_is_worse_on_one_class_fails_for_that_slice() -> None:
    worse = ("model", "--bias", "1000", "--bias-only", "3")
    by_class = [{"source": "class:class"}]
    with servers(MODEL, worse) as (production, candidate):
        with sidecar(production, candidate, settings=judge(SAME, slices=by_class)) as it:
            infer(it, 600)
            code, told = report(admin(it))
    assert code == FAIL
    assert "class=7" in told["verdict"]["reason"]  # what the model answers to 3
    flagged = [row["slice"] for row in told["verdict"]["slices"] if row["flagged"]]
    assert flagged == ["class=7"]
    worst = [row for row in told["worst"] if row["criterion"] == "same"]
    assert worst
    assert {int(row["correlation_id"].removeprefix("call-")) % CLASSES for row in worst} == {3}
    assert all(row["trace_id"] and row["outputs"] for row in worst)


def test_a_slower_candidate_fails_on_latency_and_passes_on_the_rest() -> None:
    slower = {"name": "p50", "kind": "latency_ratio", "margin": 1.0, "quantile": 0.5}
    with servers(MODEL, ("model", "--delay-ms", "150")) as (production, candidate):
        settings = judge(SAME, UP, {**slower, "required": True}, latency={"trust": "direct"})
        with sidecar(production, settings={**settings, "shadows": _rows(candidate)}) as it:
            infer(it, 400)
            code, told = report(admin(it))
    assert code == FAIL
    assert states(told) == {"same": "PASS", "up": "PASS", "p50": "FAIL"}
    assert told["verdict"]["reason"].startswith("p50: ")
    assert told["latency"]["shadow"]["p50_ms"] > 2 * told["latency"]["production"]["p50_ms"]


PATIENT: dict[str, Any] = {"concurrency": AT_ONCE, "queue": {"max_wait_seconds": 30.0}}


def _rows(candidate: str, control: str = "") -> str:
    """The candidate, and a control if there is one; either waits for a free core."""
    rows = [shadow(candidate, **PATIENT)]
    if control:
        rows.append({"name": "noise", "address": control, "role": "control", **PATIENT})
    return json.dumps(rows)


def test_a_candidate_as_random_as_production_does_not_fail_beside_a_control() -> None:
    def noisy(seed: int) -> tuple[str, ...]:
        return ("model", "--bias", "1000", "--bias-share", "0.2", "--seed", str(seed))

    with servers(noisy(1), noisy(2), noisy(3)) as (production, candidate, again):
        codes, estimates = [], []
        for shadows in (_rows(candidate), _rows(candidate, again)):
            declared = {**judge(SAME, max_noise=0.5), "shadows": shadows}
            with sidecar(production, settings=declared) as it:
                infer(it, 500)
                code, told = report(admin(it))
            codes.append(code)
            estimates.append(told["verdict"]["criteria"][0]["estimate"])
    assert codes[0] == FAIL
    assert codes[1] in {PASS, WATCHING}, told["verdict"]["reason"]
    assert estimates[0] > 0.2
    assert abs(estimates[1]) < 0.1


def test_beside_a_control_that_is_broken_a_candidate_that_differs_does_not_pass() -> None:
    def biased(share: str, seed: str) -> tuple[str, ...]:
        return ("model", "--bias", "1000", "--bias-share", share, "--seed", seed)

    with servers(MODEL, biased("0.3", "2"), biased("0.7", "3")) as (production, candidate, broken):
        declared = {**judge(SAME), "shadows": _rows(candidate, broken)}
        with sidecar(production, settings=declared) as it:
            infer(it, 500)
            code, told = report(admin(it))
            gate = command("gate", admin(it))
    assert states(told) == {"same": "PASS"}, "net of the control it differs less than none"
    assert code == gate.returncode == INCONCLUSIVE
    assert "judge.max_noise" in told["verdict"]["reason"]


def test_a_candidate_that_errs_fails_although_its_breaker_lowers_coverage() -> None:
    with servers(MODEL, ("model", "--error", "INTERNAL")) as (production, candidate):
        with sidecar(production, candidate, settings=judge(SAME, UP)) as it:
            infer(it, 400)
            code, told = report(admin(it))
            rollback = status_of(it, "/gate?hook=rollback", "POST")
    assert (code, rollback) == (FAIL, 200)
    assert states(told)["up"] == "FAIL"
    assert told["outcomes"]["shadow_error"] > 0


def arrived(it: Sidecar) -> int:
    """Bytes that clients sent, as the wire last told."""
    return int(it.status()["wire"]["bytes_from_client_total"])


def test_no_traffic_is_never_a_pass_and_the_shadow_ends_by_itself() -> None:
    with servers(MODEL, MODEL) as (production, candidate):
        settings = judge(SAME, max_duration_seconds=1.0)
        with sidecar(production, candidate, settings=settings) as it:
            early = command("gate", admin(it))
            it.process.wait_until(lambda: http_json(it.http, "/ended")["ended"], 30)
            late = command("gate", admin(it))
            copied = it.status()["wire"]["tap_bytes_total"]
            asyncio.run(predict(it.address, range(5), padding=1 << 16))
            it.settled(5)
            it.process.wait_until(lambda: arrived(it) > 5 << 16, 30)
            after = it.status()
    assert early.returncode in {WATCHING, INCONCLUSIVE}
    assert late.returncode == INCONCLUSIVE
    assert after["calls"]["skipped"]["ended"] == 5
    # Headers are copied still, so that the connection stays in sight; what they announce is not.
    assert after["wire"]["tap_bytes_total"] - copied < 5 << 16


def test_labels_that_come_later_decide_on_accuracy(tmp_path: Path) -> None:
    flips = ("model", "--bias", "1000", "--bias-only", "1")
    accuracy = {
        "name": "right",
        "kind": "accuracy",
        "margin": 0.005,
        "required": True,
        "decision": {"threshold": 500.0},
        "outputs": "class",
    }
    file = tmp_path / "labels.csv"
    with servers(MODEL, flips) as (production, candidate):
        with sidecar(production, candidate, settings=judge(accuracy)) as it:
            infer(it, 700)  # a first attempt may err with 0.61 of alpha
            before, _ = report(admin(it))
            wanted = command("labels", "wanted", admin(it)).stdout.split()
            with file.open("w", newline="") as out:
                rows = csv.writer(out)
                rows.writerow(["correlation_id", "value"])
                rows.writerows((name, 0) for name in [*wanted, "call-of-nobody"])
            first = command("labels", "import", str(file), admin(it))
            again = command("labels", "import", str(file), admin(it))
            code, told = report(admin(it))
            nothing_wanted = command("labels", "wanted", admin(it)).stdout
    assert before == WATCHING
    assert sorted(wanted) == sorted(f"call-{n}" for n in range(700) if n % CLASSES == 1)
    assert first.stdout == "29 labels sent\nshadow: 28 joined, 1 early\n"
    assert again.stdout == "29 labels sent\nshadow: 29 duplicate\n"
    assert (code, nothing_wanted) == (FAIL, ""), told["verdict"]["reason"]
    (right,) = told["verdict"]["criteria"]
    assert round(right["estimate"] * right["n"], 6) == 28


def test_two_sidecars_pass_together_where_neither_has_seen_enough() -> None:
    strict = judge({**SAME, "margin": 0.01}, min_calls=1)
    with servers(MODEL, MODEL, MODEL) as (first, second, candidate):
        with (
            sidecar(first, candidate, settings=strict) as one,
            sidecar(second, candidate, settings=strict) as other,
        ):
            for it in (one, other):
                infer(it, 400)
            alone = [report(admin(it))[0] for it in (one, other)]
            both, told = report(admin(one), "--service", admin(other), f"http://{one.http}")
            gone = "127.0.0.1:1"
            lacking, said = report(admin(one), admin(other), gone)
            allowed, _ = report(admin(one), admin(other), gone, "--allow-missing")
            nobody, _ = report(gone)
    assert alone == [WATCHING, WATCHING]
    assert both == PASS
    assert (told["verdict"]["calls"], told["verdict"]["judges"]) == (800, 2)
    assert (len(told["sidecars"]), told["missing"]) == (2, {})
    assert (lacking, allowed, nobody) == (INCONCLUSIVE, PASS, UNASKED)
    assert list(said["missing"]) == [gone]


def test_the_first_model_ever_is_compared_with_a_baseline() -> None:
    constants = ("--output", "class=1", "--output", "sum=1.0")
    with python("sidecar", "baseline", "--listen", "127.0.0.1:0", *constants) as baseline:
        production = baseline.wait_ready()["address"]
        with servers(MODEL) as (candidate,):
            with sidecar(production, candidate, settings=judge(SAME)) as it:
                infer(it, 300)
                code, told = report(admin(it))
    assert code == FAIL
    assert told["verdict"]["models"] == {"production m": "baseline", "shadow m": "1"}
    # The model says 1 to one class in so many, as the baseline always does.
    estimate = told["verdict"]["criteria"][0]["estimate"]
    assert round(estimate, 9) == round(1 - 1 / CLASSES, 9)


def test_a_gate_that_waits_says_so_and_ends_when_it_is_decided() -> None:
    with servers(MODEL, MODEL) as (production, candidate):
        with sidecar(production, candidate, settings=judge(SAME)) as it:
            early = command("gate", admin(it), "--wait", "0.2s", "--poll", "100ms")
            infer(it, 400)
            late = command("gate", admin(it), "--wait", "10m")
            address = admin(it)
    gone = command("gate", address, "--wait", "300ms", "--poll", "100ms")
    assert (early.returncode, late.returncode, gone.returncode) == (3, PASS, UNASKED)
    assert "waiting, at most" in early.stderr
    assert early.stdout.startswith("WATCHING ")
    assert f"error: {address} could not be asked: UNAVAILABLE" in gone.stderr
    assert gone.stdout == ""
    wrong = command("gate", address, "--wait", "soon")
    assert wrong.returncode == 2
    assert "30m" in wrong.stderr


def test_why_calls_were_skipped_is_told_by_a_command() -> None:
    with servers(MODEL, MODEL) as (production, candidate):
        with sidecar(production, candidate, settings={"match.methods": '["/none"]'}) as it:
            infer(it, 3)
            told = command("skipped", admin(it), "--reason", "method")
            none = command("skipped", admin(it), "--reason", "shed", "--json")
            wrong = command("skipped", admin(it), "--reason", "tired")
    lines = told.stdout.splitlines()
    assert (told.returncode, len(lines)) == (0, 3)
    assert all(" method (admitted) all /inference.GRPC" in line for line in lines)
    assert (none.returncode, none.stdout) == (0, "")
    assert wrong.returncode == 2
    assert "not_grpc" in wrong.stderr


def test_several_shadows_must_be_told_apart() -> None:
    with servers(MODEL, MODEL, ("model", "--bias", "9")) as (production, good, bad):
        with sidecar(production, f"good={good}", f"bad={bad}", settings=judge(SAME)) as it:
            infer(it, 300)
            codes = {name: report(admin(it), "--shadow", name)[0] for name in ("good", "bad")}
            unnamed = command("gate", admin(it))
            together_read = command("report", admin(it))
            unknown = command("gate", admin(it), "--shadow", "ugly")
            together = {how: command("gate", admin(it), how) for how in ("--all", "--any")}
            contradicting = command("gate", admin(it), "--all", "--any")
            statuses = [
                status_of(it, path)
                for path in ("/gate", "/gate?shadow=good", "/gate?shadow=ugly", "/gate?wait=1")
            ]
    assert codes == {"good": PASS, "bad": FAIL}
    assert (unnamed.returncode, unnamed.stderr) == (2, "error: --shadow: name one of bad, good\n")
    assert together_read.returncode == 1  # side by side, and as good as the worst
    assert {"good", "bad"} <= set(together_read.stdout.split())
    assert unknown.returncode == contradicting.returncode == 2
    assert {how: done.returncode for how, done in together.items()} == {"--all": 1, "--any": 0}
    assert [line.split()[0] for line in together["--all"].stdout.splitlines()] == ["FAIL", "PASS"]
    assert statuses == [400, 200, 404, 400]
