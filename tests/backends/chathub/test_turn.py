"""One turn, from the request to its last event; the network is a list of messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.chathub.codec import SEPARATOR
from bing_llm.backends.chathub.connection import State
from bing_llm.backends.chathub.turn import SILENT_REFUSAL_CHARACTERS, Turn
from bing_llm.limits import Limits
from tests.backends.chathub.test_codec import JSON, RECORDS, mutations
from tests.backends.chathub.wire import (
    ACK,
    DONE,
    END,
    PING,
    Step,
    apology,
    bot,
    chat,
    disengaged,
    drained,
    eof,
    final,
    hear,
    limiter,
    play,
    recorded,
    snapshot,
    stop,
    three_ways,
    throttling,
    update,
    wire,
)

Delta, Revised = ev.TextDelta, ev.TextRevised

# --- recordings ---------------------------------------------------------------------------------------------------


def test_recording_02_asks_for_a_picture() -> None:
    """The final frame of 2024-02-06: an image request before the answer, suggestions, 30 turns."""
    outcome = hear(ACK, *recorded("02-final-image-request-2024-02-06"))
    suggestions = (
        "Can you draw a picture of a pizza?",
        "How about drawing an image of sushi?",
        "Draw me some fruits",
    )
    assert outcome.events[:-1] == [
        ev.Quota(1, 30),
        ev.ImageRequested("food"),
        Delta("I'll try to create that."),
        ev.Suggestions(suggestions),
    ]
    assert outcome.reply == ev.Reply(
        text="I'll try to create that.",
        image_prompts=("food",),
        suggestions=suggestions,
        quota=ev.Quota(1, 30),
        conversation_id="51D|BingProd|BD37D1DE4DBC113C0C68AB4439EDD367C4162BA398653EACD73368321C8D1D2F",
        message_id="ebe1e06f-e47d-470f-97ef-bda48a3d257c",
        metadata={
            "requestId": "c5044fee-d168-45dd-b644-9c22c6fc0743",
            "conversationExpiryTime": "2024-02-06T07:35:59.2109401Z",
            "serviceVersion": "20240203.114",
            "resultMessage": "I'll try to create that.",
        },
    )


@pytest.mark.parametrize(
    ("number", "event"),
    [(0, ev.Quota(1, 5)), (1, Delta("你"))],
)
def test_recording_03_holds_two_single_updates(number: int, event: ev.Event) -> None:
    """Updates of 2023-05-26: one with throttling only, for an anonymous user, and one with a first token."""
    outcome = hear(ACK, recorded("03-update-frames-2023-05-26")[number])
    assert (outcome.events, outcome.error) == ([event], None)


@pytest.mark.parametrize(
    ("number", "kind", "value", "words"),
    [
        (0, errors.InvalidRequest, "InvalidRequest", "with 8 messages already exists."),
        (2, errors.SessionExpired, "InvalidSession", "Conversations expire after 06:00:00."),
    ],
)
def test_recording_04_holds_two_refusals(number: int, kind: type[errors.BingError], value: str, words: str) -> None:
    """Refusals of 2023-05: each a type 2 frame without messages or throttling, and a type 3 frame."""
    records = recorded("04-error-InvalidRequest-InvalidSession-2023-05")[number : number + 2]
    outcome = hear(ACK, *records)
    assert (outcome.events, outcome.error) == ([], kind)
    assert (outcome.details["value"], outcome.details["partial_text"]) == (value, "")
    assert outcome.details["service_message"].endswith(words)


def test_recording_05_is_a_plain_answer() -> None:
    """The final frame of 2023-05-03: the answer to a greeting, suggestions, 20 turns, no result message."""
    outcome = hear(ACK, *recorded("05-final-hello-2023-05-03"))
    assert outcome.texts == [Delta("Hello! I'm doing well, thank you. How can I assist you today?")]
    reply = outcome.reply
    assert reply.suggestions == ("What is the weather like today?", "What is the latest news?", "Tell me a joke.")
    assert (reply.quota, reply.citations, reply.searches, reply.finish_reason) == (ev.Quota(1, 20), (), (), "stop")
    assert set(reply.metadata) == {"requestId", "conversationExpiryTime", "serviceVersion"}


@pytest.mark.parametrize("number", [0, 1])
def test_recording_08_is_throttled(number: int) -> None:
    """Two captures of a refusal for too many requests."""
    outcome = hear(ACK, recorded("08-error-Throttled")[number])
    assert outcome.error is errors.Throttled
    assert outcome.details["message"] == "The service refused the turn (Throttled: Request is throttled)."
    assert outcome.details["service_message"] == "Request is throttled."
    assert outcome.details["retry_after"] is None


def test_recording_10_refuses_in_one_message() -> None:
    """Type 2 and type 3 in one WebSocket message, for a request without a signature."""
    outcome = hear(ACK, "".join(recorded("10-error-UnauthorizedRequest-unsigned")))
    assert outcome.error is errors.Unauthorized
    assert outcome.details["service_message"].startswith("The conversationSignature is not set")


def test_recording_12_closes() -> None:
    """A type 7 frame ends the connection, with the text that had come."""
    outcome = hear(ACK, update(bot("Cats")), *recorded("12-close-type7"))
    assert outcome.error is errors.ConnectionLost
    assert outcome.details["service_message"] == "Connection closed with an error."
    assert "complete (Connection closed with an error.)" in outcome.details["message"]
    assert outcome.details["partial_text"] == "Cats"


@pytest.mark.parametrize("frame", [update, final])
def test_recording_22_inside_a_frame_ends_the_conversation(frame: Callable[..., str]) -> None:
    """The recorded message object is not a frame: here it stands in an update, and in a final frame."""
    assert hear(ACK, frame(disengaged())).error is errors.ConversationEnded


# --- the request --------------------------------------------------------------------------------------------------


def test_handshake_and_request_go_out_together() -> None:
    """`ask` gives both in one message; `ping` and `stop` are frames of their own."""
    turn = Turn()
    states = [turn.state]
    handshake, request, rest = turn.ask(chat("Hello")).split(SEPARATOR)
    assert (json.loads(handshake), rest) == ({"protocol": "json", "version": 1}, b"")
    assert json.loads(request)["arguments"][0]["message"]["text"] == "Hello"
    assert turn.ping() == PING.replace(" ", "").encode()
    states.append(turn.state)
    assert json.loads(turn.stop()[:-1]) == {"type": 1, "target": "stop", "invocationId": "0", "arguments": [{}]}
    states.append(turn.state)
    assert states == [State.NEW, State.REQUESTED, State.STOPPED_EARLY]


def test_the_handshake_may_go_out_alone() -> None:
    """`handshake` sends it and its answer makes the connection ready; then `ask` gives the request alone."""
    turn = Turn()
    assert json.loads(turn.handshake().removesuffix(SEPARATOR)) == {"protocol": "json", "version": 1}
    states = [turn.state]
    turn.receive(ACK.encode())
    assert turn.next_event() is None
    states.append(turn.state)
    assert states == [State.HANDSHAKING, State.READY]
    request, rest = turn.ask(chat("Hello")).split(SEPARATOR)
    assert (json.loads(request)["arguments"][0]["message"]["text"], rest) == ("Hello", b"")
    turn.receive(final(bot("Hi")).encode())
    assert isinstance(turn.next_event(), ev.TurnCompleted | ev.TextDelta)


def test_a_stop_needs_an_open_turn() -> None:
    """A stop before the request is a mistake of the caller, and leaves the turn as it was."""
    turn = Turn()
    with pytest.raises(errors.ProtocolError, match="Invocation cannot be sent in state NEW"):
        turn.stop()
    turn.ask(chat())
    turn.receive_eof(None)
    with pytest.raises(errors.ConnectionLost):
        turn.next_event()


def test_the_synthetic_stream_of_a_whole_turn() -> None:
    """Quota, search, text, suggestions and the final frame, with pings between, as the notes order them. Synthetic."""
    query = bot("Searching the web for: `cats`", message_id="q1", messageType="InternalSearchQuery", hiddenText="cats")
    full = bot("Cats purr.", suggestedResponses=[{"text": "Why?"}])
    outcome = hear(
        ACK,
        PING,
        update(throttling=throttling(1, 30)),
        update(query),
        PING,
        update(bot("Cats")),
        update(full),
        final(query, full, throttling=throttling(1, 30)),
    )
    assert outcome.events[:-1] == [
        ev.Quota(1, 30),
        ev.SearchStarted("cats"),
        Delta("Cats"),
        Delta(" purr."),
        ev.Suggestions(("Why?",)),
    ]
    assert outcome.reply.searches == (ev.Search("cats"),)


def test_progress_is_counted_without_pings() -> None:
    """`progress` shows that the answer goes on; pings do not move it."""
    turn = Turn()
    turn.ask(chat())
    for text, count in ((ACK, 1), (PING, 1), (update(bot("Cats")), 2), (PING, 2)):
        turn.receive(text.encode())
        list(drained(turn))
        assert turn.progress == count
    assert (turn.text, turn.completed) == ("Cats", False)


def test_a_turn_is_completed_when_its_last_event_was_given() -> None:
    """`completed` becomes true with `TurnCompleted`, after which there is nothing more."""
    turn = Turn()
    turn.ask(chat())
    turn.receive((ACK + final(bot("Cats"))).encode())
    assert [turn.next_event(), turn.completed] == [Delta("Cats"), False]
    assert isinstance(turn.next_event(), ev.TurnCompleted)
    assert turn.completed
    turn.receive_eof(1000)
    assert turn.next_event() is None


# --- errors -------------------------------------------------------------------------------------------------------

THROTTLED = final(result={"value": "Throttled", "message": "Request is throttled."})


@pytest.mark.parametrize(("before", "partial_text"), [([], ""), ([update(bot("Ca")), update(bot("Cats"))], "Cats")])
@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (THROTTLED, errors.Throttled),
        (final(result={"value": "InternalError", "error": "DeepLeo"}), errors.ServiceError),
        (final(result={"message": "?"}), errors.ServiceError),
        (final(result={}, item=None), errors.ServiceError),
        (DONE, errors.ServiceError),
        (wire({"type": 3, "error": "boom"}), errors.ServiceError),
        (wire({"type": 7}), errors.ConnectionLost),
        ("nope\x1e", errors.ProtocolError),
        (wire({"type": 2, "item": 7}), errors.ProtocolError),
    ],
)
def test_an_error_brings_the_text_that_had_come(
    before: list[str], partial_text: str, frame: str, kind: type[errors.BingError]
) -> None:
    """Whatever ends a turn early, its error holds the text so far."""
    outcome = hear(ACK, *before, frame)
    assert (outcome.error, outcome.details["partial_text"]) == (kind, partial_text)


def test_a_final_frame_without_a_result_is_an_error() -> None:
    """A result that does not say Success is not a success."""
    outcome = hear(ACK, wire({"type": 2, "item": {"messages": [bot("Cats")]}}))
    assert outcome.error is errors.ServiceError
    assert outcome.details["value"] is None


@pytest.mark.parametrize(
    ("frame", "said"),
    [(wire({"type": 3, "error": "boom"}), "boom"), (DONE, "no reason given")],
)
def test_a_completion_alone_is_not_an_end(frame: str, said: str) -> None:
    """The end of a turn is proved by its final frame; without one a type 3 frame is an error."""
    outcome = hear(ACK, update(bot("Cats")), frame)
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ServiceError, "Cats")
    assert outcome.details["message"] == f"The service ended the turn without its final frame ({said})."


def test_an_error_is_raised_again() -> None:
    """A turn that failed goes on to fail with the same error."""
    turn = Turn()
    turn.ask(chat())
    turn.receive((ACK + THROTTLED).encode())
    caught = []
    for _ in range(2):
        with pytest.raises(errors.Throttled) as info:
            turn.next_event()
        caught.append(info.value)
    assert caught[0] is caught[1]


@pytest.mark.parametrize(
    "frame", [update(bot("Cats")), final(bot("Cats")), DONE, PING, wire({"type": 99}), wire([]), wire("?"), "nope\x1e"]
)
def test_nothing_goes_before_the_answer_to_the_handshake(frame: str) -> None:
    """Any frame but a close, and anything that is no JSON object, is an error before the handshake is answered."""
    assert hear(frame).error is errors.ProtocolError


def test_a_handshake_may_be_refused() -> None:
    """A handshake answer with an error says that the service does not speak this protocol."""
    outcome = hear(wire({"error": "Unsupported protocol."}))
    assert (outcome.error, outcome.details["service_message"]) == (errors.ProtocolError, "Unsupported protocol.")
    assert outcome.details["message"] == "The service refused the handshake: Unsupported protocol."


def test_a_close_may_have_no_reason() -> None:
    """A type 7 frame without an error is a lost connection all the same."""
    outcome = hear(ACK, wire({"type": 7}))
    assert (outcome.error, outcome.details["service_message"]) == (errors.ConnectionLost, None)
    assert "complete (no reason given)" in outcome.details["message"]


def test_a_close_may_come_before_the_handshake_is_answered() -> None:
    """A type 7 frame in place of the handshake's answer is a lost connection."""
    outcome = hear(wire({"type": 7, "error": "Too busy."}))
    assert (outcome.error, outcome.details["service_message"]) == (errors.ConnectionLost, "Too busy.")


