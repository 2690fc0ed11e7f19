"""A report as JSON, and back. Pure.

The schema, version 1 (ratios in [0, 1], null where nothing is known); keys are the fields of
`report.Report` and of what it is made of, with

    schema        1
    verdict       `judge.report.Verdict.to_dict()`: state, reason, ended, calls, coverage,
                  elapsed_seconds, judges, left_out, models {side and name: version},
                  events {name: count}, criteria [...], slices [...]
    latency       {"production": side, "shadow": side, "control": side}, a side's buckets as
                  [[edge in ms, count]]
    forecasts     [`judge.forecast.Forecast`]: when criteria will be decided, at the present effect
    drift         `report.drift.Drift`: distributions of outputs and inputs, confusion matrices
    service       of a collector's report: `report.ServiceFacts`; else null
    worst, sample outputs have production and shadow only where `judge.examples` allows values

What a report lacks, of another version or cut short, is empty when it is read.
Counterparts: `report.Report`; whoever reads `/report.json` or `shadow-sidecar report --json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

from sidecar.judge.forecast import Forecast
from sidecar.judge.report import CriterionVerdict, SliceVerdict, State, Verdict
from sidecar.report.drift import ConfusionRow, DistributionRow, Drift
from sidecar.report.report import (
    CallInput,
    CallOutput,
    CallRow,
    Latency,
    OutputRow,
    OverTime,
    Point,
    Report,
    ServiceFacts,
    Side,
    SidecarRow,
    VerdictChange,
    VersionRow,
)

SCHEMA = 1
_SIDES = ("production", "shadow", "control")
T = TypeVar("T")


def to_json(report: Report) -> dict[str, Any]:
    """Plain values."""
    plain: dict[str, Any] = {"schema": SCHEMA, **_listed(asdict(report))}
    plain["verdict"] = report.verdict.to_dict()
    for row in (*plain["worst"], *plain["sample"]):
        for output in row["outputs"]:
            if output["production"] is None:
                del output["production"], output["shadow"]
    return plain


def from_json(plain: Mapping[str, Any]) -> Report:
    """The inverse of `to_json`.

    Raises:
        ValueError: it is no report of this schema.
    """
    try:
        return _report(plain)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a report of schema {SCHEMA}: {error!r}") from None


def _report(plain: Mapping[str, Any]) -> Report:
    latency = plain.get("latency") or {}
    over_time = plain.get("over_time") or {}
    return Report(
        shadow=plain["shadow"],
        generated=plain["generated"],
        verdict=_verdict(plain["verdict"]),
        declared=plain.get("declared") or {},
        latency=Latency(*(_side(latency.get(side) or {}) for side in _SIDES)),
        over_time=OverTime(
            over_time.get("width_seconds", 1),
            tuple(_made(Point, row) for row in over_time.get("points", ())),
        ),
        forecasts=tuple(_made(Forecast, row) for row in plain.get("forecasts") or ()),
        drift=_drift(plain.get("drift") or {}),
        outcomes=plain.get("outcomes") or {},
        outputs=tuple(_made(OutputRow, row) for row in plain.get("outputs") or ()),
        unread=plain.get("unread") or {},
        notices=tuple(plain.get("notices") or ()),
        skipped=plain.get("skipped") or {},
        worst=_calls(plain.get("worst") or ()),
        sample=_calls(plain.get("sample") or ()),
        versions=tuple(_made(VersionRow, row) for row in plain.get("versions") or ()),
        attempt=plain.get("attempt") or 0,
        sidecars=tuple(_made(SidecarRow, row) for row in plain.get("sidecars") or ()),
        missing=plain.get("missing") or {},
        service=_service(plain.get("service")),
    )


def _drift(plain: Mapping[str, Any]) -> Drift:
    def rows(name: str) -> tuple[DistributionRow, ...]:
        return tuple(
            _made(
                DistributionRow,
                {
                    **row,
                    "n": tuple(row["n"]),
                    "broken": tuple(row["broken"]),
                    "bins": tuple(tuple(one) for one in row.get("bins") or ()),
                },
            )
            for row in plain.get(name) or ()
        )

    confusions = tuple(
        ConfusionRow(row["criterion"], tuple(row["classes"]), tuple(map(tuple, row["counts"])))
        for row in plain.get("confusions") or ()
    )
    return Drift(plain.get("calls") or 0, rows("outputs"), rows("inputs"), confusions)


def _service(plain: Mapping[str, Any] | None) -> ServiceFacts | None:
    if plain is None:
        return None
    return _made(
        ServiceFacts,
        {
            **plain,
            "names": tuple(plain["names"]),
            "silent": tuple(plain.get("silent") or ()),
            "history": tuple(_made(VerdictChange, row) for row in plain.get("history") or ()),
        },
    )


def _verdict(plain: Mapping[str, Any]) -> Verdict:
    criteria = tuple(
        _made(CriterionVerdict, {**row, "state": State(row["state"])})
        for row in plain.get("criteria") or ()
    )
    slices = tuple(_made(SliceVerdict, row) for row in plain.get("slices") or ())
    given = {**plain, "state": State(plain["state"]), "criteria": criteria, "slices": slices}
    return _made(Verdict, given)


def _side(plain: Mapping[str, Any]) -> Side:
    buckets = tuple((float(edge), int(n)) for edge, n in plain.get("buckets") or ())
    return _made(Side, {**plain, "buckets": buckets})


def _calls(rows: Sequence[Mapping[str, Any]]) -> tuple[CallRow, ...]:
    return tuple(
        _made(
            CallRow,
            {
                **row,
                "outputs": tuple(_made(CallOutput, o) for o in row.get("outputs") or ()),
                "inputs": tuple(_made(CallInput, i) for i in row.get("inputs") or ()),
            },
        )
        for row in rows
    )


def _made(kind: type[T], row: Mapping[str, Any]) -> T:
    """A dataclass of the row's values; what it does not know is left out."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]  # a dataclass, each of them
    return kind(**{key: value for key, value in row.items() if key in known})


def _listed(value: Any) -> Any:
    """Tuples become lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value
