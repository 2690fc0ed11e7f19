"""Argo Rollouts' controller, as far as our templates use it: it asks for real, and moves no pods.

Facts, from its sources (master of 2026-08-17): a measurement is an HTTP GET without headers of its
own; anything but 2xx is an Error (`metricproviders/webmetric`). Failure wins over success, and
neither is Inconclusive (`utils/evaluate`). After an Error the next measurement is 10 s later
whatever the interval, an Error does not count as a measurement, and limits are exceeded by one more
(`analysis/analysis.go`). A run that failed or erred aborts the rollout, an inconclusive one pauses
it (`rollout/analysis.go`); a run beside the steps begins at `startingStep` and ends with the
rollout.

Times are seconds of a clock that the caller turns: 4 h of patience take no 4 h here.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ERROR_RETRY_SECONDS = 10
"""After an error it tries again so soon, whatever the interval (DefaultErrorRetryInterval)."""
CONSECUTIVE_ERRORS = 4
"""DefaultConsecutiveErrorLimit."""
COMPLETED = ("Successful", "Failed", "Inconclusive", "Error")
WORST = ("Successful", "Inconclusive", "Error", "Failed")


def patience(metric: dict[str, Any]) -> float:
    """Seconds of errors in a row after which an analysis ends as an Error."""
    return float(metric["consecutiveErrorLimit"]) * ERROR_RETRY_SECONDS


def filled(text: str, arguments: Mapping[str, str]) -> str:
    """The text with its `{{args.NAME}}`."""
    return re.sub(r"\{\{args\.([\w-]+)\}\}", lambda m: arguments[m[1]], text)


def at(path: str, data: Any) -> Any:
    """What a JSONPath of the form {$.a.b} finds."""
    form = re.fullmatch(r"\{\$((?:\.\w+)+)\}", path)
    assert form, path
    for key in form[1].split(".")[1:]:
        data = data[key]
    return data


def holds(condition: str, result: Any) -> bool:
    """A condition of the form `result == "TEXT"` or with `!=`."""
    form = re.fullmatch(r'result (==|!=) "(\w*)"', condition)
    assert form, condition
    return bool((result == form[2]) is (form[1] == "=="))


def measured(metric: dict[str, Any], url: str) -> str:
    """The phase of a web metric's measurement at this URL."""
    web = metric["provider"]["web"]
    try:
        with urllib.request.urlopen(url, timeout=web.get("timeoutSeconds", 10)) as answer:
            result = at(web["jsonPath"], json.loads(answer.read()))
    except OSError:  # no answer, and every status that is not 2xx
        return "Error"
    if holds(metric["failureCondition"], result):
        return "Failed"
    return "Successful" if holds(metric["successCondition"], result) else "Inconclusive"


def seconds(duration: str) -> float:
    """Of a duration of one unit, as `30s`."""
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


@dataclass
class Metric:
    """One metric of a run, and what was measured."""

    spec: dict[str, Any]
    url: str
    phase: str = "Running"
    last: str = ""
    due: float = 0.0
    count: int = 0
    errors: int = 0  # in a row
    found: dict[str, int] = field(default_factory=dict)  # measurements by phase

    def step(self, now: float) -> None:
        """Measure when it is time."""
        if self.phase in COMPLETED or now < self.due:
            return
        self.last = measured(self.spec, self.url)
        self.found[self.last] = self.found.get(self.last, 0) + 1
        erred = self.last == "Error"
        self.count += not erred
        self.errors = self.errors + 1 if erred else 0
        interval = self.spec.get("interval", "10s")
        self.due = now + (ERROR_RETRY_SECONDS if erred else seconds(interval))
        self.phase = self._assessed()

    def _assessed(self) -> str:
        if self.errors > self.spec.get("consecutiveErrorLimit", CONSECUTIVE_ERRORS):
            return "Error"
        for phase, limit in (("Inconclusive", "inconclusiveLimit"), ("Failed", "failureLimit")):
            if self.found.get(phase, 0) > self.spec.get(limit, 0):
                return phase
        count = self.spec.get("count", None if "interval" in self.spec else 1)
        return "Successful" if count is not None and self.count >= count else "Running"


