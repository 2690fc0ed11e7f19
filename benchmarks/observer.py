"""What the observer manages for each CPU second, where the time goes, and how it scales.

A call counts once it was read, shadowed, compared, counted and, for a tenth of those that agree,
told to a real collector. Envoy's mirror counts calls that its mirror cluster completed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks import paths
from benchmarks.account import Quiet, cpu_ns, machine_busy, settle
from benchmarks.builds import Build
from benchmarks.ends import echoes
from benchmarks.load import Shape, closed_loop
from benchmarks.measure import Figure
from benchmarks.paths import Way
from benchmarks.profile import Profile, take

OURS, WHOLE, ENVOY = "observer", "observer and wire", "Envoy, HTTP mirror"
PYTHON = "observer as Python"
PACED = "8 x 1 at 400 calls/s"
LOOPS: Mapping[str, tuple[Shape, int]] = {
    PACED: (Shape(8, 1, 200), 50),
    "1 x 1": (Shape(1, 1, 200), 0),
    "8 x 1": (Shape(8, 1, 200), 0),
    "4 x 16": (Shape(4, 16, 200), 0),
}


@dataclass(slots=True)
class Scale:
    """Shadowed calls a second with so many observers."""

    rate: Figure = field(default_factory=Figure)
    production: Figure = field(default_factory=Figure)  # calls a second, all
    observers: Figure = field(default_factory=Figure)  # cores that they used
    machine: Figure = field(default_factory=Figure)  # share of all cores that was busy


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Calls for each CPU second by load and by who; the share of calls shadowed; the rest."""

    per_cpu_second: Mapping[str, Mapping[str, Figure]]
    share: Mapping[str, Figure]
    profiles: Mapping[Build, Profile]
    scale: Mapping[int, Scale]


def run(
    step: Callable[[str], None], env: Mapping[str, str], quiet: Quiet, *, quick: bool
) -> Efficiency:
    """Measure; `env` says where spans go."""
    repeats, seconds = (1, 1.0) if quick else (4, 1.5)
    # What is asked for is the work that one CPU second does, so nobody steps back here.
    normal = {"observer.priority": "normal"}
    ours = paths.sidecar(1.0, env=env, settings=normal)
    python = paths.sidecar(1.0, build="python", env=env, settings=normal)
    envoy = paths.envoy_http(1.0)
    found: dict[str, dict[str, Figure]] = defaultdict(lambda: defaultdict(Figure))
    share: dict[str, Figure] = defaultdict(Figure)
    order = random.Random(3)
    with echoes() as (production, shadow):
        for repeat in range(repeats):
            for way in order.sample([ours, python, envoy], 3):
                step(f"{repeat + 1}/{repeats} {way.name}")
                _one(way, production, shadow, seconds, found, share, quiet)
        step("profile")
        profiles: dict[Build, Profile] = {}
        builds: list[tuple[Build, Way]] = [("compiled", ours), ("python", python)]
        for build, way in builds:
            long = 16.0 if build == "compiled" else 8.0
            profiles[build] = take(way, build, production, shadow, 2.5 if quick else long)
        scale = _scale(step, env, quiet, production, shadow, repeats=repeats, seconds=seconds)
    return Efficiency(found, share, profiles, scale)


def _one(
    way: Way,
    production: str,
    shadow: str,
    seconds: float,
    found: dict[str, dict[str, Figure]],
    share: dict[str, Figure],
    quiet: Quiet,
) -> None:
    with way.open(production, shadow) as it:
        closed_loop(it.address, Shape(8, 1, 200), 0.5)
        settle(it.behind)
        for name, (shape, rate) in LOOPS.items():
            quiet()
            done, path, behind = it.shadowed(), cpu_ns(it.in_path), cpu_ns(it.behind)
            result = closed_loop(it.address, shape, seconds, rate=rate)
            settle(it.behind)
            done = it.shadowed() - done
            path, behind = cpu_ns(it.in_path) - path, cpu_ns(it.behind) - behind
            if it.behind and "Python" in way.name:
                found[name][PYTHON].values.append(done / behind * 1e9)
            elif it.behind:
                found[name][OURS].values.append(done / behind * 1e9)
                found[name][WHOLE].values.append(done / (behind + path) * 1e9)
                share[name].values.append(done / max(1, result.calls))
            else:
                found[name][ENVOY].values.append(done / path * 1e9)


def _scale(
    step: Callable[[str], None],
    env: Mapping[str, str],
    quiet: Quiet,
    production: str,
    shadow: str,
    *,
    repeats: int,
    seconds: float,
) -> Mapping[int, Scale]:
    found: dict[int, Scale] = defaultdict(Scale)
    for repeat in range(repeats):
        for processes in (1, 2):
            step(f"{repeat + 1}/{repeats} {processes} observer processes")
            settings = {"observer.priority": "normal", "observer.processes": processes}
            with paths.sidecar(1.0, env=env, settings=settings).open(production, shadow) as it:
                closed_loop(it.address, Shape(8, 1, 200), 0.5)
                settle(it.behind)
                quiet()
                done, behind, machine = it.shadowed(), cpu_ns(it.behind), machine_busy()
                result = closed_loop(it.address, Shape(8, 1, 200), seconds)
                busy, whole = (b - a for a, b in zip(machine, machine_busy(), strict=True))
                used = cpu_ns(it.behind) - behind
                cell = found[processes]
                cell.rate.values.append((it.shadowed() - done) / seconds)
                cell.production.values.append(result.rate)
                cell.observers.values.append(used / 1e9 / seconds)
                cell.machine.values.append(busy / whole)
    return dict(found)
