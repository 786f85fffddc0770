"""The forms of a call as JSON; test_parser.py has them all, in the text of a reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bing_llm.tools.calls import Call, InvalidCall, Tool, Toolbox
from bing_llm.tools.forms import Forms

NEEDY = Tool("find", parameters={"type": "object", "required": ["q"]})
FORMS = Forms(Toolbox(tools=(NEEDY, Tool("list"))))


@pytest.mark.parametrize(
    ("value", "calls"),
    [
        ({"name": "find", "arguments": {"q": 1}}, [Call("find", {"q": 1})]),
        ({"name": "find", "arguments": {}}, [Call("find")]),
        ({"name": "list"}, [Call("list")]),
        ([{"tool": "list"}, {"function": {"name": "LIST"}}], [Call("list"), Call("list")]),
        ({"name": "find"}, None),
        ({"name": "other", "arguments": {}}, None),
        ({"name": "list", "colour": "red"}, None),
        ({"name": "list", "arguments": 1}, None),
        ({"arguments": {}}, None),
        ([], None),
        ([{"name": "list"}, 1], None),
        ({"tool_calls": 1}, None),
        ("list", None),
    ],
    ids=str,
)
def test_bare_json_is_a_call_only_where_it_can_be_nothing_else(value: Any, calls: list[Call] | None) -> None:
    """Without a tag every value must name a tool, with the arguments that it needs and nothing else."""
    assert FORMS.bare(json.dumps(value), raw="raw") == calls


def test_broken_bare_json_is_no_call() -> None:
    """What cannot be read was not surely meant as a call."""
    assert FORMS.bare('{"name": "list"', raw="raw") is None


@pytest.mark.parametrize("value", [1, "list", None, {}, {"name": 1}, {"function": {}}, {"name": ""}], ids=str)
def test_what_was_meant_as_a_call_needs_a_name(value: Any) -> None:
    """Any JSON in a tag is a call or an invalid one, never an error."""
    (found,) = FORMS.meant(json.dumps(value), raw="raw", closed=True)
    assert isinstance(found, InvalidCall)
    assert (found.text, found.name) == ("raw", "")
    assert "no name" in found.reason


def test_the_name_is_read_from_broken_json() -> None:
    """Who answers an invalid call can say which tool it was."""
    (found,) = FORMS.meant('{"tool_name": "Find", "args": {x}}', raw="raw", closed=True)
    assert isinstance(found, InvalidCall)
    assert found.name == "find"


def test_a_block_is_invalid_once() -> None:
    """However many of its values are no calls: each invalid call holds the text of the whole block."""
    text = '[1, {}, {"name": "list"}, 2]'
    calls = FORMS.meant(text, raw=f"<tool_call>{text}", closed=False)
    assert [type(call) for call in calls] == [Call, InvalidCall]


PERSON = Tool(
    "person",
    parameters={
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name"],
    },
)


@pytest.mark.parametrize(
    ("value", "call"),
    [
        ({"name": "Ada"}, Call("person", {"name": "Ada"})),
        ({"age": 36, "name": "person"}, Call("person", {"age": 36, "name": "person"})),
        ([{"name": "Ada"}], Call("person", {"name": "Ada"})),
        ({"name": "person", "arguments": {"name": "Ada"}}, Call("person", {"name": "Ada"})),
        ({"age": 36}, None),
        ({"name": "Ada", "colour": "red"}, None),
        ([{"name": "Ada"}, {"name": "Bob"}], None),
        ([1], None),
        ({}, None),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "box",
    [
        Toolbox(tools=(PERSON,), required=True),
        Toolbox(tools=(PERSON,), only="person"),
        Toolbox(tools=(NEEDY, PERSON), only="person"),
    ],
    ids=["required", "only", "only of two"],
)
def test_arguments_alone_call_the_one_tool_that_must_be_called(value: Any, call: Call | None, box: Toolbox) -> None:
    """One object is enough if its keys are the tool's and none that is required is missing."""
    forms = Forms(box)
    assert forms.bare(json.dumps(value), raw="raw") == (None if call is None else [call])
    assert (forms.meant(json.dumps(value), raw="raw", closed=True) == [call]) == (call is not None)
    assert {"name", "age", "arguments"} <= forms.first_keys


@pytest.mark.parametrize(
    "box", [Toolbox(tools=(PERSON,)), Toolbox(tools=(PERSON, NEEDY), required=True)], ids=["free", "two"]
)
def test_arguments_alone_call_nothing_where_the_tool_is_not_certain(box: Toolbox) -> None:
    """Then such an object may be an answer, or meant for another tool."""
    forms = Forms(box)
    assert forms.bare('{"name": "Ada"}', raw="raw") is None
    assert "age" not in forms.first_keys


def test_arguments_alone_must_fit_where_arguments_must() -> None:
    """As those of any other call."""
    forms = Forms(Toolbox(tools=(PERSON,), only="person", strict=True))
    (found,) = forms.bare('{"name": 1}', raw="raw") or []
    assert isinstance(found, InvalidCall)
    assert found.name == "person"


@pytest.mark.parametrize(
    "parameters", [{}, {"properties": 1, "required": 1}, {"properties": {"a": {}}, "required": [{}]}]
)
def test_a_schema_without_parameters_has_no_arguments(parameters: dict[str, Any]) -> None:
    """A schema of any shape is borne."""
    forms = Forms(Toolbox(tools=(Tool("x", parameters=parameters),), only="x"))
    assert forms.bare('{"b": 1}', raw="raw") is None