@pytest.mark.parametrize("frame", [wire({"protocol": "json", "version": 1}), wire({"type": 4, "target": "chat"})])
def test_what_a_client_says_is_nothing_that_a_server_says(frame: str) -> None:
    """A frame that only clients send is unknown when it comes from the service."""
    outcome = hear(ACK, frame, final(bot("Cats")))
    assert outcome.events[0] == ev.Unknown(json.loads(frame[:-1]))


def test_a_frame_of_a_client_is_never_taken() -> None:
    """Should the connection ever give a frame that only a client sends, the turn refuses it."""
    with pytest.raises(errors.ProtocolError, match="only a client may send"):
        Turn()._take(chat())


def test_a_record_may_not_be_too_long() -> None:
    """A record over the limit raises after the events before it, with the text that had come."""
    turn = Turn(Limits(frame_bytes=200))
    turn.ask(chat())
    turn.receive((ACK + update({"author": "bot", "text": "Cats"})).encode() + b"x" * 201)
    assert turn.next_event() == Delta("Cats")
    for _ in range(2):
        with pytest.raises(errors.ProtocolError, match="over 200 bytes") as caught:
            turn.next_event()
        assert caught.value.partial_text == "Cats"


# --- the end of the socket ----------------------------------------------------------------------------------------

LONG = "x" * (SILENT_REFUSAL_CHARACTERS + 1)
SHORT = "x" * SILENT_REFUSAL_CHARACTERS
BEFORE: dict[str, list[Step]] = {
    "asked": [],
    "answering": [ACK],
    "quota": [ACK, update(throttling=throttling(1, 5))],
    "torn": [ACK, '{"type":2,"item"'],
}


