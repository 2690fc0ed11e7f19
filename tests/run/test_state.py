"""What is kept where the disk has no room from the start."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sidecar.experiment.keeping import Keeping
from sidecar.judge.report import State
from sidecar.log import Log
from sidecar.run.state import open_keeping
from sidecar.settings.settings import Settings
from tests import disk
from tests.house import House, told


@pytest.fixture
def full(tmp_path: Path) -> Keeping:
    """Of a directory in which no file may grow, as on a full disk."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    settings = Settings.model_validate({"state": {"dir": str(folder)}})
    with disk.full():
        return open_keeping(settings, "host", Log("test", io.StringIO()), {})


def test_where_there_was_no_room_from_the_start_nothing_passes_and_harm_fails(
    full: Keeping,
) -> None:
    assert full.state is None
    house = House({}, keeping=full)
    for _ in range(300):
        house.call(told(1.0))
    verdict = house.judged.evaluate(house.now_ns)
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.reason.startswith("not kept on disk: ")
    assert "restart the observer when there is; otherwise: " in verdict.reason
    assert house.judged.judge.stands is None, "it is decided where it is written down"
    for _ in range(300):
        house.call(told(2.0))
    assert house.state() is State.FAIL


def test_where_nothing_was_to_be_kept_a_pass_is_one() -> None:
    house = House({}, keeping=Keeping(None, why_not="the default place cannot be written"))
    for _ in range(300):
        house.call(told(1.0))
    assert house.state() is State.PASS
