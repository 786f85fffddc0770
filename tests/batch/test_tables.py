"""An output as a table, and back."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bing_llm.batch import tables
from bing_llm.batch.kept import as_line
from bing_llm.batch.rows import Answered, Failed, Record, read, written
from bing_llm.batch.tables import check_ours, to_journal, to_table
from bing_llm.errors import ConfigurationError, ServiceError
from bing_llm.events import Reply
from tests.batch.output_rows import answered, failed, kept_in, unreadable

Table = Literal["csv", "parquet"]
BOTH: list[Table] = ["csv", "parquet"]
MESSAGES = [{"role": "user", "content": "Hi"}]
ROWS = [
    answered("a", tag="x"),
    answered("b", text='Two\r\nlines, "quoted"\n'),
    failed("c", tag="y"),
    unreadable(4),
    answered("e", text=""),
]


def journal_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A journal of these rows."""
    path = folder / "journal"
    path.write_bytes(b"".join(map(as_line, rows)))
    return path


def through(folder: Path, rows: list[dict[str, Any]], table: Table) -> list[dict[str, Any]]:
    """The rows after a table was made of them, and a journal of that."""
    path, back = folder / "table", folder / "back"
    to_table(journal_of(folder, rows), path, table)
    check_ours(path, table)
    to_journal(path, back, table)
    return kept_in(back)


@pytest.mark.parametrize("table", BOTH)
def test_an_output_comes_back(tmp_path: Path, table: Table) -> None:
    """Answers, also empty ones, errors, and rows that have a line and no id."""
    assert through(tmp_path, ROWS, table) == ROWS


@pytest.mark.parametrize("table", BOTH)
def test_no_rows_are_a_table_too(tmp_path: Path, table: Table) -> None:
    """With the columns that every output has."""
    assert through(tmp_path, [], table) == []


def test_parquet_keeps_all_types(tmp_path: Path) -> None:
    """Nested values and those of several types, too."""
    rows = [
        answered(1, mixed=1, nested=[1, {"a": None}], flag=True, share=0.5, huge=2**70),
        answered(2, mixed="1", nested={}, flag=False, share=2.5, huge=1),
    ]
    assert through(tmp_path, rows, "parquet") == rows


def test_csv_keeps_texts_and_json(tmp_path: Path) -> None:
    """What is no text is its JSON, and so it stays in every later run."""
    rows = [answered(1, tags=["x"], flag=True, share=0.5, none=None)]
    once = through(tmp_path, rows, "csv")
    assert once == [{**answered("1"), "tags": '["x"]', "flag": "true", "share": "0.5"}]
    assert through(tmp_path, once, "csv") == once


def test_columns_come_in_the_order_of_their_first_row(tmp_path: Path) -> None:
    """What tells a row first, what came of it last."""
    to_table(journal_of(tmp_path, [failed(1, b=1), answered(2, a=1, b=2)]), tmp_path / "table", "csv")
    with (tmp_path / "table").open(encoding="utf-8", newline="") as file:
        header, first, _ = csv.reader(file)
    expected = ["id", "line", "prompt", "b", "a", "text", "citations", "finish_reason", "attempts", "seconds", "error"]
    assert header == expected
    assert dict(zip(header, first, strict=True)) == {
        **dict.fromkeys(expected, ""),
        "id": "1",
        "prompt": "The capital of France?",
        "b": "1",
        "attempts": "3",
        "seconds": "0.25",
        "error": msgspec.json.encode(failed(1)["error"]).decode(),
    }


def test_parquet_gives_the_output_types_of_its_own(tmp_path: Path) -> None:
    """The same in every file, whatever its rows are."""
    schemas = []
    for rows in (ROWS, [], [failed("x")]):
        to_table(journal_of(tmp_path, rows), tmp_path / "table", "parquet")
        schema = pq.read_schema(tmp_path / "table")
        schemas.append([schema.field(name) for name in ("line", "text", "citations", "attempts", "seconds", "error")])
    assert schemas[0] == schemas[1] == schemas[2]
    assert str(schemas[0][2].type) == "list<element: struct<number: int64, url: string, title: string>>"