@pytest.mark.parametrize("code", [1000, 1001, 1006, None])
@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize(("text", "context"), [(SHORT, None), (LONG, None), (SHORT[1:], "x"), (SHORT[1:], "xx")])
def test_a_socket_that_ends_without_a_final_frame_is_an_error(
    code: int | None, before: list[Step], text: str, context: str | None
) -> None:
    """Code 1000 on over 4,000 characters of prompt and context means that they are too long; all else is a loss."""
    outcome = play([*before, eof(code)], chat(text, context))
    is_long = len(text) + len(context or "") > SILENT_REFUSAL_CHARACTERS
    if code == 1000 and is_long:
        assert outcome.error is errors.PromptTooLong
        assert "4,001 characters" in outcome.details["message"]
    else:
        assert outcome.error is errors.ConnectionLost
        assert f"with code {code or 1006} " in outcome.details["message"]


@pytest.mark.parametrize("code", [1000, 1001, 1006, None])
@pytest.mark.parametrize("asked", [SHORT, LONG], ids=["short", "long"])
def test_a_socket_that_ends_after_text_is_a_loss(code: int | None, asked: str) -> None:
    """Once text has come the prompt was not too long; the error holds the text."""
    outcome = hear(ACK, update(bot("Cats")), eof(code), asked=chat(asked))
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ConnectionLost, "Cats")


