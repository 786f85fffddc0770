"""From requests of chat completions to what is asked of the model."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from bing_llm.completion.request import Request
from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message
from bing_llm.serve.chat import ChatRequest
from bing_llm.serve.errors import ApiError
from bing_llm.tools.calls import Call, SchemaCheck
from bing_llm.tools.prompt import DEFAULT_PROMPT, render_result

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
WEB = "https://example.com/cat.png"
ADD = {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": {"type": "object"}}}
MUL = {"type": "function", "function": {"name": "mul", "strict": True, "parameters": {"type": "object"}}}
HELLO = {"role": "user", "content": "Hello"}


def asked(*messages: Any, **options: Any) -> Request:
    """What is asked by these messages."""
    return msgspec.convert({"messages": messages or [HELLO], **options}, ChatRequest).to_request()


def texts(*messages: Any) -> list[tuple[str, str]]:
    """The roles and texts of the history."""
    return [(message.role, message.content) for message in asked(*messages).messages]


def refused(*messages: Any, **options: Any) -> ApiError:
    """The error for a request that cannot be meant."""
    with pytest.raises(ApiError) as caught:
        asked(*messages, **options)
    assert caught.value.status == 400
    return caught.value


# --- messages ---------------------------------------------------------------------------------------------------------


def test_each_role_has_its_message() -> None:
    """The developer's is a system message; names go before texts."""
    assert texts(
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Hello", "name": "Ada"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]},
    ) == [
        ("system", "Be brief."),
        ("system", "Be kind."),
        ("user", "Ada: Hello"),
        ("assistant", "Hi"),
        ("user", "One\ntwo"),
    ]


def test_calls_and_results_are_written_as_the_model_writes_them() -> None:
    """The result has the name of its call's tool."""
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    assert texts(
        HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "5"}]},
    )[1:] == [
        ("assistant", DEFAULT_PROMPT.call(Call("add", {"a": 1}))),
        ("tool", render_result("add", "5", failed=None)),
    ]


def test_older_and_other_forms_of_calls_are_read() -> None:
    """`function_call` with its `function` message, arguments as an object, and tools that take free text."""
    older = {"role": "assistant", "content": "So.", "function_call": {"name": "add", "arguments": {"a": 1}}}
    custom = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    found = texts(
        HELLO,
        older,
        {"role": "function", "name": "add", "content": "5"},
        {"role": "assistant", "tool_calls": [custom]},
        {"role": "tool", "tool_call_id": "c", "content": "files"},
    )
    assert found[1] == ("assistant", "So.\n" + DEFAULT_PROMPT.call(Call("add", {"a": 1})))
    assert found[2] == ("tool", render_result("add", "5", failed=None))
    assert found[3] == ("assistant", "shell ls")
    assert found[4] == ("tool", render_result("shell", "files", failed=None))


def test_a_refusal_is_what_the_assistant_said() -> None:
    """As a field, and as a part."""
    part = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]}
    assert texts(HELLO, {"role": "assistant", "content": None, "refusal": "No."}, part) == [
        ("user", "Hello"),
        ("assistant", "No."),
        ("assistant", "I cannot."),
    ]


@pytest.mark.parametrize("url", [PNG, WEB, "HTTPS://example.com/cat.png"])
@pytest.mark.parametrize("form", ["chat", "flat"])
def test_pictures_go_with_the_question(url: str, form: str) -> None:
    """As `data:` and https URLs."""
    picture: Any = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    if form == "flat":
        picture = {"type": "image_url", "image_url": url}
    wanted = asked({"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]})
    assert [str(image).lower() for image in wanted.images] == [url.lower()]
    assert wanted.messages == (Message("user", "What is it?\n[image]"),)


@pytest.mark.parametrize("url", ["/etc/passwd", "file:///etc/passwd", "ftp://example.com/cat.png", ""])
def test_paths_are_not_read(url: str) -> None:
    """They would be read from the disk of the server."""
    with pytest.raises(InvalidRequest, match=r"messages\[0\].content\[0\]"):
        asked({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})


AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}}
STRANGE = {"type": "hologram", "hologram": [1, 2]}


@pytest.mark.parametrize("part", [AUDIO, PDF, STRANGE])
def test_what_the_service_cannot_take_is_refused_in_the_question(part: Any) -> None:
    """The error names the part."""
    with pytest.raises(InvalidRequest, match=r"messages\[1\]\.content\[1\] is of the type"):
        asked(HELLO, {"role": "user", "content": [{"type": "text", "text": "x"}, part]})


