"""The observer's keeper, with real processes that die in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.kube.guard import (
    FIRST_PAUSE,
    LAST_PAUSE,
    UNTOUCHED,
    Guard,
    flags_from,
    next_pause,
    private_bytes,
)
from sidecar.kube.names import Names
from tests.kube.manifests_in import need

THERE, NOT = frozenset({"10.0.0.9"}), frozenset[str]()
ALL = Names(lambda host: THERE)


@contextmanager
def guarded(
    script: str, *options: str, wrapper: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A guard over a Python script; its output can be read line by line."""
    command = [*wrapper, sys.executable, "-m", "sidecar.kube.guard", *options, "--"]
    guard = subprocess.Popen(
        [*command, sys.executable, "-u", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield guard
    finally:
        guard.terminate()
        assert guard.wait(timeout=30) == 0
        assert guard.stdout is not None
        guard.stdout.close()


def line(guard: subprocess.Popen[str]) -> str:
    assert guard.stdout is not None
    return guard.stdout.readline().strip()


WAIT = "import os, signal; print('up', os.getpid()); signal.pause()"


def test_the_pause_grows_to_a_bound_and_a_long_life_forgives() -> None:
    pauses = [FIRST_PAUSE]
    for _ in range(10):
        pauses.append(next_pause(pauses[-1], lived=1))
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses[-1] == LAST_PAUSE
    assert next_pause(LAST_PAUSE, lived=600) == FIRST_PAUSE


def test_an_observer_that_is_killed_is_started_again() -> None:
    with guarded(WAIT) as guard:
        first = int(line(guard).split()[1])
        os.kill(first, signal.SIGKILL)
        assert "ended by signal 9" in line(guard)
        second = int(line(guard).split()[1])
        assert second != first


def test_a_wrong_configuration_ends_the_observer_and_not_the_container() -> None:
    with guarded("import sys; sys.exit(2)") as guard:
        assert "ended with status 2" in line(guard)
        assert "ended with status 2" in line(guard)
        assert guard.poll() is None


def test_one_that_takes_too_much_memory_is_killed_before_the_kernel_does() -> None:
    script = "import signal; print('up'); held = bytearray(96 << 20); signal.pause()"
    with guarded(script, f"--memory={64 << 20}") as guard:
        assert line(guard) == "up"
        assert "passed 67108864 bytes of memory and was killed" in line(guard)
        assert line(guard) == "up"


def test_a_burst_that_is_faster_than_any_look_fails_in_the_observer_alone() -> None:
    """Before: the kernel killed what the container held, the guard with it."""
    script = (
        "held = []\n"
        "try:\n"
        "    while len(held) < 4096: held.append(bytearray(b'x' * (1 << 20)))\n"
        "except MemoryError:\n"
        "    mib = len(held); del held; print('stopped', mib, flush=True)\n"
        "    raise SystemExit(7)\n"
    )
    with guarded(script, f"--memory={64 << 20}") as guard:
        for _ in range(2):
            said = line(guard)
            if said.startswith("stopped"):
                assert int(said.split()[1]) * (1 << 20) <= (64 << 20) + UNTOUCHED
                said = line(guard)
            assert "ended with status 7" in said or "passed" in said
        assert guard.poll() is None


def test_the_observer_is_the_first_that_the_kernel_takes() -> None:
    with guarded(WAIT) as guard:
        first = int(line(guard).split()[1])
        assert Path(f"/proc/{first}/oom_score_adj").read_text().strip() == "1000"
        assert Path(f"/proc/{guard.pid}/oom_score_adj").read_text().strip() != "1000"


def test_many_deaths_in_a_row_never_end_the_guard_and_each_is_told() -> None:
    with guarded("import os; os.abort()") as guard:
        pauses = [line(guard) for _ in range(4)]
        assert all("ended by signal 6" in said for said in pauses)
        assert [said.rpartition(" in ")[2] for said in pauses] == ["0.5 s", "1 s", "2 s", "4 s"]
        assert guard.poll() is None


def test_a_fault_of_its_own_is_a_death_of_the_observer_and_not_of_the_container(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = Guard([sys.executable, "-c", WAIT], None, None, None)
    monkeypatch.setattr("sidecar.kube.guard.FIRST_PAUSE", 0.02)
    looks = []

    def broken() -> int | None:
        looks.append(1)
        guard._ending = len(looks) > 5
        raise OSError("no /proc today")

    monkeypatch.setattr(guard, "_reap", broken)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        assert guard.run() == 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert capsys.readouterr().err.count("was given up: OSError: no /proc today") > 1


def test_nobody_who_reads_its_words_is_no_reason_to_end() -> None:
    command = [sys.executable, "-m", "sidecar.kube.guard", "--", "/no/such/observer"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as guard:
        assert guard.stderr is not None
        guard.stderr.readline()
        guard.stderr.close()
        with pytest.raises(subprocess.TimeoutExpired):
            guard.wait(timeout=3)
        guard.terminate()
        assert guard.wait(timeout=30) == 0


def test_a_command_that_is_not_there_is_told() -> None:
    command = [sys.executable, "-m", "sidecar.kube.guard", "--", "/no/such/observer"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as guard:
        assert guard.stderr is not None
        assert "cannot be started" in guard.stderr.readline()
        guard.terminate()
        assert guard.wait(timeout=30) == 0


def test_the_end_is_passed_on_and_waited_for() -> None:
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('flushed'), sys.exit(0)))\n"
        "print('up'); signal.pause()"
    )
    with guarded(script) as guard:
        assert line(guard) == "up"
        guard.terminate()
        assert line(guard) == "flushed"
        assert line(guard) == ""


def test_a_reload_is_passed_on() -> None:
    script = (
        "import signal\n"
        "signal.signal(signal.SIGHUP, lambda *_: print('reloaded'))\n"
        "print('up')\n"
        "while True: signal.pause()"
    )
    with guarded(script) as guard:
        assert line(guard) == "up"
        guard.send_signal(signal.SIGHUP)
        assert line(guard) == "reloaded"


def test_what_the_observer_leaves_behind_goes_with_it() -> None:
    script = (
        "import os, signal\n"
        "child = os.fork()\n"
        "if child == 0: signal.pause()\n"
        "print('up', child); signal.pause()"
    )
    with guarded(script) as guard:
        orphan = int(line(guard).split()[1])
        with open(f"/proc/{orphan}/stat") as stat:
            parent = int(stat.read().rpartition(")")[2].split()[1])
        pidfd = os.pidfd_open(orphan)
        os.kill(parent, signal.SIGKILL)
        assert "ended by signal 9" in line(guard)
        import select

        assert select.select([pidfd], [], [], 30)[0], "the orphan lives on"
        os.close(pidfd)


def test_memory_is_counted_for_the_group_and_for_no_one_else() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-c", "held = bytearray(32 << 20); print('up'); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 32 << 20 < private_bytes(child.pid) < 64 << 20
        child.kill()


def test_annotations_become_flags_and_wrong_ones_are_told(tmp_path: Path) -> None:
    assert flags_from(None, ALL) == ([], [])
    assert flags_from(tmp_path / "missing", ALL) == ([], [])
    (tmp_path / "shadow").write_text("old=stable:9000, control=twin:9000")
    (tmp_path / "sample").write_text("0.5")
    (tmp_path / "rate").write_text("")
    flags = ["--shadow=old=stable:9000", "--shadow=control=twin:9000", "--sample=0.5"]
    assert flags_from(tmp_path, ALL) == (flags, [])
    (tmp_path / "sample").write_text("half")
    assert "sample" in flags_from(tmp_path, ALL)[1][0]


def test_a_shadow_that_does_not_exist_yet_is_left_out_and_the_rate_with_it(tmp_path: Path) -> None:
    (tmp_path / "shadow").write_text("new=canary:9000, old=stable:9000")
    (tmp_path / "rate").write_text("5")
    assert flags_from(tmp_path, Names(lambda host: THERE if host == "stable" else NOT))[0] == [
        "--shadow=old=stable:9000",
        "--rate=5",
    ]
    assert flags_from(tmp_path, Names(lambda host: NOT)) == ([], [])


@pytest.mark.interop
def test_a_shadow_that_comes_is_a_new_observer_with_it(tmp_path: Path) -> None:
    """With a resolver that knows what a file says, and nothing else."""
    need("unshare")
    annotations, hosts, resolver = tmp_path / "pod", tmp_path / "hosts", tmp_path / "nsswitch"
    annotations.mkdir()
    (annotations / "shadow").write_text("candidate=canary:9000")
    hosts.write_text("127.0.0.1 localhost\n")
    resolver.write_text("hosts: files\n")
    mounts = f"mount --bind {hosts} /etc/hosts; mount --bind {resolver} /etc/nsswitch.conf"
    script = "import signal, sys; print('up', *sys.argv[1:]); signal.pause()"
    wrapper = ["unshare", "--mount", "sh", "-ec", f'{mounts}; exec "$@"', "sh"]
    with guarded(script, f"--annotations={annotations}", wrapper=wrapper) as guard:
        assert line(guard) == "up"
        hosts.write_text("127.0.0.1 localhost canary\n")
        assert "was ended for another one" in line(guard)
        assert line(guard) == "up --shadow=candidate=canary:9000"


def test_a_changed_annotation_is_a_new_observer_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "shadow").write_text("candidate=127.0.0.1:9000")
    script = "import signal, sys; print(*sys.argv[1:]); signal.pause()"
    with guarded(script, f"--annotations={tmp_path}") as guard:
        assert line(guard) == "--shadow=candidate=127.0.0.1:9000"
        (tmp_path / "shadow").write_text("nowhere")
        assert "what was asked for before stays" in line(guard)
        (tmp_path / "shadow").write_text("stable=127.0.0.2:9000")
        assert "was ended for another one" in line(guard)
        assert line(guard) == "--shadow=stable=127.0.0.2:9000"
