"""What a change is, and what all protocols do alike. Pure: the draws are an argument."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from sidecar.compare.payload import Array

_NOISE = re.compile(r"(?P<name>[^:=]+):noise=(?P<amount>[0-9.eE+-]+)")


class Normal(Protocol):
    """Where draws come from: numpy's Generator has it."""

    def standard_normal(self, size: int) -> Array:
        """So many draws of the standard normal distribution."""
        ...


class PerturbError(ValueError):
    """A change that cannot be read."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one input of every request."""

    input: str
    how: Literal["noise", "missing", "swap"]
    amount: float = 0.0  # noise: standard deviation, relative to the input's own size

    def __str__(self) -> str:
        return (
            f"{self.input}:noise={self.amount:g}"
            if self.how == "noise"
            else (f"{self.input}=missing" if self.how == "missing" else f"{self.input}:swap")
        )


def parse_change(text: str) -> Change:
    """Read `INPUT:noise=0.01`, `INPUT=missing` or `INPUT:swap`.

    Raises:
        PerturbError: it is none of these.
    """
    if found := _NOISE.fullmatch(text):
        try:
            amount = float(found["amount"])
        except ValueError:
            amount = 0.0
        if 0 < amount < float("inf"):
            return Change(found["name"], "noise", amount)
    for end, how in (("=missing", "missing"), (":swap", "swap")):
        name = text.removesuffix(end)
        if name and name != text and ":" not in name and "=" not in name:
            return Change(name, "missing" if how == "missing" else "swap")
    raise PerturbError(
        f"{text!r}: must be INPUT:noise=0.01 (relative), INPUT=missing or INPUT:swap"
    )


@dataclass(frozen=True, slots=True)
class Changed:
    """A changed request, and how far from the original its input is."""

    message: bytes
    relative: float  # |changed - original| / |original|, Euclidean; 1 where it has no size


class Changer(Protocol):
    """Changes the requests of one protocol."""

    def __call__(
        self, change: Change, message: bytes, other: bytes, draws: Normal
    ) -> Changed | None:
        """Change one request.

        Args:
            change: what to do.
            message: the request.
            other: another call's, which `swap` takes the input from.
            draws: the noise.

        Returns:
            None where the request has no such input, or it cannot be changed in that way.

        Raises:
            DecodeError, UndecodableError: it is no message of that protocol.
        """
        ...


def noisy(values: Array, amount: float, draws: Normal) -> Array:
    """The same values of the same type, each with noise of a share of their root mean square."""
    noise = draws.standard_normal(values.size).reshape(values.shape)
    return (values + noise * amount * _scale(values)).astype(values.dtype)


def distance(a: Array | None, b: Array | None) -> float:
    """|b - a| / |a|; 1 where that says nothing."""
    if a is None or b is None or a.shape != b.shape or {a.dtype.kind, b.dtype.kind} - set("fiub"):
        return 1.0
    one, other = a.astype(np.float64).reshape(-1), b.astype(np.float64).reshape(-1)
    size = float(np.linalg.norm(one))
    return float(np.linalg.norm(other - one)) / size if size else 1.0


def _scale(values: Array) -> float:
    """The size of an input's elements: their root mean square; 1 for zeros."""
    size = float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0
    return size or 1.0
