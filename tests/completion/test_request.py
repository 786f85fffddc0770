"""One call of a model, as frameworks understand it."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.completion.request import (
    Request,
    read_choice,
    read_format,
    read_max_tokens,
    read_openai_tool,
    read_stop,
    read_toolbox,
)
from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message
from bing_llm.tools.calls import JsonObject, SchemaCheck, Tool, Toolbox
from bing_llm.tools.prompt import Instructions, JsonFormat, render_instructions

HELLO = (Message("user", "Hello"),)
SCHEMA = {"title": "Sum", "type": "object", "properties": {"sum": {"type": "integer"}}}
BOX = Toolbox(tools=(Tool("add", "Add two numbers."),))
ANSWER = JsonFormat(SCHEMA)


def checked(schema: JsonObject) -> JsonFormat:
    """The format of an answer that must fit its schema."""
    return JsonFormat(schema, SchemaCheck(schema, "the answer"))


def test_a_plain_request_says_nothing_besides_its_messages() -> None:
    """Neither tools nor a format."""
    assert Request(messages=HELLO).instructions == Instructions()


def test_the_service_is_sent_tools_and_format() -> None:
    """Of one of them, or of both in one."""
    assert Request(messages=HELLO, toolbox=BOX).instructions == render_instructions(BOX)
    assert Request(messages=HELLO, json_format=ANSWER).instructions == render_instructions(Toolbox(), ANSWER)
    both = Request(messages=HELLO, toolbox=BOX, json_format=ANSWER).instructions
    assert both == render_instructions(BOX, ANSWER)


def test_any_json_is_a_format_too() -> None:
    """Of a shape that the user described."""
    assert Request(messages=HELLO, json_format=JsonFormat()).instructions == render_instructions(
        Toolbox(), JsonFormat()
    )


def test_a_request_may_be_followed_by_more() -> None:
    """All else stays, the request itself too."""
    request = Request(messages=HELLO, toolbox=BOX, stop=("END",), max_characters=7)
    longer = request.followed_by(Message("assistant", "Hi"), Message("user", "And?"))
    assert longer.messages == (*HELLO, Message("assistant", "Hi"), Message("user", "And?"))
    assert (longer.toolbox, longer.stop, longer.max_characters) == (BOX, ("END",), 7)
    assert request.messages == HELLO


ADD: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
NOW: dict[str, Any] = {"type": "function", "function": {"name": "now"}}


def no_schema(_given: Any) -> dict[str, Any]:
    """For tests in which none is read by the framework."""
    raise AssertionError


def test_a_tool_is_read() -> None:
    """Description and parameters may be left out."""
    add, now = read_toolbox([ADD, NOW], None, parallel=None).tools
    assert (add.name, add.description, add.parameters) == ("add", "Add two numbers.", ADD["function"]["parameters"])
    assert (now.name, now.description, now.parameters) == ("now", "", {})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, "auto"),
        (False, "auto"),
        ("auto", "auto"),
        ({"type": "auto"}, "auto"),
        ("any", "any"),
        ("required", "any"),
        (True, "any"),
        ({"type": "any"}, "any"),
        ("none", "none"),
        ({"type": "none"}, "none"),
        ("add", "add"),
        ({"type": "function", "function": {"name": "add"}}, "add"),
        ({"type": "tool", "name": "add"}, "add"),
        ({"name": "add"}, "add"),
    ],
)
def test_every_form_of_a_choice_is_read(choice: Any, expected: str) -> None:
    """OpenAI's, Anthropic's and LangChain's own."""
    assert read_choice(choice, ["add", "mul"]) == expected


@pytest.mark.parametrize(
    ("choice", "required", "only"),
    [(None, False, ""), ("auto", False, ""), ("any", True, ""), (True, True, ""), ("add", False, "add")],
)
def test_a_choice_says_what_the_reply_must_hold(choice: Any, required: bool, only: str) -> None:  # noqa: FBT001
    """A call at will, any call, or a call of one tool."""
    toolbox = read_toolbox([ADD, NOW], choice, parallel=None)
    assert (toolbox.required, toolbox.only, len(toolbox.tools)) == (required, only, 2)


def test_no_tool_may_be_used_where_the_choice_is_none() -> None:
    """The prompt does not list them, and the reply is not parsed for calls."""
    assert read_toolbox([ADD], "none", parallel=None).tools == ()


def test_a_required_call_without_tools_is_refused() -> None:
    """No reply could be right."""
    with pytest.raises(InvalidRequest, match="A call is required, but there are no tools"):
        read_toolbox([], "any", parallel=None)


def test_two_tools_of_one_name_are_refused() -> None:
    """Their calls could not be distinguished."""
    with pytest.raises(InvalidRequest, match="Two tools have the name 'add'"):
        read_toolbox([ADD, ADD], None, parallel=None)


