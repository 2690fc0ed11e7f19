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

COMPILED = {
    "sidecar/call.py": "made several times a call",
    "sidecar/status.py": "asked for each answer",
    "sidecar/wire/*.py": "production's path: each read",
    "sidecar/http2/*.py": "both sides' frames, header blocks and messages",
    "sidecar/observe/*.py": "the tap's records become calls",
    "sidecar/compare/*.py": "each compared call",
    "sidecar/compare/readers/*.py": "each answer is read",
    "sidecar/compare/rules/*.py": "each output is compared",
    "sidecar/judge/*.py": "each compared call is counted",
    "sidecar/judge/evidence/*.py": "each compared call is counted",
    "sidecar/tee/*.py": "each call to a shadow",
    "sidecar/telemetry/*.py": "each call's trace context; the spans of those that are told",
    "sidecar/experiment/*.py": "the life of a call",
}
AS_PYTHON = {
    "*/__init__.py": "nothing in it runs for a call",
    "*/__main__.py": "run by its path",
    "*/settings.py": "pydantic makes its models of annotations at run time",
    "sidecar/compare/readers/reflection.py": "an async generator, which mypyc does not know",
    "sidecar/judge/decision.py": "the same",
    "sidecar/judge/labels.py": "the same; labels are rare",
    "sidecar/compare/readers/reflection.py": "an async generator, which mypyc does not know",
    "sidecar/telemetry/exporter.py": "a thread of its own; __thread is a word of C's",
    "sidecar/telemetry/environment.py": "at the start",
}


def modules() -> list[str]:
    """The files to be compiled."""
    found = [path for pattern in COMPILED for path in sorted(Path().glob(pattern))]
    return [p.as_posix() for p in found if not any(p.match(left) for left in AS_PYTHON)]


def extensions() -> list[object]:
    """What setuptools builds: nothing, unless SHADOW_SIDECAR_COMPILED is set."""
    if os.environ.get("SHADOW_SIDECAR_COMPILED", "") in {"", "0"}:
        return []
    from mypyc.build import mypycify

    # Types are checked by `make lint`; here what a module imports may be absent.
    checking = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    return list(mypycify([*checking, *modules()], opt_level="3", debug_level="0", multi_file=True))


setup(ext_modules=extensions())