@settings(max_examples=50)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["prompt", "text", "line", "input_text", "error", "", 'a,"b"\r\n']),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
        ),
        max_size=4,
    ),
    st.sampled_from(BOTH),
)
def test_rows_of_texts_come_back_from_any_table(records: list[dict[str, Any]], table: Table) -> None:
    """Whatever their fields are called, and whatever is in them."""
    outcomes: list[Answered | Failed] = [
        Answered(Reply(text="Yes."), 1, 0.5),
        Failed(ServiceError("It broke."), 2, 1.5),
    ]
    rows = [
        written(read(Record(number, {"id": f"r{number}", **fields})), outcomes[number % 2])
        for number, fields in enumerate(records)
    ]
    with tempfile.TemporaryDirectory() as folder:
        assert through(Path(folder), rows, table) == rows


def test_a_row_longer_than_csv_reads_by_itself_comes_back(tmp_path: Path) -> None:
    """An answer or what was carried through may be of any length; the limit of the process stays."""
    limit = csv.field_size_limit()
    rows = [answered("a", text="x" * (limit + 1))]
    assert through(tmp_path, rows, "csv") == rows
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("table", BOTH)
def test_a_table_of_others_is_refused(tmp_path: Path, table: Table) -> None:
    """It has not the columns of an output."""
    path = tmp_path / "table"
    to_table(journal_of(tmp_path, ROWS), path, table)
    if table == "csv":
        path.write_bytes(path.read_bytes().replace(b"finish_reason", b"reason"))
    else:
        pq.write_table(pq.read_table(path).drop_columns(["finish_reason"]), path)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="was not touched: it has not the columns of an output"):
        check_ours(path, table)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "row",
    [
        "1,,Hi,Yes.,[],stop,1",
        "1,,Hi,Yes.,[],stop,one,0.5,",
        "1,,Hi,Yes.,[],,1,0.5,",
        "1,,Hi,Yes.,[,stop,1,0.5,",
        ",,Hi,Yes.,[],stop,1,0.5,",
        "1,,Hi,Yes.,[],stop,1,0.5,broken",
        '1,,Hi,"Yes."x,[],stop,1,0.5,',
        "1,,Hi,Yes.\udcff,[],stop,1,0.5,",
    ],
)
def test_a_row_of_others_is_refused(tmp_path: Path, row: str) -> None:
    """With its line; neither the table is touched nor a journal made."""
    path, journal = tmp_path / "table", tmp_path / "journal"
    header = "id,line,prompt,text,citations,finish_reason,attempts,seconds,error\n"
    path.write_text(f"{header}1,,Hi,Yes.,[],stop,1,0.5,\n{row}\n", encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigurationError, match="was not touched: Line 3 is no row of an output"):
        to_journal(path, journal, "csv")
    assert list(tmp_path.iterdir()) == [path]


def test_columns_in_another_order_are_read(tmp_path: Path) -> None:
    """A person may have moved them; a journal still begins with what tells its rows."""
    path, journal = tmp_path / "table", tmp_path / "journal"
    header = "error,seconds,attempts,finish_reason,citations,text,prompt,line,id\n"
    path.write_text(f"\ufeff{header},0.5,1,stop,[],Yes.,Hi,,1\n", encoding="utf-8")
    to_journal(path, journal, "csv")
    assert journal.read_bytes().startswith(b'{"id":"1","prompt":"Hi","text":"Yes.",')


@pytest.mark.parametrize("table", BOTH)
def test_rows_of_too_many_fields_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    """A table has a cell for each field of any row in every row; the journal stays."""
    monkeypatch.setattr(tables, "_MAX_COLUMNS", 100)
    journal = journal_of(tmp_path, [answered(1, text="", **{f"f{number}": "x" for number in range(101)})])
    with pytest.raises(ConfigurationError, match="over 100 different fields"):
        to_table(journal, tmp_path / "table", table)
    assert list(tmp_path.iterdir()) == [journal]
