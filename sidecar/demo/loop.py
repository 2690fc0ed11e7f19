"""The whole loop on one machine: train, serve, shadow, send, and say what was found.

Rule: every part runs as it would anywhere: two servers, the sidecar and its observer are processes
of their own, and what is told comes from the sidecar's HTTP. Counterpart: `sidecar.run.demo`.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from sidecar.demo.again import ask_again
from sidecar.demo.client import Answer, send
from sidecar.demo.data import digits
from sidecar.demo.models import MODEL_NAME, MODELS, Model
from sidecar.demo.process import Process
from sidecar.demo.summary import Summary, summarize
from sidecar.report.as_json import from_json

SHADOW = "candidate"
CLIENT = f"{MODEL_NAME}-client"
COLLECTOR = ("127.0.0.1", 4317)
JAEGER_PAGE = ("127.0.0.1", 16686)
START_SECONDS = 60.0
DRAIN_SECONDS = 30.0
PAIRS = 1000
RATE = 100.0  # leaves room on two cores, so that latencies are the models' own
IN_FLIGHT = 8

# What good enough means, declared before the candidate is seen: right about as often as production,
# never failing where production answers. Who is right is known once the labels come.
CONFIG = """\
compare:
  rules:
    - {output: probabilities, rule: argmax}
    - {output: class, rule: exact}
observer: {priority: normal}  # a demo is to compare every call, on a busy machine too
judge:
  # Images that nobody has trained on, in a shuffled order: each call is new, so each is evidence.
  # Live traffic is not like that: without this the evidence is blocks of time, and takes hours.
  independent_calls: true
  min_duration_seconds: 0
  min_calls: 300
  drift: {calls_per_second: 1000}  # of live traffic two a second are enough
  labels: {correlation: request_id}
  slices: [{source: "metadata:x-digit", name: digit}]
  criteria:
    - {name: accuracy, kind: accuracy, outputs: probabilities, decision: {argmax: true},
       margin: 0.02, required: true}
    - {name: errors, kind: shadow_error_rate, margin: 0.01, required: true, slices: []}
    - {name: same-digit, kind: disagreement, outputs: class, margin: 0.05, slices: []}
    - {name: latency-p50, kind: latency_ratio, quantile: 0.5, margin: 1.0, slices: []}
"""

# Both answers of each call, in files that are whole after a second, so that one can look into them.
CAPTURE = """\
capture: {{dir: "{}", what: all, payloads: true, outputs: [class], metadata: [x-digit],
          file_seconds: 1}}
"""


@dataclass(frozen=True, slots=True)
class Running:
    """What stands: addresses as host:port, and where a trace can be opened ("" if nowhere)."""

    listen: str
    http: str
    admin: str
    collector: str
    trace_page: str
    sidecar: Process
    calls: Path  # what is captured
    config: Path
    candidate: str  # its server's address


@contextmanager
def running(console: Console) -> Iterator[tuple[Running, Model]]:
    """Train and start everything; stop it in reverse order. Gives the candidate model too.

    Raises:
        DemoError: scikit-learn is not installed.
        ProcessError: a process did not start.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shadow-demo-")))
        models: dict[str, Model] = {}
        with _steps(console) as steps:
            step = steps.add_task("Training two models", total=len(MODELS))
            for name, train in MODELS.items():
                models[name] = train()
                (directory / name).write_bytes(pickle.dumps(models[name]))
                steps.advance(step)
            step = steps.add_task("Starting two servers and the sidecar", total=3)
            servers = [
                stack.enter_context(
                    _module(
                        "sidecar.demo.server",
                        *("--model", n, "--file", directory / n),
                        name=n,
                        env={"OMP_NUM_THREADS": "1"},  # one image is no work for several threads
                    )
                )
                for n in ("production", SHADOW)
            ]
            addresses = []
            for server in servers:
                addresses.append(server.wait_ready(START_SECONDS)["address"])
                steps.advance(step)
            collector = _collector(os.environ)
            page = "http://{}:{}/trace/".format(*JAEGER_PAGE)
            trace_page = page if collector and _listens(JAEGER_PAGE) else ""
            links = f', trace_url: "{trace_page}{{trace_id}}"' if trace_page else ""
            config = directory / "demo.yaml"
            telemetry = f"telemetry: {{workload: {MODEL_NAME}{links}}}\n"
            calls = directory / "calls"
            config.write_text(CONFIG + telemetry + CAPTURE.format(calls), encoding="utf-8")
            sidecar = stack.enter_context(_sidecar(directory, config, *addresses))
            ready = sidecar.wait_ready(START_SECONDS)
            sidecar.wait_until(lambda: _is_ready(ready["http"]), START_SECONDS)
            steps.advance(step)
        yield (
            Running(
                listen=ready["listen"][0],
                http=ready["http"],
                admin=ready["admin"],
                collector=collector,
                trace_page=trace_page,
                sidecar=sidecar,
                calls=calls,
                config=config,
                candidate=addresses[1],
            ),
            models[SHADOW],
        )


