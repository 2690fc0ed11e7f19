"""Which of the two builds runs, and that it says so."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import sidecar
from sidecar.build import BUILD

EXPECTED = os.environ.get("TESTED_BUILD", "python")
"""Set by `make test-compiled`, so that a compiled run that tests plain Python fails."""


def test_the_build_that_is_tested_is_the_one_that_was_asked_for() -> None:
    assert BUILD == EXPECTED


def test_the_command_says_which_build_it_is() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "sidecar", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"shadow-sidecar {sidecar.__version__} ({EXPECTED})\n"


def test_what_is_compiled_lies_beside_its_source() -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    here = Path(sidecar.__file__).parent
    compiled = [path for path in here.rglob(f"*{suffix}") if "__mypyc" not in path.name]
    assert bool(compiled) == (EXPECTED == "compiled")
    for path in compiled:
        assert path.with_name(path.name.removesuffix(suffix) + ".py").exists()
