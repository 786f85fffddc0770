"""From the items of a completion to responses and their events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bing_llm import events as ev
from bing_llm.completion.stream import Item
from bing_llm.serve.errors import ApiError
from bing_llm.serve.response_answers import ResponseAnswer
from bing_llm.serve.responses import InputItem
from bing_llm.tools.calls import Call, InvalidCall
from tests.serve.test_chat_answers import CITED, DID, completed


def answer(kept: list[list[InputItem]] | None = None) -> ResponseAnswer:
    """A response that has nothing yet."""
    keep = None if kept is None else kept.append
    return ResponseAnswer("m", response_id="resp_1", created_at=7, echoed={"instructions": "Be brief."}, keep=keep)


def streamed(*items: Item) -> list[Any]:
    """The events of a whole stream."""
    made = answer()
    return events_of(b"".join([made.begin(), *map(made.add, items), made.end()]))


def events_of(data: bytes) -> list[Any]:
    """The events, of which each line `event:` names the type."""
    blocks = [block.split("\n") for block in data.decode().split("\n\n")[:-1]]
    found = [json.loads(line.removeprefix("data: ")) for _, line in blocks]
    assert [name.removeprefix("event: ") for name, _ in blocks] == [event["type"] for event in found]
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def kinds(events: Sequence[Any]) -> list[str]:
    """Their types, without what all have in common."""
    return [event["type"].removeprefix("response.") for event in events]


def whole(*items: Item) -> Any:
    """The body of a whole response."""
    made = answer()
    for item in items:
        made.add(item)
    return json.loads(made.body())


TEXT = ["output_item.added", "content_part.added", "output_text.delta", "output_text.delta"]
TEXT_END = ["output_text.done", "content_part.done", "output_item.done"]
CALL = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]
SEARCH = [
    "output_item.added",
    "web_search_call.in_progress",
    "web_search_call.searching",
    "web_search_call.completed",
    "output_item.done",
]
REASONING = ["output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"]
REASONING_END = ["reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"]


def test_a_stream_of_text() -> None:
    """In OpenAI's order, with sequence numbers from 0 on."""
    events = streamed("Hello ", 'you "ü', completed())
    assert kinds(events) == ["created", "in_progress", *TEXT, *TEXT_END, "completed"]
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []
    message = events[-2]["item"]
    assert message["content"] == [{"type": "output_text", "text": 'Hello you "ü', "annotations": [], "logprobs": []}]
    assert [event["delta"] for event in events if event["type"].endswith("text.delta")] == ["Hello ", 'you "ü']
    assert {event["item_id"] for event in events if "item_id" in event} == {message["id"]}
    assert events[-1]["response"]["output"] == [message]


def test_a_whole_text() -> None:
    """With what it repeats of the request, and an estimate of the tokens that is marked as one."""
    body = whole("Hello", completed())
    assert (body["id"], body["object"], body["created_at"], body["model"]) == ("resp_1", "response", 7, "m")
    assert (body["status"], body["error"], body["incomplete_details"]) == ("completed", None, None)
    assert body["instructions"] == "Be brief."
    assert body["output"][0]["content"][0]["text"] == "Hello"
    assert body["usage"]["estimated"] is True
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"], body["usage"]["total_tokens"]) == (3, 2, 5)


