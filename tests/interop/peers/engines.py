"""Reads captured files with engines that know nothing of us: `engines.py DIR`; prints JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb
import polars


def main(folder: str) -> None:
    files = f"{folder}/*.parquet"
    outcomes = duckdb.sql(
        f"select outcome, count(*) from '{files}' group by outcome order by outcome"
    ).fetchall()
    worst = duckdb.sql(
        f"""select max(abs("shadow.amount" - "production.amount")) from '{files}'
            where len(differences) > 0"""
    ).fetchall()
    frame = polars.read_parquet(sorted(map(str, Path(folder).glob("*.parquet"))))
    print(
        json.dumps(
            {
                "duckdb": dict(outcomes),
                "largest": worst[0][0],
                "polars": dict(frame["outcome"].value_counts().iter_rows()),
                "first_request": len(frame["request_messages"][0][0]),
            }
        )
    )


main(sys.argv[1])