@pytest.mark.parametrize(("parallel", "expected"), [(None, True), (True, True), (False, False)])
def test_several_calls_may_come_unless_it_is_said(parallel: Any, expected: bool) -> None:  # noqa: FBT001
    """`parallel_tool_calls=False` allows one."""
    assert read_toolbox([ADD], None, parallel=parallel).parallel is expected


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize("is_nested", [True, False])
def test_only_allowed_tools_are_offered(mode: str, *, is_nested: bool) -> None:
    """OpenAI's choice of several tools, in the form of chat completions and in that of responses."""
    tools = [{**ADD, "function": {**ADD["function"], "name": name}} for name in ("add", "mul", "sub")]
    named = [{"type": "function", "function": {"name": "add"}}, {"type": "function", "name": "sub"}]
    spec: dict[str, Any] = {"mode": mode, "tools": named}
    choice = {"type": "allowed_tools", **({"allowed_tools": spec} if is_nested else spec)}
    box = read_toolbox(tools, choice, parallel=None)
    assert ([tool.name for tool in box.offered], box.required) == (["add", "sub"], mode == "required")
    with pytest.raises(ValueError, match="the bound tools are: add"):
        read_toolbox([ADD], choice, parallel=None)
    with pytest.raises(ValueError, match="has the mode 'none'; allowed: 'auto', 'required'"):
        read_toolbox(tools, {**choice, "allowed_tools": {**spec, "mode": "none"}}, parallel=None)


def test_strictness_is_of_the_call_or_of_a_tool() -> None:
    """`strict=True` of `bind_tools`, or OpenAI's mark inside of a tool; all are checked."""
    marked = {**ADD, "function": {**ADD["function"], "strict": True}}
    fits = SchemaCheck(ADD["function"]["parameters"])

    def checks(tool: JsonObject, *, strict: bool | None = None, **more: Any) -> list[Any]:
        other = {**ADD, "function": {**ADD["function"], "name": "other"}}
        box = read_toolbox([tool, other], None, parallel=None, strict=strict, **more)
        return [(tool.check, tool.strict) for tool in box.tools]

    assert checks(ADD) == [(fits, False), (fits, False)]
    assert checks(ADD, strict=True) == [(fits, True), (fits, True)]
    assert checks(marked) == [(fits, True), (fits, False)]
    assert checks(ADD, checks={"add": str}) == [(str, True), (fits, False)]


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, JsonFormat()),
        ({"type": "json_schema", "json_schema": {"name": "Sum", "schema": SCHEMA}}, checked(SCHEMA)),
        ({"type": "json_schema", "schema": SCHEMA}, checked(SCHEMA)),
        (SCHEMA, checked({**SCHEMA, "read": True})),
    ],
)
def test_every_form_of_a_format_is_read(response_format: Any, expected: JsonFormat | None) -> None:
    """OpenAI's three, and a schema itself, which the framework reads."""
    assert read_format(response_format, lambda given: {**given, "read": True}) == expected
    if expected is not None:
        own = read_format(response_format, lambda given: {**given, "read": True}, check=str)
        assert own == JsonFormat(expected.schema, str)


@pytest.mark.parametrize("spec", [None, {}, {"schema": "x"}, []])
def test_a_format_without_a_schema_is_refused(spec: Any) -> None:
    """The error shows the form."""
    with pytest.raises(ValueError, match="response_format has no schema; allowed: "):
        read_format({"type": "json_schema", "json_schema": spec}, no_schema)


@pytest.mark.parametrize(("stop", "expected"), [(None, ()), ([], ()), ("a", ("a",)), (["a", "b"], ("a", "b"))])
def test_stop_is_a_text_or_several(stop: Any, expected: tuple[str, ...]) -> None:
    """None is none."""
    assert read_stop(stop) == expected


def test_another_stop_is_refused() -> None:
    """The error shows it."""
    with pytest.raises(InvalidRequest, match=r"stop is \[1\]; it must be a list of texts"):
        read_stop([1])


@pytest.mark.parametrize(("max_tokens", "expected"), [(None, None), (1, 4), (100, 400)])
def test_a_token_is_four_characters(max_tokens: Any, expected: int | None) -> None:
    """None means no limit."""
    assert read_max_tokens(max_tokens) == expected


@pytest.mark.parametrize("max_tokens", [0, -1, 1.5, "10"])
def test_another_length_is_refused(max_tokens: Any) -> None:
    """The error shows it."""
    with pytest.raises(InvalidRequest, match="it must be a whole number from 1 on"):
        read_max_tokens(max_tokens)


@pytest.mark.parametrize("given", [ADD, {"type": "function", **ADD["function"]}, {"function": ADD["function"]}])
def test_both_of_openais_forms_are_tools(given: dict[str, Any]) -> None:
    """Nested, as in chat completions, and flat, as in the Responses API."""
    assert read_openai_tool(given) == ADD


@pytest.mark.parametrize("given", [{}, {"name": "add"}, {"type": "web_search", "function": {"name": "x"}}])
def test_other_dicts_are_left_to_the_framework(given: dict[str, Any]) -> None:
    """LangChain knows more forms."""
    assert read_openai_tool(given) is None


@pytest.mark.parametrize("given", [{"type": "function"}, {"function": {"name": ""}}, {"type": "function", "name": 3}])
def test_a_tool_needs_a_name(given: dict[str, Any]) -> None:
    """The error says what the tool has."""
    with pytest.raises(ValueError, match="A tool has no name; its keys: "):
        read_openai_tool(given)
