"""Tools as one line each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.errors import InvalidRequest
from bing_llm.tools.calls import Tool
from bing_llm.tools.signatures import render_tool

STRING: dict[str, Any] = {"type": "string"}
INTEGER: dict[str, Any] = {"type": "integer"}


def parameters(*required: str, **properties: Any) -> dict[str, Any]:
    """The schema of a tool's arguments."""
    return {"type": "object", "properties": properties, "required": list(required)}


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({}, "t()"),
        (parameters(), "t()"),
        (parameters("a", a=STRING, b=INTEGER), "t(a: string, b?: integer)"),
        (parameters(a={**INTEGER, "default": 1}), "t(a?: integer = 1)"),
        (parameters(a={**STRING, "default": None}), "t(a?: string)"),
        (parameters("a", a={**STRING, "description": "Up to\n */ 14."}), "t(a: string /* Up to * / 14. */)"),
        (
            parameters("a", a={**INTEGER, "minimum": 1, "description": "How many"}),
            "t(a: integer /* How many; minimum: 1 */)",
        ),
        (parameters("a", a={**STRING, "format": "date"}), 't(a: string /* format: "date" */)'),
        (parameters("a", a={"enum": ["x", "y"]}), 't(a: "x" | "y")'),
        (parameters("a", a={"const": 7}), "t(a: 7)"),
        (parameters("a", a={"anyOf": [STRING, {"type": "null"}]}), "t(a: string | null)"),
        (parameters("a", a={"type": "array", "items": STRING}), "t(a: string[])"),
        (
            parameters("a", a={"type": "array", "items": {"anyOf": [STRING, INTEGER]}}),
            "t(a: (string | integer)[])",
        ),
        (parameters("a", a=parameters("x", x=INTEGER, y=INTEGER)), "t(a: {x: integer, y?: integer})"),
        ({**parameters("a", a=STRING), "additionalProperties": False, "title": "T"}, "t(a: string)"),
        (parameters("a", a={**INTEGER, "default": 1, "minimum": 1}), "t(a: integer /* default: 1; minimum: 1 */)"),
        (
            parameters("a", a={**STRING, "pattern": "a  */*", "description": "A  type"}),
            r't(a: string /* A type; pattern: "a  *\/*" */)',
        ),
        # MCP servers name the draft of their schemas, which says nothing of the tool.
        ({**parameters("a", a=STRING), "$schema": "http://json-schema.org/draft-07/schema#"}, "t(a: string)"),
        ({**parameters("a", a={"$ref": "#/$defs/A"}), "$defs": {"A": STRING}}, "t(a: string)"),
    ],
)
def test_a_simple_schema_is_a_signature(schema: dict[str, Any], written: str) -> None:
    """It says all that the schema says."""
    assert render_tool(Tool("t", parameters=schema)) == written
    assert render_tool(Tool("t", "About\nit.", schema)) == f"{written}: About it."


@pytest.mark.parametrize(
    "schema",
    [
        parameters(a={"const": {"x": 1}}),
        parameters(a={"enum": ["x", ["y"]]}),
        parameters(a={"enum": []}),
        parameters(a={"const": 1, "enum": [1, 2]}),
        parameters(a={**STRING, "anyOf": [{"const": "x"}, INTEGER]}),
        parameters(a={"anyOf": []}),
        parameters(a={"type": ["string", "null"]}),
        parameters(a={"allOf": [STRING]}),
        parameters(a={"type": "object"}),
        parameters(a={"type": "array"}),
        parameters(a={}),
        parameters(a={"anyOf": [{**INTEGER, "minimum": 1}, STRING]}),
        parameters(**{"not-a-name": STRING}),
        {**parameters(a=STRING), "additionalProperties": True},
        {**parameters(a=STRING), "minProperties": 1},
        parameters("b", a=STRING),
        {**parameters(a=STRING), "required": True},
        {**parameters(a=STRING), "required": [["a"]]},
        parameters(a={"type": "array", "items": {**STRING, "description": "A name."}}),
        parameters(a={"anyOf": [{**STRING, "description": "A name."}, INTEGER]}),
        {**parameters(a={"$ref": "#/$defs/A"}), "$defs": {"A": parameters(a={"$ref": "#/$defs/A"})}},
    ],
)
def test_what_a_signature_cannot_say_is_json(schema: dict[str, Any]) -> None:
    """Nothing of the schema is lost."""
    written = render_tool(Tool("t", "About it.", schema))
    assert json.loads(written) == {"name": "t", "description": "About it.", "parameters": schema}


def test_what_the_schema_says_of_the_whole_is_not_lost() -> None:
    """Some frameworks describe a tool only there, some there too."""
    schema = {**parameters("a", a=STRING), "description": "Only\nwhole words."}
    assert render_tool(Tool("t", "Finds it.", schema)) == "t(a: string): Finds it. Only whole words."
    assert render_tool(Tool("t", "Only\nwhole words.", schema)) == "t(a: string): Only whole words."


def test_a_strange_name_is_json() -> None:
    """A name that is not an identifier would not read as a signature."""
    assert json.loads(render_tool(Tool("a-b"))) == {"name": "a-b", "parameters": {}}


def test_a_deep_schema_is_json() -> None:
    """From nine levels on a signature is no easier to read."""
    deep: dict[str, Any] = STRING
    for _ in range(10):
        deep = parameters("a", a=deep)
    assert render_tool(Tool("t", parameters=deep)).startswith("{")


@given(st.text(), st.text())
def test_a_tool_is_one_line_without_blocks(description: str, about: str) -> None:
    """Whatever a stranger's tool says of itself."""
    schema = parameters("a", a={**STRING, "description": f"{about}<tool_call>", "default": about})
    written = render_tool(Tool("t", f"{description}\n</tool_call>", schema))
    assert len(written.splitlines()) == 1
    assert "<tool" not in written


def test_a_schema_that_is_not_json_is_refused() -> None:
    """As everywhere."""
    endless: dict[str, Any] = {}
    endless["not"] = endless
    with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
        render_tool(Tool("t", parameters=endless))
