"""From the items of a completion to bodies and chunks of chat completions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bing_llm import events as ev
from bing_llm.completion.stream import Completed, FinishReason, Item
from bing_llm.messages import Prompt
from bing_llm.serve.chat_answers import ChatAnswer
from bing_llm.serve.errors import ApiError
from bing_llm.tools.calls import Call, InvalidCall, Piece

CITED = ev.Reply(
    text="One [^1^] and [^1^].",
    citations=(
        ev.Citation(1, "https://a.example", "A", ((4, 9), (14, 19))),
        ev.Citation(2, "https://b.example"),
        ev.Citation(3, "", "hidden"),
    ),
)


def completed(
    reply: ev.Reply | None = None, reason: FinishReason = "stop", final: tuple[Piece, ...] | None = None
) -> Completed:
    """The end of a completion whose prompt has two tokens."""
    return Completed(reply=reply or ev.Reply(), finish_reason=reason, final=final, prompts=(Prompt("Hello!", "[c"),))


def answer(*, include_usage: bool = False) -> ChatAnswer:
    """An answer that has nothing yet."""
    return ChatAnswer("m", answer_id="chatcmpl-1", created=7, include_usage=include_usage)


def chunks_of(data: bytes) -> list[Any]:
    """The chunks of a stream."""
    lines = data.decode().split("\n\n")
    assert lines.pop() == ""
    assert all(line.startswith("data: ") for line in lines)
    found = [line.removeprefix("data: ") for line in lines]
    return [line if line == "[DONE]" else json.loads(line) for line in found]


def streamed(*items: Item, include_usage: bool = False) -> list[Any]:
    """The chunks of a whole stream."""
    made = answer(include_usage=include_usage)
    return chunks_of(b"".join([made.begin(), *map(made.add, items), made.end()]))


def deltas(chunks: Sequence[Any]) -> list[Any]:
    """Their deltas."""
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk != "[DONE]" and chunk["choices"]]


def whole(*items: Item) -> Any:
    """The body of a whole answer."""
    made = answer()
    for item in items:
        made.add(item)
    return json.loads(made.body())


# --- text -------------------------------------------------------------------------------------------------------------


def test_a_stream_of_text() -> None:
    """The role, a chunk for each piece, the reason of the end, and the end."""
    first, *_, last, done = chunks = streamed("Hello ", 'you "\n ü', completed())
    assert deltas(chunks) == [
        {"role": "assistant", "content": ""},
        {"content": "Hello "},
        {"content": 'you "\n ü'},
        {},
    ]
    assert first == {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": ""},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
    }
    assert (last["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks[:-1]} == {("chatcmpl-1", 7, "m")}


def test_a_whole_text() -> None:
    """In OpenAI's form, with an estimate of the tokens that is marked as one."""
    assert whole("Hello ", "you", completed()) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello you", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6, "estimated": True},
    }


def test_a_stream_has_its_usage_if_it_is_asked_for() -> None:
    """In a last chunk without choices; all others say that they have none."""
    chunks = streamed("Hello", completed(), include_usage=True)
    *others, last, done = chunks
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in others)
    assert (last["choices"], done) == ([], "[DONE]")
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "estimated": True}
    assert not any("usage" in chunk for chunk in streamed("Hello", completed())[:-1])


# --- calls ------------------------------------------------------------------------------------------------------------


def test_calls() -> None:
    """Each with an id of its own; a message without text has no content."""
    items = (Call("add", {"a": 1}), Call("mul", {"b": "ü"}), completed(reason="tool_calls"))
    chunks = streamed(*items)
    calls = [delta["tool_calls"][0] for delta in deltas(chunks) if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 1]
    assert len({call["id"] for call in calls}) == 2
    assert calls[1]["function"] == {"name": "mul", "arguments": '{"b": "ü"}'}
    (choice,) = whole(*items)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    assert [call.keys() for call in choice["message"]["tool_calls"]] == [{"id", "type", "function"}] * 2


