"""From events to frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm import events as ev
from bing_llm.backends.chathub import codec, frames
from bing_llm.backends.chathub.codec import SEPARATOR
from bing_llm.backends.chathub.turn import Turn
from bing_llm.emulator.brains.base import unplayable
from bing_llm.emulator.chathub.writer import AnswerWriter, Frames
from bing_llm.errors import ConfigurationError

RECORDED = Path(__file__).parents[2] / "fixtures" / "recorded"
PAGE = ev.SearchResult("Title", "https://one.example/", ("snippet",))


def request(**arguments: Any) -> frames.Chat:
    """A chat request."""
    message = frames.UserMessage(author="user", text="Hello", request_id="r1")
    return frames.Chat([frames.ChatArguments(conversation_id="c1", message=message, **arguments)], "0")


def writer(**arguments: Any) -> AnswerWriter:
    """A writer of the first turn of three."""
    made = AnswerWriter(request(**arguments), lifetime=3600, clock=lambda: 0.0)
    made.quota = ev.Quota(1, 3)
    return made


def sent(*messages: Frames) -> list[Any]:
    """The frames as parsed JSON."""
    return [json.loads(record) for message in messages for record in codec.encode(*message).split(SEPARATOR) if record]


def played(made: AnswerWriter, *events: ev.Event) -> list[Any]:
    """All frames of a turn, as parsed JSON."""
    return sent(made.opening(), *(made.write(event) for event in events), made.closing())


def read(made: AnswerWriter, *events: ev.Event) -> list[ev.Event]:
    """What the client makes of the frames."""
    turn = Turn()
    turn.ask(request())
    turn.receive(b"{}" + SEPARATOR)
    for message in (made.opening(), *(made.write(event) for event in events), made.closing()):
        turn.receive(codec.encode(*message))
    found: list[ev.Event] = []
    while (event := turn.next_event()) is not None:
        found.append(event)
    return found


def test_a_turn_begins_with_the_quota() -> None:
    """The first frame has the throttling and no messages (recording 03)."""
    (recorded,) = [
        json.loads(line)
        for line in (RECORDED / "03-update-frames-2023-05-26.jsonl").read_text(encoding="utf-8").splitlines()[:1]
    ]
    (opening,) = sent(writer().opening())
    assert opening.keys() == recorded.keys()
    assert opening["arguments"][0].keys() == recorded["arguments"][0].keys()
    assert opening["arguments"][0]["throttling"] == {
        "maxNumUserMessagesInConversation": 3,
        "numUserMessagesInConversation": 1,
    }


def test_text_is_cumulative() -> None:
    """Each snapshot has the whole text under one message id, and the card says the same."""
    _, first, second, _, _ = played(writer(), ev.TextDelta("Hel"), ev.TextDelta("lo"))
    (one,), (two,) = first["arguments"][0]["messages"], second["arguments"][0]["messages"]
    assert (one["text"], two["text"]) == ("Hel", "Hello")
    assert one["messageId"] == two["messageId"]
    assert two["adaptiveCards"][0]["body"][0]["text"] == "Hello"


def test_the_cursor_comes_with_the_first_snapshot() -> None:
    """Only the first snapshot has a cursor, and it names its message (section e)."""
    _, first, second, _, _ = played(writer(), ev.TextDelta("a"), ev.TextDelta("b"))
    (message,) = first["arguments"][0]["messages"]
    path = f"$['{message['messageId']}'].adaptiveCards[0].body[0].text"
    assert first["arguments"][0]["cursor"] == {"j": path, "p": -1}
    assert "cursor" not in second["arguments"][0]


def test_no_snapshot_is_empty() -> None:
    """Nothing is sent for an empty text, or for one that did not change."""
    made = writer()
    assert made.write(ev.TextDelta("")) == ()
    assert made.write(ev.TextDelta("a"))
    assert made.write(ev.TextRevised("a")) == ()
    assert made.write(ev.TextRevised("")) == ()


def test_the_final_frame_has_the_recorded_fields() -> None:
    """A final frame has the fields of recording 05, and a completion follows it."""
    recorded = json.loads((RECORDED / "05-final-hello-2023-05-03.jsonl").read_text(encoding="utf-8"))
    *_, final, completion = played(writer(), ev.TextDelta("Hi"))
    assert final.keys() == recorded.keys()
    assert final["item"].keys() == recorded["item"].keys() - {"defaultChatName"}
    assert final["item"]["result"].keys() == recorded["item"]["result"].keys() | {"message"}
    assert final["item"]["conversationExpiryTime"] == "1970-01-01T01:00:00.0000000Z"
    assert completion == {"type": 3, "invocationId": "0"}


def test_the_user_comes_first_and_the_answer_last() -> None:
    """The final messages are the user's, asides in their order, and the answer, all with the request's id."""
    events = (ev.SearchStarted("q"), ev.SearchResults((PAGE,)), ev.TextDelta("Hi"), ev.Progress("Working"))
    *_, final, _ = played(writer(), *events)
    messages = final["item"]["messages"]
    assert [message.get("messageType") for message in messages] == [
        None,
        "InternalSearchQuery",
        "InternalSearchResult",
        "InternalLoaderMessage",
        None,
    ]
    assert [messages[0]["author"], messages[-1]["text"]] == ["user", "Hi"]
    assert {message["requestId"] for message in messages} == {"r1"}


@pytest.mark.parametrize(
    ("searched", "said"), [((), "Hi"), ((ev.SearchStarted("cake"),), "cake")], ids=["plain", "searched"]
)
def test_the_result_says_the_answer_or_the_query(searched: tuple[ev.Event, ...], said: str) -> None:
    """`result.message` is the answer, or the last query after a search (section e): no client should use it."""
    *_, final, _ = played(writer(), *searched, ev.TextDelta("Hi"))
    assert final["item"]["result"]["message"] == said


def test_suggestions_repeat_the_answer() -> None:
    """Suggestions come on a late snapshot that repeats text and card, and again in the final frame."""
    _, _, late, final, _ = played(writer(), ev.TextDelta("Hi"), ev.Suggestions(("A", "B")))
    for message in (late["arguments"][0]["messages"][0], final["item"]["messages"][-1]):
        assert [suggestion["text"] for suggestion in message["suggestedResponses"]] == ["A", "B"]
        assert message["text"] == message["adaptiveCards"][0]["body"][0]["text"] == "Hi"


def test_suggestions_before_the_text_wait_for_it() -> None:
    """Without a text there is no message that could carry suggestions."""
    made = writer()
    assert made.write(ev.Suggestions(("A",))) == ()
    (snapshot,) = sent(made.write(ev.TextDelta("Hi")))
    assert snapshot["arguments"][0]["messages"][0]["suggestedResponses"][0]["text"] == "A"


def test_definitions_come_with_the_first_words() -> None:
    """Once pages are known, every card begins with their definitions, so that its text only grows."""
    events = (ev.SearchResults((PAGE,)), ev.TextDelta("So "), ev.TextDelta("it is [^1^]."))
    _, _, first, second, final, _ = played(writer(), *events)
    cards = [
        message["adaptiveCards"][0]["body"][0]["text"]
        for message in (
            first["arguments"][0]["messages"][0],
            second["arguments"][0]["messages"][0],
            final["item"]["messages"][-1],
        )
    ]
    assert cards[0] == '[1]: https://one.example/ "Title"\n\nSo '
    assert cards[1] == cards[2] == cards[0] + "it is [^1^][1]."


def test_an_answer_that_cites_nothing_defines_nothing() -> None:
    """In the final card of an answer without markers there are no definitions, searched or not."""
    completed = read(writer(), ev.SearchResults((PAGE,)), ev.TextDelta("So it is."))[-1]
    assert isinstance(completed, ev.TurnCompleted)
    assert completed.reply.citations == ()


def test_given_citations_are_those_of_the_reply() -> None:
    """Citations and suggestions of a `TurnCompleted` arrive, and its text where there was none."""
    citation = ev.Citation(3, "https://three.example/", "Three")
    given_reply = ev.Reply(text="Yes [^3^].", citations=(citation,), suggestions=("More",))
    completed = read(writer(), ev.TurnCompleted(given_reply))[-1]
    assert isinstance(completed, ev.TurnCompleted)
    assert completed.reply.text == "Yes [^3^]."
    assert completed.reply.citations == (msgspec.structs.replace(citation, spans=((4, 9),)),)
    assert completed.reply.suggestions == ("More",)


def test_the_quota_can_be_overridden() -> None:
    """A quota event is sent at once and counts in the final frame."""
    _, update, final, _ = played(writer(), ev.Quota(5, 5))
    expected = {"maxNumUserMessagesInConversation": 5, "numUserMessagesInConversation": 5}
    assert update["arguments"][0]["throttling"] == final["item"]["throttling"] == expected


def test_moderation_takes_the_place_of_the_answer() -> None:
    """After a revocation the final frame ends with the notice; the answer is no longer in it."""
    *_, update, final, _ = played(writer(), ev.TextDelta("Hi"), ev.TextRevoked("No."))
    (message,) = update["arguments"][0]["messages"]
    assert (message["text"], message["contentOrigin"]) == ("No.", "Apology")
    assert [shown["text"] for shown in final["item"]["messages"]] == ["Hello", "No."]
    assert final["item"]["result"]["value"] == "Success"


def test_the_turn_limit_counts_as_reached() -> None:
    """The message of the turn limit comes with a full count."""
    made = writer()
    limited, final, _ = sent(made.limited(), made.closing())
    assert limited["arguments"][0]["messages"][0]["contentOrigin"] == "TurnLimiter"
    assert final["item"]["throttling"]["numUserMessagesInConversation"] == 3


def test_a_refusal_has_the_recorded_fields() -> None:
    """A refused turn has the fields of recording 04, and a completion."""
    recorded = json.loads(
        (RECORDED / "04-error-InvalidRequest-InvalidSession-2023-05.jsonl").read_text(encoding="utf-8").splitlines()[0]
    )
    final, completion = sent(
        writer().refusal(frames.Result(value="InvalidRequest", message="m", error="InvalidRequest"))
    )
    assert final.keys() == recorded.keys()
    assert final["item"].keys() == recorded["item"].keys()
    assert final["item"]["result"].keys() == recorded["item"]["result"].keys()
    assert completion == {"type": 3, "invocationId": "0"}


@pytest.mark.parametrize(
    "event",
    [
        ev.SearchStarted("q"),
        ev.SearchResults((PAGE,)),
        ev.Progress("x"),
        ev.ImageRequested("x"),
        ev.TextRevoked("", ended=True),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_a_client_does_not_allow_is_not_sent(event: ev.Event) -> None:
    """`allowedMessageTypes` filters messages of other types, in updates and in the final frame."""
    _, final, _ = played(writer(allowed_message_types=["Chat"]), event)
    assert [message["author"] for message in final["item"]["messages"]] == ["user"]
    assert len(played(writer(allowed_message_types=["Chat"]), ev.TextDelta("x"))) == 4


def test_unknown_things_are_passed_on() -> None:
    """A frame of another type goes out as it is, a message inside an update."""
    _, frame, update, _, _ = played(writer(), ev.Unknown({"type": 99, "x": 1}), ev.Unknown({"messageType": "New"}))
    assert frame == {"type": 99, "x": 1}
    assert update["arguments"][0]["messages"] == [{"messageType": "New"}]


@pytest.mark.parametrize(
    "event",
    [ev.ImageCreated("https://x.example/"), ev.Restarted("x"), ev.Unknown("text")],
    ids=lambda event: type(event).__name__,
)
def test_what_the_hub_cannot_carry_is_refused(event: ev.Event) -> None:
    """An event without a place in the protocol is an error that names it."""
    assert type(event).__name__ in (unplayable(event) or "")
    with pytest.raises(ConfigurationError, match=type(event).__name__):
        writer().write(event)


def test_a_playable_event_has_no_reason_against_it() -> None:
    """Other events can be sent."""
    assert unplayable(ev.TextDelta("x")) is None
    assert unplayable(ev.Unknown({})) is None


def test_the_client_reads_what_was_written() -> None:
    """Every kind of event arrives at the client as it was given."""
    events: list[ev.Event] = [
        ev.SearchStarted("q"),
        ev.SearchResults((PAGE,)),
        ev.Progress("Working"),
        ev.ImageRequested("a cat"),
        ev.TextDelta("Hel"),
        ev.TextRevised("Good"),
        ev.TextDelta("bye"),
        ev.Suggestions(("A",)),
        ev.Quota(2, 3),
        ev.TextRevoked("No."),
    ]
    assert read(writer(), *events)[:-1] == [ev.Quota(1, 3), *events]


@given(st.lists(st.one_of(st.builds(ev.TextDelta, st.text()), st.builds(ev.TextRevised, st.text(min_size=1)))))
def test_any_text_arrives(events: list[ev.Event]) -> None:
    """Whatever texts a brain gives, in whatever pieces, the client's reply has the last whole text."""
    completed = read(writer(), ev.TextDelta("Start "), *events)[-1]
    expected = "Start "
    for event in events:
        assert isinstance(event, ev.TextDelta | ev.TextRevised)
        expected = event.text if isinstance(event, ev.TextRevised) else expected + event.text
    assert isinstance(completed, ev.TurnCompleted)
    assert completed.reply.text == expected


def test_ids_of_the_request_are_found_or_made() -> None:
    """The request id is the message's, else the request's, else a new one."""
    for message_id, argument_id in (("m", "a"), (None, "a"), (None, None)):
        message = frames.UserMessage(text="x", request_id=message_id)
        chat = frames.Chat([frames.ChatArguments(message=message, request_id=argument_id)], "0")
        final, _ = sent(AnswerWriter(chat, lifetime=1, clock=lambda: 0.0).closing())
        expected = message_id or argument_id
        assert final["item"]["requestId"] == expected if expected else final["item"]["requestId"]


def test_an_answer_may_go_on_in_another_message() -> None:
    """From then on, the whole text comes under a new id."""
    made = writer()
    first = sent(made.write(ev.TextDelta("Hel")))
    made.begin_message()
    second = sent(made.write(ev.TextDelta("lo")))
    (before,), (after,) = (frame[0]["arguments"][0]["messages"] for frame in (first, second))
    assert before["messageId"] != after["messageId"]
    assert after["text"] == "Hello"