def test_calls_follow_the_text() -> None:
    """Each is an item; text after a call is another message."""
    items = ("So", Call("add", {"a": 1}), Call("mul", {}), "Then", completed(reason="tool_calls"))
    events = streamed(*items)
    one = [*TEXT[:3], *TEXT_END]
    assert kinds(events) == ["created", "in_progress", *one, *CALL, *CALL, *one, "completed"]
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [0, 1, 2, 3]
    output = whole(*items)["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "function_call", "message"]
    assert (output[1]["name"], output[1]["arguments"], output[1]["status"]) == ("add", '{"a": 1}', "completed")
    assert output[1]["call_id"] != output[2]["call_id"]


def test_an_invalid_call_is_for_the_client_to_judge() -> None:
    """One without a name is no call; the text before it says why."""
    output = whole("[x]", InvalidCall("<tool_call>{", "why", "add"), InvalidCall("?", "why"), completed())["output"]
    assert [item["type"] for item in output] == ["message", "function_call"]
    assert output[1]["arguments"] == "<tool_call>{"


def test_searches_and_progress_are_items() -> None:
    """The results of a search are its sources."""
    events = streamed(*DID, "Hi", completed())
    expected = [*SEARCH, *REASONING, *REASONING_END, *TEXT[:3], *TEXT_END]
    assert kinds(events) == ["created", "in_progress", *expected, "completed"]
    search, reasoning, _ = whole(*DID, "Hi", completed())["output"]
    assert search["action"] == {
        "type": "search",
        "query": "cats",
        "queries": ["cats"],
        "sources": [{"type": "url", "url": "https://a.example"}],
    }
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Reading..."}]


def test_what_happens_meanwhile_does_not_divide_a_text() -> None:
    """Its JSON would be read by parts."""
    output = whole('{"a":', ev.Progress("Hm."), *DID[:2], "1}", completed())["output"]
    assert [part["text"] for item in output if item["type"] == "message" for part in item["content"]] == ['{"a":1}']


def test_searches_that_only_the_end_has() -> None:
    """Those of the reply; one that was begun is not repeated."""
    result = ev.SearchResult("A", "https://a.example")
    reply = ev.Reply(searches=(ev.Search("one", (result,)), ev.Search("two", (result,)), ev.Search("three")))
    output = whole(ev.SearchStarted("one"), "Hi", completed(reply))["output"]
    searches = [item["action"] for item in output if item["type"] == "web_search_call"]
    assert [(search["query"], len(search["sources"])) for search in searches] == [("one", 1), ("two", 1), ("three", 0)]


def test_citations_are_annotations_with_their_places() -> None:
    """An event each, before the text is done; sources that no marker names stand at the end."""
    events = streamed(CITED.text, completed(CITED))
    added = [event for event in events if event["type"] == "response.output_text.annotation.added"]
    assert [event["annotation_index"] for event in added] == [0, 1, 2]
    places = [(each["annotation"]["start_index"], each["annotation"]["end_index"]) for each in added]
    assert places == [(4, 9), (14, 19), (20, 20)]
    (part,) = events[-1]["response"]["output"][0]["content"]
    assert part["annotations"] == [event["annotation"] for event in added]
    assert kinds(events).index("output_text.annotation.added") < kinds(events).index("output_text.done")


def test_places_count_from_the_beginning_of_their_message() -> None:
    """A text after a call is another one."""
    reply = ev.Reply(text="See [^1^]. [^1^]", citations=(ev.Citation(1, "https://a.example", "A", ((4, 9), (11, 16))),))
    first, _, second = whole("See [^1^]. ", Call("add", {}), "[^1^]", completed(reply, "tool_calls"))["output"]
    assert [(each["start_index"], each["end_index"]) for each in first["content"][0]["annotations"]] == [(4, 9)]
    assert [(each["start_index"], each["end_index"]) for each in second["content"][0]["annotations"]] == [(0, 5)]


@pytest.mark.parametrize(("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_is_incomplete(reason: Any, why: str) -> None:
    """And says why."""
    events = streamed("x", completed(reason=reason))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["status"] == "incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": why}


def test_a_withdrawn_answer_keeps_its_text() -> None:
    """The notice is a refusal after it."""
    reply = ev.Reply(text="x", revoked=True, notice="I cannot.", finish_reason="content_filter")
    (message,) = whole("x", completed(reply, "content_filter"))["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert (message["content"][0]["text"], message["content"][1]["refusal"]) == ("x", "I cannot.")


def test_a_refusal_before_any_text() -> None:
    """Is all that the message has."""
    made = answer()
    events = events_of(made.begin() + made.refuse("I cannot.", ["Hello"]) + made.end())
    assert kinds(events)[2:] == [
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ]
    (message,) = events[-1]["response"]["output"]
    assert message["content"] == [{"type": "refusal", "refusal": "I cannot."}]


def test_a_refusal_after_text() -> None:
    """Ends the message that was begun."""
    made = answer()
    events = events_of(made.begin() + made.add("x") + made.refuse("I cannot.", ["Hello"]) + made.end())
    (message,) = events[-1]["response"]["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]


def test_text_that_replaces_calls_is_a_message() -> None:
    """Also if nothing but calls had been given."""
    call = Call("add", {})
    output = streamed(call, completed(final=("New",)))[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["function_call", "message"]
    assert output[1]["content"][0]["text"] == "New"


def test_an_answer_without_text_is_an_empty_response() -> None:
    """Without an item that nobody wrote."""
    assert whole(completed())["output"] == []


def test_an_error_is_raised_and_the_response_failed() -> None:
    """Clients that only know the last event see it, too."""
    made = answer()
    error = ApiError(503, "Lost.", type="server_error", code="upstream_error")
    events = events_of(made.begin() + made.add("Hi") + made.fail(error) + made.end())
    assert kinds(events)[-2:] == ["error", "failed"]
    assert events[-2]["error"]["message"] == events[-2]["message"] == "Lost."
    assert events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["error"] == {"code": "upstream_error", "message": "Lost."}
    assert made.is_over()


def test_text_that_was_replaced_is_in_the_last_event() -> None:
    """What was streamed cannot be recalled; a call that came with the new text is added."""
    events = streamed("Old", completed(ev.Reply(), "tool_calls", ("New", Call("add", {"a": 1}))))
    message, call = events[-1]["response"]["output"]
    assert message["content"][0]["text"] == "New"
    assert call["name"] == "add"


def test_pictures_of_the_service() -> None:
    """Are a field of the response."""
    reply = ev.Reply(images=("https://a.example/1.png", "https://a.example/2.png"))
    assert whole(ev.ImageCreated("https://a.example/1.png"), "x", completed(reply))["images"] == list(reply.images)


def test_the_output_is_kept_as_a_later_input_has_it() -> None:
    """Before the last event is given."""
    kept: list[list[InputItem]] = []
    made = answer(kept)
    for item in (*DID, "So", Call("add", {"a": 1}), completed(reason="tool_calls")):
        assert not kept
        made.add(item)
    message, call = kept[0]
    assert (message.type, message.role, message.content) == ("message", "assistant", "So")
    assert (call.type, call.name, call.arguments) == ("function_call", "add", '{"a": 1}')
    assert call.call_id == json.loads(made.body())["output"][-1]["call_id"]
