"""JSON is counted before it is read, and every failure is one of ours."""

from __future__ import annotations

import msgspec
import pytest

from bing_llm.backends.json_text import MAX_VALUES, check_values, decode_json, decode_or_none, objects_in, text_in
from bing_llm.errors import ProtocolError


@pytest.mark.parametrize("part", ["{},", "[]", "0,", "[[", '{"a":'])
def test_a_text_of_too_many_values_is_refused(part: str) -> None:
    """Whatever the values are, as text and as bytes."""
    text = part * (MAX_VALUES + 1)
    for data in (text, text.encode()):
        with pytest.raises(ProtocolError, match="over 500,000 values"):
            check_values(data)


@pytest.mark.parametrize("text", ["", "[" * MAX_VALUES, '"' + "no value at all " * 100_000 + '"'])
def test_other_text_passes(text: str) -> None:
    """As many values as the limit allows pass, and any length of text without values."""
    check_values(text)
    check_values(text.encode())


def test_what_is_not_json_gives_nothing_where_it_may() -> None:
    """`decode_or_none` answers None where `decode_json` raises."""
    values = (decode_or_none(b""), decode_or_none(b"{"), decode_or_none(b"[1]"), decode_or_none(msgspec.Raw()))
    assert values == (None, None, [1], None)
    for text in ("{", b"\xff", "[" * 5000, "," * (MAX_VALUES + 1)):
        with pytest.raises(ProtocolError):
            decode_json(text)


@pytest.mark.parametrize("value", [None, 7, "x", {"a": 1}, [], ["x", [], None]])
def test_what_is_not_a_list_of_objects_has_none(value: object) -> None:
    """Other values of a list are passed over."""
    assert list(objects_in(value)) == []
    assert list(objects_in([value, {"b": 2}]))[-1:] == [{"b": 2}]


@pytest.mark.parametrize(("item", "text"), [({"a": "x"}, "x"), ({"a": 7}, ""), ({"a": None}, ""), ({}, "")])
def test_a_field_that_is_not_a_text_is_empty(item: dict[str, object], text: str) -> None:
    """It is read like a field that is missing."""
    assert text_in(item, "a") == text
