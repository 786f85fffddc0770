"""What stands in a message: text and calls, in every provider's form."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from bing_llm.completion.prompt import HistoryCall
from bing_llm.errors import InvalidRequest
from bing_llm.tools.calls import Call
from bing_llm.tools.prompt import DEFAULT_PROMPT, render_history_call
from langchain_bing import convert
from langchain_bing.messages import calls_of, results_of, text_of, to_history

ADD = ToolCall(name="add", args={"a": 1}, id="call_1", type="tool_call")
render_call = DEFAULT_PROMPT.call


def as_shown(call: HistoryCall) -> str:
    """The call as the prompt shows it."""
    return render_history_call(call.name, call.arguments)


WRITTEN = render_call(Call("add", {"a": 1}))


def refused(message: BaseMessage) -> str:
    """The text of the error of the turn that this message asks."""
    with pytest.raises(InvalidRequest) as caught:
        to_history([message])
    return str(caught.value)


# --- calls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}},
        {"type": "tool_use", "id": "call_1", "name": "add", "input": '{"a": 1}'},
        {"type": "tool_call", "id": "call_1", "name": "add", "args": {"a": 1}},
        {"type": "tool_call_chunk", "id": "call_1", "name": "add", "args": '{"a": 1}', "index": 0},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "add", "arguments": '{"a": 1}'},
    ],
)
def test_a_call_in_content_is_read_once(block: dict[str, Any]) -> None:
    """Alone, or beside the list that repeats it: by its id it is the same call; its text is not text."""
    for message in (AIMessage([block]), AIMessage([block], tool_calls=[ADD])):
        (call,) = calls_of(message)
        assert (call.name, as_shown(call)) == ("add", WRITTEN)
        assert "call_1" in call.ids
        assert text_of(message) == ""


def test_calls_without_ids_are_all_read() -> None:
    """Of two that stand in content alone, both count."""
    block = {"type": "tool_use", "name": "add", "input": {"a": 1}}
    assert [as_shown(call) for call in calls_of(AIMessage([block, block]))] == [WRITTEN, WRITTEN]


def test_the_rest_of_a_streamed_call_is_not_a_call() -> None:
    """A chunk without a name goes on with the one before it."""
    message = AIMessageChunk(content=[{"type": "tool_call_chunk", "id": None, "name": None, "args": "1}", "index": 0}])
    assert calls_of(message) == []


def test_an_additional_function_call_is_read_where_there_is_no_other() -> None:
    """OpenAI's first form of a call; some libraries repeat the last call there."""
    function = {"function_call": {"name": "add", "arguments": '{"a": 1}'}}
    assert [as_shown(call) for call in calls_of(AIMessage("", additional_kwargs=function))] == [WRITTEN]
    assert len(calls_of(AIMessage("", additional_kwargs=function, tool_calls=[ADD]))) == 1


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("", render_call(Call("add"))),
        (None, render_call(Call("add"))),
        ('{"a": 1', 'add {"a": 1'),
        ("[1]", "add [1]"),
        ("[" * 100_000, "add " + "[" * 100_000),
        ('<tool_call>{"name": "add"', '<tool_call>{"name": "add"'),
    ],
)
def test_arguments_that_are_not_an_object_stand_as_they_are(arguments: Any, written: str) -> None:
    """Nothing is lost: without the tool's name in them, it goes before them."""
    (call,) = calls_of(AIMessage([{"type": "function_call", "name": "add", "arguments": arguments}]))
    assert as_shown(call) == written


def test_an_invalid_call_has_its_id_and_its_name() -> None:
    """The result that answers it is of this tool."""
    invalid = {"type": "invalid_tool_call", "name": "add", "args": '{"a"', "id": "x", "error": "cut off"}
    for message in (AIMessage("", invalid_tool_calls=[invalid]), AIMessage([invalid], invalid_tool_calls=[invalid])):
        (call,) = calls_of(message)
        assert (set(call.ids), call.name, as_shown(call)) == ({"x"}, "add", 'add {"a"')


# --- results ----------------------------------------------------------------------------------------------------------


def test_results_are_not_nested() -> None:
    """A result in a result is a word, so that no depth ends the program; a picture in it is one too."""
    for kind, shown in (("tool_result", "[tool_result]"), ("image", "[image]")):
        message = HumanMessage([{"type": "tool_result", "content": [{"type": kind, "url": "https://example.com"}]}])
        assert [result.text for result in results_of(message)] == [shown]


@pytest.mark.parametrize("message", [SystemMessage, FunctionMessage])
def test_only_humans_and_tools_have_results(message: Any) -> None:
    """Elsewhere a result is a word: this turn's author did not write it."""
    given = message([{"type": "tool_result", "content": "3"}], name="x")
    assert results_of(given) == []
    assert text_of(given) == "[tool_result]"


# --- content ----------------------------------------------------------------------------------------------------------


def test_text_blocks_and_strings_are_lines() -> None:
    """Parts of content are kept in their order, each on a line of its own."""
    content: list[Any] = ["One.", {"type": "text", "text": "Two."}, {"text": "Three."}, {"type": "text", "text": ""}]
    assert text_of(HumanMessage(content)) == "One.\nTwo.\nThree."


@pytest.mark.parametrize("kind", ["audio", "input_audio", "video", "file", "unheard-of"])
def test_what_the_service_cannot_take_is_refused(kind: str) -> None:
    """Not a picture and not text: an error that says what is allowed, and nothing is sent."""
    text = refused(HumanMessage([{"type": kind, "data": "AAAA"}]))
    assert f"A human message holds a block of type '{kind}', which the service does not take." in text
    assert "Allowed: text, and pictures" in text


