"""From requests of responses to what is asked of the model."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bing_llm.completion.request import Request
from bing_llm.errors import InvalidRequest
from bing_llm.serve.errors import ApiError
from bing_llm.serve.responses import InputItem, ResponsesRequest
from bing_llm.tools.calls import Call, SchemaCheck
from bing_llm.tools.prompt import DEFAULT_PROMPT, render_result

HELLO = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 1}', "id": "fc_1"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "5"}
ADD = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": True}


def asked(given: Any = "Hello", *, earlier: tuple[InputItem, ...] = (), **options: Any) -> Request:
    """What is asked by this input."""
    return msgspec.convert({"input": given, **options}, ResponsesRequest).to_request(earlier)


def texts(given: Any, **options: Any) -> list[tuple[str, str]]:
    """The roles and texts of the history."""
    return [(message.role, message.content) for message in asked(given, **options).messages]


def test_a_text_is_a_message_of_the_user() -> None:
    """Instructions go before it."""
    assert texts("Hello", instructions="Be brief.") == [("system", "Be brief."), ("user", "Hello")]


def test_each_item_has_its_message() -> None:
    """Messages of all roles, with and without a type, and parts in the forms of both APIs."""
    assert texts(
        [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
            {"role": "system", "content": "Be brief."},
            HELLO,
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
             "content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
            {"role": "user", "content": [{"type": "input_text", "text": "One"}, {"type": "text", "text": "two"}]},
        ]
    ) == [
        ("system", "Be kind."),
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("user", "One\ntwo"),
    ]  # fmt: skip


def test_what_a_model_wrote_in_one_go_is_one_message() -> None:
    """Text, calls, and what the service did meanwhile."""
    written = [
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}], "content": None},
        {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "message", "role": "assistant", "content": "So."},
        CALL,
    ]
    assert texts([HELLO, *written, OUTPUT]) == [
        ("user", "Hello"),
        ("assistant", "So.\n" + DEFAULT_PROMPT.call(Call("add", {"a": 1}))),
        ("tool", render_result("add", "5", failed=None)),
    ]


def test_earlier_items_go_before_the_input() -> None:
    """Those of the previous response; its instructions do not, as OpenAI has it."""
    earlier = (InputItem(role="user", content="Hello"), InputItem(role="assistant", content="Hi"))
    assert texts("And now?", earlier=earlier, instructions="Be brief.") == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("user", "And now?"),
    ]


def test_pictures_go_with_the_question() -> None:
    """As URLs; those in the output of a tool are spare ones."""
    picture = {"type": "input_image", "image_url": "https://example.com/cat.png", "detail": "auto"}
    assert asked([{"role": "user", "content": [picture]}]).images == ("https://example.com/cat.png",)
    seen = asked([HELLO, CALL, {**OUTPUT, "output": [picture]}])
    assert (seen.images, seen.spare_images) == ((), ("https://example.com/cat.png",))


def test_what_the_service_cannot_take_is_refused_in_the_question() -> None:
    """Elsewhere a word stands in its place."""
    part = {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA"}
    with pytest.raises(InvalidRequest, match=r"input\[0\]\.content\[0\]"):
        asked([{"role": "user", "content": [part]}], earlier=(InputItem(role="user", content="Hello"),))
    given = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "No."}, HELLO]
    assert texts(given)[0] == ("user", "[file: application/pdf]")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ([], "input"),
        ([{"type": "message", "content": "x"}], "input[0]"),
        ([HELLO, {"type": "computer_call", "action": {}}], "input[1]"),
        ([{"type": "item_reference", "id": "msg_1"}], "input[0]"),
        ([{"role": "user", "content": 5}], "input[0].content"),
        ([HELLO, CALL, {**OUTPUT, "output": {"a": 1}}], "input[2].output"),
    ],
)
def test_items_that_cannot_be_meant_are_refused(given: Any, param: str) -> None:
    """The error names the item."""
    with pytest.raises(ApiError) as caught:
        asked(given)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "file_search"}]}, "tools"),
        ({"tools": [ADD], "tool_choice": {"type": "function", "name": "sub"}}, "tool_choice"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], param: str) -> None:
    """By the names that this API has."""
    with pytest.raises(ApiError) as caught:
        asked(**options)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert caught.value.message.startswith(param) or param in {"tools", *options}


def test_options() -> None:
    """Tools in the flat form, a format, a length."""
    schema = {"type": "object"}
    wanted = asked(
        tools=[ADD, {"type": "web_search"}, {"type": "web_search_preview_2025_03_11"}],
        tool_choice={"type": "function", "name": "add"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_schema", "name": "A", "schema": schema, "strict": True}},
        max_output_tokens=5,
    )
    assert (wanted.toolbox.only, wanted.toolbox.parallel, wanted.max_characters) == ("add", False, 20)
    assert [tool.name for tool in wanted.toolbox.tools] == ["add"]
    assert wanted.json_format is not None
    assert wanted.json_format.check == SchemaCheck(schema, "the answer")


def test_a_choice_among_allowed_tools() -> None:
    """In the flat form of this API."""
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "add"}]}
    box = asked(tools=[ADD, {**ADD, "name": "mul"}], tool_choice=choice).toolbox
    assert (box.required, [tool.name for tool in box.tools]) == (True, ["add"])