@pytest.mark.parametrize("code", [1000, 1006])
def test_a_socket_may_end_after_the_final_frame(code: int) -> None:
    """The final frame proves the end: nothing after it is missing."""
    without_completion = final(bot("Cats")).split(END)[0] + END
    outcome = hear(ACK, without_completion, eof(code))
    assert (outcome.error, outcome.reply.text) == (None, "Cats")


def test_frames_before_the_end_are_read_first() -> None:
    """What came before the end of the socket is given, also when all of it comes at once."""
    turn = Turn()
    turn.ask(chat())
    turn.receive((ACK + final(bot("Cats"))).encode())
    turn.receive_eof(1000)
    assert [type(event) for event in drained(turn)] == [Delta, ev.TurnCompleted]


def test_a_socket_that_ends_before_the_request_is_a_loss() -> None:
    """Nothing was asked, nothing was answered."""
    turn = Turn()
    turn.receive_eof(1000)
    with pytest.raises(errors.ConnectionLost):
        turn.next_event()
    assert turn.state is State.CLOSED


# --- stop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending",
    [
        [DONE],
        [wire({"type": 7})],
        [eof(1000)],
        [eof(None)],
        [final(bot("Cats"))],
        [final()],
        [update(bot("Cats")), DONE],
    ],
)
def test_a_stopped_turn_keeps_what_came(ending: list[Step]) -> None:
    """After a stop the turn may end with type 3 alone, with a final frame, or with the connection."""
    outcome = hear(ACK, update(bot("Cats")), stop, *ending)
    assert outcome.events[:-1] == [Delta("Cats")]
    assert (outcome.reply.text, outcome.reply.finish_reason, outcome.reply.message_id) == ("Cats", "stop", "a1")


