"""What an operator may change while the sidecar runs: sample, rate, pause, end.

Rule: a change that is wrong in any part changes nothing. It lasts until the configuration is read
again. Counterparts: `SetPolicy`, which asks; `Experiment.change`, which takes over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from sidecar.experiment.app import Experiment
from sidecar.experiment.state import State
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.tee.settings import RateSettings, ShadowSettings


class PolicyError(Exception):
    """A change that cannot be made, and why."""


def set_policy(experiment: Experiment, request: pb.SetPolicyRequest) -> pb.SetPolicyResponse:
    """Change what is asked for, and say what holds now.

    Args:
        experiment: whose policy it is.
        request: a field that is not given stays as it is.

    Raises:
        PolicyError: nothing was changed.
    """
    now = experiment.state()
    settings = now.settings
    if wrong := list(_wrong(request, now)):
        raise PolicyError("; ".join(wrong))
    sample, paused = settings.sample, settings.paused
    if request.HasField("sample"):
        sample = sample.model_copy(update={"fraction": request.sample})
    if request.HasField("paused"):
        paused = request.paused
    shadows = tuple(_rated(request, shadow) for shadow in settings.shadows)
    experiment.change(
        settings.model_copy(update={"sample": sample, "paused": paused, "shadows": shadows})
    )
    if request.end:
        experiment.end()
    return policy(experiment.state())


def _wrong(request: pb.SetPolicyRequest, now: State) -> Iterator[str]:
    """A line for everything that is wrong: its key, its value, and what is allowed."""
    if not 0 <= request.sample <= 1:  # as NaN is not
        yield f"sample: {request.sample}: must be from 0 to 1"
    for name in RateSettings.model_fields:
        value = getattr(request, name)
        if not (value >= 0 and math.isfinite(value)):
            yield f"{name}: {value}: must be a number above 0, or 0, which takes the limit away"
    names = [shadow.name for shadow in now.settings.shadows]
    if request.shadow not in {"", *names}:
        yield f"shadow: {request.shadow!r}: must be one of: {', '.join(names) or 'there is none'}"
    if request.HasField("end") and not request.end and now.ended:
        yield "end: false: what has ended begins again only with a new sidecar"


def policy(now: State) -> pb.SetPolicyResponse:
    """What holds now, and what the configuration asks for that does not."""
    return pb.SetPolicyResponse(
        sample=now.settings.sample.fraction,
        paused=now.settings.paused,
        ended=now.ended,
        rates={
            shadow.name: pb.Rate(
                calls_per_second=shadow.rate.calls_per_second or 0.0,
                bytes_per_second=shadow.rate.bytes_per_second or 0.0,
            )
            for shadow in now.settings.shadows
        },
        needs_restart=now.configuration.needs_restart,
        refused=now.configuration.refused,
    )


def _rated(request: pb.SetPolicyRequest, shadow: ShadowSettings) -> ShadowSettings:
    if request.shadow not in {"", shadow.name}:
        return shadow
    rate = shadow.rate.model_dump()
    for name in rate:
        if request.HasField(name):
            rate[name] = getattr(request, name) or None  # 0 takes the limit away
    return shadow.model_copy(update={"rate": RateSettings.model_validate(rate)})
