"""The configuration's reference, written from the settings themselves. Pure, but for source files.

Rule: nothing is said here that is not said where a setting is declared: its comment is its
meaning, its annotation its bounds, its mark whether it is live. What all kinds of a
section have in common stands once, before them. Counterparts: every package's `settings`;
`docs/configuration.md`, which a test compares; `shadow-sidecar config`.
"""

from __future__ import annotations

import inspect
import io
import json
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sidecar.fields import Section
from sidecar.settings.settings import Settings

HEAD = """# Configuration

Written by `shadow-sidecar config reference > docs/configuration.md`; a test holds it current.

Flags win over environment variables (`SHADOW_SIDECAR_` and the key's path joined by `__`, values
as YAML), these over the YAML file, this over the defaults. Sizes are bytes and durations seconds
unless a key says otherwise. **live**: changes while running, when the file changes or on SIGHUP;
everything else needs a restart. `shadow-sidecar check-config FILE` tells every error at once, and
`shadow-sidecar config schema` prints the JSON schema for editors.
"""


def reference() -> str:
    """The reference as Markdown, one table for each section."""
    return HEAD + "".join(_tables(Settings, "", live=False, seen=set()))


def schema() -> dict[str, Any]:
    """The JSON schema of the configuration file."""
    made = Settings.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _tables(
    section: type[Section],
    path: str,
    *,
    live: bool,
    seen: set[str],
    shared: type[Section] | None = None,
) -> Iterator[str]:
    meanings = _meanings(section)
    plain, nested = [], []
    for name, field in section.model_fields.items():
        if shared is not None and repr(shared.model_fields.get(name)) == repr(field):
            continue
        below = f"{path}.{name}" if path else name
        marked = live or name in section.live()
        inner = list(dict.fromkeys(_sections(field.annotation)))
        row = (name, _kind(field, inner), _default(field, inner), meanings.get(name, ""))
        if inner:
            listed = "[]" if "tuple" in str(field.annotation) else ""
            common = _shared(inner)
            kinds = [(each, common) for each in inner]
            first = [(common, None)] if common is not None else []
            nested += [(f"{below}{listed}", *each, marked) for each in [*first, *kinds]]
        if not inner or listed or len(inner) > 1 or field.default is None:
            plain.append(_row(*row, live=marked))
    title = path or "Top level"
    if "kind" in section.model_fields:
        kind = section.model_fields["kind"]
        title += " of every kind" if kind.is_required() else f" of kind {kind.default}"
    if plain:
        yield f"\n## {title}\n\n{_summary(section)}\n\n"
        yield "| key | type | default | | meaning |\n|---|---|---|---|---|\n"
        yield "".join(plain)
    for below, inner_section, common, marked in nested:
        at = f"{below} {inner_section.__name__}"
        if at not in seen:
            seen.add(at)
            yield from _tables(inner_section, below, live=marked, seen=seen, shared=common)


def _shared(kinds: list[type[Section]]) -> type[Section] | None:
    """What all of several kinds are made of, if there are several."""
    if len(kinds) < 2:
        return None
    bases = (each for each in kinds[0].__mro__ if issubclass(each, Section) and each.model_fields)
    return next((b for b in bases if all(issubclass(kind, b) for kind in kinds)), None)


def _row(name: str, kind: str, default: str, meaning: str, *, live: bool) -> str:
    cells = (f"`{name}`", kind, default, "live" if live else "", meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """Every section that a field's annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


def _kind(field: FieldInfo, inner: list[type[Section]]) -> str:
    """What is allowed, in few words."""
    if inner:
        return "list of sections" if "tuple" in str(field.annotation) else "section"
    annotated: Any = field.rebuild_annotation()
    return _words(TypeAdapter(annotated).json_schema())


def _words(found: dict[str, Any]) -> str:
    if "anyOf" in found:
        return " or ".join(_words(each) for each in found["anyOf"])
    if "enum" in found:
        return " or ".join(f"`{each}`" for each in found["enum"])
    kind = str(found.get("type", "any"))
    if kind == "array":
        inner = found.get("items", {})
        return f"list of {_words(inner)}" if inner else "list"
    names = {"null": "nothing", "object": "mapping", "string": "text", "boolean": "true or false"}
    bounds = [
        f"{word} {found[key]:g}"
        for key, word in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if key in found
    ]
    return ", ".join([names.get(kind, kind), *bounds])


def _default(field: FieldInfo, inner: list[type[Section]]) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined or (inner and default):
        return ""
    if isinstance(default, Path):
        default = str(default)
    text = json.dumps(default, default=str)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def _summary(section: type[Section]) -> str:
    """Its docstring; of a kind, which is a module of its own, also the module's first sentence."""
    text = (inspect.getdoc(section) or "").strip()
    kind = section.model_fields.get("kind")
    if kind is None or kind.is_required():
        return text
    measured = (sys.modules[section.__module__].__doc__ or "").strip().partition("\n")[0]
    return f"{text} {measured}"


def _meanings(section: type[Section]) -> dict[str, str]:
    """Each field's comment, where it was declared last: above it, and behind it."""
    found: dict[str, str] = {}
    for each in reversed(section.__mro__):
        if issubclass(each, Section) and each.model_fields:
            found |= _comments(each)
    return found


def _comments(section: type[Section]) -> dict[str, str]:
    source = inspect.cleandoc("\n" + inspect.getsource(section))
    found: dict[str, str] = {}
    above: list[str] = []
    name, started = "", False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.lstrip("# ")
            if "noqa" in text or "type: ignore" in text:
                continue
            if started:
                found[name] = f"{found.get(name, '')} {text}".strip()
            else:
                above.append(text)
        elif token.type == tokenize.NAME and not started:
            name, started = token.string, True
            if above and name in section.model_fields:
                found[name] = " ".join(above)
            above = []
        elif token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}:
            started = False
    return {key: text for key, text in found.items() if key in section.model_fields}
