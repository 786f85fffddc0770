"""JSON objects in running text."""

from __future__ import annotations

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


@given(st.text(alphabet='{}[]":,a1 \\'))
def test_any_text_is_taken(text: str) -> None:
    """No text makes it fail."""
    assert all(isinstance(entry.value, dict) for entry in find_objects(text))