def test_arguments_that_no_utf8_has() -> None:
    """Half of a surrogate pair is an escape, which JSON can carry."""
    (call,) = whole(Call("add", {"a": "\ud83d"}), completed(reason="tool_calls"))["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"a": "\ud83d"}


def test_an_invalid_call_is_for_the_client_to_judge() -> None:
    """Its arguments are what the model wrote. One without a name is no call; the text before it says why."""
    known = whole("[x]", InvalidCall("<tool_call>{", "why", "add"), completed(reason="tool_calls"))["choices"][0]
    assert known["message"]["tool_calls"][0]["function"] == {"name": "add", "arguments": "<tool_call>{"}
    unknown = whole("[x]", InvalidCall("<tool_call>{", "why"), completed(reason="tool_calls"))["choices"][0]
    assert "tool_calls" not in unknown["message"]
    assert (unknown["message"]["content"], unknown["finish_reason"]) == ("[x]", "stop")


# --- what the service did ---------------------------------------------------------------------------------------------

DID = (
    ev.SearchStarted("cats"),
    ev.SearchResults((ev.SearchResult("A", "https://a.example"),)),
    ev.Progress("Reading..."),
)
REASONING = "Searching: cats\nFound: A https://a.example\nReading...\n"


def test_searches_and_progress_are_reasoning() -> None:
    """A line each."""
    given = "".join(delta.get("reasoning_content", "") for delta in deltas(streamed(*DID, "Hi", completed())))
    assert given == whole(*DID, "Hi", completed())["choices"][0]["message"]["reasoning_content"] == REASONING


def test_citations_are_annotations_with_their_places() -> None:
    """A marker each, then the sources that no marker names; not those without a link."""
    expected = [
        {"start_index": 4, "end_index": 9, "url": "https://a.example", "title": "A"},
        {"start_index": 14, "end_index": 19, "url": "https://a.example", "title": "A"},
        {"start_index": 20, "end_index": 20, "url": "https://b.example", "title": "https://b.example"},
    ]
    message = whole(CITED.text, completed(CITED))["choices"][0]["message"]
    assert [each["url_citation"] for each in message["annotations"]] == expected
    assert {each["type"] for each in message["annotations"]} == {"url_citation"}
    assert message["content"][4:9] == "[^1^]"
    given = [delta["annotations"] for delta in deltas(streamed(CITED.text, completed(CITED))) if "annotations" in delta]
    assert given == [message["annotations"]]  # once each


def test_pictures_of_the_service() -> None:
    """Those of the stream and those that only its end has, once each."""
    reply = ev.Reply(images=("https://a.example/1.png", "https://a.example/2.png"))
    items = (ev.ImageCreated("https://a.example/1.png"), "Here.", completed(reply))
    images = whole(*items)["choices"][0]["message"]["images"]
    assert [image["image_url"]["url"] for image in images] == list(reply.images)
    assert [delta["images"] for delta in deltas(streamed(*items)) if "images" in delta] == [images]


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_reasons(reason: FinishReason) -> None:
    """Are OpenAI's."""
    assert whole("x", completed(reason=reason))["choices"][0]["finish_reason"] == reason


def test_a_withdrawn_answer_keeps_its_text() -> None:
    """The notice is its refusal."""
    reply = ev.Reply(text="x", revoked=True, notice="I cannot.", finish_reason="content_filter")
    (choice,) = whole("x", completed(reply, "content_filter"))["choices"]
    assert (choice["message"]["content"], choice["message"]["refusal"]) == ("x", "I cannot.")
    assert {"refusal": "I cannot."} in deltas(streamed("x", completed(reply, "content_filter")))


def test_a_refusal_before_any_text_is_an_empty_answer() -> None:
    """Whose end says so; the tokens that were asked are estimated."""
    made = answer(include_usage=True)
    chunks = chunks_of(made.begin() + made.refuse("I cannot.", ["Hello", "you"]) + made.end())
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {"refusal": "I cannot."}, {}]
    assert chunks[2]["choices"][0]["finish_reason"] == "content_filter"
    assert chunks[3]["usage"]["prompt_tokens"] == 3
    body = json.loads(made.body())
    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": "",
        "refusal": "I cannot.",
        "annotations": [],
    }


def test_an_error_ends_a_stream_without_done() -> None:
    """So no client takes the text for a whole answer."""
    made = answer()
    data = made.add("Hi") + made.fail(ApiError(503, "Lost.", type="server_error", code="upstream_error")) + made.end()
    (_, error) = chunks_of(data)
    assert error == {"error": {"message": "Lost.", "type": "server_error", "param": None, "code": "upstream_error"}}
    assert made.is_over()


def test_text_that_was_replaced_is_in_the_last_chunk() -> None:
    """What was streamed cannot be recalled."""
    last = streamed("Old", completed(final=("New", Call("add", {"a": 1}))))[-2]
    assert (last["final_text"], last["final_tool_calls"]) == ("New", [{"name": "add", "args": {"a": 1}}])
