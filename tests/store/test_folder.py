from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.store.folder import StoreError, claim, own


def test_it_is_made_for_us_alone_with_what_is_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    own(folder)
    own(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700  # the wire refuses a tap in another


def test_one_that_others_may_enter_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with pytest.raises(StoreError, match=r"open to other users \(mode 0750\): chmod 700"):
        own(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_strangers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "state"
    own(folder)
    ours = os.geteuid()
    if ours == 0:
        os.chown(folder, 1234, 1234)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
    with pytest.raises(StoreError, match=r"belongs to user \d+, and we are \d+: give --state"):
        own(folder)


def test_neither_a_link_nor_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(StoreError, match="is no directory"):
            own(tmp_path / name)


def test_each_process_has_a_file_of_its_own_and_gives_it_back(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    first, second = (claim(folder, "evidence", 2, 0.0) for _ in range(2))
    assert {first.path.name, second.path.name} == {"evidence-0.db", "evidence-1.db"}
    with pytest.raises(StoreError, match="is used by another process"):
        claim(folder, "evidence", 2, 0.0)
    first.leave()
    again = claim(folder, "evidence", 2, 0.0)
    assert again.path == first.path
    again.leave()
    second.leave()
