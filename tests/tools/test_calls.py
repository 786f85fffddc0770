"""Tools and calls as data."""

from __future__ import annotations

import logging
import sys
import urllib.request
from typing import Any

import pytest

from bing_llm.errors import ConfigurationError, InvalidRequest
from bing_llm.tools.calls import Call, SchemaCheck, Tool, Toolbox

FIND, OPEN = Tool("find"), Tool("open")


def test_two_tools_of_one_name_are_refused() -> None:
    """A call could not tell which of the two is meant."""
    with pytest.raises(InvalidRequest, match="'find'"):
        Toolbox(tools=(FIND, OPEN, Tool("find", "another")))


def test_a_required_tool_must_be_there() -> None:
    """The error names the tool that is missing and those that are there."""
    with pytest.raises(InvalidRequest, match=r"'shut'.*find, open"):
        Toolbox(tools=(FIND, OPEN), only="shut")


def test_a_required_tool_of_none_is_refused() -> None:
    """Without tools the error says so."""
    with pytest.raises(InvalidRequest, match="there are: none"):
        Toolbox(only="find")


def test_a_required_call_needs_tools() -> None:
    """No reply could hold a call if there is nothing to call."""
    with pytest.raises(InvalidRequest, match="no tools"):
        Toolbox(required=True)


@pytest.mark.parametrize(
    ("toolbox", "must"),
    [
        (Toolbox(), False),
        (Toolbox(tools=(FIND,)), False),
        (Toolbox(tools=(FIND,), required=True), True),
        (Toolbox(tools=(FIND,), only="find"), True),
    ],
)
def test_one_tool_that_must_be_called_requires_a_call(toolbox: Toolbox, *, must: bool) -> None:
    """`only` implies `required`."""
    assert toolbox.must_call is must


def test_the_model_is_sent_only_what_it_may_call() -> None:
    """All tools are offered, but for one that must be called: then it alone."""
    assert Toolbox(tools=(FIND, OPEN)).offered == (FIND, OPEN)
    assert Toolbox(tools=(FIND, OPEN), only="open").offered == (OPEN,)


def test_a_call_of_another_tool_is_not_what_was_required() -> None:
    """Any call meets a requirement that names no tool."""
    assert Toolbox(tools=(FIND, OPEN), required=True).is_met_by(Call("find"))
    assert Toolbox(tools=(FIND, OPEN), only="open").is_met_by(Call("open"))
    assert not Toolbox(tools=(FIND, OPEN), only="open").is_met_by(Call("find"))


def test_no_arguments_are_an_object_of_its_own() -> None:
    """Two calls without arguments share no dict that one of them could change."""
    first, second = Call("find"), Call("find")
    assert first.arguments == {}
    assert first.arguments is not second.arguments
    assert Tool("a").parameters is not Tool("b").parameters


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
    assert SchemaCheck(SCHEMA)(arguments) == ""


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
    assert where in (sentence := SchemaCheck(SCHEMA)(arguments))
    assert why in sentence


def test_a_misfit_is_one_short_sentence() -> None:
    """However long the value that does not fit, its sentence is short and on one line."""
    sentence = SchemaCheck(SCHEMA)({"city": ["x\n" * 10_000]})
    assert len(sentence) < 400
    assert "\n" not in sentence


def test_an_empty_schema_fits_everything() -> None:
    """A tool without a schema takes any arguments."""
    assert SchemaCheck({})({"a": 1}) == ""


def test_an_older_draft_is_read_as_such() -> None:
    """`$schema` decides what the keywords mean: a list of items is a tuple in draft 7."""
    draft7 = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"a": {"items": [{"type": "string"}]}},
    }
    assert "arguments['a'][0]" in SchemaCheck(draft7)({"a": [1]})


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
    assert SchemaCheck(schema)({"a": "x"}) == ""
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "A JSON schema is broken" in caplog.text


def test_a_remote_reference_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that leads out of the schema is broken, not opened."""
    opened: list[Any] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **_: opened.append(args))
    assert SchemaCheck({"properties": {"a": {"$ref": "http://schema.example/secret.json"}}})({"a": 1}) == ""
    assert opened == []


def test_without_jsonschema_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigurationError) as caught:
        SchemaCheck(SCHEMA)({})
    assert caught.value.hint == "pip install jsonschema"
