"""JSON objects in running text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.obedience.json_text import find_objects


def test_outermost_objects_are_found_in_order() -> None:
    """Objects are found in prose, in lists and beside braces that are none; inner ones are part of theirs."""
    text = 'Use {"a": {"b": 1}} or [{"c": 2}, 3] not {this} and {"d": "}"}.'
    found = list(find_objects(text))
    assert [entry.value for entry in found] == [{"a": {"b": 1}}, {"c": 2}, {"d": "}"}]
    assert [text[entry.start : entry.end] for entry in found] == ['{"a": {"b": 1}}', '{"c": 2}', '{"d": "}"}']


def test_nesting_without_end_is_no_object() -> None:
    """Text that only opens objects has none, however deep."""
    assert list(find_objects('{"a":' * 2000)) == []


def test_quotes_that_do_not_end_hide_nothing() -> None:
    """A string ends with its line, and quotes outside of braces are none."""
    text = 'He said "{" and typed {"a\nthen {"b": 1} and {"c": 2}'
    assert [entry.value for entry in find_objects(text)] == [{"b": 1}, {"c": 2}]


@pytest.mark.parametrize("piece", ['{"a":1,', '{"a":1 ', '{"', '{"a":[1,', '"\\"', '{"a":1 2}', '{"a" {}', "{ " * 9])
def test_long_texts_are_taken(piece: str) -> None:
    """What only looks like objects is read once, or a few times."""
    assert all(entry.value == {} for entry in find_objects(piece * 50_000))


def test_after_much_that_is_none_objects_are_not_looked_for() -> None:
    """Else braces in braces would be read once for each of them."""
    nested = '{"a" ' * 900 + "}" * 900
    assert list(find_objects(nested + '{"b": 1}')) == []
    assert [entry.value for entry in find_objects('{"a" {"a" }} {"b": 1}')] == [{"b": 1}]


@given(st.text(alphabet='{}[]":,a1 \\'))
def test_any_text_is_taken(text: str) -> None:
    """No text makes it fail."""
    assert all(isinstance(entry.value, dict) for entry in find_objects(text))
