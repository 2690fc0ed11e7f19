"""The compiled build: which modules, and why. All else about the package is in pyproject.toml.

    pip install .                      as Python, anywhere
    SHADOW_SIDECAR_COMPILED=1 pip install --no-build-isolation .     these modules compiled

One source, two builds: mypyc compiles typed Python as it stands; it needs mypy, a C compiler and
Python's headers. A compiled module lies beside its source, which is what is imported wherever the
compiled one does not fit. `make compiled`, `make wheel` and the Dockerfile come through here.
"""

import os
from pathlib import Path

from setuptools import setup

WIRE = {
    "sidecar/wire/*.py": "production's path: each read",
}
"""In a library of its own, which is all that the process in production's path loads."""

COMPILED = {
    "sidecar/call.py": "made several times a call",
    "sidecar/status.py": "asked for each answer",
    "sidecar/http2/*.py": "both sides' frames, header blocks and messages",
    "sidecar/observe/*.py": "the tap's records become calls",
    "sidecar/compare/*.py": "each compared call",
    "sidecar/compare/readers/*.py": "each answer is read",
    "sidecar/compare/rules/*.py": "each output is compared",
    "sidecar/tee/*.py": "each call to a shadow",
    "sidecar/telemetry/*.py": "each call's trace context; the spans of those that are told",
    "sidecar/experiment/*.py": "the life of a call",
    "sidecar/judge/judge.py": "each compared call is counted",
    "sidecar/judge/held.py": "with `judge`",
    "sidecar/judge/pair.py": "made for each compared call",
    "sidecar/judge/times.py": "found for each",
    "sidecar/judge/levels.py": "asked for each, and learns from it",
    "sidecar/judge/block_cells.py": "each adds to its blocks",
    "sidecar/judge/examples.py": "each may be one",
    "sidecar/judge/tallies/*.py": "each is counted for every criterion",
    "sidecar/judge/criteria/counting.py": "with `tallies`",
    "sidecar/judge/evidence/splat.py": "with `tallies`",
    "sidecar/judge/evidence/effective.py": "each request's digest",
    "sidecar/judge/evidence/histogram.py": "each one's latencies",
}
"""What is done for each call. Of `judge/` only what counts: what decides runs as it was proven, as
Python, and is asked about once a second."""

AS_PYTHON = {
    "*/__init__.py": "nothing in it runs for a call",
    "*/__main__.py": "run by its path",
    "*/settings.py": "pydantic makes its models of annotations at run time",
    "sidecar/compare/readers/reflection.py": "an async generator, which mypyc does not know",
    "sidecar/compare/rules/json.py": "numbers of any size: an int beyond any float is a TypeError",
    "sidecar/experiment/keeping.py": "about once a second",
    "sidecar/tee/dial.py": "once a connection; compiled, a handshake fails after one that failed",
    "sidecar/tee/sealed.py": "with `dial`",
    "sidecar/telemetry/exporter.py": "a thread of its own; __thread is a word of C's",
    "sidecar/telemetry/environment.py": "at the start",
    "sidecar/telemetry/http_exporter.py": "once a batch",
    "sidecar/telemetry/grpc_exporter.py": "the same",
    "sidecar/telemetry/lazy.py": "the same",
    "sidecar/telemetry/families.py": "once a minute",
    "sidecar/telemetry/push.py": "with `families`",
}


def modules(patterns: dict[str, str]) -> list[str]:
    """The files to be compiled."""
    found = [path for pattern in patterns for path in sorted(Path().glob(pattern))]
    return [p.as_posix() for p in found if not any(p.match(left) for left in AS_PYTHON)]


def extensions() -> list[object]:
    """What setuptools builds: nothing, unless SHADOW_SIDECAR_COMPILED is set."""
    if os.environ.get("SHADOW_SIDECAR_COMPILED", "") in {"", "0"}:
        return []
    from mypyc.build import mypycify

    # Types are checked by `make lint`; here what a module imports may be absent.
    checking = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    found = [
        extension
        for group, patterns in (("wire", WIRE), ("observer", COMPILED))
        for extension in mypycify(
            [*checking, *modules(patterns)],
            opt_level="2",
            debug_level="0",
            multi_file=True,
            group_name=f"shadow_sidecar_{group}",
        )
    ]
    for extension in found:
        # Sums are those of Python to the last bit: a compiler may fuse a product and a sum into one
        # rounding, where the machine can (aarch64).
        extension.extra_compile_args.append("-ffp-contract=off")
    return found


setup(ext_modules=extensions())
