"""`docs/configuration.md` says what the settings are, and the schema takes what they take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from sidecar.run.commands import app
from sidecar.settings.reference import reference
from sidecar.settings.settings import Settings

ROOT = Path(__file__).parents[2]


def test_the_reference_in_docs_is_current() -> None:
    """If not: shadow-sidecar config reference > docs/configuration.md"""
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == reference()


def row(section: str, key: str) -> list[str]:
    table = reference().split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    (line,) = [line for line in table.splitlines() if line.startswith(f"| `{key}` |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_meaning_bounds_default_and_liveness_are_those_of_the_code() -> None:
    assert row("sample", "fraction")[1:4] == ["number, at least 0, at most 1", "`1.0`", "live"]
    assert row("shadows[]", "fraction")[3:] == ["live", "of the sampled calls; a control usually "
                                                "needs few"]  # fmt: skip
    assert row("shadows[]", "address")[1:4] == ["text", "required", ""]
    assert row("shadows[].rate", "calls_per_second")[3] == "live"
    assert row("pairs", "calls")[1:4] == ["integer, at least 1", "`4096`", ""]
    assert "paused" in row("Top level", "paused")[0]


def test_what_all_kinds_of_criteria_have_stands_once_and_the_rest_with_each() -> None:
    text = reference()
    assert text.count("| `slice_margin` |") == text.count("| `margin` |") == 1
    assert row("judge.criteria[] of every kind", "margin")[4].startswith("How much worse")
    assert row("judge.criteria[] of kind recall_at_k", "k")[4], "declared in a class above"
    assert row("judge.criteria[] of kind recall", "decision")[1] == "section"
    assert "Share, or mean score, of calls" in text, "what the kind measures, as its file says"


def test_every_setting_of_every_kind_of_criterion_has_a_meaning() -> None:
    sections = reference().split("\n## ")
    criteria = [s for s in sections if s.startswith("judge.criteria[] of ")]
    lines = [line for s in criteria for line in s.splitlines() if line.startswith("| `")]
    assert [line for line in lines if line.endswith("|  |") and "`kind`" not in line] == []


def test_every_setting_is_there() -> None:
    text = reference()
    for name, field in Settings.model_fields.items():
        assert f"\n## {name}" in text or f"| `{name}` |" in text, (name, field)


def test_the_schema_is_one_and_refuses_what_the_settings_refuse() -> None:
    done = CliRunner().invoke(app, ["config", "schema"])
    schema: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == 0
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Settings.model_fields)
