"""Strings for a JSON schema."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.emulator.obedience.evidence import Evidence
from bing_llm.emulator.obedience.strings import placeholder, string


@pytest.mark.parametrize(
    ("name", "question", "value"),
    [
        ("city", "Weather in Paris?", "Paris"),
        ("unit", "Weather in Paris, unit: metric", "metric"),
        ("name", "Create a customer named 'Ada' in Paris", "Ada"),
        ("email", "Write to ada@example.com now", "ada@example.com"),
        ("url", "Open https://x.example/a?b=1 now", "https://x.example/a?b=1"),
        ("start_date", "From 2024-02-03 on", "2024-02-03"),
        ("query", "How old is the sun?", "How old is the sun?"),
        ("topic", "A joke about cats", "cats"),
        ("style", "Make a Pirate greeting", "Pirate"),
        ("style", "make a greeting", None),
    ],
)
def test_a_needed_string_is_found(name: str, question: str, value: str | None) -> None:
    """The name of a property says what to look for: a place, an address, a date, the question itself, a name."""
    assert string({}, name, Evidence(question), needed=True) == value


def test_an_optional_string_needs_a_sign() -> None:
    """Without need, neither the question nor a name is taken; a value that is named or quoted is."""
    assert string({}, "query", Evidence("How old is Rome?"), needed=False) is None
    assert string({}, "style", Evidence("A Pirate greeting"), needed=False) is None
    assert string({}, "style", Evidence("style: odd"), needed=False) == "odd"
    assert string({}, "style", Evidence("an 'odd' one"), needed=False) == "odd"


@pytest.mark.parametrize("schema", [{"minLength": 9}, {"maxLength": 2}, {"pattern": "^x"}])
def test_a_string_that_does_not_fit_is_none(schema: dict[str, Any]) -> None:
    """Length and pattern are kept to; a pattern that is none is passed over."""
    assert string(schema, "city", Evidence("in Paris"), needed=True) is None
    assert string({"pattern": "("}, "city", Evidence("in Paris"), needed=True) == "Paris"


@pytest.mark.parametrize(
    ("schema", "name", "value"),
    [
        ({}, "short_summary", "Short summary (cats)"),
        ({}, "", "Text (cats)"),
        ({"maxLength": 3}, "name", "Nam"),
        ({"minLength": 14}, "name", "Name (cats)..."),
        ({"format": "date"}, "when", "2024-01-01"),
        ({"format": "uuid"}, "id", "00000000-0000-4000-8000-000000000000"),
    ],
)
def test_a_placeholder_names_the_property(schema: dict[str, Any], name: str, value: str) -> None:
    """A made-up string has the property's name and the subject, or the form that its format asks for."""
    assert placeholder(schema, name, Evidence("A joke about cats")) == value


def test_a_placeholder_without_a_subject_is_the_name() -> None:
    """Where the question has no subject the name is enough."""
    assert placeholder({}, "setup", Evidence("why")) == "Setup"
