from __future__ import annotations

import io
import json

import pytest

from sidecar.log import FORMAT, Log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_machine_gets_one_json_object_a_line() -> None:
    stream = io.StringIO()
    Log("observer", stream).warning("shadow_fails", address="h:1", names=("a", "b"), odd=object)
    line = json.loads(stream.getvalue())
    assert [*line][:4] == ["time", "level", "component", "event"]
    assert (line["level"], line["component"], line["names"]) == ("warning", "observer", ["a", "b"])


def test_a_person_at_a_terminal_gets_text_on_one_line() -> None:
    stream = Terminal()
    Log("observer", stream).warning("shadow_fails", cause="no\nroute", names=("a", "b"), n=3)
    (line,) = stream.getvalue().splitlines()
    assert line.endswith('! observer: shadow_fails cause="no\\nroute" names=a,b n=3')


@pytest.mark.parametrize(("wanted", "begins"), [("json", "{"), ("text", "")])
def test_the_format_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, wanted: str, begins: str
) -> None:
    monkeypatch.setenv(FORMAT, wanted)
    for stream in (Terminal(), io.StringIO()):
        Log("run", stream).info("ready")
        assert stream.getvalue().startswith(begins)
        assert ("run: ready" in stream.getvalue()) is (wanted == "text")


def test_a_closed_stream_harms_nobody() -> None:
    stream = io.StringIO()
    stream.close()
    Log("run", stream).info("ready")
