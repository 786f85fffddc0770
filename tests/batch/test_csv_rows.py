"""CSV in and out: each row a row, whatever its quoting is."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.batch import csv_rows
from bing_llm.batch.csv_rows import CsvSource, read_header, read_rows, write_table
from bing_llm.errors import ConfigurationError, InvalidRequest

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def found(tmp_path: Path, data: bytes) -> list[tuple[int, Any]]:
    """Number and fields of each row of a file, an error as its text."""
    path = tmp_path / "in.csv"
    path.write_bytes(data)
    source = CsvSource(path)
    taken = [
        (record.number, record.fields.message if isinstance(record.fields, InvalidRequest) else record.fields)
        for record in source.records()
    ]
    assert source.count() == len(taken)
    return taken


def test_each_row_has_the_line_where_it_begins(tmp_path: Path) -> None:
    """Blank lines count, and so do those within quotes."""
    data = b'id,prompt\r\n1,a\r\n\r\n2,"b\r\nc ""d"", e"\r\n3,f'
    assert found(tmp_path, data) == [
        (2, {"id": "1", "prompt": "a"}),
        (4, {"id": "2", "prompt": 'b\r\nc "d", e'}),
        (6, {"id": "3", "prompt": "f"}),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_byte_order_mark_and_any_line_end_are_read(tmp_path: Path, end: bytes) -> None:
    """Line ends and byte order marks of spreadsheets of all systems are read."""
    assert found(tmp_path, b"\xef\xbb\xbfprompt,x" + end + b"a,b" + end) == [(2, {"prompt": "a", "x": "b"})]


@pytest.mark.parametrize("sign", ["\u2028", "\u0085", "\u000b", "\u000c"])
def test_other_line_breaks_are_text(tmp_path: Path, sign: str) -> None:
    """Only CR and LF end a row."""
    assert found(tmp_path, f"prompt,x\na{sign}b,c\n".encode()) == [(2, {"prompt": f"a{sign}b", "x": "c"})]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"1", "Line 3 has 1 cells, the header has 2."),
        (b"1,2,3", "Line 3 has 3 cells, the header has 2."),
        (b'1,"a"b', "Line 3: "),
        (b'1,"a\n2,b"c', "Line 3 to 4: "),
        (b"1,\xff", "Line 3: it is not UTF-8."),
        (b"1,a\0", "Line 3: the row contains NUL."),
    ],
)
def test_a_wrong_row_costs_only_itself(tmp_path: Path, line: bytes, why: str) -> None:
    """The error names its lines, and the next one is read."""
    first, wrong, last = found(tmp_path, b"id,prompt\n0,a\n" + line + b"\n9,z\n")
    assert first == (2, {"id": "0", "prompt": "a"})
    assert wrong[0] == 3
    assert wrong[1].startswith(why)
    assert last[1] == {"id": "9", "prompt": "z"}


def test_a_quote_that_is_left_open_is_an_error_of_its_row(tmp_path: Path) -> None:
    """All text until the end of the file is part of it: the error says from which line to which."""
    first, wrong = found(tmp_path, b'id,prompt\n0,a\n1,"b\n2,c\n3,d\n')
    assert first[1] == {"id": "0", "prompt": "a"}
    assert wrong == (3, "Line 3 to 5: unexpected end of data.")


def test_a_quote_that_is_left_open_takes_no_more_than_a_row_may_have() -> None:
    """Rows far after it are read."""
    text = 'a\n"x\n' + "y\n" * 20 + "z\n"
    taken = list(read_rows(io.StringIO(text, newline=""), 30))
    assert taken[0] == (1, ["a"])
    assert taken[1] == (2, "2 to 16: the row is over 0 Mi characters")
    assert taken[2:] == [(number, ["y"]) for number in range(17, 23)] + [(23, ["z"])]


def test_a_row_of_many_quoted_cells_has_the_same_limit() -> None:
    """The limit of csv itself is one for each cell."""
    text = "".join(f'"{number}\n",' for number in range(10, 99)) + '"end"\n'
    first, *_ = read_rows(io.StringIO(text, newline=""), 40)
    assert isinstance(first[1], str)
    assert "over" in first[1]


class Endless:
    """A file of one line that is `left` characters long."""

    left = 1_000_000

    def readline(self, size: int) -> str:
        """The next piece of the line."""
        assert 0 < size <= 1001, "a line is never read without a limit"
        taken = min(size, self.left)
        self.left -= taken
        return "x" * taken


def test_an_endless_line_is_read_in_pieces() -> None:
    """A file without line breaks is one wrong row and is never in memory whole."""
    file = Endless()
    assert list(read_rows(file, 1000)) == [  # type: ignore[arg-type]  # it can what rows needs
        (1, "1: the row is over 0 Mi characters")
    ]
    assert file.left == 0


def test_a_long_cell_is_read_and_the_limit_of_the_process_stays(tmp_path: Path) -> None:
    """The limit of csv is one for all who use it: it is given back after each row, also a wrong one."""
    before = csv.field_size_limit()
    long = "x" * (before + 1)
    for record in CsvSource(_written(tmp_path, f'prompt\n{long}\n"a"b\n')).records():
        assert csv.field_size_limit() == before
        if not isinstance(record.fields, InvalidRequest):
            assert record.fields == {"prompt": long}


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "in.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no header: the file is empty"),
        ("\n\n", "has no header: the file is empty"),
        ("What is this?\n", "names neither prompt nor messages"),
        ("prompt,id,prompt\n", "a column is named twice"),
        ('"prompt', "has no header: 1: unexpected end of data"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigurationError, match=why):
        CsvSource(_written(tmp_path, text))


def test_a_header_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """A header in UTF-16, for example, is refused."""
    path = tmp_path / "in.csv"
    path.write_bytes("prompt\na\n".encode("utf-16"))
    with pytest.raises(ConfigurationError, match="has no header") as caught:
        CsvSource(path)
    assert "UTF-8" in caught.value.hint


def test_a_header_with_other_separators_is_refused(tmp_path: Path) -> None:
    """A spreadsheet whose decimals have commas separates otherwise; the hint names commas."""
    with pytest.raises(ConfigurationError, match="names neither prompt nor messages") as caught:
        CsvSource(_written(tmp_path, "id;prompt\n1;Hello\n"))
    assert "commas" in caught.value.hint


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=5))
def test_what_was_written_is_read(table: list[list[str]]) -> None:
    """Any text but NUL comes back as it was, with its line breaks."""
    file = io.BytesIO()
    write_table(file, {"a": set(), "b": set()}, [{"a": one, "b": other} for one, other in table])
    text = io.StringIO(file.getvalue().decode(), newline="")
    assert [cells for _, cells in read_rows(text, 10_000)] == [["a", "b"], *table]


def test_nul_is_replaced_where_it_is_written() -> None:
    """CSV cannot hold it, and a file that cannot be read again is worth nothing."""
    file = io.BytesIO()
    write_table(file, {"a": set()}, [{"a": "x\0y"}])
    assert file.getvalue() == "a\r\nx\ufffdy\r\n".encode()


@given(st.binary())
def test_any_bytes_give_rows_or_errors(data: bytes) -> None:
    """Nothing else is raised, and the numbers rise."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", errors="surrogateescape", newline="")
    numbers = [number for number, _ in read_rows(text, 50)]
    assert numbers == sorted(set(numbers))


def test_the_header_comes_first() -> None:
    """Reading it leaves the rows."""
    found = csv_rows.read_rows(io.StringIO("a,b\n1,2\n", newline=""), 100)
    assert read_header(found, "x") == ["a", "b"]
    assert list(found) == [(2, ["1", "2"])]
