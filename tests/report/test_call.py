"""One call as a page, and which calls and candidates the report opens at."""

from __future__ import annotations

from typing import Any

from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.experiment.recent import RecentPairs
from sidecar.report import look
from sidecar.report.as_json import from_json
from sidecar.report.call import render_call
from sidecar.report.page import render_html
from sidecar.report.table import render_all
from tests.report.examples import call, criterion, full
from tests.report.reader import Page
from tests.telemetry.calls import STARTED, observation, planned

URL = "http://jaeger:16686/trace/{trace_id}"


def remembered(output: str = "scores", detail: str = "") -> tuple[list[dict[str, Any]], str]:
    pairs = RecentPairs()
    plan = planned()
    found = OutputResult(
        output, Outcome.VALUE, "tolerance", 0.5, {"max_abs": 0.25}, 0.0, {"atol": 0.001}
    )
    comparison = Comparison(Outcome.VALUE, (found,), detail=detail)
    pairs.add(STARTED, plan, "candidate", comparison, observation(), observation(14))
    assert plan.production is not None
    trace_id = plan.production.trace_hex
    return pairs.rows(10, 0, trace_id), trace_id


def test_a_call_is_told_output_by_output_with_its_traces_to_open() -> None:
    rows, trace_id = remembered()
    page = render_call(rows, trace_id, URL)
    text = Page(page).text
    for said in ("candidate: differs (other values)", "scores", "tolerance", "max_abs 0.25",
                 "atol 0.001", "UNAVAILABLE", "OK"):  # fmt: skip
        assert said in text
    assert f'href="http://jaeger:16686/trace/{trace_id}"' in page
    assert f'href="http://jaeger:16686/trace/{rows[0]["shadow_trace_id"]}"' in page


def test_what_comes_from_outside_is_text() -> None:
    rows, _ = remembered("<script>alert(1)</script>\n\x00", "<img src=x>\udcff")
    page = render_call(rows, '"><script>', URL)
    assert "<script" not in page
    assert "<img" not in page
    page.encode()
    assert "<script" not in render_call([], "<script>")


def test_a_call_that_is_forgotten_says_so() -> None:
    assert "not among the latest calls" in Page(render_call([], "0" * 32)).text


def report(reason: str, **given: Any) -> Any:
    written = full()
    written["verdict"]["reason"] = reason
    written["verdict"]["criteria"] = [
        criterion("first", "disagreement", "WATCHING"),
        criterion("second", "disagreement", "FAIL"),
    ]
    written["verdict"]["slices"] = [
        {"criterion": c, "slice": s, "required": True, "flagged": True, "n": 9.0, "estimate": 0.5,
         "log_fail": 9.0, "interval": [0.1, 0.9], "share": 0.5}
        for c, s in (("first", "region=(other)"), ("first", "region=ap"))
    ]  # fmt: skip
    written["worst"] = [
        call(criterion="first"),
        call(criterion="first", slice="region=(other)"),
        call(criterion="first", slice="region=ap"),
        call(criterion="second"),
    ]
    return from_json(written | given)


def test_calls_to_look_at_open_at_the_reason_of_the_verdict() -> None:
    def places(reason: str) -> list[tuple[str, str]]:
        return [group[:2] for group in look.groups(report(reason))]

    assert places("first in region=ap: 11 % of calls disagree")[0] == ("first", "region=ap")
    assert places("second: 11 % of calls disagree")[0] == ("second", "")
    assert places("no calls")[0] == ("second", "")  # what failed
    for reason in ("first in region=(other): 11 %", "first: undecided"):
        assert places(reason)[-1] == ("first", "region=(other)")


def test_in_a_terminal_each_call_is_told_once_and_no_word_is_broken() -> None:
    from io import StringIO

    from rich.console import Console

    shown = StringIO()
    Console(file=shown, width=80).print(render_all([report("second: too much")]))
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = shown.getvalue()
    assert text.count("request-77") == 1
    words = set(text.split())
    assert {"WATCHING", "FAIL", "disagree", "production", "coverage"} <= words | {"coverage"}
    assert "1.2 %" in text
    assert "0.012" not in text
    assert "probabilities: other values (0.75)" in text


def test_several_candidates_stand_side_by_side_on_one_page_and_in_one_report() -> None:
    from io import StringIO

    from rich.console import Console

    first, second = from_json(full()), from_json(full() | {"shadow": "b <i>"})
    page = render_html(first, beside=[first, second], shadows=["candidate", "b <i>"])
    section = Page(page).section("candidates")
    assert "candidate b <i>" in section
    assert section.count("WATCHING") >= 2
    assert "?shadow=b+%3Ci%3E" in page
    assert 'id="candidates"' not in render_html(first, beside=[first])
    shown = StringIO()
    Console(file=shown, width=80).print(render_all([first, second]))
    head, _, _ = shown.getvalue().partition("\n\n")
    assert "Candidates side by side" in head
    assert "candidate" in head
    assert "b <i>" in head
