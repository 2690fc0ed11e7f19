"""Holds the observer in its container: whatever happens to it, the container goes on.

A pod is Ready only while all its containers run, native sidecars included. If the observer were
the container's first process, its crash, its memory or a wrong configuration would take the model
server out of its service. So this is the first process: it starts the observer, restarts it with
a growing pause when it ends, when it passes its share of the container's memory, or when it stops
answering, and ends when it is told to.

Memory is bounded twice, because a kernel that runs out of the container's may kill this process
with the observer, and a container that keeps dying is kept down by the kubelet for minutes. The
observer has a limit of its own (RLIMIT_DATA) that no burst gets past: the allocation fails, in that
process, and at worst it dies. What it holds in all its processes is looked at twice a second. And
it is the first that the kernel takes (`oom_score_adj`). Whatever goes wrong in here is told and
tried again after the same pauses.

It also gives the observer what the pod's annotations say now: the kubelet keeps `--annotations`
up to date (a downward API volume), and a change of shadow, sample or rate is a new observer with
other flags. A rollout controller that makes canary pods stable ones turns their shadow that way.
A shadow whose name has no address, or leads to this very pod, is left out: see `names`.

Rule: standard library and `options` only, no state worth losing, one thread and another one for
the resolver. Counterparts: `containers`, which writes its command, and the observer, which knows
nothing of it.

    python -m sidecar.kube.guard [--memory BYTES] [--live URL] [--annotations DIR]
                                 [--own-port PORT]... -- COMMAND...
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from sidecar.kube.names import NOBODY, Names, Own
from sidecar.kube.options import FOLLOWED, parse_options

LOOK_SECONDS = 0.5  # how often the memory is looked at
LIVE_SECONDS = 10.0  # how often the observer is asked whether it lives
END_SECONDS = 10.0  # it is given to end when it is to be replaced
LIVE_FAILURES = 6  # in a row, before it is taken for hung
# Of what a process may write to, so much is never touched: the stacks of some 14 threads, 8 MiB
# each. Measured on an idle observer: 230 MiB reserved, 90 MiB resident.
UNTOUCHED = 128 << 20
FIRST_TO_DIE = "1000"
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
SETTLED_SECONDS = 60.0  # a life this long forgives the earlier ones
ENDS = {signal.SIGTERM, signal.SIGINT}
SIGNALS = {*ENDS, signal.SIGHUP, signal.SIGCHLD}


def next_pause(pause: float, lived: float) -> float:
    """Seconds to wait before the next start, after a pause of `pause` and a life of `lived`."""
    return FIRST_PAUSE if lived >= SETTLED_SECONDS else min(LAST_PAUSE, pause * 2)


def private_bytes(group: int) -> int:
    """Resident memory of a process group that is its own: not shared, not of a file."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        entry = Path("/proc", name)
        try:
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[2]) == group:
                _, resident, shared, *_ = (entry / "statm").read_text().split()
                total += (int(resident) - int(shared)) * page
        except (OSError, ValueError):
            continue  # it ended while we looked
    return total