@pytest.mark.parametrize("stops", [1, 2])
def test_a_stop_may_come_before_the_handshake_is_answered(stops: int) -> None:
    """A stop right after the request ends the turn without any text; a second one changes nothing."""
    outcome = hear(*[stop] * stops, ACK, update(throttling=throttling(1, 5)), DONE)
    assert outcome.events[:-1] == [ev.Quota(1, 5)]
    assert (outcome.reply.text, outcome.reply.quota) == ("", ev.Quota(1, 5))
    assert outcome.reply.conversation_id == "c0"


def test_a_stop_does_not_hide_an_error() -> None:
    """An error that the service names is raised also after a stop, with what came."""
    for frame in (THROTTLED, wire({"type": 3, "error": "boom"}), "nope\x1e"):
        outcome = hear(ACK, update(bot("Cats")), stop, frame)
        assert outcome.error is not None
        assert outcome.details["partial_text"] == "Cats"


def test_text_may_go_on_after_a_stop() -> None:
    """What still comes after the stop belongs to the answer."""
    outcome = hear(ACK, update(bot("Cats")), stop, update(bot("Cats purr")), DONE)
    assert outcome.reply.text == "Cats purr"


def test_a_stopped_turn_can_be_cut_short() -> None:
    """Where the service does not answer the stop, what came is the answer."""
    turn = Turn()
    turn.ask(chat())
    turn.receive((ACK + update(bot("Cats"))).encode())
    list(drained(turn))
    turn.stop()
    assert turn.cut_short().reply.text == "Cats"
    assert turn.completed
    assert turn.next_event() is None


# --- anything at all ----------------------------------------------------------------------------------------------

