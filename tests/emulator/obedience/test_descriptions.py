"""Tools described in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.agent.react.formatter import get_react_tool_descriptions
from llama_index.core.tools import FunctionTool

from bing_llm.emulator.obedience.descriptions import described_tools
from bing_llm.emulator.obedience.instructions import Tool

NUMBERS: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
SCHEMA = json.dumps(NUMBERS)


def add(a: int, b: int) -> int:
    """Add two numbers.

    name: nothing has this name, it is here to mislead
    """
    return a + b


def now() -> str:
    """Tell the time."""
    return "noon"


def test_llama_index_describes_tools() -> None:
    """Their names, descriptions and schemas are found, also where a docstring speaks of names."""
    listed = get_react_tool_descriptions([FunctionTool.from_defaults(add), FunctionTool.from_defaults(now)])
    first, second = described_tools("You may use these.\n" + "\n".join(listed))
    assert (first.name, second.name) == ("add", "now")
    assert "Add two numbers." in first.description
    assert second.description.endswith("Tell the time.")
    assert first.parameters["required"] == ["a", "b"]
    assert second.parameters["properties"] == {}


@pytest.mark.parametrize(
    "text",
    [
        f"### add\nAdds two numbers.\nParameters: {SCHEMA}",
        f"add: Adds two numbers. Args: {SCHEMA}",
        f"1. **add** - Adds two numbers. Schema: {SCHEMA}",
        f"Tools:\n- name: add\n  description: Adds two numbers.\n  arguments: {SCHEMA}",
        f"add(a, b): Adds two numbers. {json.dumps(NUMBERS['properties'])}",
        json.dumps({"name": "add", "description": "Adds two numbers.", "parameters": NUMBERS}),
    ],
    ids=["heading", "line", "list", "labels", "properties", "JSON"],
)
def test_people_describe_tools(text: str) -> None:
    """In a heading, in a line of its own, with labels, with the properties alone, or as JSON."""
    assert described_tools(f"Here they are.\n\n{text}\n") == (Tool("add", "Adds two numbers.", NUMBERS),)


def test_signatures_are_taken_where_there_are_no_schemas() -> None:
    """A tool may be described as a function."""
    (found,) = described_tools("add(a: int, b: int) -> int - Adds two numbers.")
    assert found == Tool("add", "Adds two numbers.", NUMBERS)


@pytest.mark.parametrize("text", ["", "No tools.", f"Follow {SCHEMA}", 'name: add {"a": 1}', "name: add {}"])
def test_other_words_describe_no_tool(text: str) -> None:
    """Without a name there is none, nor without a schema."""
    assert described_tools(text) == ()


@given(st.lists(st.sampled_from(["Tool Name: ", "add", "\n", " ", SCHEMA, "{", "}", "(", ")", ":", "- ", "Args: "])))
def test_any_text_is_taken(parts: list[str]) -> None:
    """No text makes it fail."""
    assert all(tool.name for tool in described_tools("".join(parts)))