def answers(url: str) -> bool:
    """Whether the URL answers with success within a second."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(200 <= response.status < 300)
    except (OSError, urllib.error.URLError):
        return False


def flags_from(directory: Path | None, names: Names) -> tuple[list[str], list[str]]:
    """The observer's flags that a pod's annotations ask for, and what is wrong with them.

    The directory has a file for each annotation in `FOLLOWED`, empty where the pod has none.
    Shadows that are not there are left out, and a rate with the last of them.
    """
    if directory is None:
        return [], []
    given = {}
    for name in FOLLOWED:
        try:
            text = (directory / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text:
            given[name] = text
    options, errors = parse_options({}, given)
    flags = [f"--shadow={shadow}" for shadow in options.shadow if not names.left_out(shadow)]
    if options.rate is not None and (flags or not options.shadow):
        flags.append(f"--rate={options.rate}")
    flags += [f"--sample={options.sample}"] if options.sample is not None else []
    return flags, errors


class Guard:
    """One observer after another, until told to end."""

    def __init__(
        self,
        command: list[str],
        memory: int | None,
        live: str | None,
        annotations: Path | None,
        own: Own = NOBODY,
    ) -> None:
        self._command = command
        self._annotations = annotations
        self._names = Names(own=own, say=_say)
        self._flags, errors = flags_from(annotations, self._names)
        self._told = errors
        for error in errors:
            _say(error)
        self._memory = memory
        self._live = live
        self._child = 0
        self._ending = False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit status."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if self._memory is not None:
            bound = self._memory + UNTOUCHED  # of each process: children inherit it
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            if hard == resource.RLIM_INFINITY or bound < hard:
                resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
        self._names.watch()  # after the mask, which its thread inherits
        pause = FIRST_PAUSE / 2
        while True:
            started = time.monotonic()
            try:
                why = self._start() or self._watch()
            except Exception as error:  # this process is the container: it must not end
                why = f"was given up: {type(error).__name__}: {error}"
                self._give_up()
            if self._ending:
                return 0
            pause = next_pause(pause, time.monotonic() - started)
            _say(f"the observer {why}; starting again in {pause:g} s")
            try:
                if self._told_to_end_within(pause):
                    return 0
            except Exception:  # a signal that came meanwhile is still waiting
                time.sleep(pause)

    def _start(self) -> str | None:
        command = [*self._command, *self._flags]
        try:
            self._child = os.posix_spawnp(
                command[0], command, os.environ, setpgroup=0, setsigmask=()
            )
        except OSError as error:
            return f"cannot be started: {error.strerror}: {self._command[0]}"
        with contextlib.suppress(OSError):  # it may be gone already, or the system forbid it
            Path(f"/proc/{self._child}/oom_score_adj").write_text(FIRST_TO_DIE)
        return None

    def _give_up(self) -> None:
        """End what was started, whatever state it is in."""
        with contextlib.suppress(Exception):
            if self._child:
                self._signal(signal.SIGKILL)
                os.waitpid(self._child, 0)

    def _watch(self) -> str:
        """Returns why the child is no more."""
        misses = 0
        next_live = time.monotonic() + LIVE_SECONDS
        why, until = "", 0.0
        while True:
            got = self._wait(LOOK_SECONDS)
            if (status := self._reap()) is not None:
                return why or _words(status)
            if got is not None and got.si_signo != signal.SIGCHLD:
                self._signal(signal.Signals(got.si_signo))
            if self._ending or why:
                if why and time.monotonic() > until:
                    self._signal(signal.SIGKILL)  # it was asked to end, and did not
                continue
            until = time.monotonic() + END_SECONDS
            if self._memory is not None and private_bytes(self._child) > self._memory:
                why = f"passed {self._memory} bytes of memory and was killed"
            if self._live is not None and time.monotonic() >= next_live:
                misses = 0 if answers(self._live) else misses + 1
                next_live = time.monotonic() + LIVE_SECONDS
                if misses >= LIVE_FAILURES:
                    why = f"did not answer {misses} times and was killed"
            if why:
                self._signal(signal.SIGKILL)
            elif self._turned():
                why = f"was ended for another one with {' '.join(self._flags) or 'no shadow'}"
                self._signal(signal.SIGTERM)

    def _turned(self) -> bool:
        """Whether the annotations ask for other flags than the observer has."""
        flags, errors = flags_from(self._annotations, self._names)
        if errors and errors != self._told:
            for error in errors:
                _say(f"{error}; what was asked for before stays")
        self._told = errors
        if errors or flags == self._flags:
            return False
        self._flags = flags
        return True

    def _wait(self, seconds: float) -> signal.struct_siginfo | None:
        got = signal.sigtimedwait(SIGNALS, seconds)
        self._ending = self._ending or (got is not None and got.si_signo in ENDS)
        return got

    def _told_to_end_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not self._ending and (left := until - time.monotonic()) > 0:
            self._wait(left)
            self._reap()
        return self._ending

    def _reap(self) -> int | None:
        """Bury whoever died: as a container's first process we inherit orphans too."""
        found = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            if pid == self._child:
                found = os.waitstatus_to_exitcode(status)
                self._signal(signal.SIGKILL)  # what it left behind in its group

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._child, number)
        except ProcessLookupError:
            return


def _words(status: int) -> str:
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads: no reason to end
        print(f"guard: {text}", file=sys.stderr, flush=True)


def main(argv: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m sidecar.kube.guard")
    parser.add_argument("--memory", type=int, help="bytes the observer may hold for itself")
    parser.add_argument("--live", help="URL that answers while the observer lives")
    parser.add_argument("--annotations", type=Path, help="directory of the pod's annotations")
    parser.add_argument(
        "--own-port", type=int, action="append", default=[], help="of this pod; not a shadow's"
    )
    parser.add_argument("command", nargs="+")
    args = parser.parse_args(argv)
    pod = os.environ.get("POD_IPS", "").split(",")
    own = Own(frozenset(filter(None, pod)), frozenset(args.own_port))
    return Guard(args.command, args.memory, args.live, args.annotations, own).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
