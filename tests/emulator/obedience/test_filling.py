"""Filling a JSON schema."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.emulator.obedience.evidence import Evidence
from bing_llm.emulator.obedience.filling import Filler

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


def filled(schema: dict[str, Any], question: str, *, thorough: bool = False) -> dict[str, Any]:
    """The object for a question."""
    return Filler(schema, Evidence(question), thorough=thorough).object()


def value(schema: dict[str, Any], question: str, *, required: bool = True, thorough: bool = False) -> Any:
    """The value of one property `x`; a KeyError where it is left out."""
    root = {"type": "object", "properties": {"x": schema}, "required": ["x"] if required else []}
    return filled(root, question, thorough=thorough)["x"]


@pytest.mark.parametrize(
    ("schema", "question", "expected"),
    [
        ({"type": "string"}, "in Paris", "Paris"),
        ({"type": "integer"}, "take 7", 7),
        ({"type": "number"}, "take 7.5", 7.5),
        ({"type": "integer"}, "nothing", 1),
        ({"type": "integer", "default": 9}, "nothing", 9),
        ({"type": "boolean"}, "nothing", False),
        ({"type": "boolean"}, "with x please", True),
        ({"type": "boolean"}, "without x please", False),
        ({"type": "null"}, "nothing", None),
        ({"type": ["null"]}, "in Paris", None),
        ({"anyOf": [{"type": "null"}]}, "in Paris", None),
        ({"const": "c"}, "nothing", "c"),
        ({"enum": ["celsius", "fahrenheit"]}, "in Fahrenheit", "fahrenheit"),
        ({"enum": ["a", "b"]}, "nothing", "a"),
        ({"enum": ["a", "b"], "default": "b"}, "nothing", "b"),
        ({"enum": [1, 2]}, "nothing", 1),
        ({"enum": ["light", "light blue"]}, "a light blue one", "light blue"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "in Paris", "Paris"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "nothing", None),
        ({"type": ["integer", "null"]}, "take x 7", 7),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "nothing", 1),
        ({"type": "array", "items": {"type": "integer"}}, "sum 1, 2 and 3", [1, 2, 3]),
        ({"type": "array", "items": {"type": "string"}}, "greet Ada and Bob", ["Ada", "Bob"]),
        ({"type": "array", "items": {"enum": ["red", "blue"]}}, "blue and red", ["red", "blue"]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, "1, 2 and 3", [1, 2]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, "nothing", ["X 1", "X 2"]),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 0}, "nothing", []),
        ({"type": "array"}, "nothing", ["X"]),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, "7 in Paris", [7, "Paris"]),
        ({"type": "array", "items": PERSON}, "add Ada", [{"name": "Ada"}]),
        (PERSON, "Ada, age 36", {"name": "Ada", "age": 36}),
        ({"properties": {}}, "nothing", {}),
        ({}, "in Paris", "Paris"),
    ],
)
def test_a_required_value_has_its_type(schema: dict[str, Any], question: str, expected: Any) -> None:
    """Each type is filled from the question, by default, or with the least that it allows."""
    schema = schema if "Ada, age" not in question else PERSON
    assert value(schema, question) == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "integer", "default": 3},
        {"type": "boolean"},
        {"enum": ["a", "b"]},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        {"type": "array", "items": {"type": "string"}},
        {"type": "array", "items": {"enum": ["q"]}},
        PERSON | {"required": []},
    ],
)
def test_an_optional_value_without_a_sign_is_left_out(schema: dict[str, Any]) -> None:
    """The arguments of a tool leave its defaults alone; a thorough answer has every property."""
    with pytest.raises(KeyError):
        value(schema, "Go to Paris", required=False)
    value(schema, "Go to Paris", required=False, thorough=True)


@pytest.mark.parametrize(
    ("schema", "question", "expected"),
    [
        ({"enum": ["a", "b"]}, "take b", "b"),
        ({"type": "integer"}, "x is 7", 7),
        ({"type": "array", "items": {"enum": ["red", "blue"]}}, "all blue", ["blue"]),
        (PERSON | {"required": []}, "age 36", {"age": 36}),
        (PERSON, "age 36", {"name": "Name", "age": 36}),
    ],
)
def test_an_optional_value_with_a_sign_is_filled(schema: dict[str, Any], question: str, expected: Any) -> None:
    """What the question plainly gives is filled, required or not."""
    assert value(schema, question, required=False) == expected


def test_required_properties_choose_first() -> None:
    """A required property gets the quoted string, an optional one before it does not; the order is the schema's."""
    schema = {
        "type": "object",
        "properties": {"note": {"type": "string"}, "title": {"type": "string"}},
        "required": ["title"],
    }
    assert filled(schema, "Call it 'Moby'") == {"title": "Moby"}
    assert list(filled(schema, "Call it 'Moby' with 'whale'")) == ["note", "title"]


def test_references_lead_to_definitions() -> None:
    """`$ref` and `$defs` are followed from the root."""
    schema = {
        "type": "object",
        "properties": {"who": {"$ref": "#/$defs/P"}},
        "required": ["who"],
        "$defs": {"P": PERSON},
    }
    assert filled(schema, "It was Ada", thorough=True) == {"who": {"name": "Ada", "age": 1}}


@pytest.mark.parametrize("thorough", [False, True])
def test_a_schema_that_holds_itself_ends(*, thorough: bool) -> None:
    """A tree of trees is filled to a bounded depth."""
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "left": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]},
            "all": {"type": "array", "items": {"$ref": "#/$defs/N"}},
        },
        "required": ["name", "left", "all"],
    }
    schema = {**node, "$defs": {"N": node}}
    found = filled(schema, "x", thorough=thorough)
    assert found.keys() == {"name", "left", "all"}


def test_what_is_no_object_schema_gives_an_empty_one() -> None:
    """The root must be an object; another schema gives no properties."""
    assert filled({"type": "string"}, "in Paris") == {}