KNOWN = [
    *(record.decode() + END for record in RECORDS),
    ACK,
    PING,
    DONE,
    update(bot("Cats"), throttling=throttling(1, 5)),
    update(bot("Dogs", message_id="a2"), bot("?", messageType="New")),
    update(cursor={"j": "$['a1']"}, writeAtCursor="ts"),
    update(apology()),
    update(limiter()),
    snapshot("Cats").decode(),
    snapshot("Cats purr").decode(),
    final(bot("Cats"), apology(), disengaged()),
    '{"type":',
    END,
]
MUTATED = st.sampled_from([json.loads(record) for text in KNOWN[:-2] for record in text.split(END) if record])
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.sampled_from(KNOWN),
    st.text(),
    JSON.map(wire),
    MUTATED.flatmap(mutations).map(wire),
    st.sampled_from([stop, eof(1000), eof(None)]),
)


@settings(max_examples=400)
@given(st.lists(STEPS, max_size=6), st.booleans())
def test_any_input_gives_events_or_an_error_of_ours(steps: list[Step], acknowledged: bool) -> None:  # noqa: FBT001
    """Whatever the service sends, a turn gives events and errors of this package, and nothing after its end."""
    outcome = play([ACK, *steps] if acknowledged else steps)
    ends = [number for number, event in enumerate(outcome.events) if isinstance(event, ev.TurnCompleted)]
    assert ends in ([], [len(outcome.events) - 1])
    assert not ends or outcome.error in {None, errors.ProtocolError}
    for event in outcome.events:
        assert ev.event_from_json(ev.event_to_json(event)) == event


@settings(max_examples=50)
@given(st.lists(st.sampled_from(KNOWN[:-2]), max_size=3), st.data())
def test_pieces_do_not_matter(texts: list[str], data: st.DataObject) -> None:
    """Frames give the same events and the same error in whatever messages they come."""
    whole = ACK + "".join(texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces: list[Step] = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert play(pieces) == play([whole])


@st.composite
def answers(draw: st.DrawFn) -> list[str]:
    """The updates of an answer, most of which go on with it; each as a message."""
    text, card, message_id = "Cats " * 200, "[1]: https://example.org\n\nCats " + "purr " * 100, "a1"
    messages: list[str] = []
    for number in range(draw(st.integers(1, 8))):
        piece = draw(st.sampled_from([" purr", "\n", '"', "\\", "é😀", ""]))
        text, card = text + piece, card + piece
        match draw(st.integers(0, 20)):
            case 0:
                text = text.removeprefix("Cats ")
            case 1:
                message_id += "1"
            case 2:
                messages.append(draw(st.sampled_from(KNOWN[:-2])))
            case 3:
                card = card.removeprefix("[1]")
            case 4:
                suggested = [{"text": f"Why{piece}?", "author": "user"}]
                messages.append(snapshot(text, card, messageId=message_id, suggestedResponses=suggested).decode())
        messages.append(snapshot(text, card, number=number, messageId=message_id).decode())
    return messages


@given(answers(), st.booleans())
def test_an_answer_gives_what_its_frames_say(messages: list[str], stopped: bool) -> None:  # noqa: FBT001
    """Updates of a growing answer give the same events and reply in whole messages and in halves."""
    end: list[Step] = [stop, lambda turn: turn.receive_eof(None)] if stopped else [final(bot("Cats"))]
    halves = [half for message in messages for half in (message[:9], message[9:])]
    assert play([ACK, *messages, *end]) == play([ACK, *halves, *end])


def test_three_ways_are_whole_split_and_with_more_after() -> None:
    """The helper of these tests gives the script itself, one cut at each position, and one with data after it."""
    end = eof(None)
    variants: list[Any] = list(three_ways(["ab", "c", end]))
    assert variants == [
        ["ab", "c", end],
        *(["abc"[:at], "abc"[at:], end] for at in range(4)),
        [f'abc{PING}{{"type":1,"argu', end],
    ]
    assert list(three_ways([end])) == [[end]]
