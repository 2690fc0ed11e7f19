"""A package that is loaded when it is needed is the same to whoever uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = {
    "__init__.py": """
        import threading
        asked = threading.Event()
        asked.wait(0.2)  # the others find it half loaded, if it can be found so
        from late import inside
        value = inside.value
        def __getattr__(name):
            if name == "made":
                return "made"
            raise AttributeError(name)
        """,
    "inside.py": """
        import builtins
        builtins.times = getattr(builtins, "times", 0) + 1
        value = 42
        """,
    "beside.py": "from late import value\n",
    "deep/__init__.py": "",
    "deep/er.py": "from late.inside import value\n",
}
BEGIN = """
import sys, builtins
from sidecar.run.later import Later, later, load
later("late")
import late
assert type(late) is Later and not hasattr(builtins, "times")
"""


@pytest.fixture(name="ran")
def run_in(tmp_path: Path) -> object:
    """Runs a program in a fresh process that has the package."""
    (tmp_path / "late" / "deep").mkdir(parents=True)
    for name, text in PACKAGE.items():
        lines = [line.removeprefix(" " * 8) for line in text.splitlines()]
        (tmp_path / "late" / name).write_text("\n".join(lines) + "\n")

    def ran(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{BEGIN}"
             f"{program}\nassert builtins.times == 1 and type(sys.modules['late']) is not Later"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert not done.returncode, done.stderr
        return done.stdout

    return ran


@pytest.mark.parametrize(
    "use",
    [
        "print(late.value)",
        "from late import value; print(value)",
        "from late.inside import value; print(value)",
        "import late.inside; print(late.inside.value)",
        "from late.beside import value; print(value)",
        "from late.deep.er import value; print(value)",
        "from late.deep import er; print(er.value)",
        "load('late'); print(late.value)",
        "print(late.made and late.value)",
        "import pickle; print(pickle.loads(b'clate.inside\\nvalue\\n.'))",
    ],
)
def test_however_it_is_used_first_it_is_loaded_once(ran: object, use: str) -> None:
    assert callable(ran)
    assert ran(use) == "42\n"


def test_what_it_lacks_it_lacks_then_too(ran: object) -> None:
    assert callable(ran)
    assert ran("print(hasattr(late, 'nothing'), late.value)") == "False 42\n"


def test_many_threads_that_need_it_at_once_all_find_it_whole(ran: object) -> None:
    program = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
together = Barrier(8)
def use(i):
    together.wait()
    return late.value if i % 2 else __import__("importlib").import_module("late.beside").value
with ThreadPoolExecutor(8) as pool:
    print(*pool.map(use, range(8)))
"""
    assert callable(ran)
    assert ran(program) == " ".join(["42"] * 8) + "\n"


def test_one_that_is_loaded_already_stays(ran: object) -> None:
    assert callable(ran)
    assert ran("late.value; it = sys.modules['late']; later('late')\n"
               "print(sys.modules['late'] is it)") == "True\n"  # fmt: skip
