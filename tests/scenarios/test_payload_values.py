"""Nothing of a payload leaves the sidecar by itself: looked for wherever it speaks."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import grpc

from sidecar.pb.inference import open_inference_pb2 as oip
from tests.collector import Collector
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.verdicts import INFER, SAME, admin, command, judge, report

CALLS = 30
GIVEN, PRODUCTION, SHADOW = 31_337_001, 62_674_003, 62_674_010  # see `tests.arithmetic`
WORD, TENANT, TOKEN = "classified-word", "classified-tenant", "classified-token"
METADATA = (("x-tenant", TENANT), ("authorization", f"Bearer {TOKEN}"))
SECRETS = [str(GIVEN), str(PRODUCTION), str(SHADOW), WORD, TENANT, TOKEN]
PAGES = ("/", "/status", "/pairs?limit=1000", "/report.json", "/verdict", "/metrics", "/counts")


def predict(address: str) -> None:
    request = oip.ModelInferRequest(model_name="m")
    number = request.inputs.add(name="amount", datatype="INT64", shape=[1])
    number.contents.int64_contents.append(GIVEN)
    words = request.inputs.add(name="words", datatype="BYTES", shape=[1])
    words.contents.bytes_contents.append(WORD.encode())
    with grpc.insecure_channel(address) as channel:
        stub = channel.unary_unary(
            INFER,
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )
        for number_of_call in range(CALLS):
            request.id = f"call-{number_of_call}"
            answer = stub(request, metadata=METADATA, timeout=30)
            assert list(answer.outputs[0].contents.int64_contents) == [PRODUCTION]


def page(it: Sidecar, path: str) -> str:
    with urllib.request.urlopen(f"http://{it.http}{path}", timeout=10) as answer:
        return str(answer.read().decode("utf-8", "replace"))


def told(tmp_path: Path, **examples: object) -> dict[str, str]:
    """Everything that a sidecar says about calls that carry secrets, by where it says it."""
    html = tmp_path / "report.html"
    with servers(("model",), ("model", "--bias", "7")) as addresses, Collector() as collector:
        settings = judge(SAME, examples=examples)
        with sidecar(*addresses, settings=settings, env=collector.environ) as it:
            predict(it.address)
            it.settled(CALLS)
            said = {path: page(it, path) for path in PAGES}
            said["report"] = json.dumps(report(admin(it), "--html", str(html))[1])
            said["table"] = command("report", admin(it)).stdout
            said["gate"] = command("gate", admin(it)).stdout
            said["spans"] = repr(collector.spans(at_least=2 * CALLS))
            said["log"] = it.process.tail(10_000)
    said["html"] = html.read_text(encoding="utf-8")
    assert all(said.values())
    return said


def found_in(said: dict[str, str], secret: str) -> set[str]:
    return {where for where, text in said.items() if secret in text.lower().replace(",", "")}


def test_no_value_of_a_payload_or_its_metadata_is_told_by_itself(tmp_path: Path) -> None:
    said = told(tmp_path)
    assert {secret: found_in(said, secret) for secret in SECRETS} == {s: set() for s in SECRETS}
    assert "amount" in said["report"]  # names are told


def test_what_is_allowed_is_told_where_people_look_at_calls_and_the_rest_is_masked(
    tmp_path: Path,
) -> None:
    said = told(tmp_path, values=True, reveal_outputs=["amount"])
    where = {"/", "/report.json", "/counts", "report", "html"}
    assert {secret: found_in(said, secret) for secret in SECRETS} == {
        **{secret: set() for secret in SECRETS},
        str(PRODUCTION): where,
        str(SHADOW): where,
    }
    worst = json.loads(said["report"])["worst"][0]
    values = {row["name"]: (row["production"], row["shadow"]) for row in worst["outputs"]}
    hidden = "\u2022\u2022\u2022"
    assert values == {"amount": (f"[{PRODUCTION}]", f"[{SHADOW}]")}
    assert worst["inputs"] == [
        {"name": "amount", "value": hidden},
        {"name": "words", "value": hidden},
    ]