def test_elsewhere_a_word_stands_in_its_place() -> None:
    """Who asks now did not write it."""
    call = {"id": "1", "type": "function", "function": {"name": "see", "arguments": "{}"}}
    assert texts(
        {"role": "user", "content": [AUDIO, PDF, STRANGE]},
        {"role": "assistant", "content": [{"type": "text", "text": "Nice."}, STRANGE], "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "image_url", "image_url": {"url": "nonsense"}}]},
    ) == [
        ("user", "[audio]\n[file: application/pdf]\n[hologram]"),
        ("assistant", "Nice.\n" + DEFAULT_PROMPT.call(Call("see", {}))),
        ("tool", render_result("see", "[image]", failed=None)),
    ]


def test_no_messages_are_an_error() -> None:
    """Of the caller."""
    with pytest.raises(ApiError) as caught:
        msgspec.convert({"messages": []}, ChatRequest).to_request()
    assert caught.value.param == "messages"


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "required", "only", "names"),
    [
        (None, False, "", ["add", "mul"]),
        ("auto", False, "", ["add", "mul"]),
        ("required", True, "", ["add", "mul"]),
        ("none", False, "", []),
        ({"type": "function", "function": {"name": "mul"}}, False, "mul", ["mul"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [MUL]}}, True, "", ["mul"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [ADD]}}, False, "", ["add"]),
    ],
)
def test_every_choice_of_tools(*, choice: Any, required: bool, only: str, names: list[str]) -> None:
    """In each of OpenAI's forms."""
    box = asked(tools=[ADD, MUL], tool_choice=choice).toolbox
    assert (box.required, box.only, [tool.name for tool in box.offered]) == (required, only, names)


def test_tools_keep_what_they_are() -> None:
    """Description, schema, and whether arguments must fit it."""
    add, mul = asked(tools=[ADD, MUL]).toolbox.tools
    assert (add.description, add.parameters, add.strict) == ("Add.", {"type": "object"}, False)
    assert mul.check == SchemaCheck({"type": "object"})
    assert mul.strict


@pytest.mark.parametrize(("given", "parallel"), [(None, True), (True, True), (False, False)])
def test_parallel_calls(*, given: bool | None, parallel: bool) -> None:
    """Allowed unless they are forbidden."""
    assert asked(tools=[ADD], parallel_tool_calls=given).toolbox.parallel is parallel


def test_formats_of_the_answer() -> None:
    """Text, any object, and a schema."""
    assert asked(response_format={"type": "text"}).json_format is None
    any_object = asked(response_format={"type": "json_object"}).json_format
    assert any_object is not None
    assert any_object.schema is None
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    fitted = asked(response_format={"type": "json_schema", "json_schema": {"name": "A", "schema": schema}}).json_format
    assert fitted is not None
    assert (fitted.schema, fitted.check) == (schema, SchemaCheck(schema, "the answer"))


@pytest.mark.parametrize(
    ("options", "characters"),
    [({}, None), ({"max_tokens": 5}, 20), ({"max_completion_tokens": 2}, 8),
     ({"max_tokens": 5, "max_completion_tokens": 2}, 8)],
)  # fmt: skip
def test_lengths(options: dict[str, int], characters: int | None) -> None:
    """The newer name wins."""
    assert asked(**options).max_characters == characters


def test_stop_sequences() -> None:
    """One, or several."""
    assert asked(stop="END").stop == ("END",)
    assert asked(stop=["a", "b"]).stop == ("a", "b")


def test_what_is_accepted() -> None:
    """One answer, text, and who asks."""
    assert asked(n=1, user="ada", modalities=["text"], stream=True).messages == (Message("user", "Hello"),)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "modalities"),
        ({"functions": [{"name": "add"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"tools": [{"type": "custom", "custom": {"name": "shell"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools"),
        ({"tools": [ADD, ADD]}, "tools"),
        ({"tool_choice": "required"}, "tools"),
        ({"tools": [ADD], "tool_choice": {"type": "function", "function": {"name": "sub"}}}, "tool_choice"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_tokens"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], param: str) -> None:
    """The error names the parameter."""
    error = refused(**options)
    assert error.param == param
    assert error.code in {"unsupported_value", "invalid_value"}
