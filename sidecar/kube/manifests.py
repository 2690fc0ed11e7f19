"""YAML in, YAML out: injects the manifests of a file and leaves the rest of the text alone.

Rule: a document that does not change is printed byte for byte; in one that does, only the changed
nodes are touched, so that comments, order, quotes and anchors stay. Counterpart: `workloads`,
which says what changes.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from sidecar.kube import patch
from sidecar.kube.bypasses import ways_past
from sidecar.kube.namespaces import defaults_of
from sidecar.kube.options import InjectError
from sidecar.kube.templates import injected_in, title
from sidecar.kube.workloads import inject_object, uninject_object

CRLF = "\r\n"  # of a file that came from Windows, and goes back there
_MARKER = re.compile(r"^---(?=\s|$).*\n?", re.MULTILINE)
_LIST_INDENT = re.compile(
    r"^( *)(?!- )[^\s#][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:\s*#[^\n]*\n)*( *)- ", re.M
)
_MAP_INDENT = re.compile(r"^[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n( +)[^\s#-]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The changed text, and what a person should know about it."""

    text: str
    injected: tuple[str, ...] = ()  # kind and name
    unchanged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def inject_text(text: str, defaults: Mapping[str, str]) -> Outcome:
    """Inject every manifest of a YAML or JSON text, which may hold several documents.

    What another version injected is injected anew. A Namespace's annotations are the defaults of
    what the same text has in it.

    Raises:
        InjectError: with every error of every document.
    """
    spaces: dict[str, Mapping[str, str]] = {}

    def change(document: dict[str, Any]) -> dict[str, Any]:
        space = str((document.get("metadata") or {}).get("namespace") or "")
        return inject_object(document, {**defaults, **spaces.get(space, {})}, upgrade=True)

    for piece in _documents(text.replace(CRLF, "\n")):
        with contextlib.suppress(YAMLError):  # it is told below
            document = _plain(_reader(piece).load(piece)) if "Namespace" in piece else None
            for thing in _objects(document) if isinstance(document, dict) else ():
                if thing.get("kind") == "Namespace":
                    found = defaults_of(thing)
                    spaces[str((thing.get("metadata") or {}).get("name"))] = found.values
                    wrong = list(found.wrong)
                    if wrong:
                        raise InjectError(wrong)
    return change_text(text, change)


def uninject_text(text: str) -> Outcome:
    """The manifests without the sidecar; `injected` of the outcome names those that had it.

    Raises:
        InjectError: a document is not YAML.
    """
    return change_text(text, uninject_object)


def change_text(text: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Outcome:
    """Change every manifest of a text, and nothing else of it.

    Raises:
        InjectError: with every error of every document.
    """
    if CRLF in text:
        found = change_text(text.replace(CRLF, "\n"), change)
        return replace(found, text=found.text.replace("\n", CRLF))
    errors: list[str] = []
    pieces: list[str] = []
    injected: list[str] = []
    unchanged: list[str] = []
    before: list[dict[str, Any]] = []
    after: list[dict[str, Any]] = []
    line = 1
    for piece in _documents(text):
        reader = _reader(piece)
        try:
            tree = reader.load(piece)
            document = _plain(tree)
            made = change(document) if isinstance(document, dict) else document
        except YAMLError as error:
            errors.append(f"the document at line {line}: not YAML: {' '.join(str(error).split())}")
        except InjectError as error:
            errors += error.errors
        else:
            changed = isinstance(document, dict) and made != document
            if isinstance(document, dict):
                (injected if changed else unchanged).append(title(document))
                before.append(document)
                after.append(made)
            pieces.append(_rewritten(piece, reader, tree, document, made) if changed else piece)
        line += piece.count("\n")
    if errors:
        raise InjectError(errors)
    warnings = _told(before, after)
    return Outcome("".join(pieces), tuple(injected), tuple(unchanged), tuple(warnings))


def _documents(text: str) -> Iterator[str]:
    """The text, cut before each document's marker; joined again it is the same."""
    starts = sorted({0, *(match.start() for match in _MARKER.finditer(text))})
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if start < end:
            yield text[start:end]


def _reader(piece: str) -> YAML:
    reader = YAML(typ="rt")
    reader.preserve_quotes = True
    reader.width = 1 << 16
    lists, maps = _LIST_INDENT.search(piece), _MAP_INDENT.search(piece)
    mapping = len(maps[1]) if maps else 2
    offset = len(lists[2]) - len(lists[1]) if lists else 0
    reader.indent(mapping=mapping, sequence=offset + 2, offset=offset)
    return reader


def _rewritten(
    piece: str, reader: YAML, tree: Any, document: dict[str, Any], made: dict[str, Any]
) -> str:
    if _MARKER.match(piece) is None and piece.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            json.loads(piece)
            return json.dumps(made, indent=2) + "\n"
    operations = patch.diff(document, made)
    for operation in operations:
        if "value" in operation:
            operation["value"] = _quoted(operation["value"])
    patch.apply(tree, operations)
    if _plain(tree) != made:
        tree = _quoted(made)  # an anchor is shared by parts that are no longer the same
    out = io.StringIO()
    reader.explicit_start = False
    reader.dump(tree, out)
    marker = _MARKER.match(piece)
    if marker is None:
        return out.getvalue()
    line = marker[0].strip()
    return f"{line if line.startswith('--- #') else '---'}\n{out.getvalue()}"


def _plain(node: Any) -> Any:
    """The tree without what the round trip needs."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, ScalarBoolean):
        return bool(node)
    for wrapper, kind in ((ScalarInt, int), (ScalarFloat, float), (str, str)):
        if isinstance(node, wrapper):
            return kind(node)
    return node


def _quoted(value: Any) -> Any:
    """Quotes around what YAML 1.1, which cluster tools read, would not take for a string."""
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, str):
        try:
            same = yaml.safe_load(value) == value
        except yaml.YAMLError:
            same = False
        return value if same else DoubleQuotedScalarString(value)
    return value


def _told(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[str]:
    """What in the same text leads past the wire, or stops it."""
    pods = []
    for old, new in zip(before, after, strict=True):
        for was, made in zip(_objects(old), _objects(new), strict=True):
            if was != made and (found := injected_in(made)) is not None:
                pods.append(found)
    yield from ways_past(pods, (thing for document in before for thing in _objects(document)))


def _objects(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(item) if isinstance(item, dict) else ()
    else:
        yield document
