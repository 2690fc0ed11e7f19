from __future__ import annotations

import io
import json
import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from rich.console import Console

from sidecar.report import table
from sidecar.report.as_json import from_json, to_json
from sidecar.report.build import empty_report
from sidecar.report.page import CONTENT_SECURITY_POLICY, render_html
from sidecar.report.report import Report
from tests.report.examples import STATUS, TRACES, call, full, side
from tests.report.reader import Page

HOSTILE = """"'><script>owned()</script><img src=x onerror=owned()>&lt;\x00\ud800</style>"""
JAEGER = "http://jaeger:16686/trace/{trace_id}"


def html(report: dict[str, Any] | Report | None = None, **given: Any) -> str:
    plain = full() if report is None else report
    return render_html(plain if isinstance(plain, Report) else from_json(plain), **given)


def page(report: dict[str, Any] | Report | None = None, **given: Any) -> Page:
    return Page(html(report, **given))


def test_the_verdict_comes_first_with_its_reason_and_what_it_stands_on() -> None:
    told = page().section("verdict")
    assert told.startswith("WATCHING not decided yet same: undecided Worse in region ap")
    assert "Calls judged 4,321 at least 100" in told
    assert "Coverage 98.7 % floor 90 %" in told
    assert "Watched for 1 h 2 min at least 1 min" in told
    assert "Production model digits 1" in told
    assert "Shadow model digits 2" in told
    assert "Sidecars 2 1 left out" in told
    assert "10.0.0.3:9096 : connection refused" in told


def test_the_forecast_says_when_with_what_is_not_known_of_it() -> None:
    report = full()
    report["verdict"]["criteria"][3]["required"] = False  # nobody can say of this one
    shown = page(report)
    told = shown.section("verdict")
    assert "Forecast: PASS in about 1 h 30 min (1 h to nobody knows), some 270,000 calls" in told
    assert "if it stays at 5 % (\N{MINUS SIGN}1 % to 11 %) (same)." in told
    assert "PASS in about 1 h 30 min?" in shown.section("criteria")


def test_what_decided_stands_beside_what_is_seen_now() -> None:
    report = full()
    then = {
        "decided_unix": 1_700_000_000.0,
        "decided_n": 400.0,
        "decided_estimate": 0.12,
        "decided_interval": [0.09, 0.15],
    }
    report["verdict"]["criteria"][0] |= then
    report["verdict"]["criteria"][3]["required"] = False
    report["verdict"]["slices"][0] |= then
    report["verdict"]["distinct_inputs"] = 1234.4
    report["declared"]["min_distinct_inputs"] = 30
    shown = Page(render_html(from_json(report)))
    decided = "when decided, 22:13 UTC: 12 % (9 % to 15 %) of 400 calls"
    assert f"1.2 % 0.6 % to 2 % {decided} 4,321" in shown.section("criteria")
    assert f"10.8 % 7 % to 15.5 % {decided}" in shown.section("slices")
    assert "Distinct inputs, worth 1,234 at least 30" in shown.section("verdict")
    report["verdict"]["criteria"][0]["decided_n"] = 4321.0
    assert "decided 22:13 UTC, with just these" in page(report).section("criteria")
    lines = terminal(from_json(report))
    assert "calls worth 1,234 distinct inputs, coverage" in lines
    assert "Forecast of same: PASS in about 1 h 30 min" in lines
    (head,) = [line.split() for line in lines.splitlines() if "decided on" in line]
    assert head == ["decided", "on", "now", "margin", "calls"]
    assert re.search(r"same +WATCHING +12 % +1\.2 % +\S+ % +4,321", lines)


