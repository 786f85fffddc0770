"""LangChain's tools, choices and formats, as ours."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from bing_llm.completion.request import read_format, read_toolbox
from langchain_bing import ChatBing
from langchain_bing.schemas import as_openai_tool

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pydantic.v1 import BaseModel as BaseModelV1


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def add_function(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: One.
        b: The other.
    """
    return a + b


class AddModel(BaseModel):
    """Add two numbers."""

    a: int = Field(description="One.")
    b: int


class AddModelV1(BaseModelV1):
    """Add two numbers."""

    a: int
    b: int


class AddDict(TypedDict):
    """Add two numbers."""

    a: Annotated[int, ..., "One."]
    b: int


PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
JSON_SCHEMA = {"title": "add_schema", "description": "Add two numbers.", **PARAMETERS}
OPENAI = {
    "type": "function",
    "function": {"name": "add_openai", "description": "Add two numbers.", "parameters": PARAMETERS},
}
ANTHROPIC = {"name": "add_anthropic", "description": "Add two numbers.", "input_schema": PARAMETERS}
RUNNABLE = ChatPromptTemplate.from_template("{a} and {b}") | RunnableLambda(str)

TOOLS: dict[str, Any] = {
    "add": add,
    "add_function": add_function,
    "AddModel": AddModel,
    "AddModelV1": AddModelV1,
    "AddDict": AddDict,
    "add_schema": JSON_SCHEMA,
    "add_openai": OPENAI,
    "add_anthropic": ANTHROPIC,
}


@pytest.mark.parametrize("name", TOOLS)
def test_every_form_of_a_tool_is_read(name: str) -> None:
    """Tools, functions, pydantic classes of both versions, `TypedDict`s and schemas mean the same."""
    (read,) = read_toolbox([as_openai_tool(TOOLS[name])], None, parallel=None).tools
    assert (read.name, read.description) == (name, "Add two numbers.")
    assert read.parameters["properties"].keys() == {"a", "b"}
    assert {part["type"] for part in read.parameters["properties"].values()} == {"integer"}
    assert sorted(read.parameters["required"]) == ["a", "b"]


@pytest.mark.filterwarnings("ignore:.*as_tool.* is in beta")
def test_a_runnable_is_a_tool() -> None:
    """Its inputs are the arguments."""
    (read,) = read_toolbox([as_openai_tool(RUNNABLE)], None, parallel=None).tools
    assert read.parameters["properties"].keys() == {"a", "b"}


def test_a_tool_that_takes_nothing_has_no_parameters() -> None:
    """Neither properties nor a name are needed."""
    (read,) = read_toolbox([as_openai_tool({"name": "now", "description": ""})], None, parallel=None).tools
    assert (read.name, read.description, read.parameters.get("properties", {})) == ("now", "", {})


def test_bound_tools_are_in_openai_form() -> None:
    """LangGraph compares names in `kwargs["tools"]`."""
    bound = ChatBing(backend="emulator").bind_tools([add, ANTHROPIC])
    assert [each["function"]["name"] for each in bound.kwargs["tools"]] == ["add", "add_anthropic"]  # type: ignore[attr-defined]
    assert as_openai_tool(bound.kwargs["tools"][0]) == bound.kwargs["tools"][0]  # type: ignore[attr-defined]


def test_what_is_not_said_is_not_bound() -> None:
    """An option that was not given does not hide that of an outer `bind`."""
    bound = ChatBing(backend="emulator").bind_tools([add], anything=1)
    assert bound.kwargs.keys() == {"tools", "anything"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("choice", ["sub", {"name": "sub"}, {"type": "tool"}, {}, 7, {"function": {}}])
def test_another_choice_is_refused_when_it_is_bound(choice: Any) -> None:
    """The error names the bound tools, and comes before anything is sent."""
    with pytest.raises(ValueError, match=r"the bound tools are: add\. Allowed: 'auto', 'any'"):
        ChatBing(backend="emulator").bind_tools([add], tool_choice=choice)


def test_a_class_is_a_format() -> None:
    """A class gives the format that it gives `with_structured_output`."""
    read = read_format(AddModel, convert_to_json_schema)
    assert read is not None
    assert read.schema is not None
    assert read.schema["properties"].keys() == {"a", "b"}


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview", "code_interpreter"])
def test_a_tool_that_another_provider_runs_is_refused(kind: str) -> None:
    """When it is bound, with a word on what this service has instead."""
    with pytest.raises(ValueError, match=rf"'{kind}' is one that its provider runs.*search=True"):
        as_openai_tool({"type": kind})
