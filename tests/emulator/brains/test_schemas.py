"""Objects for schemas: only what is stated."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.emulator.brains.prompt import ToolResult
from bing_llm.emulator.brains.schemas import NO_MODEL, Stated, Unstated, resolved


def schema(**fields: Any) -> dict[str, Any]:
    """The schema of an object, all of whose fields are required."""
    return {"type": "object", "properties": fields, "required": list(fields)}


INTEGER, NUMBER, BOOLEAN, TEXT = ({"type": kind} for kind in ("integer", "number", "boolean", "string"))
UNIT = {"enum": ["metric", "imperial"]}


@pytest.mark.parametrize(
    ("fields", "text", "expected"),
    [
        ({"degrees": INTEGER}, "In Paris it is 21 degrees.", {"degrees": 21}),
        ({"max_degrees": NUMBER}, "max degrees: -1.5", {"max_degrees": -1.5}),
        ({"unit": UNIT}, "The unit is Metric.", {"unit": "metric"}),
        ({"is_new": BOOLEAN}, "is_new = true, and more", {"is_new": True}),
        ({"name": TEXT}, "The city is named 'Paris' (in France).", {"name": "Paris"}),
        ({"name": TEXT}, "The city is Paris.", {"name": NO_MODEL}),
        ({"kind": {"const": "city"}}, "", {"kind": "city"}),
        ({"names": {"type": "array", "items": TEXT, "minItems": 2}}, "", {"names": [NO_MODEL, NO_MODEL]}),
        ({"place": schema(city=TEXT)}, "", {"place": {"city": NO_MODEL}}),
        ({"degrees": {"anyOf": [INTEGER, {"type": "null"}]}}, "", {"degrees": None}),
        ({"degrees": {"type": ["integer", "null"]}}, "degrees: 7", {"degrees": 7}),
        ({"anything": {}}, "", {"anything": NO_MODEL}),
    ],
)
def test_a_field_gets_what_stands_beside_its_name(fields: Any, text: str, expected: dict[str, Any]) -> None:
    """Free text that is not there is the line."""
    assert Stated(text).fill(schema(**fields)) == expected


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"score": INTEGER}, "It was 4."),
        ({"score": INTEGER}, "score: 4 if it is right"),
        ({"score": INTEGER}, "score: 4, score: 5"),
        ({"score": {"type": "integer", "maximum": 3}}, "score: 4"),
        ({"score": INTEGER}, "score: 4.5"),
        ({"unit": UNIT}, "unit: 'metric' or 'imperial'"),
        ({"unit": UNIT}, "Is it metric?"),
        ({"passing": BOOLEAN}, "Is it passing, yes or no?"),
        ({"numbers": {"type": "array", "items": INTEGER}}, "numbers 1 and 2"),
        ({"date": {"type": "string", "format": "date"}}, ""),
        ({"code": {"type": "string", "pattern": "^[A-Z]{3}$"}}, ""),
        ({"code": {"type": "string", "pattern": "("}}, ""),
        ({"short": {"type": "string", "maxLength": 5}}, ""),
        ({"place": schema(degrees=INTEGER)}, "degrees"),
    ],
)
def test_nothing_is_guessed(fields: Any, text: str) -> None:
    """A value that is required and not stated leaves no object."""
    with pytest.raises(Unstated):
        Stated(text).fill(schema(**fields))


def test_an_object_without_a_stated_field_is_none() -> None:
    """Where all fields are optional, those that are stated are filled, and at least one must be."""
    optional = {**schema(degrees=INTEGER, name=TEXT), "required": []}
    assert Stated("It is 21 degrees.").fill(optional) == {"degrees": 21}
    with pytest.raises(Unstated):
        Stated("It is warm.").fill(optional)
    assert Stated("").fill({"type": "object"}) == {}


def test_results_of_tools_state_values() -> None:
    """Under their names, or as the one number that there is; not those of a tool that failed."""
    fields = schema(total=INTEGER, name=TEXT)
    assert Stated("", [ToolResult("add", '{"total": 5}')]).fill(fields) == {"total": 5, "name": NO_MODEL}
    assert Stated("", [ToolResult("add", "5")]).fill(fields) == {"total": 5, "name": NO_MODEL}
    for text, failed in (("5", True), ('"5"', False), ("true", False), ("[5]", False)):
        with pytest.raises(Unstated):
            Stated("", [ToolResult("add", text, failed)]).fill(fields)
    with pytest.raises(Unstated):
        Stated("", [ToolResult("add", "5")]).fill(schema(one=INTEGER, other=INTEGER))


def test_a_part_may_be_filled() -> None:
    """So that the schema itself says what is missing."""
    assert Stated("").fill_partly(schema(score=INTEGER, reason=TEXT)) == {"reason": NO_MODEL}


def test_references_are_followed() -> None:
    """Also where a schema contains itself, which has no end."""
    root = {"$defs": {"City": schema(name=TEXT)}, **schema(city={"allOf": [{"$ref": "#/$defs/City"}]})}
    assert Stated("").fill(root) == {"city": {"name": NO_MODEL}}
    assert resolved({"$ref": "#/nowhere"}, root) == {}
    endless: dict[str, Any] = {"$defs": {"Node": schema(next={"$ref": "#/$defs/Node"})}, "$ref": "#/$defs/Node"}
    with pytest.raises(Unstated):
        Stated("").fill(endless)
    assert resolved({"$ref": "#"}, {"$ref": "#"}) == {"$ref": "#"}