def test_distributions_and_who_became_what_are_shown_and_decide_nothing() -> None:
    told = page().section("distributions")
    assert "Of 40 calls that were looked at (judge.drift)" in told
    assert "nothing is decided by them" in told
    assert "score 40 and 40 values, 0 and 1 not finite" in told
    assert "score: production and candidate, from 0 to 1" in told
    assert "0.31 PSI: too few to tell 0.12 Wasserstein" in told
    assert "0 10 2 1 1 27" in told
    assert "37 of 40 rows were decided alike" in told
    lines = terminal(from_json(full()))
    assert re.search(r"score +too few to tell +0\.31 +0\.12 +40", lines)
    assert "same: 0 became 1 2 times, 1 became 0 1 times" in lines
    report = full()
    report["drift"]["outputs"][0]["n"] = [4000, 4000]
    assert "0.31 PSI: apart 0.12 Wasserstein" in page(report).section("distributions")
    report["drift"] = {}
    assert "distributions" not in page(report).sections


def terminal(report: Report) -> str:
    """As it stands in a terminal, without line breaks inside a paragraph."""
    shown = io.StringIO()
    Console(width=200, file=shown).print(table.render(report))
    return shown.getvalue()


def test_each_criterion_is_shown_in_its_own_unit_against_its_margin() -> None:
    told = page().section("criteria")
    assert "same about disagreement WATCHING required" in told
    assert "1.2 % 0.6 % to 2 % 4,321 PASS in about 1 h 30 min?" in told
    assert "4,321 about 1,234 more" in told
    assert "p95 about latency ratio FAIL informative" in told
    assert "+50 % at least +30 %" in told
    assert "with an error of 5 %" in told


def test_slices_latencies_time_calls_and_traffic_have_their_sections() -> None:
    shown = page(status=STATUS)
    assert "region ap same WORSE" in shown.section("slices")
    assert "10.8 % 7 % to 15.5 % 25 % 613 calls" in shown.section("slices")
    assert "p50 1 ms 3 ms \N{MULTIPLICATION SIGN}3" in shown.section("latency")
    assert "candidate: p50 3 ms, p95 9 ms" in shown.section("latency")
    assert "2 of 90 compared calls differ" in shown.section("time")
    assert "request-77" in shown.section("worst")
    assert "probabilities other values 0.75" in shown.section("worst")
    assert "in region=ap 1 calls" in shown.section("worst")
    traffic = shown.section("traffic")
    assert "the shadow's queue was full queue_full 7 lost" in traffic
    assert "left out by sampling not_sampled 500 by choice" in traffic
    assert "agree, within the rules 4,200 97.2 %" in traffic
    assert "Connections open 12" in traffic
    assert "Shadow's breaker half open" in traffic
    assert "10.0.0.2:9096 b 321 no: older or other rules" in traffic


def test_beside_a_control_the_change_of_a_latency_is_against_it() -> None:
    report = full()
    report["latency"]["control"] = side((2.0, 10))
    shown = page(report).section("latency")
    assert "Control Change" in shown
    assert "p50 1 ms 3 ms 2 ms +50 %" in shown
    assert "the change is against it" in shown


def test_who_met_the_deadline_is_told_and_has_no_quantile() -> None:
    report = full()
    report["latency"]["shadow"] |= {"p50_ms": None, "endless": 7}
    shown = page(report).section("latency")
    assert "met deadline 0 7" in shown
    assert "Who met the deadline is beyond every quantile" in shown


@pytest.mark.parametrize("part", ["declared", "latency", "over_time", "outcomes", "skipped",
                                  "worst", "sample", "sidecars", "missing"])  # fmt: skip
def test_a_part_that_is_missing_is_left_out_and_the_rest_is_shown(part: str) -> None:
    report = full()
    del report[part]
    assert "WATCHING" in page(report).section("verdict")


def test_a_report_of_nobody_says_so_and_shows_nothing_else() -> None:
    shown = page(empty_report({}, 1.0))
    assert "INCONCLUSIVE cannot be decided no sidecar was found" in shown.section("verdict")
    assert set(shown.sections) == {"verdict"}


