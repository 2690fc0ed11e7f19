"""What settings are made of: the base of every section, and the types that recur.

Sizes are bytes and durations are seconds unless a key says otherwise. Counterparts: the `settings`
module of each package, which declares its own section, and `settings/`, which puts them together.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from sidecar.address import TCP, parse_address


def _address(text: str) -> str:
    parse_address(text)
    return text


def _peer(text: str) -> str:
    address = parse_address(text)
    if isinstance(address, TCP) and not address.port:
        raise ValueError("nobody listens on port 0")
    return text


Address = Annotated[str, AfterValidator(_address)]
"""`host:port`, `[v6]:port` or `unix:/path`."""

Peer = Annotated[str, AfterValidator(_peer)]
"""The same, of somebody who is called."""

Count = Annotated[int, Field(ge=1)]

Bytes = Annotated[int, Field(ge=1)]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]  # a second

Fraction = Annotated[float, Field(ge=0, le=1)]

AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Finite = Annotated[float, Field(allow_inf_nan=False)]

Glob = Annotated[str, Field(min_length=1)]

# YAML 1.1, which PyYAML speaks, reads an unquoted `off` as false.
Off = BeforeValidator(lambda value: "off" if value is False else value)

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]


class Live:
    """Marks a setting that changes while the sidecar runs: `Annotated[Fraction, LIVE]`.

    Whatever is not marked needs a restart. A mark on a section is one on all that is in it. This is
    the one place that says so; `settings.difference` and `Shadow.update` read it.
    """


LIVE = Live()


class Section(BaseModel):
    """A part of the configuration: frozen, and a key that it does not have is refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        defer_build=True,  # else each is built again in every section around it
    )

    @classmethod
    def live(cls) -> frozenset[str]:
        """The keys of this section that change without a restart."""
        return frozenset(k for k, field in cls.model_fields.items() if LIVE in field.metadata)


class ConfigError(Exception):
    """A configuration that cannot be used; `errors` has one line for each thing that is wrong."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors
