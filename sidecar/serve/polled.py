"""What machines ask for again and again: probes, a scraper, a collector, scripts.

Rule: each is one function of the experiment, without a query; `http` serves them among its pages,
`doorman` before there are any, and they say the same. Counts are given again for a moment, see
`cache`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from sidecar.experiment.app import Experiment
from sidecar.serve.cache import AnswerCache
from sidecar.serve.counts import counts_of
from sidecar.serve.status import status

TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"


class Answer(NamedTuple):
    """An answer to a GET."""

    status: int
    content_type: str
    body: bytes


class Polled:
    """The answers by path, over one experiment."""

    def __init__(
        self,
        experiment: Experiment,
        metrics: Callable[[str], tuple[bytes, str]],
        now_ns: Callable[[], int],
    ) -> None:
        """Answer for an experiment.

        Args:
            experiment: the running one.
            metrics: writes the metrics page in the form that `Accept` asks for; body and type.
            now_ns: the monotonic clock.
        """
        self._experiment = experiment
        self._metrics = metrics
        self._cached: AnswerCache[bytes] = AnswerCache(now_ns)
        self._answers: dict[str, Callable[[str], Answer]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics_page,
            "/status": self._status,
            "/counts": self._counts,
            "/ended": self._ended,
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._answers)

    def answer(self, path: str, accept: str) -> Answer | None:
        """The answer to a path with what `Accept` says; None for any other path."""
        found = self._answers.get(path)
        return None if found is None else found(accept)

    def _livez(self, _: str) -> Answer:
        """The event loop turns."""
        return Answer(200, TEXT, b"ok\n")

    def _readyz(self, _: str) -> Answer:
        """Attached to a wire, so that calls can be seen."""
        if not self._experiment.state().attached:
            return Answer(503, TEXT, b"not attached to a wire yet\n")
        return Answer(200, TEXT, b"ok\n")

    def _metrics_page(self, accept: str) -> Answer:
        """Prometheus text, or OpenMetrics with exemplars for who accepts it."""
        body, content_type = self._metrics(accept)
        return Answer(200, content_type, body)

    def _status(self, _: str) -> Answer:
        """The ledger, the connections and the shadows."""
        return _json(status(self._experiment.state()))

    def _counts(self, _: str) -> Answer:
        """What `GetCounts` gives, as protobuf bytes: for a report where there is no Admin API."""
        body = self._cached.get("", self._all_counts)
        return Answer(200, "application/x-protobuf", body)

    def _all_counts(self) -> bytes:
        now = self._experiment.state()
        return counts_of(now, now.judged.values()).SerializeToString()

    def _ended(self, _: str) -> Answer:
        """Whether every shadow has had its calls or its time."""
        now = self._experiment.state()
        shadows = {name: judged.verdict.ended for name, judged in now.judged.items()}
        return _json({"ended": now.ended, "shadows": shadows})


def _json(value: Any) -> Answer:
    return Answer(200, JSON, json.dumps(value).encode())