def hostile(value: Any) -> Any:
    """The same with every text replaced, but for what is ours."""
    if isinstance(value, dict):
        return {k: v if k in {"state", "kind"} else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v) for v in value]
    return HOSTILE if isinstance(value, str) else value


def attack() -> dict[str, Any]:
    """A report of which every name comes from somebody who means harm."""
    report: dict[str, Any] = hostile(full())
    report["verdict"]["models"] = {f"shadow {HOSTILE}": HOSTILE}
    return report | {
        "outcomes": {HOSTILE: 3},
        "skipped": {HOSTILE: 4},
        "missing": {HOSTILE: HOSTILE},
    }


def test_nothing_from_outside_becomes_markup() -> None:
    plain = page(live=True, trace_url=JAEGER, status=STATUS, shadows=("a", "b"))
    attacked = page(attack(), live=True, trace_url=JAEGER, status=STATUS, shadows=(HOSTILE, "b"))
    assert {name for name, _ in attacked.elements} <= {name for name, _ in plain.elements}
    assert len(attacked.all("script")) == len(plain.all("script")) == 1
    for name, attributes in attacked.elements:
        assert not [a for a in attributes if a.startswith("on") or a == "style"], name
    assert "<script>owned()</script>" in attacked.text


def test_a_page_can_always_be_written_as_utf_8() -> None:
    html(attack(), live=True).encode()


@pytest.mark.parametrize("live", [True, False])
def test_nothing_is_loaded_from_anywhere(live: bool) -> None:
    text = html(full(), live=live, trace_url=JAEGER, status=STATUS, shadows=("a", "b"))
    shown = Page(text)
    for name, attributes in shown.elements:
        assert not attributes.keys() & {"src", "srcset", "data", "action", "xlink:href"}, name
        address = attributes.get("href", "")
        allowed = address.startswith(
            ("data:image/svg+xml,", "#sign-", "?shadow=", "http://jaeger:16686/")
        )
        assert not address or allowed, address
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import|@font-face", style)
    assert bool(shown.all("script")) is live


