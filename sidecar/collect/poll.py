"""One round of questions: every pod behind a name, and every observer of each pod.

Rule: a pod that is slow, gone or of another version is a line in `missing` and takes nothing from
the others. Counterparts: `serve.client`, which asks; `service`, which hears.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sidecar.address import nth_address
from sidecar.collect.service import Heard
from sidecar.report.part import Part
from sidecar.serve.client import HTTP, Asked, Reach, pull, resolve


async def ask_all(
    services: Sequence[str], reach: Reach, clock: Callable[[], float] = time.time
) -> Heard:
    """Ask everybody behind the names (`name[:port]`, or `http://name:port`) once."""
    began = clock()
    addresses: list[str] = []
    missing: dict[str, str] = {}
    for name in services:
        try:
            addresses += await resolve(name)
        except OSError as error:
            missing[name] = error.strerror or str(error)
    asked = await pull(addresses, reach)
    more = await pull(_neighbours(asked), reach)
    parts: list[Part] = []
    for found in (asked, more):
        parts += [part for answer in found.answers.values() for part in answer]
        missing |= found.missing
    answered = {**asked.answers, **more.answers}
    missing |= {address: "has no shadow" for address, answer in answered.items() if not answer}
    return Heard(began, parts, missing, max(0.0, clock() - began))


def _neighbours(asked: Asked) -> list[str]:
    """The other observers of pods that have several, each with counts of its own."""
    found = []
    for address, parts in asked.answers.items():
        scheme = HTTP if address.startswith(HTTP) else ""
        most = max((part.observers for part in parts), default=1)
        first = address.removeprefix(HTTP)
        found += [scheme + nth_address(first, number) for number in range(1, most)]
    return [address for address in found if address not in asked.answers]
