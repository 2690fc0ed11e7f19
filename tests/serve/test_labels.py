from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sidecar.judge.labels import Label
from sidecar.serve.convert import label_message, label_of_message
from sidecar.serve.labels import LabelFileError, read_labels


def written(folder: Path, text: str) -> Path:
    file = folder / "labels.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_csv_is_read_with_numbers_lists_and_text(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "\ufeffcorrelation_id,value,weight,time\n"
        "007,1,,\n"
        'b,"[1, 2]",0.5,2\n'
        "c,cat,,1970-01-01T00:00:03\n",
    )
    assert list(read_labels(file)) == [
        Label("007", 1),
        Label("b", [1, 2], 0.5, 2 * 10**9),
        Label("c", "cat", 1.0, 3 * 10**9),
    ]


def test_other_columns_may_hold_them(tmp_path: Path) -> None:
    file = written(tmp_path, "request,truth\n12,0.5\n")
    assert list(read_labels(file, "request", "truth")) == [Label("12", 0.5)]


def test_parquet_is_read_alike(tmp_path: Path) -> None:
    file = tmp_path / "labels.parquet"
    pq.write_table(
        pa.table({"correlation_id": ["a", "b"], "value": [[1], [2, 3]], "other": [0, 0]}), file
    )
    assert list(read_labels(file)) == [Label("a", [1]), Label("b", [2, 3])]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,value\n1,2\n", "no column correlation_id; there are id, value"),
        ("correlation_id,value\na,1\n,2\n", "row 2: correlation_id is empty"),
        ("correlation_id,value\na,\n", "row 1: value is empty"),
        ("correlation_id,value,weight\na,1,3\n", "row 1: a label's weight is above 0"),
        ("correlation_id,value,time\na,1,noon\n", "row 1: Invalid isoformat string"),
        ('correlation_id,value\na,"[[[1]]]"\n', "row 1: a label is a number, text, or a list"),
        ("", "no column correlation_id, value; there are none"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelFileError) as caught:
        list(read_labels(written(tmp_path, text)))
    assert message in str(caught.value)


def test_a_file_of_another_kind_or_none_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "labels.parquet"
    fake.write_bytes(b"no parquet")
    for file, message in (
        (tmp_path / "labels.xlsx", "must end in .csv or .parquet"),
        (tmp_path / "gone.csv", "No such file"),
        (fake, "not Parquet"),
    ):
        with pytest.raises(LabelFileError, match=message):
            list(read_labels(file))


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LabelFileError, match=r"shadow-sidecar\[labels\]"):
        list(read_labels(tmp_path / "labels.parquet"))


@pytest.mark.parametrize("value", [1, 0.5, "cat", [1, 2], [["a"], [2.5]], []])
def test_a_label_is_the_same_on_the_other_side(value: object) -> None:
    label = Label("a", value, 0.25, 7)  # type: ignore[arg-type]  # every shape that is allowed
    assert label_of_message(label_message(label)) == label