@dataclass
class Run:
    """An AnalysisRun: its web metrics, which all must be well."""

    metrics: list[Metric]

    @property
    def phase(self) -> str:
        """Running, or the worst of what ended; one that ended badly ends the others."""
        phases = [metric.phase for metric in self.metrics]
        bad = [phase for phase in phases if phase in WORST[1:]]
        if bad:
            return max(bad, key=WORST.index)
        return "Running" if "Running" in phases else "Successful"

    def step(self, now: float) -> None:
        """Measure what is due."""
        for metric in self.metrics:
            metric.step(now)

    @property
    def due(self) -> float:
        """When something is to be measured next."""
        return min((m.due for m in self.metrics if m.phase == "Running"), default=float("inf"))


@dataclass
class Rollout:
    """A canary's steps with their analyses, and the one beside them."""

    spec: dict[str, Any]  # of the Rollout
    templates: Mapping[str, dict[str, Any]]  # specs of AnalysisTemplates
    address: Callable[[str], str]  # a URL of the manifests: where to ask in its place
    phase: str = "Progressing"  # Healthy, Degraded (aborted), Paused
    weight: int = 0
    index: int = 0
    events: list[str] = field(default_factory=list)
    run: Run | None = None  # of the present step
    beside: Run | None = None

    @property
    def canary(self) -> dict[str, Any]:
        """Its strategy."""
        found: dict[str, Any] = self.spec["strategy"]["canary"]
        return found

    def reconcile(self, now: float) -> float:
        """Look at everything once, at this time; returns when to look again."""
        while self.phase == "Progressing":
            before = self.index
            self._begin_beside()
            self._step(now)
            # Made in the same look, and measured by another controller: a weight is set by then.
            if self.beside is not None and self.phase == "Progressing":
                self.beside.step(now)
                self._ends(self.beside, "beside the steps")
            if self.index == before:
                break
        return min((run.due for run in (self.run, self.beside) if run), default=now)

    def _begin_beside(self) -> None:
        analysis = self.canary.get("analysis")
        if self.beside is None and analysis and self.index >= analysis.get("startingStep", 0):
            self.beside = self._made(analysis)

    def _step(self, now: float) -> None:
        steps = self.canary["steps"]
        if self.index == len(steps):
            self.phase, self.weight = "Healthy", 100
            self.events.append("promoted")
            return
        step = steps[self.index]
        if "analysis" in step:
            if self.run is None:
                self.run = self._made(step["analysis"])
            self.run.step(now)
            if self._ends(self.run, f"step {self.index}") or self.run.phase != "Successful":
                return
            self.run = None
        elif "setWeight" in step:
            self.weight = step["setWeight"]
            self.events.append(f"weight {self.weight}")
        else:
            assert "setCanaryScale" in step, step
        self.index += 1

    def _made(self, analysis: dict[str, Any]) -> Run:
        arguments = {argument["name"]: argument["value"] for argument in analysis["args"]}
        return Run(
            [
                Metric(metric, self.address(filled(metric["provider"]["web"]["url"], arguments)))
                for template in analysis["templates"]
                for metric in self.templates[template["templateName"]]["metrics"]
                if "web" in metric["provider"]  # Prometheus is asked by others' tests
            ]
        )

    def _ends(self, run: Run, where: str) -> bool:
        if run.phase in {"Failed", "Error"}:
            self.phase, self.weight = "Degraded", 0
            self.events.append(f"aborted: {where}: {run.phase}")
        elif run.phase == "Inconclusive":
            self.phase = "Paused"
            self.events.append(f"paused: {where}: {run.phase}")
        return self.phase != "Progressing"
