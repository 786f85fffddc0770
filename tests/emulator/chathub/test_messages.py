"""The messages of a turn, held against the recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from bing_llm.backends.chathub import frames
from bing_llm.emulator.chathub import shapes
from bing_llm.emulator.chathub.messages import MessageWriter
from bing_llm.emulator.sources import Sources
from bing_llm.events import SearchResult

RECORDED = Path(__file__).parents[2] / "fixtures" / "recorded"
writer = MessageWriter("request-1", lambda: 0.0)

# Scores and places that nobody reads, and fields of one year only.
NOT_WRITTEN = {"privacy", "spokenText", "locationInfo", "scores"}


def recorded(name: str, line: int = 0) -> Any:
    """One record of a recording."""
    return json.loads((RECORDED / name).read_text(encoding="utf-8").splitlines()[line])


def written(message: shapes.Message) -> dict[str, Any]:
    """A message as it goes over the wire in a final frame."""
    message.request_id = "request-1"
    value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(message))
    return value


def test_the_answer_has_the_recorded_fields() -> None:
    """An answer with suggestions has the fields that recording 02 has, and no others."""
    *_, answer = recorded("02-final-image-request-2024-02-06.jsonl")["item"]["messages"]
    message = writer.answer("m1", "Hello.", Sources(), final=True)
    message.suggested_responses = shapes.raw([writer.suggestion("More")])
    made = written(message)
    assert made.keys() == answer.keys() - NOT_WRITTEN
    assert made["suggestedResponses"][0].keys() == answer["suggestedResponses"][0].keys()
    assert made["sourceAttributions"] == []
    assert made["adaptiveCards"][0]["body"][0] == {"type": "TextBlock", "text": "Hello.", "wrap": True}


def test_a_snapshot_has_the_recorded_fields() -> None:
    """An answer that goes on has the fields of recording 03."""
    (recorded_message,) = recorded("03-update-frames-2023-05-26.jsonl", 1)["arguments"][0]["messages"]
    made = msgspec.json.decode(msgspec.json.encode(writer.answer("m1", "H", Sources(), final=False)))
    assert made.keys() == recorded_message.keys() - NOT_WRITTEN
    assert made["offense"] == recorded_message["offense"]


def test_the_user_is_echoed_with_the_recorded_fields() -> None:
    """The echo has the fields of recording 02, and its id is the request's."""
    user, *_ = recorded("02-final-image-request-2024-02-06.jsonl")["item"]["messages"]
    said = frames.UserMessage(
        text="Hi",
        locale="en-US",
        market="en-US",
        region="US",
        location_hints=[{"country": "X"}],
        input_method="Keyboard",
    )
    made = written(writer.user(frames.ChatArguments(message=said, participant=frames.Participant(id="p"))))
    assert made.keys() == user.keys() - NOT_WRITTEN
    assert (made["messageId"], made["contentOrigin"], made["from"]["id"]) == ("request-1", "cib", "p")


def test_a_picture_is_requested_with_the_recorded_fields() -> None:
    """A GenerateContentQuery has the fields of recording 02: no card."""
    _, request, _ = recorded("02-final-image-request-2024-02-06.jsonl")["item"]["messages"]
    made = written(writer.image_request("food"))
    assert made.keys() == request.keys()
    assert {name: made[name] for name in ("text", "contentType", "messageType", "invocation")} == {
        name: request[name] for name in ("text", "contentType", "messageType", "invocation")
    }


def test_a_search_says_its_query() -> None:
    """The query is in the hidden text and in the invocation; the card has no text block (section e)."""
    made = written(writer.search_query("cake"))
    assert (made["hiddenText"], made["invocation"]) == ("cake", 'search_web(query="cake")')
    assert made["text"] == "Searching the web for: `cake`"


def test_results_are_json_in_the_text() -> None:
    """The text of an InternalSearchResult is JSON, and its hidden text the same in a fence (section e)."""
    made = written(writer.search_result((SearchResult("T", "https://t.example/", ("s",)),)))
    assert json.loads(made["text"])["web_search_results"] == [
        {"title": "T", "url": "https://t.example/", "snippets": ["s"]}
    ]
    assert made["hiddenText"] == f"```json\n{made['text']}\n```"


def test_moderation_has_an_origin() -> None:
    """Apology and turn limit have a contentOrigin, and a text in their card; without one, a default."""
    for message, origin in ((writer.apology(""), "Apology"), (writer.turn_limiter(), "TurnLimiter")):
        made = written(message)
        assert made["contentOrigin"] == origin
        assert made["adaptiveCards"][0]["body"][0]["text"] == made["text"] != ""
    assert writer.apology("No.").text == "No."


def test_disengaged_is_as_recorded() -> None:
    """A Disengaged message has the words of recording 22, and no text of its own unless one is given."""
    made = written(writer.disengaged(""))
    recorded_message = recorded("22-m365-disengaged.jsonl")
    assert {name: made[name] for name in recorded_message} == recorded_message
    assert "text" not in made
    assert writer.disengaged("Bye.").text == "Bye."


def test_every_bot_message_has_an_origin() -> None:
    """Public clients look up contentOrigin in every message."""
    messages = [writer.loader("x"), writer.search_query("x"), writer.search_result(()), writer.image_request("x")]
    assert all(message.content_origin for message in (*messages, writer.disengaged("")))
