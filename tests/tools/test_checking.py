"""Arguments against the schema of their tool."""

from __future__ import annotations

import logging
import sys
import urllib.request
from typing import Any

import pytest

from bing_llm.errors import ConfigurationError
from bing_llm.tools.checking import misfit

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "unit": {"$ref": "#/$defs/Unit"},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"Unit": {"enum": ["C", "F"]}},
}


@pytest.mark.parametrize("arguments", [{"city": "Paris"}, {"city": "", "days": [1, 2], "unit": "C"}])
def test_what_fits_has_no_misfit(arguments: dict[str, Any]) -> None:
    """Arguments that fit give no sentence."""
    assert misfit(arguments, SCHEMA) == ""


@pytest.mark.parametrize(
    ("arguments", "where", "why"),
    [
        ({}, "arguments does not fit", "'city' is a required property"),
        ({"city": 1}, "arguments['city']", "1 is not of type 'string'"),
        ({"city": "x", "days": [1, 0]}, "arguments['days'][1]", "0 is less than the minimum of 1"),
        ({"city": "x", "unit": "K"}, "arguments['unit']", "'K' is not one of ['C', 'F']"),
        ({"city": "x", "town": "y"}, "arguments does not fit", "'town' was unexpected"),
    ],
)
def test_a_misfit_says_where_and_why(arguments: dict[str, Any], where: str, why: str) -> None:
    """The sentence names the place and the reason, so that a model can correct it."""
    assert where in (sentence := misfit(arguments, SCHEMA))
    assert why in sentence


def test_a_misfit_is_one_short_sentence() -> None:
    """However long the value that does not fit, its sentence is short and on one line."""
    sentence = misfit({"city": ["x\n" * 10_000]}, SCHEMA)
    assert len(sentence) < 400
    assert "\n" not in sentence


def test_an_empty_schema_fits_everything() -> None:
    """A tool without a schema takes any arguments."""
    assert misfit({"a": 1}, {}) == ""


def test_an_older_draft_is_read_as_such() -> None:
    """`$schema` decides what the keywords mean: a list of items is a tuple in draft 7."""
    draft7 = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"a": {"items": [{"type": "string"}]}},
    }
    assert "arguments['a'][0]" in misfit({"a": [1]}, draft7)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strng"},
        {"properties": 5},
        {"properties": {"a": {"pattern": "("}}},
        {"$ref": "#/$defs/Missing"},
        {"$schema": {}},
        {"$ref": "#"},
    ],
    ids=str,
)
def test_a_broken_schema_checks_nothing(schema: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """A schema that cannot be applied refuses no call; a warning tells whose fault it is."""
    assert misfit({"a": "x"}, schema) == ""
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "schema of a tool is broken" in caplog.text


def test_a_remote_reference_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that leads out of the schema is broken, not opened."""
    opened: list[Any] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **_: opened.append(args))
    assert misfit({"a": 1}, {"properties": {"a": {"$ref": "http://schema.example/secret.json"}}}) == ""
    assert opened == []


def test_without_jsonschema_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for the check without the library is told how to get it."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigurationError) as caught:
        misfit({}, SCHEMA)
    assert caught.value.hint == "pip install jsonschema"
