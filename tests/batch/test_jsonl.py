"""JSONL in: each line a row, whatever it holds."""

from __future__ import annotations

import datetime as dt
import io
import math
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bing_llm.batch.files import MAX_ROW
from bing_llm.batch.jsonl import JsonlSource, json_record, read_lines, read_records
from bing_llm.errors import InvalidRequest
from tests.batch.helpers import records_of

GOOD = b'{"prompt":"x"}\n'

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def found(data: bytes) -> list[tuple[int, Any]]:
    """Number and fields of each record, an error as its text."""
    return [
        (record.number, record.fields.message if isinstance(record.fields, InvalidRequest) else record.fields)
        for record in chain.from_iterable(read_records(io.BytesIO(data)))
    ]


def test_each_line_is_a_row_and_blank_lines_are_none() -> None:
    """They count for the numbers, which are those of an editor."""
    assert found(b'{"a":1}\n\n \t\r\n{"a":2}\r\n{"a":3}') == [(1, {"a": 1}), (4, {"a": 2}), (5, {"a": 3})]


def test_a_byte_order_mark_is_not_part_of_the_first_row() -> None:
    """Editors on Windows write one."""
    assert found(b"\xef\xbb\xbf" + GOOD) == [(1, {"prompt": "x"})]
    assert found(b"\xef\xbb\xbf\n" + GOOD) == [(2, {"prompt": "x"})]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\u0085", "\u000b\\u000b", "\u000c\\u000c", "\u001e\\u001e"])
def test_only_a_line_feed_ends_a_line(sign: str) -> None:
    """What Unicode or str.splitlines call a line break is text within a string; control characters are an error."""
    data = f'{{"prompt":"a{sign}b"}}\n'.encode()
    ((number, fields),) = found(data)
    assert number == 1
    assert fields == {"prompt": f"a{sign}b"} or "not a JSON object" in fields


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"x", "is not a JSON object: "),
        (b'{"prompt": "x"', "is not a JSON object: "),
        (b"[1]", "is not a JSON object but of type list."),
        (b"null", "is not a JSON object but of type NoneType."),
        (b'{"a": NaN}', "is not a JSON object: "),
        (b'{"a": "\x00"}', "is not a JSON object: "),
        (b"\x00" * 9, "is not a JSON object: "),
        (b'{"a": "\xff"}', "is not a JSON object: "),
        (b'{"a": "\\ud800"}', "is not a JSON object: "),
        (b'{"a": ' + b"1" * 5000 + b"}", "is not a JSON object: "),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "is nested over 100 levels deep."),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested over 100 levels deep."),
        (b'{"a":[' + b"{}," * 300_000 + b"{}]}", "has over 500,000 values."),
        (b'{"a": "' + b"x" * MAX_ROW + b'"}', "is over 16 MiB."),
        ("{}\n".encode("utf-16"), "is not a JSON object: "),
    ],
    ids=range(15),
)
def test_a_line_that_is_not_a_row_costs_only_itself(line: bytes, why: str) -> None:
    """The error names its line, and the next one is read."""
    rows = found(GOOD + line + b"\n" + GOOD)
    assert rows[0] == (1, {"prompt": "x"})
    assert rows[-1][1] == {"prompt": "x"}
    assert rows[1][0] == 2
    assert rows[1][1].startswith(f"Line 2 {why}")


def test_a_row_may_be_nested_a_hundred_levels_deep() -> None:
    """And have any number of brackets in its texts."""
    ((_, fields),) = found(b'{"a": ' + b"[" * 99 + b"]" * 99 + b"}")
    assert list(fields) == ["a"]
    assert found(b'{"a": "' + b"[" * 999 + b'"}') == [(1, {"a": "[" * 999})]


class Endless:
    """A file of one line that is `left` bytes long; it records the longest piece that was requested."""

    left = 1_000_000
    longest = 0

    def read1(self, size: int) -> bytes:
        """The next piece of the line."""
        assert size > 0, "a line is never read without a limit"
        self.longest = max(self.longest, size)
        taken = min(size, self.left)
        self.left -= taken
        return b"x" * taken


def test_an_endless_line_is_read_in_pieces() -> None:
    """A file without line breaks, however large, is one wrong row and is never in memory whole."""
    file = Endless()
    assert list(read_lines(file, 1000)) == [(1, None)]  # type: ignore[arg-type]  # it can what lines needs
    assert (file.left, file.longest) == (0, 1001)


def test_a_line_of_the_limit_passes() -> None:
    """Its line break does not count; one byte more is too long."""
    assert list(read_lines(io.BytesIO(b"12345\n123456\n1\n123456"), 5)) == [
        (1, b"12345\n"),
        (2, None),
        (3, b"1\n"),
        (4, None),
    ]


