"""Captured answers, judged again with nobody asked: a month of calls on one machine or many.

Rule: a file's part is a function of the file and the configuration alone, and parts are added in
the order of the files' names, so where it was computed changes nothing, to the last bit. What goes
between machines is the message that sidecars tell collectors. Counterparts: `serve.convert`, which
writes it; `run.judge`, the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sidecar.capture.reader import Captured, open_captured
from sidecar.judge.labels import Label
from sidecar.judge.report import State
from sidecar.log import Log
from sidecar.replay.book import Book
from sidecar.replay.recorded import began_ns, recorded
from sidecar.report.build import build
from sidecar.report.report import Report
from sidecar.serve.convert import part_of_message
from sidecar.settings.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


def judge_file(
    settings: Settings, file: str, where: str, labels: Mapping[str, Label] | None = None
) -> list[bytes]:
    """Judge one file.

    Args:
        settings: its shadows are those that are judged; see `offline`.
        file: a captured file.
        where: an expression over its columns, or empty.
        labels: what turned out to be true, by correlation id.

    Returns:
        One serialized `shadow.v1.ShadowCounts` for each shadow and pair of versions.

    Raises:
        CapturedError: the file cannot be used, or a row has no payload.
    """
    captured = open_captured([file], where)
    book = Book(
        settings,
        Log("judge"),
        began_ns=began_ns(captured),
        instance=file,  # the whole name: files of the same day stand in many folders
        labels=labels,
    )
    for shadow in settings.shadows:
        book.judging.forget_requests()
        for call in recorded(captured, shadow=shadow.name):
            book.enter(call, call.production, {shadow.name: call.answer})
    return book.messages()


def shadows_in(captured: Captured) -> list[str]:
    """The names of the shadows, without controls."""
    names = {
        (row["shadow"]) for row in captured.rows(["shadow", "role"]) if row["role"] == "shadow"
    }
    return sorted(names)


def added_up(parts: Sequence[tuple[str, Sequence[bytes]]], generated: float) -> list[Report]:
    """Add the parts of files up, in the order of their names: one report for each shadow.

    Args:
        parts: (file, what `judge_file` gave).
        generated: Unix seconds.
    """
    from sidecar.pb.shadow.v1 import admin_pb2 as pb

    by_shadow: dict[str, list[Any]] = {}
    for file, messages in sorted(parts):
        for message in messages:
            part = part_of_message(pb.ShadowCounts.FromString(message), file)
            by_shadow.setdefault(part.shadow, []).append(part)
    return [build(found, generated) for _, found in sorted(by_shadow.items())]


def of_some(reports: Sequence[Report], captured: Captured) -> list[Report]:
    """The same, where the files hold only some of the pairs: those that differed, and a few more.

    What share of all calls differs cannot be told from calls that are there because they differ.
    """
    if not captured.chosen:
        return list(reports)
    found = []
    for report in reports:
        why = (
            f"the files have pairs because they differ (capture.what: "
            f"{', '.join(captured.chosen)}), so nothing follows for all calls; to judge again, "
            f"capture all; of these: {report.verdict.reason}"
        )
        verdict = replace(report.verdict, state=State.INCONCLUSIVE, reason=why)
        found.append(replace(report, verdict=verdict))
    return found


def on_spark(
    settings: Settings,
    files: Sequence[str],
    where: str,
    master: str,
    labels: Mapping[str, Label] | None = None,
) -> list[tuple[str, list[bytes]]]:
    """Judge files on Apache Spark: the same function, a file at a time, added up here.

    Executors need this package and pyarrow, and reach the files by the same names.

    Raises:
        ModuleNotFoundError: pyspark is not installed.
    """
    import pyarrow as pa
    from pyspark.sql import SparkSession

    tree = settings.model_dump_json()
    if master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else whatever `python3` is
    spark = SparkSession.builder.master(master).appName("shadow-sidecar judge").getOrCreate()

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        chosen = Settings.model_validate_json(tree)
        for batch in batches:
            for file in batch.column(0).to_pylist():
                found = judge_file(chosen, file, where, labels)
                yield pa.RecordBatch.from_pydict({"file": [file] * len(found), "part": found})

    try:
        names = spark.createDataFrame([(file,) for file in files], "file string")
        rows = names.repartition(len(files)).mapInArrow(work, "file string, part binary").collect()
    finally:
        spark.stop()
    parts: dict[str, list[bytes]] = {file: [] for file in files}
    for row in rows:
        parts[row["file"]].append(bytes(row["part"]))
    return list(parts.items())
