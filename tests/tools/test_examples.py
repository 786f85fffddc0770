"""A call made up from schemas."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.tools.calls import Call, Tool
from bing_llm.tools.examples import example_call


def value(schema: Any) -> Any:
    """The example of one required property `home_town`."""
    parameters = {"type": "object", "properties": {"home_town": schema}, "required": ["home_town"]}
    return example_call([Tool("t", parameters=parameters)]).arguments["home_town"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "some home town"),
        ({"type": "string", "format": "date"}, "2024-05-17"),
        ({"type": "integer"}, 1),
        ({"type": "number", "minimum": 5}, 5),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 1),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array"}, ["some home town"]),
        ({"type": "object"}, {}),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1}),
        ({"type": "integer", "default": 7}, 7),
        ({"type": "integer", "default": None}, 1),
        ({"examples": ["Rome"], "default": "Oslo"}, "Rome"),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 3}, 3),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"allOf": [{"type": "boolean"}]}, True),
        ({"oneOf": []}, "some home town"),
        ({}, "some home town"),
        (True, "some home town"),
    ],
)
def test_values_have_the_type_of_their_schema(schema: Any, expected: Any) -> None:
    """The schema's own values come first, else one is made up for its type."""
    assert value(schema) == expected


def test_only_what_is_required_is_filled() -> None:
    """An example has the required arguments; where none is required, the first."""
    properties = {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}}
    assert example_call([Tool("t", parameters={"properties": properties, "required": ["c", "b"]})]) == Call(
        "t", {"b": 1, "c": 1}
    )
    assert example_call([Tool("t", parameters={"properties": properties})]) == Call("t", {"a": 1})


def test_definitions_are_followed() -> None:
    """A reference is filled as what it refers to."""
    parameters = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "boolean"}}}
    assert example_call([Tool("t", parameters=parameters)]) == Call("t", {"a": True})


def test_the_first_short_example_is_taken() -> None:
    """A tool with arguments that are short is the example; without one it is the first, without arguments."""
    bare = Tool("bare")
    long = Tool("long", parameters={"properties": {"a": {"const": "x" * 500}}})
    short = Tool("short", parameters={"properties": {"a": {"type": "integer"}}})
    assert example_call([bare, long, short]) == Call("short", {"a": 1})
    assert example_call([long, bare]) == Call("long")


def test_deep_schemas_end() -> None:
    """Objects and alternatives in each other are filled to a few levels only."""
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(30):
        deep = {"properties": {"a": {"anyOf": [{"type": "array", "items": deep}]}}}
    assert example_call([Tool("t", parameters=deep)]).name == "t"
