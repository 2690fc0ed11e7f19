"""The one rule between the rooms: a package imports only what stands above it in the list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import sidecar

HOUSE = Path(sidecar.__file__).parent
FREE = "run"


def _order() -> list[str]:
    """The rooms from top to bottom, as the map in `sidecar/__init__.py` lists them."""
    assert sidecar.__doc__ is not None
    block = sidecar.__doc__.partition("The rooms,")[2].partition("A section of the settings")[0]
    rooms: list[str] = []
    for line in block.splitlines():
        if found := re.match(r"    ([a-z0-9]+(?:, [a-z0-9]+)*)  ", line):
            rooms += found[1].split(", ")
    return rooms


ORDER = _order()


def _room(module: str) -> str:
    """ "sidecar.judge.verdict" lives in "judge"."""
    return module.split(".")[1]


def _modules() -> dict[str, Path]:
    found = {}
    for file in sorted(HOUSE.rglob("*.py")):
        parts = ["sidecar", *file.relative_to(HOUSE).with_suffix("").parts]
        if "pb" in parts or parts == ["sidecar", "__init__"]:
            continue
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = _modules()


def _imported(file: Path, *, typing_too: bool = True) -> Iterator[str]:
    """The modules of ours that a file imports, anywhere in it."""
    for node in _nodes(ast.parse(file.read_text(encoding="utf-8")), typing_too):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("sidecar."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sidecar"):
            module = node.module or ""
            for alias in node.names:
                name = f"{module}.{alias.name}"
                if name in MODULES:
                    yield name
                elif module != "sidecar":
                    yield module


def _nodes(tree: ast.AST, typing_too: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if (
            not typing_too
            and isinstance(node, ast.If)
            and ast.unparse(node.test) == "TYPE_CHECKING"
        ):
            continue
        yield node
        yield from _nodes(node, typing_too)


def test_every_room_is_on_the_map() -> None:
    rooms = {_room(module) for module in MODULES} - {"__main__"}
    assert rooms <= set(ORDER), rooms - set(ORDER)


def test_a_room_imports_only_rooms_above_it() -> None:
    upward = []
    for module, file in MODULES.items():
        room = _room(module)
        if room in {FREE, "__main__"}:
            continue
        upward += [
            f"{module} imports {other}"
            for other in _imported(file)
            if _room(other) != room and ORDER.index(_room(other)) >= ORDER.index(room)
        ]
    assert not upward


def test_no_files_import_each_other_in_a_circle() -> None:
    edges = {
        module: set(_imported(file, typing_too=False)) - {module}
        for module, file in MODULES.items()
    }
    done: set[str] = set()
    while len(done) < len(edges):
        ready = {
            m for m, others in edges.items() if m not in done and not (others & edges.keys()) - done
        }
        assert ready, sorted(set(edges) - done)
        done |= ready


def test_the_top_of_the_house_holds_small_things_only() -> None:
    files = {file.stem for file in HOUSE.glob("*.py")} - {"__init__", "__main__"}
    assert files == {"address", "build", "call", "fields", "log", "status", "tasks"}
