from __future__ import annotations

from pathlib import Path

import pytest
import typer

from sidecar.run.rules import add_rules
from sidecar.settings.sources import load


def test_rules_are_added_before_the_others_and_comments_stay(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        "# ours\nsample: {fraction: 0.5}\ncompare:\n  rules:\n    - {output: score, rule: exact}\n"
    )
    assert add_rules(file, ["meta.took_us", "id"]) == 2
    assert add_rules(file, ["id"]) == 0
    rules = [(rule.output, rule.rule) for rule in load(file, {}).compare.rules]
    assert rules == [("meta.took_us", "ignore"), ("id", "ignore"), ("score", "exact")]
    assert file.read_text().startswith("# ours")


def test_a_file_that_is_not_there_is_made_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    empty, wrong = tmp_path / "empty.yaml", tmp_path / "wrong.yaml"
    assert add_rules(empty, ["id"]) == 1
    assert load(empty, {}).compare.rules[0].output == "id"
    wrong.write_text("[1, 2]")
    with pytest.raises(typer.Exit) as refused:
        add_rules(wrong, ["id"])
    assert refused.value.exit_code == 2
    assert wrong.read_text() == "[1, 2]"
