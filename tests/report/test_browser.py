"""The page in a real browser: what it shows, how it keeps up, and what it does not let happen."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sidecar.report.as_json import from_json
from sidecar.report.page import CONTENT_SECURITY_POLICY, render_html
from tests.processes import http_json
from tests.report.browser import visit
from tests.report.examples import STATUS, full
from tests.report.reader import Page
from tests.scenarios.stack import servers, sidecar
from tests.scenarios.verdicts import MODEL, SAME, infer, judge

pytestmark = pytest.mark.interop

TURN_MS = 5000  # of the page's time: two refreshes, two seconds apart


@contextmanager
def serving(*pages: str, policy: str = CONTENT_SECURITY_POLICY) -> Iterator[tuple[str, list[str]]]:
    """Serve one page after the other, the last for good; "" is an error of the server's."""
    left, asked = list(pages), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            text = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(200 if text else 500)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """The test knows what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def live(report: dict[str, Any]) -> str:
    return render_html(from_json(report), live=True, status=STATUS)


def body_class(dom: str) -> str:
    return Page(dom).all("body")[0].get("class", "")


def test_a_running_sidecars_page_shows_its_numbers_and_has_no_complaint(tmp_path: Path) -> None:
    worse = ("model", "--bias", "1000", "--bias-only", "3")
    settings = judge(SAME, slices=[{"source": "class:class"}])
    with servers(MODEL, worse) as (production, candidate):
        with sidecar(production, candidate, settings=settings) as it:
            infer(it, 600)
            told = http_json(it.http, "/report.json")
            seen = visit(f"http://{it.http}/", tmp_path, page_ms=TURN_MS)
            with urllib.request.urlopen(f"http://{it.http}/?shadow=shadow", timeout=10) as answer:
                headers = answer.headers
            with pytest.raises(urllib.error.HTTPError, match="404") as refused:
                urllib.request.urlopen(f"http://{it.http}/?shadow=another", timeout=10)
            refused.value.close()
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    shown = Page(seen.dom)
    assert seen.console == ()
    assert told["verdict"]["state"] == "FAIL"
    assert shown.section("verdict").startswith("FAIL")
    assert told["verdict"]["reason"] in shown.section("verdict")
    assert "Worse in class 7" in shown.section("verdict")
    assert "Calls judged 600" in shown.section("verdict")
    assert "same calls whose answers disagree" in shown.section("criteria")
    assert "class 7 same WORSE" in shown.section("slices")
    assert "Of the 600 calls that both sides answered" in shown.section("latency")
    worst = told["worst"][0]
    assert worst["correlation_id"] in shown.section("worst")
    assert worst["trace_id"] in shown.section("worst")
    assert "other values" in shown.section("traffic")
    assert body_class(seen.dom) == "live"


def test_a_sidecar_without_shadows_has_a_page_too(tmp_path: Path) -> None:
    with servers(MODEL) as (production,), sidecar(production) as it:
        seen = visit(f"http://{it.http}/", tmp_path, page_ms=TURN_MS)
    assert seen.console == ()
    assert "no shadow is configured" in Page(seen.dom).section("verdict")
    assert "Connections open" in Page(seen.dom).section("traffic")


def test_the_live_page_takes_over_what_has_changed(tmp_path: Path) -> None:
    before, after = full(), full()
    before["verdict"]["slices"] = []
    after["verdict"] |= {"state": "FAIL", "calls": 9876, "reason": "same: above its margin"}
    after["skipped"] = {}
    with serving(live(before), live(after)) as (url, asked):
        seen = visit(url, tmp_path, page_ms=TURN_MS)
    assert asked.count("/") >= 2
    assert seen.console == ()
    shown, fresh = Page(seen.dom), Page(live(after))
    assert shown.sections == fresh.sections  # sections that came, went and changed
    assert shown.title == fresh.title
    assert shown.all("link") == fresh.all("link")


def test_without_an_answer_the_page_keeps_its_figures_and_says_so(tmp_path: Path) -> None:
    with serving(live(full()), "") as (url, _):
        seen = visit(url, tmp_path, page_ms=TURN_MS)
    assert Page(seen.dom).section("verdict") == Page(live(full())).section("verdict")
    assert "stale" in body_class(seen.dom)


def test_without_scripts_the_page_is_whole(tmp_path: Path) -> None:
    forbidden = f"{CONTENT_SECURITY_POLICY}; sandbox"
    with serving(live(full()), policy=forbidden) as (url, asked):
        seen = visit(url, tmp_path, page_ms=TURN_MS)
    assert asked.count("/") == 1
    assert Page(seen.dom).sections == Page(live(full())).sections
    assert body_class(seen.dom) == ""


def test_a_file_needs_no_server(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_html(from_json(full())), encoding="utf-8")
    seen = visit(file.as_uri(), tmp_path / "profile", page_ms=TURN_MS)
    assert seen.console == ()
    assert Page(seen.dom).sections == Page(render_html(from_json(full()))).sections


def test_a_script_that_is_not_ours_does_not_run(tmp_path: Path) -> None:
    evil = "<script>document.title = 'owned'</script>"
    for number, page in enumerate((live(full()), render_html(from_json(full())))):
        with serving(page.replace("</main>", f"{evil}</main>")) as (url, _):
            seen = visit(url, tmp_path / str(number), page_ms=100)
        assert any("Content Security Policy" in line for line in seen.console)
        assert Page(seen.dom).title.startswith("WATCHING")
