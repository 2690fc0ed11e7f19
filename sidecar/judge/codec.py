"""What the judge holds in memory, as plain values of JSON, and back, to the last bit. Pure.

Rule: of a class of ours all attributes are written, and all are read again or nothing is: a file
of another version is an error and never a guess. What follows from the configuration (criteria,
plans, settings) is written as a name and taken from the one that is in force. Only classes of this
package are made, without calling anything of theirs but `blank`, which a class that is compiled
needs. Counterpart: `pieces`, which cuts.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from typing import Any

import numpy as np

_HOUSE = "sidecar."


class Codec:
    """Writes and reads values under one configuration."""

    def __init__(self, known: Mapping[str, object]) -> None:
        """Prepare.

        Args:
            known: what is written as its name.
        """
        self._known = dict(known)
        self._names = {id(thing): name for name, thing in known.items()}

    def plain(self, value: Any) -> Any:
        """Write.

        Raises:
            TypeError: something in it is of no kind that can be read again.
        """
        kind = type(value)
        if kind is str or kind is int or kind is float or kind is bool or value is None:
            return value
        if kind is list:
            return [self.plain(item) for item in value]
        name = self._names.get(id(value))
        if name is not None:
            return {"r": name}
        if kind is tuple:
            return {"t": [self.plain(item) for item in value]}
        if kind is dict:
            return {"d": [[self.plain(key), self.plain(item)] for key, item in value.items()]}
        return self._rare(value, kind)

    def _rare(self, value: Any, kind: type[Any]) -> Any:
        if kind is OrderedDict:
            return {"o": [[self.plain(key), self.plain(item)] for key, item in value.items()]}
        if kind is bytes:
            return {"b": base64.b64encode(value).decode()}
        if kind is set or kind is frozenset:
            return {"s" if kind is set else "f": sorted((self.plain(i) for i in value), key=repr)}
        if kind.__module__ == "numpy":
            return self._of_numpy(value)
        if kind.__module__.startswith(_HOUSE):
            named = f"{kind.__module__.removeprefix(_HOUSE)}:{kind.__qualname__}"
            if isinstance(value, Enum):
                return {"e": [named, value.value]}
            if isinstance(value, tuple):
                return {"n": [named, *(self.plain(item) for item in value)]}
            return {"c": [named, self.attributes(value)]}
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be kept")

    def _of_numpy(self, value: Any) -> Any:
        if type(value) is np.ndarray and value.dtype.kind in "biuf":
            data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
            return {"a": [value.dtype.str, list(value.shape), data]}
        if isinstance(value, np.generic):
            return {"g": [value.dtype.str, base64.b64encode(value.tobytes()).decode()]}
        raise TypeError(f"numpy.{type(value).__qualname__} cannot be kept")

    def attributes(self, thing: object) -> dict[str, Any]:
        """Every attribute of an instance, written."""
        return {name: self.plain(getattr(thing, name)) for name in names_of(thing)}

    def value(self, plain: Any) -> Any:
        """Read what `plain` wrote.

        Raises:
            ValueError: it was not written by this version, under this configuration.
        """
        if isinstance(plain, list):
            return [self.value(item) for item in plain]
        if not isinstance(plain, dict):
            return plain
        try:
            ((tag, inner),) = plain.items()
            return self._tagged(tag, inner)
        except (KeyError, TypeError, AttributeError, ImportError) as error:
            raise ValueError(f"not written by this version: {error!r}") from None

    def _tagged(self, tag: str, inner: Any) -> Any:
        match tag:
            case "t":
                return tuple(self.value(item) for item in inner)
            case "d":
                return {self.value(key): self.value(item) for key, item in inner}
            case "o":
                return OrderedDict((self.value(key), self.value(item)) for key, item in inner)
            case "r":
                return self._known[inner]
            case "b":
                return base64.b64decode(inner)
            case "s":
                return {self.value(item) for item in inner}
            case "f":
                return frozenset(self.value(item) for item in inner)
            case "a":
                dtype, shape, data = inner
                flat = np.frombuffer(base64.b64decode(data), dtype=np.dtype(dtype))
                return flat.reshape(shape).copy()
            case "g":
                return np.frombuffer(base64.b64decode(inner[1]), dtype=np.dtype(inner[0]))[0]
            case "e":
                return _class(inner[0])(inner[1])
            case "n":
                return _class(inner[0])._make(self.value(item) for item in inner[1:])
            case "c":
                thing = _blank(_class(inner[0]))
                self.restore(thing, inner[1])
                return thing
        raise ValueError(f"not written by this version: {tag!r}")

    def restore(self, thing: object, attributes: Mapping[str, Any]) -> None:
        """Give an instance the attributes that `attributes` wrote.

        Raises:
            ValueError: they are not those that it has.
        """
        expected = names_of(thing)
        if expected and set(attributes) != set(expected):
            differing = ", ".join(sorted(set(attributes) ^ set(expected)))
            raise ValueError(f"not written by this version: {type(thing).__name__} ({differing})")
        for name, plain in attributes.items():
            object.__setattr__(thing, name, self.value(plain))


def names_of(thing: object) -> list[str]:
    """The names of an instance's attributes."""
    slots = [
        name
        for kind in type(thing).__mro__
        # A compiled class lists its attributes, and has neither slots nor a dictionary.
        for listed in ("__slots__", "__mypyc_attrs__")
        for name in _listed(vars(kind).get(listed, ()))
        if name not in {"__dict__", "__weakref__"}
    ]
    return sorted({*slots, *vars(thing)} if hasattr(thing, "__dict__") else set(slots))


def _listed(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _blank(kind: Any) -> object:
    """An instance whose attributes are all to be given: a compiled class makes its own."""
    return kind.blank() if hasattr(kind, "blank") else object.__new__(kind)


def _class(named: str) -> Any:
    module, _, name = named.partition(":")
    found: Any = import_module(_HOUSE + module)
    for part in name.split("."):
        found = getattr(found, part)
    # It may have moved since that was written, but not out of the house.
    if not isinstance(found, type) or not found.__module__.startswith(_HOUSE):
        raise ValueError(f"no class of ours: {named}")
    return found
