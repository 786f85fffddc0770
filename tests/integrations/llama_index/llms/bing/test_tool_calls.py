"""LlamaIndex's tools as ours, and calls as its selections."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ToolCallBlock
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llama_index.llms.bing.tool_calls import as_openai_tool, schema_of, selections


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}}
OPENAI: dict[str, Any] = {"type": "function", "function": {"name": "add", "parameters": PARAMETERS}}


def response(*blocks: Any, **more: Any) -> ChatResponse:
    """A response with these blocks."""
    return ChatResponse(message=ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=more))


def call(arguments: Any, call_id: str = "x1") -> ToolCallBlock:
    """A call of `add`."""
    return ToolCallBlock(tool_call_id=call_id, tool_name="add", tool_kwargs=arguments)


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", [add, FunctionTool.from_defaults(add)], ids=["function", "tool"])
def test_a_function_and_a_tool_mean_the_same(tool: Any) -> None:
    """Name, description and schema."""
    made = as_openai_tool(tool)["function"]
    assert made["name"] == "add"
    assert "Add two numbers." in made["description"]
    assert made["parameters"]["properties"].keys() == {"a", "b"}


FLAT = {"type": "function", **OPENAI["function"]}


@pytest.mark.parametrize("given", [OPENAI, FLAT, {"function": OPENAI["function"]}])
def test_a_tool_in_openais_forms_is_a_tool(given: Any) -> None:
    """The form of chat completions, in which it may be passed again, and the flat one of the Responses API."""
    assert as_openai_tool(given) == OPENAI


def test_a_long_description_is_allowed() -> None:
    """LlamaIndex refuses over 1,024 characters, which are OpenAI's limit."""
    tool = FunctionTool.from_defaults(add, description="x" * 2000)
    assert len(as_openai_tool(tool)["function"]["description"]) == 2000


@pytest.mark.parametrize("tool", [7, {}, {"name": "add"}, {"type": "web_search"}])
def test_what_is_not_a_tool_is_refused(tool: Any) -> None:
    """The error says what is one."""
    with pytest.raises(ValueError, match=r"allowed: LlamaIndex tools, functions, and dicts like \{"):
        as_openai_tool(tool)


class City(BaseModel):
    """A city."""

    name: str


def test_a_class_and_its_schema_are_the_same_format() -> None:
    """A schema stays as it is."""
    assert schema_of(City) == City.model_json_schema()
    assert schema_of(PARAMETERS) is PARAMETERS


@pytest.mark.parametrize("given", [7, "json", int, City(name="Paris")])
def test_what_is_not_a_schema_is_refused(given: Any) -> None:
    """The error says what is one."""
    with pytest.raises(ValueError, match="allowed: a pydantic class, a JSON schema, or OpenAI's forms"):
        schema_of(given)


# --- selections -------------------------------------------------------------------------------------------------------


def test_calls_are_selections_in_their_order() -> None:
    """By their ids."""
    made = selections(response(TextBlock(text="a"), call({"a": 1}), call({"a": 2}, "x2")), error_on_no_tool_call=True)
    assert [(each.tool_id, each.tool_name, each.tool_kwargs) for each in made] == [
        ("x1", "add", {"a": 1}),
        ("x2", "add", {"a": 2}),
    ]


def test_text_is_not_read_again() -> None:
    """What looks like a call in it was text to the parser."""
    text = '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'
    assert selections(response(TextBlock(text=text)), error_on_no_tool_call=False) == []


def test_no_call_is_an_error_if_it_is_asked_for() -> None:
    """The error shows what the model said instead."""
    with pytest.raises(ValueError, match=r"without a tool call that can be made: 'I cannot add\.'"):
        selections(response(TextBlock(text="I cannot add.")), error_on_no_tool_call=True)


def test_a_call_that_cannot_be_read_is_never_made() -> None:
    """Agents are given a tool that does not exist, whose name says what was wrong, so they tell the model."""
    broken = response(call("<tool_call>{"), call({"a": 1}, "x2"), tool_parse_errors={"x1": "It is no JSON."})
    first, second = selections(broken, error_on_no_tool_call=True)
    assert (first.tool_name, first.tool_kwargs) == ("add (It is no JSON.)", {})
    assert (second.tool_name, second.tool_kwargs) == ("add", {"a": 1})


def test_only_calls_that_cannot_be_read_do_not_count() -> None:
    """The error says why; where none is to be raised, the agent gets a selection that says so."""
    broken = response(call("<tool_call>{"), tool_parse_errors={"x1": "It is no JSON."})
    with pytest.raises(ValueError, match="It is no JSON"):
        selections(broken, error_on_no_tool_call=True)
    assert len(selections(broken, error_on_no_tool_call=False)) == 1


@pytest.mark.parametrize(("arguments", "expected"), [('{"a": 1}', {"a": 1}), ("", {})])
def test_arguments_of_another_model_may_be_json(arguments: str, expected: dict[str, Any]) -> None:
    """Blocks of a history may come from any LLM."""
    (made,) = selections(response(call(arguments)), error_on_no_tool_call=True)
    assert made.tool_kwargs == expected


@pytest.mark.parametrize("arguments", ["{", "[1]"])
def test_arguments_that_are_not_an_object_make_no_call(arguments: str) -> None:
    """A call without its arguments would be another call."""
    (made,) = selections(response(call(arguments)), error_on_no_tool_call=False)
    assert (made.tool_name, made.tool_kwargs) == ("add (Its arguments are not a JSON object.)", {})
    with pytest.raises(ValueError, match="Its arguments are not a JSON object"):
        selections(response(call(arguments)), error_on_no_tool_call=True)