def drive(
    console: Console,
    stand: Running,
    candidate: Model,
    *,
    rate: float = RATE,
    in_flight: int = IN_FLIGHT,
) -> Summary:
    """Send the held-out images through the sidecar, wait for the last pair, and sum up.

    Args:
        console: where progress is shown.
        stand: what `running` gave.
        candidate: the candidate's model, asked only what it says, for the table of digits.
        rate: calls a second.
        in_flight: at most so many calls wait for an answer at a time.

    Raises:
        ProcessError: the sidecar ended, no call was answered, or calls stayed in flight.
    """
    data = digits()
    with _steps(console) as steps:
        step = steps.add_task("Sending images nobody has trained on", total=len(data.images))

        def done(_: Answer) -> None:
            steps.advance(step)

        with _tracer(stand.collector) as tracer:
            answers = asyncio.run(
                send(
                    stand.listen,
                    data.images,
                    data.labels,
                    in_flight=in_flight,
                    rate=rate,
                    tracer=tracer,
                    done=done,
                )
            )
        if not any(answer.predicted is not None for answer in answers):
            raise stand.sidecar.error("no call was answered")
        step = steps.add_task("Waiting for the last pairs", total=len(data.images))

        def settled() -> bool:
            calls = _get(stand.http, "/status")["calls"]
            steps.update(step, completed=calls["seen"] - calls["in_flight"])
            return bool(calls["seen"] >= len(answers) and calls["in_flight"] == 0)

        stand.sidecar.wait_until(settled, DRAIN_SECONDS)
        step = steps.add_task("Telling what the digits really are", total=len(answers))
        truth = stand.config.with_name("truth.csv")
        _label(stand, answers, truth)
        steps.update(step, completed=len(answers))
        step = steps.add_task("Asking the candidate again", total=1)

        def written() -> bool:
            status = _get(stand.http, "/status")
            capture, pairs = status["capture"], status["calls"]["compared"]
            gone = capture["capture_full"] + capture["failed"]
            return bool(capture["rows"] + gone >= pairs and not capture["open_rows"])

        stand.sidecar.wait_until(written, DRAIN_SECONDS)
        again = ask_again(stand.calls, stand.candidate, stand.config, truth)
        steps.update(step, completed=1)
    return summarize(
        answers,
        candidate.probabilities(data.images).argmax(axis=1).tolist(),
        _get(stand.http, "/status"),
        _get(stand.http, f"/pairs?limit={PAIRS}"),
        SHADOW,
        from_json(_get(stand.http, "/report.json")),
        again=again,
        gate=_gate(stand.http),
    )


def _gate(http: str) -> str:
    """What `/gate` says, as `shadow-sidecar gate` prints it."""
    try:
        said = _get(http, "/gate")
    except urllib.error.HTTPError as error:
        with error:
            said = json.load(error)
    return f"{said['verdict']}  {said['reason']}"


@contextmanager
def _tracer(collector: str) -> Iterator[Tracer | None]:
    """The client's own, under the client's own name; None where there is no collector."""
    if not collector:
        yield None
        return
    resource = Resource.create({"service.name": CLIENT, "host.name": socket.gethostname()})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=collector, insecure=True)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer(CLIENT)
    finally:
        provider.shutdown()


def _label(stand: Running, answers: Sequence[Answer], truth: Path) -> None:
    """Import the truth as a user would, from a file.

    Raises:
        ProcessError: the labels were not taken.
    """
    with truth.open("w", encoding="utf-8") as file:
        file.write("correlation_id,value\n")
        file.writelines(f"{answer.index},{answer.label}\n" for answer in answers)
    with _module("sidecar", "labels", "import", truth, stand.admin, name="labels") as labels:
        if labels.wait(START_SECONDS):
            raise labels.error("the labels were not taken")


def _sidecar(directory: Path, config: Path, production: str, candidate: str) -> Process:
    return _module(
        "sidecar",
        "run",
        *("--listen", "127.0.0.1:0", "--upstream", production),
        *("--shadow", f"{SHADOW}={candidate}", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
        *("--tap", directory / "tap.sock", "--config", config, "--print-ready"),
        *("--state", "none"),  # a demonstration's evidence need not outlive it, and is no attempt
        # A busy machine is no fault of the candidate's: its calls may wait, and are not lost.
        *("--set", "shadows.0.queue.max_wait_seconds=20"),
        *("--set", "shadows.0.deadline_seconds=20"),
        name="shadow-sidecar",
        env=_telemetry(os.environ),
    )


def _telemetry(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add so that spans go to a collector on this machine, or nowhere."""
    collector = _collector(environ)
    if not collector:
        return {"OTEL_TRACES_EXPORTER": "none"}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}


def _collector(environ: Mapping[str, str]) -> str:
    """Where spans go: where the environment says, else a collector on its usual port, else ""."""
    if environ.get("OTEL_TRACES_EXPORTER") == "none":
        return ""
    if chosen := environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return chosen
    return "http://{}:{}".format(*COLLECTOR) if _listens(COLLECTOR) else ""


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=0.5).close()
    except OSError:
        return False
    return True


def _module(name_of: str, *arguments: str | Path, name: str, env: Any = None) -> Process:
    return Process([sys.executable, "-m", name_of, *arguments], name=name, env=env)


def _is_ready(http: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{http}/readyz", timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False


def _get(http: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{http}{path}", timeout=10) as answer:
        return json.load(answer)


def _steps(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
