from __future__ import annotations

import io
import json
from collections.abc import Sequence

from sidecar.fields import ConfigError
from sidecar.log import Log
from sidecar.settings.difference import Difference, diff, take_live
from sidecar.settings.reload import Reloader
from sidecar.settings.settings import Settings


class Running:
    """What is in force, and what was said."""

    def __init__(self) -> None:
        self.settings = Settings.model_validate({"shadows": [{"address": "h:1"}]})
        self.wanted: Settings | ConfigError = self.settings
        self.refused: list[str] = []
        self.log = io.StringIO()
        self.reloader = Reloader(None, self.load, self.apply, self.refuse, Log("t", self.log))

    def load(self) -> Settings:
        if isinstance(self.wanted, ConfigError):
            raise self.wanted
        return self.wanted

    def apply(self, settings: Settings) -> Difference:
        found = diff(self.settings, settings)
        self.settings = take_live(self.settings, settings)
        return found

    def refuse(self, errors: Sequence[str]) -> None:
        self.refused = list(errors)

    def said(self) -> dict[str, object]:
        line: dict[str, object] = json.loads(self.log.getvalue().splitlines()[-1])
        return line


def test_a_changed_address_is_named_as_needing_a_restart_as_long_as_it_does() -> None:
    running = Running()
    before = running.settings
    running.wanted = Settings.model_validate({"shadows": [{"address": "h:2"}], "paused": True})
    running.reloader.reload()
    said = running.said()
    assert (said["changed"], said["needs_restart"]) == (["paused"], ["shadows.shadow.address"])
    assert said["level"] == "warning"
    running.reloader.reload()
    assert running.said()["needs_restart"] == ["shadows.shadow.address"]
    running.wanted = before
    running.reloader.reload()
    assert running.said()["needs_restart"] == []


def test_a_wrong_configuration_changes_nothing_and_is_told_whole() -> None:
    running = Running()
    running.wanted = ConfigError(["a: wrong", "b: wrong"])
    running.reloader.reload()
    assert running.refused == ["a: wrong", "b: wrong"]
    assert running.said()["event"] == "reload_refused"
    assert running.settings.shadows[0].address == "h:1"
