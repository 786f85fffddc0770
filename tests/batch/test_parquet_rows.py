"""Parquet in and out."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import math
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bing_llm.batch.parquet_rows import ParquetSource, column_names, kind_of, read_table, write_table
from bing_llm.errors import ConfigurationError, InvalidRequest

TEXTS = st.text(max_size=5)
SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
NESTED = st.lists(st.integers()) | st.dictionaries(TEXTS, TEXTS, max_size=2)


def table(path: Path, **columns: Any) -> Path:
    """A file with these columns."""
    pq.write_table(pa.table(columns), path)
    return path


def test_each_row_has_its_place(tmp_path: Path) -> None:
    """From 1 on, over all row groups."""
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"prompt": [str(number) for number in range(700)]}), path, row_group_size=100)
    records = list(ParquetSource(path).records())
    assert [record.number for record in records] == list(range(1, 701))
    assert [record.fields for record in records] == [{"prompt": str(number)} for number in range(700)]
    assert ParquetSource(path).count() == 700


def test_values_become_what_json_has(tmp_path: Path) -> None:
    """Values are those of the same row in JSONL."""
    path = table(
        tmp_path / "in.parquet",
        messages=[[{"role": "user", "content": "Hi"}]],
        null=pa.array([None], pa.string()),
        at=pa.array([dt.datetime(2024, 5, 1, 12, 30, tzinfo=dt.UTC)]),
        day=pa.array([dt.date(2024, 5, 1)]),
        price=pa.array([decimal.Decimal("1.50")]),
        data=pa.array([b"x"]),
        nan=pa.array([math.nan]),
        kind=pa.array(["a"]).dictionary_encode(),
    )
    (record,) = ParquetSource(path).records()
    assert record.fields == {
        "messages": [{"role": "user", "content": "Hi"}],
        "null": None,
        "at": "2024-05-01T12:30:00Z",
        "day": "2024-05-01",
        "price": "1.50",
        "data": "eA==",
        "nan": None,
        "kind": "a",
    }


def test_a_value_that_cannot_be_read_costs_only_its_row(tmp_path: Path) -> None:
    """A text that is not UTF-8."""
    offsets = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    texts = pa.StringArray.from_buffers(3, offsets, pa.py_buffer(b"a\xffb"))
    path = table(tmp_path / "in.parquet", prompt=texts)
    first, wrong, last = ParquetSource(path).records()
    assert (first.fields, last.fields) == ({"prompt": "a"}, {"prompt": "b"})
    assert isinstance(wrong.fields, InvalidRequest)
    assert wrong.fields.message.startswith("Row 2 cannot be read: ")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 9, b'{"prompt": "x"}\n'])
def test_what_is_not_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    """With the path."""
    path = tmp_path / "in.parquet"
    path.write_bytes(data)
    with pytest.raises((ConfigurationError, OSError)):
        ParquetSource(path)


def test_a_file_that_is_broken_in_its_middle_is_an_os_error(tmp_path: Path) -> None:
    """The rows before it are there."""
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"prompt": [str(number) for number in range(9)]}), path, compression="none")
    data = bytearray(path.read_bytes())
    data[4:40] = b"\xff" * 36
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"."):
        list(ParquetSource(path).records())


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """One of them would be lost."""
    path = tmp_path / "in.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["prompt", "prompt"]), path)
    with pytest.raises(ConfigurationError, match="two columns of one name"):
        column_names(path)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, None], pa.bool_()),
        ([1, 2**62, None], pa.int64()),
        ([1, 0.5], pa.float64()),
        (["a", None], pa.string()),
        ([None], pa.string()),
        ([2**60, 0.5], None),
        ([2**64], None),
        ([1, "a"], None),
        ([True, 1], None),
        ([[1]], None),
        ([{}], None),
        ([{"a": 1}, "b"], None),
    ],
)
def test_a_column_has_the_type_of_its_values(tmp_path: Path, values: list[Any], expected: Any) -> None:
    """Where there is one that holds them all as they are; else it has their JSON, from which they are read again."""
    path = tmp_path / "out.parquet"
    rows = [{"x": value} for value in values]
    with path.open("wb") as file:
        write_table(file, {"x": {kind_of(value) for value in values if value is not None}}, rows)
    assert pq.read_schema(path).field("x").type == (expected or pa.string())
    assert [row for _, row in read_table(path)] == [row if row["x"] is not None else {} for row in rows]


def test_ids_of_two_types_are_texts(tmp_path: Path) -> None:
    """Those that are written alike are the same."""
    path = tmp_path / "out.parquet"
    with path.open("wb") as file:
        write_table(file, {"id": {"int", "text"}}, [{"id": 1}, {"id": "a"}])
    assert [row for _, row in read_table(path)] == [{"id": "1"}, {"id": "a"}]


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), SCALARS | NESTED), max_size=5))
def test_what_was_written_is_read(rows: list[dict[str, Any]]) -> None:
    """Rows of any values come back as they were, but whole numbers among others come as those."""
    kinds: dict[str, set[str]] = {name: set() for name in "abc"}
    for row in rows:
        for name, value in row.items():
            kinds[name].add(kind_of(value))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.parquet")
        with path.open("wb") as file:
            write_table(file, kinds, rows)
        assert [row for _, row in read_table(path)] == rows


def test_rows_are_written_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their number and by their size: a group is in memory while it is written."""
    monkeypatch.setattr("bing_llm.batch.parquet_rows._WRITTEN_AT_ONCE", 3)
    monkeypatch.setattr("bing_llm.batch.parquet_rows._MAX_WRITTEN", 10)
    file = io.BytesIO()
    write_table(file, {"a": {"text"}}, [{"a": "x"}] * 4 + [{"a": "x" * 20}] * 2)
    metadata = pq.ParquetFile(io.BytesIO(file.getvalue())).metadata
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [3, 2, 1]
