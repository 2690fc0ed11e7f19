"""`shadow-sidecar judge DIR`: captured answers judged again, with nobody asked.

Counterpart: `sidecar.replay.judged`, which does it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from sidecar.fields import ConfigError
from sidecar.run.offline import (
    Config,
    Labels,
    Set,
    Where,
    check_writable,
    chosen_settings,
    read_labels,
    refuse,
    worst_exit,
)


def judge(
    places: Annotated[
        list[str], typer.Argument(help="Folders or files of captured calls.", metavar="DIR|FILE...")
    ],
    where: Where = "",
    labels: Labels = None,
    spark: Annotated[
        str,
        typer.Option(
            help="Judge on Apache Spark: local[4], spark://HOST:PORT, k8s://...; needs pyspark.",
            metavar="MASTER",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The whole reports as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page.", metavar="FILE", dir_okay=False)
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="The verdict is the exit code, as of `replay`.")
    ] = False,
    config: Config = None,
    settings: Set = None,
) -> None:
    """Judge what was captured under another configuration: new criteria, rules, slices.

    One file at a time, so memory stays flat; files are added up as pods are. What Spark computes is
    equal to what this machine computes, to the last bit.
    """
    from rich.console import Console
    from rich.progress import track

    from sidecar.capture.once import check_once
    from sidecar.capture.reader import CapturedError, open_captured
    from sidecar.replay.judged import added_up, judge_file, of_some, on_spark, shadows_in
    from sidecar.report.table import render

    errors: list[str] = []
    truth = read_labels(labels, errors)
    check_writable({"--html": html}, errors)
    if errors:
        refuse(errors)
    try:
        found = open_captured(places, where)
        check_once(found)
        names = shadows_in(found)
        if not names:
            refuse([f"{', '.join(places)}: no pair of a shadow matches --where {where!r}"])
        # Nobody is asked: the addresses only make the configuration whole.
        chosen = chosen_settings(config, settings, [f"{n}=127.0.0.1:9" for n in names], "captured")
        if spark:
            parts = on_spark(chosen, found.files, where, spark, truth)
        else:
            steps = track(found.files, "Judging", console=Console(stderr=True), transient=True)
            parts = [(file, judge_file(chosen, file, where, truth)) for file in steps]
    except (CapturedError, ConfigError) as error:
        refuse(error.errors)
    except ModuleNotFoundError as error:
        refuse([f"{error.name} is missing: pip install {error.name}"])
    reports = of_some(added_up(parts, time.time()), found)
    if as_json:
        from sidecar.report.as_json import to_json

        typer.echo(json.dumps([to_json(report) for report in reports], indent=1))
    else:
        for report in reports:
            Console().print(render(report))
    if html is not None:
        from sidecar.report.page import render_html

        html.write_text("".join(map(render_html, reports)), encoding="utf-8")
    if gate:
        raise typer.Exit(worst_exit(reports))
