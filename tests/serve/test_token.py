"""Who may change things: whoever can read a file that only one user can."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sidecar.serve.client import Reach
from sidecar.serve.token import FILE, found, made, places, read


def test_it_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine" / "admin.token"
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: made([path]), range(32)))
    ((token, where),) = tokens
    assert where == path
    assert len(token) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == ["admin.token"]
    assert found([path]) == token


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_read_or_write_is_no_token(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "admin.token"
    path.write_text("x" * 64)
    path.chmod(mode)
    with pytest.raises(PermissionError, match="nobody else"):
        made([path])
    assert found([path]) == ""


def test_what_is_no_file_of_ours_is_no_token(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("x" * 64)
    real.chmod(0o600)
    link.symlink_to(real)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    empty = tmp_path / "empty"
    empty.touch(0o600)
    for path in (link, fifo, tmp_path, empty, tmp_path / "nothing"):
        with pytest.raises(OSError, match=r"Errno|file of yours|not a token"):
            read(path)
        assert found([path]) == ""


def test_the_first_place_where_it_can_be_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    token, path = made([tmp_path / "file" / "admin.token", tmp_path / "admin.token"])
    assert (path, found([path])) == (tmp_path / "admin.token", token)
    with pytest.raises(OSError, match="no place"):
        made([])


def test_a_file_that_was_named_is_the_only_place() -> None:
    assert places({FILE: "/a", "HOME": "/h"}) == [Path("/a")]
    assert places({"HOME": "/h"}, Path("/b")) == [Path("/b")]
    assert places({"XDG_RUNTIME_DIR": "/r", "HOME": "/h"})[0].is_relative_to("/r")


def test_it_is_sent_to_this_machine_alone() -> None:
    reach = Reach(token="t")
    assert reach.metadata("127.0.0.1:9096") == (("authorization", "Bearer t"),)
    assert reach.metadata("10.0.0.1:9096") == ()
    assert reach.metadata("example.com:9096") == ()
    assert Reach().metadata("127.0.0.1:9096") == ()
