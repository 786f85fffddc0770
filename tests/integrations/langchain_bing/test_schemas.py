"""Tools and schemas of every kind: kept as their user wrote them, for the prompt and for the check."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict

import pytest
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, Field

from langchain_bing.schemas import OutputSchema, as_openai_tool, json_schema_of
from tests.fakes import FakeBackend
from tests.integrations.langchain_bing.models import model_of
from tests.integrations.turns import call, turn


class Node(BaseModel):
    """A node of a tree."""

    name: str
    children: list[Node] = []


class Leaf(TypedDict, total=False):
    """The end of a branch."""

    color: Literal["green", "brown"]
    size: Required[int]


class Branch(TypedDict):
    """A branch."""

    name: str
    note: NotRequired[str]
    label: Annotated[str, ..., "What hangs there."]
    count: Annotated[int, 1, "How many."]
    width: Annotated[int, Field(ge=0)]
    leaves: list[Leaf] | None
    branches: NotRequired[dict[str, Branch]]


@tool
def fetch(url: str, headers: dict[str, str] = {}, depth: int | None = None) -> str:  # noqa: B006
    """Fetch a page."""
    return f"{url} {headers} {depth}"


@tool
def plant(tree: Node) -> str:
    """Plant a tree."""
    return tree.name


def grow(tree: Node, height: int = 1) -> str:
    """Let a tree grow.

    Args:
        tree: Which one.
        height: How high, in metres.
    """
    return f"{tree} {height}"


MCP: Any = StructuredTool(
    name="plant",
    description="Plant a tree.",
    func=lambda **tree: str(tree),
    args_schema={"type": "object", "properties": {"tree": {"$ref": "#/$defs/Node"}}, **Node.model_json_schema()},
)


def fetched(arguments: dict[str, Any], **schema: Any) -> Any:
    """The calls and the invalid calls of an answer with this call, asked strictly."""
    answer = turn(call("fetch", **arguments))
    message = model_of(FakeBackend(answer, answer)).bind_tools([fetch], strict=True, **schema).invoke("Fetch it.")
    return [made["args"] for made in message.tool_calls], len(message.invalid_tool_calls)


def test_a_strict_call_is_checked_by_the_schema_of_its_user() -> None:
    """Not by OpenAI's subset, in which a free mapping is empty and an optional argument must be there."""
    for arguments in (
        {"url": "https://example.com", "headers": {"accept": "text/html"}},
        {"url": "https://example.com"},
        {"url": "https://example.com", "depth": None},
    ):
        assert fetched(arguments) == ([arguments], 0)
    assert fetched({"url": "https://example.com", "headers": {"accept": 1}}) == ([], 1)
    assert fetched({}) == ([], 1)


@pytest.mark.parametrize("given", [Node, plant, grow, MCP], ids=["class", "tool", "function", "MCP"])
def test_recursion_stays_in_the_prompt(given: Any) -> None:
    """A schema that refers to itself keeps its definition, and is not cut to `{}`."""
    backend = FakeBackend(turn("Hi"))
    model_of(backend).bind_tools([given]).invoke("Hello")
    line = next(line for line in backend.prompts[0].text.splitlines() if line.startswith('{"name"'))
    parameters = json.loads(line)["parameters"]
    assert parameters["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert parameters["properties"]


def test_a_recursive_answer_is_checked_at_each_depth() -> None:
    """One level down, an answer that does not fit is asked for once more."""
    right: dict[str, Any] = {"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}
    wrong = {"name": "a", "children": [{"name": "b", "children": [{"name": 1}]}]}
    for method in ("function_calling", "json_schema"):
        written = [
            call("Node", **value) if method == "function_calling" else json.dumps(value) for value in (wrong, right)
        ]
        backend = FakeBackend(*(turn(text) for text in written))
        assert model_of(backend).with_structured_output(Node, method=method).invoke("Which?") == Node(**right)
        assert "children.0.children.0.name" in backend.prompts[1].text


def test_a_typed_dict_says_what_it_requires() -> None:
    """`NotRequired`, `Required` and `total`; notes of LangChain and of pydantic; what is nested, and itself."""
    schema = json_schema_of(Branch)
    branch, leaf = schema["$defs"]["Branch"], schema["$defs"]["Leaf"]
    assert branch["required"] == ["name", "label", "width", "leaves"]
    assert branch["description"] == "A branch."
    properties = branch["properties"]
    assert properties["label"]["description"] == "What hangs there."
    assert (properties["count"]["default"], properties["count"]["description"]) == (1, "How many.")
    assert properties["width"]["minimum"] == 0
    assert properties["branches"]["additionalProperties"] == {"$ref": "#/$defs/Branch"}
    assert "default" not in properties["note"]
    assert (leaf["required"], leaf["properties"]["color"]["enum"]) == (["size"], ["green", "brown"])


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({}, ""),
        ({"note": "old", "leaves": [{"size": 1}], "branches": {}}, ""),
        ({"note": 1}, "the answer['note'] does not fit the schema: 1 is not of type 'string'."),
        ({"leaves": [{"color": "green"}]}, "'size' is a required property"),
        ({"width": -1}, "-1 is less than the minimum of 0"),
    ],
)
def test_a_typed_dict_is_checked(more: dict[str, Any], problem: str) -> None:
    """The dict itself is the answer, without what was left out of it."""
    value = {"name": "a", "label": "b", "width": 1, "leaves": None, **more}
    output = OutputSchema.of(Branch)
    if not problem:
        assert output.read(value) is value
    else:
        with pytest.raises(ValueError, match="does not fit the schema") as caught:
            output.read(value)
        assert problem in str(caught.value)
    model = model_of(FakeBackend(turn(call("Branch", **value)), turn("No.")))
    assert model.with_structured_output(Branch, include_raw=True).invoke("Which?")["parsed"] == (
        None if problem else value
    )


FLAT = {"type": "function", "name": "add", "description": "Adds.", "parameters": {"type": "object"}, "strict": True}
NESTED = {"type": "function", "function": {key: FLAT[key] for key in FLAT if key != "type"}}


@pytest.mark.parametrize("given", [FLAT, NESTED, NESTED["function"], {**NESTED, "cache_control": {}}])
def test_a_tool_in_openais_forms_is_a_tool(given: Any) -> None:
    """The form of chat completions, and the flat one of the Responses API."""
    assert as_openai_tool(given) == NESTED
    assert as_openai_tool(given, strict=False)["function"]["strict"] is False


@pytest.mark.parametrize("given", [{"type": "function"}, {"type": "function", "function": {"description": "x"}}])
def test_a_tool_without_a_name_is_refused(given: Any) -> None:
    """The error says what it has."""
    with pytest.raises(ValueError, match="A tool has no name; its keys: "):
        as_openai_tool(given)


def test_what_is_not_a_schema_is_refused() -> None:
    """The error says what is allowed."""
    with pytest.raises(ValueError, match="is not a schema; allowed: a pydantic class"):
        json_schema_of(3)
