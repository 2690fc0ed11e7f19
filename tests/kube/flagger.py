"""Flagger's controller, as far as our Canary uses it: it asks for real, and moves no pods.

Facts, from its sources (main of 2026-07-21), `pkg/controller`: a webhook is a POST of name,
namespace, phase and checksum; it is refused by every status above 202, and tried again (`retries`,
none by default) only after 5xx, 429 or no answer (`webhook.go`). At each interval, in this order
(`scheduler.go`): webhooks of type rollback, of which one 2xx ends it; `threshold` failed checks end
it; then pre-rollout before there is weight, afterwards rollout, and these two alone count as failed
checks; then confirm-traffic-increase, whose refusal costs nothing; at the last weight
confirm-promotion, which waits without end.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TRIED_AGAIN = frozenset({429, *range(500, 600)}) - {501}
OPEN = ("Progressing", "WaitingPromotion")


def posted(hook: dict[str, Any], url: str, phase: str = "Progressing") -> bool:
    """Whether a webhook's answer counts as success."""
    payload = {"name": "digits", "namespace": "models", "phase": phase, "checksum": "5d41402abc"}
    request = urllib.request.Request(
        url,
        data=json.dumps(payload | {"metadata": hook.get("metadata")}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    timeout = float(hook.get("timeout", "10s").removesuffix("s"))
    for _ in range(1 + hook.get("retries", 0)):
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return bool(answer.status <= 202)
        except urllib.error.HTTPError as error:
            if error.code not in TRIED_AGAIN:
                return False
        except OSError:
            continue
    return False


@dataclass
class Canary:
    """A canary that has its new version's pods, and advances at each interval."""

    spec: dict[str, Any]
    address: Callable[[str], str]  # a URL of the manifest: where to ask in its place
    phase: str = "Progressing"  # WaitingPromotion, Succeeded, Failed
    weight: int = 0
    failed_checks: int = 0
    events: list[str] = field(default_factory=list)

    def advance(self) -> None:
        """One interval."""
        if self.phase not in OPEN:
            return
        # The first that says so ends it: the others are not asked.
        if (name := next(self._passing("rollback"), None)) is not None:
            self._roll_back(name)
            return
        analysis = self.spec["analysis"]
        if self.failed_checks >= max(1, analysis.get("threshold", 1)):
            self._roll_back("failed checks")
            return
        if not self._all("rollout" if self.weight else "pre-rollout"):
            self.failed_checks += 1
            self.events.append(f"failed check {self.failed_checks}")
            return
        if self.phase == "Progressing" and not self._all("confirm-traffic-increase"):
            return
        weights = analysis["stepWeights"]
        if self.weight < weights[-1]:
            self.weight = next(weight for weight in weights if weight > self.weight)
            self.events.append(f"weight {self.weight}")
        elif self._all("confirm-promotion"):
            self.phase, self.weight = (
                "Succeeded",
                0,
            )  # of the canary: primary has all, and its image
            self.events.append("promoted")
        else:
            self.phase = "WaitingPromotion"

    def _hooks(self, kind: str) -> list[dict[str, Any]]:
        kinds = {kind, ""} if kind == "rollout" else {kind}
        return [h for h in self.spec["analysis"]["webhooks"] if h.get("type", "") in kinds]

    def _passing(self, kind: str) -> Any:
        for hook in self._hooks(kind):
            if posted(hook, self.address(hook["url"]), self.phase):
                yield hook["name"]

    def _all(self, kind: str) -> bool:
        return all(posted(hook, self.address(hook["url"])) for hook in self._hooks(kind))

    def _roll_back(self, why: str) -> None:
        self.phase, self.weight = "Failed", 0
        self.events.append(f"rolled back: {why}")