@pytest.mark.parametrize("kind", ["thinking", "reasoning", "server_tool_call", "tool_result", "unheard-of"])
def test_what_an_ai_message_holds_besides_is_left_out_with_a_word(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Reasoning and searches were a service's own: they are not sent back, and the log says so."""
    caplog.set_level(logging.DEBUG, logger="langchain_bing")
    assert text_of(AIMessage([{"type": kind}, {"type": "text", "text": "Hi"}])) == "Hi"
    assert f"a block of type '{kind}' in an AI message is not sent back" in caplog.text


PDF = {"type": "file", "base64": "AAAA", "mime_type": "application/pdf"}


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        (PDF, "[file: application/pdf]"),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}, "[file: application/pdf]"),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
            "[file: application/pdf]",
        ),
        ({"type": "media", "mime_type": "application/pdf", "data": "AAAA"}, "[file: application/pdf]"),
        ({"type": "file", "file_id": "x"}, "[file]"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "[audio]"),
        ({"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}, "[audio]"),
        ({"type": "video", "url": "https://example.com/a.mp4"}, "[video]"),
        ({"type": "image", "url": "https://example.com/a.png"}, "[image]"),
        ({"type": "image_url", "image_url": {"url": "/etc/passwd"}}, "[image]"),
        ({"type": "tool_use", "name": "add", "input": {}}, "[tool_use]"),
        ({"toolUse": {"x": 1}}, "[block]"),
    ],
)
@pytest.mark.parametrize(
    "message",
    [
        SystemMessage,
        HumanMessage,
        lambda content: FunctionMessage(content=content, name="add"),
        lambda content: ToolMessage(content, tool_call_id="x"),
        lambda content: ChatMessage(content=content, role="narrator"),
        lambda content: ChatMessage(content=content, role="user"),
        lambda content: HumanMessage([{"type": "tool_result", "tool_use_id": "x", "content": content}]),
    ],
)
def test_what_this_turns_author_did_not_write_is_never_refused(message: Any, block: dict[str, Any], shown: str) -> None:
    """A short text stands in its place: in every message but the newest human one, which asks this turn."""
    given = [message(["Look:", block]), AIMessage("Nice."), HumanMessage("And?")]
    assert f"Look:\n{shown}" in to_history(given).messages[0].content
    assert f"Look:\n{shown}" in convert(given)
    result = [HumanMessage("Look."), AIMessage("", tool_calls=[ADD]), message(["Look:", block])]
    if not isinstance(result[-1], HumanMessage | ChatMessage):
        assert f"Look:\n{shown}" in to_history(result).messages[-1].content


@pytest.mark.parametrize("message", [HumanMessage, lambda content: ChatMessage(content=content, role="user")])
def test_a_file_is_refused_only_until_it_has_an_answer(message: Any) -> None:
    """The author of the newest human message can mend it; whoever asks later cannot."""
    assert "holds a block of type 'file'" in refused(message(["Look:", PDF]))
    for later in ([AIMessage("I cannot.")], [HumanMessage("Without it, then.")]):
        assert to_history([message(["Look:", PDF]), *later]).messages[0].content == "Look:\n[file: application/pdf]"


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
@pytest.mark.parametrize("message", [HumanMessage, AIMessage, SystemMessage])
def test_text_is_text_under_every_name(kind: str, message: Any) -> None:
    """OpenAI has other types for what goes in and what comes out."""
    assert text_of(message([{"type": kind, "text": "Hello"}])) == "Hello"


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "One."}}, "One."),
        ({"type": "document", "source": {"type": "text", "data": "One."}, "title": "T", "context": None}, "T\nOne."),
        ({"type": "document", "source": {"type": "content", "content": "One."}}, "One."),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "One."}, "Two."]}},
            "One.\nTwo.",
        ),
        ({"type": "text-plain", "text": "One.", "mime_type": "text/plain"}, "One."),
        ({"type": "file", "source_type": "text", "text": "One.", "mime_type": "text/plain"}, "One."),
    ],
)
def test_a_document_of_text_is_its_text(block: dict[str, Any], text: str) -> None:
    """In LangChain's forms and in Anthropic's, in a question and in what a tool gives back."""
    assert text_of(HumanMessage([block])) == text
    assert text_of(ToolMessage([block], tool_call_id="x")) == text


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": {}}]}},
        {"type": "text-plain", "url": "https://example.com/a.txt"},
    ],
)
def test_a_document_of_anything_else_is_refused(block: dict[str, Any]) -> None:
    """It is not dropped in silence."""
    assert f"A human message holds a block of type '{block['type']}'" in refused(HumanMessage([block]))


@pytest.mark.parametrize(
    ("block", "keys"),
    [({"toolUse": {"x": 1}, "b": 2}, "'toolUse', 'b'"), ({}, "none"), ({"type": "", "a": 1}, "'type', 'a'")],
)
def test_a_block_without_a_type_is_named_by_its_keys(block: dict[str, Any], keys: str) -> None:
    """So that it can be found; its values stay out of the error."""
    assert f"A human message holds a block without a type or text (its keys: {keys})," in refused(HumanMessage([block]))


def test_only_a_model_makes_calls() -> None:
    """A call in a question is refused, and not passed over."""
    assert "holds a block of type 'tool_use'" in refused(HumanMessage([{"type": "tool_use", "name": "add"}]))
