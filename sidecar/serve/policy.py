"""What an operator may change while the sidecar runs: sample, rate, pause, end.

Rule: a change that is wrong in any part changes nothing. It lasts until the configuration is read
again. Counterparts: `SetPolicy`, which asks; `Observer.change`, which takes over.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from sidecar.experiment.app import Observer
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.settings.settings import Settings
from sidecar.tee.settings import RateSettings, SampleSettings, ShadowSettings


class PolicyError(Exception):
    """A change that cannot be made, and why."""


def set_policy(
    observer: Observer, apply: Callable[[Settings], None], request: pb.SetPolicyRequest
) -> pb.SetPolicyResponse:
    """Change what is asked for, and say what holds now.

    Args:
        observer: whose policy it is.
        apply: takes changed settings over, here and at the wire.
        request: a field that is not given stays as it is.

    Raises:
        PolicyError: nothing was changed.
    """
    settings = observer.settings
    sample, paused = settings.sample, settings.paused
    try:
        if request.HasField("sample"):
            sample = SampleSettings(fraction=request.sample, key=sample.key)
        if request.HasField("paused"):
            paused = request.paused
        shadows = tuple(_rated(request, shadow.settings) for shadow in observer.shadows.values())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise PolicyError(f"{first['loc'][-1]}: {first['msg']}") from None
    if request.shadow not in {"", *observer.shadows}:
        raise PolicyError(f"no receiver is called {request.shadow!r}: {_names(observer)}")
    if request.HasField("end") and not request.end and observer.admission.ended:
        raise PolicyError("what has ended begins again only with a new sidecar")
    apply(settings.model_copy(update={"sample": sample, "paused": paused, "shadows": shadows}))
    if request.end and not observer.admission.ended:
        observer.end()
    return policy(observer)


def policy(observer: Observer) -> pb.SetPolicyResponse:
    """What holds now."""
    return pb.SetPolicyResponse(
        sample=observer.settings.sample.fraction,
        paused=observer.settings.paused,
        ended=observer.admission.ended,
        rates={
            name: pb.Rate(
                calls_per_second=shadow.settings.rate.calls_per_second or 0.0,
                bytes_per_second=shadow.settings.rate.bytes_per_second or 0.0,
            )
            for name, shadow in observer.shadows.items()
        },
    )


def _rated(request: pb.SetPolicyRequest, shadow: ShadowSettings) -> ShadowSettings:
    if request.shadow not in {"", shadow.name}:
        return shadow
    rate = shadow.rate.model_dump()
    for name in rate:
        if request.HasField(name):
            rate[name] = getattr(request, name) or None  # 0 takes the limit away
    return shadow.model_copy(update={"rate": RateSettings.model_validate(rate)})


def _names(observer: Observer) -> str:
    return ", ".join(observer.shadows) or "there is none"