@given(st.lists(st.sampled_from([b"\n", b"x", b"{}\n", b"y" * 9, b"\r"])).map(b"".join), st.integers(1, 12))
def test_lines_do_not_depend_on_how_they_are_read(data: bytes, longest: int) -> None:
    """Wherever a block ends, the lines are those that `readline` gives."""
    lines = io.BytesIO(data).readlines()
    fitting = [line if len(line.removesuffix(b"\n")) <= longest else None for line in lines]
    assert list(read_lines(io.BytesIO(data), longest)) == list(enumerate(fitting, 1))


def test_a_value_over_two_lines_is_two_wrong_rows() -> None:
    """Also where the lines of a block are as many as its values."""
    rows = found(b'{"a":[{}\n{}]}\n{},{}\n' + GOOD)
    assert [isinstance(fields, str) for _, fields in rows] == [True, True, True, False]


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=5))
def test_what_was_written_is_read(rows: list[dict[str, Any]]) -> None:
    """Rows that are written as JSONL come back as they were."""
    data = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    assert found(data) == list(enumerate(rows, 1))


@given(st.binary())
def test_any_bytes_give_rows_or_errors(data: bytes) -> None:
    """Nothing else is raised, and the numbers rise."""
    numbers = [number for number, _ in found(data)]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= data.count(b"\n") + 1 for number in numbers)


def test_objects_become_what_json_has() -> None:
    """A row of objects is what its line of JSONL would be."""
    row: dict[Any, Any] = {
        "at": dt.datetime(2024, 5, 1, 12, 30),  # noqa: DTZ001 - as tables have them
        "day": dt.date(2024, 5, 1),
        "nan": math.nan,
        "bytes": b"x",
        "tuple": (1, 2),
        7: "seven",
    }
    assert json_record(1, row).fields == {
        "at": "2024-05-01T12:30:00",
        "day": "2024-05-01",
        "nan": None,
        "bytes": "eA==",
        "tuple": [1, 2],
        "7": "seven",
    }


class Text(str):
    """A string type like numpy's."""

    __slots__ = ()


class Whole(int):
    """An integer type like that of an enumeration."""


class Time(dt.datetime):
    """A time like pandas's."""


class Array:
    """An array like numpy's."""

    def tolist(self) -> list[int]:
        """What it holds."""
        return [1, 2]


def test_objects_of_subclasses_are_what_they_are_made_of() -> None:
    """Tables are often read through numpy and pandas, which have types of their own."""
    row = {
        "text": Text("a"),
        "whole": Whole(7),
        "at": Time(2024, 5, 1, 12, 30),
        "array": Array(),
        "mapping": MappingProxyType({"a": Text("b")}),
    }
    assert json_record(1, row).fields == {
        "text": "a",
        "whole": 7,
        "at": "2024-05-01T12:30:00",
        "array": [1, 2],
        "mapping": {"a": "b"},
    }


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize("value", [object(), "\ud800", 10**5000, CIRCLE, {(1, 2): 3}], ids=range(5))
def test_an_object_that_is_not_json_is_an_error_of_its_row(value: Any) -> None:
    """The error names the row."""
    error = json_record(3, {"a": value}).fields
    assert isinstance(error, InvalidRequest)
    assert error.message.startswith("Row 3 cannot be written as JSON: ")


def test_objects_have_the_limits_of_lines() -> None:
    """Neither too long nor too deep."""
    deep: Any = 1
    for _ in range(150):
        deep = [deep]
    assert "nested over 100" in str(json_record(1, {"a": deep}).fields)
    assert "over 16 MiB" in str(json_record(1, {"a": "x" * MAX_ROW}).fields)


def test_a_file_is_counted_without_being_parsed(tmp_path: Path) -> None:
    """Blank lines do not count as rows; malformed ones do."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\n" + GOOD + b"\n\nnonsense\n" + GOOD[:-1])
    source = JsonlSource(path)
    assert source.count() == len(list(records_of(source))) == 3


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"a", b"a\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n b\n", b" \n\t\na\r\n\r\nb", b"\x0c\n\n\nab\n \nc\n "],
)
@pytest.mark.parametrize("piece", [3, 4, 5, 1000])
def test_rows_are_counted_piece_by_piece(
    tmp_path: Path, data: bytes, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as are read, wherever a piece of the file ends."""
    monkeypatch.setattr("bing_llm.batch.jsonl._PIECE", piece)  # the first has the whole byte order mark
    path = tmp_path / "in.jsonl"
    path.write_bytes(data)
    source = JsonlSource(path)
    assert source.count() == len(list(records_of(source)))
