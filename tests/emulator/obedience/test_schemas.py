"""JSON schemas, resolved."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.emulator.obedience.schemas import alternatives, is_nullable, properties_of, resolved

ROOT: dict[str, Any] = {
    "$defs": {
        "A": {"type": "string"},
        "B": {"$ref": "#/$defs/A"},
        "Loop": {"$ref": "#/$defs/Loop"},
        "x/y": {"type": "null"},
    }
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer"}, {"type": "integer"}),
        ({"$ref": "#/$defs/A", "title": "T"}, {"type": "string", "title": "T"}),
        ({"$ref": "#/$defs/B"}, {"type": "string"}),
        ({"$ref": "#/$defs/x~1y"}, {"type": "null"}),
        ({"$ref": "#/nowhere"}, {}),
        ({"$ref": "https://x.example/schema"}, {}),
        (True, {}),
        (None, {}),
    ],
)
def test_references_are_followed(schema: Any, expected: dict[str, Any]) -> None:
    """A reference stands for its target, with what is beside it; one that leads nowhere stands for anything."""
    assert resolved(schema, ROOT) == expected


def test_a_circle_of_references_ends() -> None:
    """A reference to itself does not run for ever."""
    assert "$ref" in resolved({"$ref": "#/$defs/Loop"}, ROOT)


def test_all_of_is_merged() -> None:
    """The parts of `allOf` are one schema, properties and required names together."""
    parts = [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]
    merged = resolved({"allOf": parts, "type": "object"}, {})
    assert merged["type"] == "object"
    assert merged["properties"] == {"a": {}, "b": {}}
    assert sorted(merged["required"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("schema", "kinds", "nullable"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ["string"], True),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, ["string", "integer"], False),
        ({"type": ["integer", "null"]}, ["integer"], True),
        ({"type": "null"}, [], True),
        ({"type": "string", "nullable": True}, [], True),
        ({"type": "string"}, [], False),
    ],
)
def test_alternatives_leave_null_out(schema: dict[str, Any], kinds: list[str], *, nullable: bool) -> None:
    """`anyOf`, `oneOf` and lists of types are alternatives; null is told apart from them."""
    assert [option["type"] for option in alternatives(schema)] == kinds
    assert is_nullable(schema) is nullable


def test_properties_say_whether_they_are_required() -> None:
    """Each property comes with its schema and whether it is required; odd schemas have none."""
    schema = {"properties": {"a": {}, "b": {"type": "string"}}, "required": ["b"]}
    assert list(properties_of(schema)) == [("a", {}, False), ("b", {"type": "string"}, True)]
    assert list(properties_of({"properties": [], "required": "b"})) == []
