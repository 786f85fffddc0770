"""A kept row tells whether it is whole and ours."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.batch.kept import as_line, is_torn, kept
from bing_llm.batch.rows import OUTPUT_FIELDS, Failed, Record, key_of, read, written
from bing_llm.errors import InvalidRequest
from tests.batch.output_rows import answered, failed, unreadable

ROWS = [answered(1), answered("a\nb\u2028c", text=""), failed("x", tag=[1]), unreadable(7)]
FIELDS = st.dictionaries(
    st.sampled_from(["id", "prompt", "tag", *OUTPUT_FIELDS]) | st.text(max_size=3),
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
)


@pytest.mark.parametrize("row", ROWS)
def test_what_is_kept_is_known_again(row: dict[str, Any]) -> None:
    """By its key, and whether it failed."""
    line = as_line(row)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    found = kept(line)
    assert found is not None
    assert (found.key, found.failed) == (key_of(row), "error" in row)


@pytest.mark.parametrize("row", ROWS)
def test_any_beginning_of_a_line_is_torn(row: dict[str, Any]) -> None:
    """A kill may come after any byte; only the whole object, with or without its line end, keeps the row."""
    line = as_line(row)
    for end in range(len(line) - 1):
        assert kept(line[:end]) is None
        assert is_torn(line[:end])
    assert kept(line[:-1]) == kept(line)


@given(FIELDS)
def test_rows_of_any_input_are_known_again(fields: dict[str, Any]) -> None:
    """Whatever its fields are called and hold, and however it ended."""
    row = read(Record(3, fields))
    output = written(row, Failed(InvalidRequest("No.")))
    found = kept(as_line(output))
    assert found is not None
    assert (found.key, found.failed) == (row.key, True)


def test_what_tells_a_row_comes_first() -> None:
    """Whoever made the row: a torn line is known by its beginning."""
    row = answered("a")
    assert as_line(dict(reversed(list(row.items())))).startswith(b'{"id":"a",')
    assert as_line(unreadable(7)).startswith(b'{"line":7,')


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"\x00\x01\xff",
        b'{"id": 1, "prompt": "x"}',
        b'{"id":1,"prompt":"x"}',
        b'{"id":1,"text":"x","attempts":1,"seconds":1}',
        b'{"id":1,"text":"x","finish_reason":"stop","attempts":"1","seconds":1}',
        b'{"id":"","text":"x","finish_reason":"stop","attempts":1,"seconds":1}',
        b'{"text":"x","finish_reason":"stop","attempts":1,"seconds":1}',
        b'{"id":1,"error":"x","attempts":1,"seconds":1}',
        b"[" * 100_000,
    ],
)
def test_other_lines_are_no_rows_and_not_torn(line: bytes) -> None:
    """A stranger's file, above all one of prompts, is never taken for an output; only an empty end is nobody's."""
    assert kept(line) is None
    assert is_torn(line) == (line == b"")


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_whole_objects_of_others_are_not_torn(fields: dict[str, Any]) -> None:
    """However they are written."""
    for line in (json.dumps(fields).encode(), msgspec.json.encode(fields)):
        assert not is_torn(line)