def test_the_policy_names_the_style_and_the_script_that_are_there() -> None:
    text = html(full(), live=True)
    for name in ("style", "script"):
        inside = text[text.index(f"<{name}>") + len(name) + 2 : text.index(f"</{name}>")]
        digest = b64encode(sha256(inside.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    policies = [m for m in page().all("meta") if m.get("http-equiv")]
    assert [m["content"].count("script-src") for m in policies] == [0]  # a file runs no script


def links(shown: Page) -> list[str]:
    return [a["href"] for a in shown.all("a")]


def test_values_stand_beside_what_differs_where_there_are_any() -> None:
    output = {"name": "label", "outcome": "value", "score": 1.0}
    values = {"production": "['cat']", "shadow": ""}
    worst = call(outputs=[output | values], inputs=[{"name": "age", "value": "40"}])
    told = page(full() | {"worst": [worst]}).section("worst")
    assert "label other values 1 ['cat'] \u2192 none age = 40" in told
    assert "\u2192" not in page().section("worst")


def test_the_rules_that_ignore_noise_are_there_to_be_copied_and_noise_does_not_lead() -> None:
    told = page().section("verdict")
    assert '- {output: "request_id", rule: ignore} Copy' in told
    assert "shadow-sidecar rules suggest --shadow candidate --apply FILE Copy" in told
    report = full()
    call = report["worst"][0]
    only = {"name": "request_id", "outcome": "value", "score": 1.0}
    call["outputs"].append(only)
    report["worst"].insert(0, {**call, "correlation_id": "noise-1", "outputs": [only]})
    shown = Page(render_html(from_json(report))).section("worst")
    assert shown.index("request-77") < shown.index("noise-1")
    assert "probabilities other values 0.75" in shown
    assert shown.count("1 output looks like noise") == 2
    report["outputs"] = report["outputs"][1:]
    assert "Copy" not in Page(render_html(from_json(report))).section("verdict")


def test_a_trace_id_is_a_link_where_an_address_is_configured() -> None:
    assert links(page()) == []
    assert links(page(trace_url=JAEGER))[:2] == [
        f"http://jaeger:16686/trace/{t}" for t in reversed(TRACES)
    ]


def test_both_halves_in_one_trace_are_one_link() -> None:
    report = full() | {"worst": [call(shadow_trace_id=TRACES[0])]}
    assert links(page(report, trace_url=JAEGER)) == [f"http://jaeger:16686/trace/{TRACES[0]}"]


@pytest.mark.parametrize(
    ("trace_id", "trace_url"),
    [
        ("../../admin?", JAEGER),
        (TRACES[0].upper(), JAEGER),
        (TRACES[0], "javascript:owned('{trace_id}')"),
        (TRACES[0], "//elsewhere/{trace_id}"),
    ],
)
def test_what_is_no_trace_id_or_no_web_address_is_no_link(trace_id: str, trace_url: str) -> None:
    report = full() | {"worst": [call(trace_id=trace_id, shadow_trace_id=trace_id)]}
    shown = page(report, trace_url=trace_url)
    assert links(shown) == []
    assert trace_id in shown.section("worst")


def test_several_shadows_are_there_to_choose_among() -> None:
    shown = page(shadows=("candidate", "b c"))
    assert [a["href"] for a in shown.all("a")] == ["?shadow=candidate", "?shadow=b+c"]
    assert [a.get("aria-current") for a in shown.all("a")] == ["page", None]


def test_every_table_has_heads_and_every_drawing_has_a_title() -> None:
    shown = page(status=STATUS)
    assert all(th["scope"] in {"row", "col"} for th in shown.all("th"))
    assert all(t["aria-label"] for t in shown.all("table"))
    drawings = [svg for svg in shown.all("svg") if svg.get("role") == "img"]
    assert len(drawings) == 8
    assert [name for name, _ in shown.elements].count("title") == 1 + len(drawings)
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_verdict_is_told_by_word_sign_and_tab_not_by_colour_alone() -> None:
    signs = set()
    for state in ("PASS", "FAIL", "WATCHING", "INCONCLUSIVE"):
        report = full()
        report["verdict"]["state"] = state
        shown = page(report)
        assert shown.section("verdict").startswith(state)
        assert f"{state} \N{MIDDLE DOT} candidate" in shown.title
        signs.add(shown.all("use")[0]["href"])
    drawn = {f"#{a['id']}" for a in page().all("symbol")}
    assert len(signs) == 4
    assert signs == drawn


def test_a_page_stays_small_however_much_there_is_to_tell() -> None:
    report = full()
    report["worst"] = [
        call(criterion=name, slice=part, correlation_id=f"{name}-{part}-{i}")
        for name in ("same", "up", "p95", "tilt")
        for part in ("", *(f"region={r}" for r in range(64)))
        for i in range(100)
    ]
    report["over_time"]["points"] = [
        {"unix_seconds": 2 * i, "compared": 1000 + i, "differing": i, "failed": 1}
        for i in range(120)
    ]
    report["latency"]["production"] = side = report["latency"]["shadow"]
    side["buckets"] = [[1.02**i, 7] for i in range(600)]
    assert len(html(report, live=True, trace_url=JAEGER, status=STATUS)) < 72_000


def test_a_report_makes_the_journey_as_json_and_back() -> None:
    report = from_json(json.loads(json.dumps(full())))
    again = to_json(report)
    assert from_json(json.loads(json.dumps(again))) == report
    assert html(report) == page_of_json(again)
    assert set(full()) == set(again)


def page_of_json(plain: dict[str, Any]) -> str:
    return html(plain)


@pytest.mark.parametrize("wrong", [{}, {"verdict": 5}, {**full(), "verdict": {"state": "MAYBE"}}])
def test_what_is_no_report_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not a report|MAYBE"):
        from_json(wrong)
