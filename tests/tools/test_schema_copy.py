"""Objects that are wrapped in a copy of their schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bing_llm.tools.call_decoder import CallDecoder
from bing_llm.tools.calls import Call, Tool, Toolbox
from bing_llm.tools.json_answer import JsonAnswer
from bing_llm.tools.schema_copy import unwrap

SCHEMA = {
    "title": "City",
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}, "at": {"type": "object"}},
    "required": ["name"],
}
PARIS = {"name": "Paris", "people": 2}

COPIES: dict[str, dict[str, Any]] = {
    "all of it": {**SCHEMA, "properties": PARIS},
    "its properties alone": {"properties": PARIS},
    "with another title": {"title": "Paris", "description": "A city.", "properties": PARIS},
    "with its dialect": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": PARIS,
    },
}
OTHERS: dict[str, dict[str, Any]] = {
    "an object": PARIS,
    "the schema itself": SCHEMA,
    "a schema of one property": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}},
    "a required key is missing": {"type": "object", "properties": {"people": 2}},
    "another key in it": {"type": "object", "properties": {**PARIS, "colour": "grey"}},
    "another key beside it": {"type": "object", "properties": PARIS, "colour": "grey"},
    "an own property beside it": {"name": "Rome", "properties": PARIS},
    "no object in it": {"type": "object", "properties": ["Paris"]},
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_of_the_schema_is_unwrapped(copy: dict[str, Any]) -> None:
    """Only words of schemas stand beside the properties."""
    assert unwrap(copy, {**SCHEMA, "properties": {**SCHEMA["properties"]}}) == PARIS  # type: ignore[dict-item]


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_may_mean_anything_else_stays(other: dict[str, Any]) -> None:
    """Nobody can know then what the model meant."""
    assert unwrap(other, SCHEMA) is other


def test_a_schema_with_such_properties_is_never_unwrapped() -> None:
    """An object may have a property with the name of a word of schemas."""
    schema = {"properties": {"type": {"type": "string"}, "properties": {"type": "object"}, "name": {}}}
    value = {"type": "x", "properties": {"name": "y"}}
    assert unwrap(value, schema) is value


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_answer_is_given_without_the_copy(copy: dict[str, Any], size: int) -> None:
    """However the reply is cut, and also in a fence."""
    for reply in (json.dumps(copy), f"```json\n{json.dumps(copy, indent=1)}\n```"):
        answer = JsonAnswer(SCHEMA)
        texts = [text for at in range(0, len(reply), size) for text in answer.feed(reply[at : at + size])]
        assert json.loads("".join([*texts, *answer.close()])) == PARIS
        assert answer.found


def test_any_other_answer_is_passed_on_while_it_comes() -> None:
    """The first key tells that it is no copy."""
    answer = JsonAnswer(SCHEMA)
    assert answer.feed('{"n') == ['{"n']
    answer = JsonAnswer({"properties": {"title": {"type": "string"}}})
    assert answer.feed('{"title') == ['{"title']
    answer = JsonAnswer(SCHEMA)
    assert answer.feed('{"ti') == []
    assert answer.feed('me": 1') == ['{"time": 1']


def test_arguments_are_unwrapped() -> None:
    """In a call too."""
    decoder = CallDecoder(Toolbox(tools=(Tool("add_city", parameters=SCHEMA),)))
    written = json.dumps({"name": "add_city", "parameters": COPIES["all of it"]})
    assert decoder.decode(written, raw="raw", closed=True) == [Call("add_city", PARIS)]
