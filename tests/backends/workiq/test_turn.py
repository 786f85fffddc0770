"""One turn, from the first byte to its last event; the network is a list of bytes."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.workiq.snapshots import INTERMEDIATE
from bing_llm.backends.workiq.turn import Turn
from bing_llm.fold import Fold
from bing_llm.limits import Limits
from tests.backends.workiq.test_snapshots import JSON
from tests.backends.workiq.wire import (
    EMPTY_LABEL,
    Outcome,
    Step,
    conversation,
    disengaged,
    drained,
    eof,
    event,
    final,
    hear,
    message,
    new_turn,
    partial,
    play,
    stop,
)

Delta, Revised = ev.TextDelta, ev.TextRevised
EMPTY = event(conversation(displayName=INTERMEDIATE))


# --- the documented stream ----------------------------------------------------------------------------------------


def test_the_documented_stream_is_a_turn() -> None:
    """Empty events at both ends, the answer as it grows, then title, echo and answer together."""
    attributions = [
        {"attributionType": "annotation", "providerDisplayName": "Standup", "seeMoreWebUrl": "https://e.example"},
        {"attributionType": "citation", "providerDisplayName": "Plan.docx", "seeMoreWebUrl": "https://p.example"},
    ]
    label = {"displayName": "Confidential", "color": None}
    outcome = hear(
        EMPTY,
        partial("You"),
        partial("You asked"),
        EMPTY,
        final("You asked why[^1^].", attributions=attributions, sensitivityLabel=label),
    )
    assert outcome.events[:-1] == [Delta("You"), Delta(" asked"), Delta(" why[^1^].")]
    assert outcome.reply == ev.Reply(
        text="You asked why[^1^].",
        citations=(ev.Citation(1, "https://p.example", "Plan.docx", ((13, 18),)),),
        conversation_id="c1",
        message_id="m1",
        metadata={
            "displayName": "Title",
            "turnCount": 1,
            "annotations": attributions[:1],
            "sensitivityLabel": {"displayName": "Confidential"},
        },
    )


def test_the_printed_stream_is_a_turn() -> None:
    """The documents print each event's JSON over several lines, and its id without a space."""
    values = [
        conversation(message("You"), displayName=INTERMEDIATE),
        conversation(message("Ask", "u1"), message("You asked"), displayName="Title"),
    ]
    stream = "".join(f"data: {json.dumps(value, indent=2)}\nid:137\n\n" for value in values)
    assert hear(stream.encode()).texts == [Delta("You"), Delta(" asked")]


def test_an_answer_may_come_at_once() -> None:
    """A stream of nothing but its final event is a turn."""
    assert hear(final("All")).events[:-1] == [Delta("All")]


def test_the_end_need_not_be_an_empty_line() -> None:
    """The service may close right after its last event."""
    assert hear(partial("A"), final("All").rstrip(), eof).reply.text == "All"


def test_nothing_after_the_final_event_counts() -> None:
    """What follows the proof of the end is not read, and asking for it is a mistake."""
    turn = new_turn()
    turn.receive(final("All") + b"data: nonsense\n\n" + partial("More"))
    turn.receive_eof(1000)
    assert [type(each) for each in drained(turn)] == [Delta, ev.TurnCompleted]
    with pytest.raises(errors.ProtocolError, match="This turn is complete"):
        turn.next_event()


def test_done_is_not_proof() -> None:
    """`[DONE]` ends a stream and does not prove its answer."""
    assert hear(partial("A"), final("All"), event("[DONE]")).reply.text == "All"
    outcome = hear(partial("A"), event("[DONE]"))
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ConnectionLost, "A")


@pytest.mark.parametrize(
    "last",
    [
        partial("All"),
        event(conversation(message("All"), displayName="Title", turnCount=1)),
        event(conversation(message("Ask", "u1"), message("All"), displayName=INTERMEDIATE, turnCount=1)),
        event(conversation(displayName="Title")),
        final("All more").rstrip()[:-40],
        b": keep-alive\n\n",
    ],
)
def test_a_stream_without_its_final_form_is_lost(last: bytes) -> None:
    """Only title, echo and answer together prove the end; the text so far is kept."""
    outcome = hear(partial("All"), last, eof)
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ConnectionLost, "All")
    assert outcome.texts == [Delta("All")]


def test_a_stream_that_says_nothing_is_lost() -> None:
    """Without any text there is none to keep."""
    outcome = hear(eof)
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ConnectionLost, "")


def test_a_final_event_without_an_answer_is_a_fault() -> None:
    """The echo of the prompt is not an answer."""
    assert hear(EMPTY, final("")).error is errors.ServiceError


# --- which message ------------------------------------------------------------------------------------------------


def test_the_answer_keeps_its_id() -> None:
    """Once a message is the answer, another one is not, until the end says otherwise."""
    outcome = hear(partial("A"), partial("Aside", message_id="m2"), partial("AB"), final("ABC"))
    assert outcome.texts == [Delta("A"), Delta("B"), Delta("C")]
    outcome = hear(partial("A"), final("Another", message_id="m2"))
    assert outcome.texts == [Delta("A"), Delta("nother")]
    assert (outcome.reply.text, outcome.reply.message_id, outcome.reply.revised) == ("Another", "m2", False)


def test_the_last_message_with_text_is_the_answer() -> None:
    """In the final event the message that was the answer wins; without one, the last that has text."""
    several = [message("Ask", "u1"), message("One", "m1"), message("Two", "m2"), message("", "m3"), None]
    last = event(conversation(*several, displayName="Title"))
    assert hear(last).reply.text == "Two"
    assert hear(partial("On"), last).reply.text == "One"


def test_the_echo_is_never_the_answer() -> None:
    """An echo that comes alone is waited out, even where the answer has the same words."""
    echo = partial("Ask", message_id="u1")
    assert hear(echo, partial("Hello"), final("Hello")).texts == [Delta("Hello")]
    assert hear(echo, partial("Ask"), final("Ask")).texts == [Delta("Ask")]


def test_an_answer_without_an_id_is_one() -> None:
    """Ids may be missing; the reply names the conversation that was asked."""
    shown = {"messages": [{"text": "Ask"}, {"text": "AB"}], "displayName": "Title"}
    first = {"messages": [{"text": "A"}], "displayName": INTERMEDIATE}
    outcome = hear(event(first), event(shown), conversation_id="c0")
    assert outcome.texts == [Delta("A"), Delta("B")]
    assert (outcome.reply.conversation_id, outcome.reply.message_id) == ("c0", "")


# --- rewrites and tags --------------------------------------------------------------------------------------------


def test_a_rewrite_gives_the_whole_text() -> None:
    """Text that does not extend the last one comes whole; what then extends it comes as pieces again."""
    outcome = hear(partial("Cats"), partial("Dogs"), partial("Dogs bark"), final("Dogs bark."))
    assert outcome.texts == [Delta("Cats"), Revised("Dogs"), Delta(" bark"), Delta(".")]
    assert (outcome.reply.text, outcome.reply.revised) == ("Dogs bark.", True)


def test_text_that_shrinks_and_grows_back_is_settled() -> None:
    """A rewrite that is taken back leaves a whole text, as a fold of the events sees it."""
    outcome = hear(partial("Cats purr"), partial("Cats"), partial(""), partial("Cats purr"), final("Cats purr."))
    assert outcome.texts == [Delta("Cats purr"), Revised("Cats"), Delta(" purr"), Delta(".")]
    assert (outcome.reply.text, outcome.reply.revised) == ("Cats purr.", False)


@pytest.mark.parametrize(
    ("entity_tags", "texts"),
    [
        ("keep", ["Meet ", "<Person>", "Ada", "</Person> <b", "> now"]),
        ("strip", ["Meet ", "Ada", " <b", "> now"]),
    ],
)
def test_half_a_tag_is_never_given(entity_tags: str, texts: list[str]) -> None:
    """The beginning of a tag waits for its end, whether tags are kept or stripped."""
    whole = "Meet <Person>Ada</Person> <b> now"
    script = [partial(whole[:end]) for end in (5, 8, 13, 16, 19, 28)]
    outcome = hear(*script, final(whole), entity_tags=entity_tags)
    assert outcome.texts == [Delta(text) for text in texts]
    assert outcome.reply.text == "".join(texts)


@pytest.mark.parametrize("entity_tags", ["keep", "strip"])
def test_a_text_may_end_as_a_tag_begins(entity_tags: str) -> None:
    """Text held back is given at the end, when no tag can come of it; a broken stream does not give it."""
    assert hear(partial("1 <"), final("1 <"), entity_tags=entity_tags).texts == [Delta("1 "), Delta("<")]
    assert hear(partial("1 <P"), eof, entity_tags=entity_tags).details["partial_text"] == "1 "


def test_tags_that_come_later_are_not_a_rewrite_where_they_are_stripped() -> None:
    """The service puts tags into text that it has sent already; without them nothing has changed."""
    script = partial("Meet Ada"), final("Meet <Person>Ada</Person>.")
    assert hear(*script, entity_tags="strip").texts == [Delta("Meet Ada"), Delta(".")]
    assert hear(*script).texts == [Delta("Meet Ada"), Revised("Meet <Person>Ada</Person>.")]


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "notice"),
    [
        ([disengaged()], None),
        ([disengaged("Ask")], None),
        ([disengaged("Ask", "I must stop.")], "I must stop."),
        ([EMPTY, final("I must stop.", state="disengagedForRai")], "I must stop."),
        ([event({"status": "disengagedForRai"})], None),
    ],
)
def test_a_conversation_may_end_before_any_text(script: list[Step], notice: str | None) -> None:
    """The service stopped before it answered: that is an error, with its words."""
    outcome = hear(*script)
    assert (outcome.events, outcome.error) == ([], errors.ConversationEnded)
    assert (outcome.details["value"], outcome.details["service_message"]) == ("disengagedForRai", notice)


@pytest.mark.parametrize(
    ("last", "notice"),
    [
        (disengaged(), ""),
        (disengaged("Ask", "I must stop."), "I must stop."),
        (final("Cats", state="disengagedForRai"), ""),
        (final("Cats purr", state="disengagedForRai"), ""),
        (final("I must stop.", state="disengagedForRai"), "I must stop."),
    ],
)
def test_text_that_was_given_is_revoked(last: bytes, notice: str) -> None:
    """The reply keeps what was given, and says that the conversation is over."""
    outcome = hear(partial("Cats"), last)
    assert outcome.events[:-1] == [Delta("Cats"), ev.TextRevoked(notice, ended=True)]
    reply = outcome.reply
    assert (reply.text, reply.notice, reply.finish_reason) == ("Cats", notice, "content_filter")
    assert (reply.revoked, reply.conversation_ended, reply.message_id) == (True, True, "m1")


def test_an_error_in_the_stream_ends_the_turn() -> None:
    """It is raised again and again, with the text that had come."""
    turn = new_turn()
    turn.receive(partial("Cats") + event({"error": {"code": "TooManyRequests", "message": "Slow down."}}))
    assert turn.next_event() == Delta("Cats")
    for _ in range(2):
        with pytest.raises(errors.Throttled, match="Slow down") as caught:
            turn.next_event()
        assert caught.value.partial_text == "Cats"


def test_an_empty_error_is_none() -> None:
    """A null in the place of an error says nothing."""
    assert hear(event({**conversation(message("A")), "error": None}), final("AB")).texts == [Delta("A"), Delta("B")]


@pytest.mark.parametrize("data", ["nonsense", "[]", '{"messages": 7}', "[" * 300])
def test_what_is_not_a_conversation_is_an_error(data: str) -> None:
    """Data of another form is a ProtocolError with the text so far."""
    outcome = hear(partial("Cats"), event(data))
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ProtocolError, "Cats")


def test_an_object_of_another_kind_is_kept() -> None:
    """What this version does not know is given as it came, and the turn goes on."""
    raw = {"telemetry": {"a": [1]}}
    assert hear(partial("A"), event(raw), final("AB")).events[:-1] == [Delta("A"), ev.Unknown(raw), Delta("B")]


def test_an_event_is_bounded() -> None:
    """One longer than allowed is refused, after what came before it."""
    outcome = hear(partial("A"), event({"x": "y" * 900}), limits=Limits(frame_bytes=800))
    assert (outcome.texts, outcome.error) == ([Delta("A")], errors.ProtocolError)
    assert outcome.details["partial_text"] == "A"


# --- stopping, and answers without a stream -----------------------------------------------------------------------


def test_a_stopped_turn_completes_with_what_came() -> None:
    """What had come before the stop is the answer; a title of an unfinished answer is none."""
    outcome = hear(partial("Cats", sensitivityLabel={"priority": 1}), stop)
    assert outcome.events[:-1] == [Delta("Cats")]
    reply = outcome.reply
    assert (reply.text, reply.finish_reason, reply.message_id, reply.conversation_id) == ("Cats", "stop", "m1", "c1")
    assert reply.metadata == {"sensitivityLabel": {"priority": 1}}


def test_a_stop_loses_nothing() -> None:
    """What was received and not yet asked for comes first, the proper end included."""
    for last, text in ((partial("Cats purr"), "Cats purr"), (final("Cats purr."), "Cats purr.")):
        turn = new_turn()
        turn.receive(partial("Cats") + last + b"data: {")
        turn.stop()
        *_, completed = drained(turn)
        assert isinstance(completed, ev.TurnCompleted)
        assert completed.reply.text == text


def test_a_stopped_turn_may_end_inside_an_event() -> None:
    """What the end of the stream cut off is left out; the turn is complete all the same."""
    turn = new_turn()
    turn.receive(partial("Cats") + final("Cats purr.")[:-40])
    turn.receive_eof(1000)
    turn.stop()
    *_, completed = drained(turn)
    assert isinstance(completed, ev.TurnCompleted)
    assert completed.reply.text == "Cats"


@pytest.mark.parametrize("script", [[stop], [stop, eof], [eof, stop]])
def test_a_stop_before_any_text_gives_an_empty_reply(script: list[Step]) -> None:
    """Nothing came, and nothing is missing; a stop that comes too late mends nothing."""
    outcome = play(script)
    if script[0] is eof:
        assert outcome.error is errors.ConnectionLost
    else:
        assert outcome.reply == ev.Reply()


def test_a_turn_has_nothing_to_send() -> None:
    """Neither a sign of life nor a stop; what came before it is cut short is the answer."""
    turn = new_turn()
    turn.receive(partial("Cats"))
    assert list(drained(turn)) == [Delta("Cats")]
    assert (turn.ping(), turn.stop()) == (b"", b"")
    assert turn.cut_short().reply.text == "Cats"
    assert turn.completed


def body(value: Any) -> Step:
    """The whole answer of a call without a stream."""

    def come(turn: Turn) -> None:
        turn.expect_json()
        turn.receive(json.dumps(value).encode())
        turn.receive_eof(1000)

    return come


def test_an_answer_without_a_stream_is_a_turn() -> None:
    """The call `chat` answers with the final conversation alone."""
    outcome = hear(body(conversation(message("Ask", "u1"), message("All [^1^]"), displayName="Title", turnCount=2)))
    assert outcome.events[:-1] == [Delta("All [^1^]")]
    assert outcome.reply.metadata == {"displayName": "Title", "turnCount": 2}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (conversation(message("Ask", "u1"), message("")), errors.ServiceError),
        (conversation(message("Ask", "u1"), state="disengagedForRai"), errors.ConversationEnded),
        ({"error": {"code": "Forbidden"}}, errors.Unauthorized),
        ([], errors.ProtocolError),
        ({}, errors.ServiceError),
    ],
)
def test_an_answer_without_a_stream_may_be_none(value: Any, kind: type[errors.BingError]) -> None:
    """Its failures are those of a stream."""
    assert hear(body(value)).error is kind


# --- any input ----------------------------------------------------------------------------------------------------


def test_progress_is_counted_without_comments() -> None:
    """`progress` shows that the answer goes on; comments do not move it."""
    turn = new_turn()
    turn.receive(b": keep-alive\n\n" + EMPTY + partial("A"))
    list(drained(turn))
    turn.receive(b": keep-alive\n\n")
    assert turn.next_event() is None
    assert (turn.progress, turn.text, turn.completed) == (2, "A", False)


TEXTS = st.text(st.sampled_from("ab <>/PersonFile"), max_size=12)
EVENTS = st.one_of(
    st.builds(partial, TEXTS),
    st.builds(partial, TEXTS, message_id=st.sampled_from(["m1", "m2"])),
    st.builds(final, TEXTS),
    st.builds(disengaged, TEXTS),
    st.builds(event, JSON),
    st.just(EMPTY),
    st.just(event("[DONE]")),
    st.just(b": keep-alive\r\n\r\n"),
    st.binary(max_size=4),
)


@settings(max_examples=150)
@given(st.lists(EVENTS, max_size=6), st.sampled_from(["keep", "strip"]), st.lists(st.integers(0, 3000), max_size=5))
def test_any_stream_gives_a_turn_or_an_error(stream: list[bytes], entity_tags: str, cuts: list[int]) -> None:
    """Whatever comes, in whatever pieces, gives the same events, whose fold is the reply, or the same error of ours."""
    data = b"".join(stream)
    outcome = play([data, eof], entity_tags=entity_tags)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert play([*pieces, eof], entity_tags=entity_tags) == outcome
    text = ""
    for each in outcome.texts:
        text = text + each.text if isinstance(each, Delta) else each.text
    assert text == (outcome.details["partial_text"] if outcome.error else outcome.reply.text)


@given(st.text(st.sampled_from("ab <>/PersonFile"), max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_growing_text_is_never_revised(text: str, ends: list[int]) -> None:
    """Snapshots that only extend each other give nothing but pieces, tags stripped or not."""
    script = [partial(text[:end]) for end in sorted(ends)]
    for entity_tags in ("keep", "strip"):
        outcome = play([*script, final(f"{text}!")], entity_tags=entity_tags)
        assert all(isinstance(each, Delta) for each in outcome.texts)
        assert not outcome.reply.revised


# --- citations of live answers ----------------------------------------------------------------------------------------

PLACE = "https://contoso.sharepoint.com/Shared%20Documents"
LIVE = f"Up to 5%.[1]({PLACE}/Budget%20(1).xlsx#k1) Ada agrees.[2](https://www.office.com/search?q=Ada+Kay) So it goes."
REFERENCES = {
    "k9": {"targetLink": "https://a.example/read", "isCitedInResponse": False, "sensitivityLabel": EMPTY_LABEL},
    "k1": {"targetLink": f"{PLACE}/Budget%20(1).xlsx", "isCitedInResponse": True},
}


def text_of(outcome: Outcome) -> str:
    """What a reader of the text has been given."""
    fold = Fold()
    return "".join(fold.add(each) for each in outcome.events)


@pytest.mark.parametrize("form", ["keep", "footnote"])
def test_markers_of_a_live_answer_are_citations(form: str) -> None:
    """Wherever its snapshots were cut, the text only grows, shows no part of a link, and is that of the reply."""
    for at in range(1, len(LIVE)):
        outcome = play([partial(LIVE[:at]), final(LIVE, references=REFERENCES)], citation_markers=form)
        reply = outcome.reply
        assert not any(isinstance(each, Revised) for each in outcome.events)
        assert text_of(outcome) == reply.text
        first, second = reply.citations
        assert [(each.number, each.title) for each in reply.citations] == [(1, "Budget (1).xlsx"), (2, "Ada Kay")]
        shown = [reply.text[start:end] for each in reply.citations for start, end in each.spans]
        kept = [f"[1]({first.url})", f"[2]({second.url})"]
        assert shown == (kept if form == "keep" else ["[^1^]", "[^2^]"])
        assert reply.metadata["uncitedReferences"] == {
            "k9": {"targetLink": "https://a.example/read", "isCitedInResponse": False}
        }
        assert "sensitivityLabel" not in reply.metadata


def test_half_a_marker_is_not_in_a_stopped_answer() -> None:
    """Its beginning is left out, and markers that were given have their places."""
    outcome = hear(partial(LIVE[: LIVE.index("?q=")]), stop)
    assert outcome.reply.text == LIVE[: LIVE.index("[2]")]
    assert [len(each.spans) for each in outcome.reply.citations] == [1]


@pytest.mark.parametrize("form", ["keep", "footnote"])
def test_a_text_that_only_grows_is_never_taken_back(form: str) -> None:
    """Whatever a snapshot cuts: a fence, a line ending, a heading, an escape, two pairs of brackets."""
    text = "A[1](https://x/a).\n```py\nx\n```\nUse `b`[2](https://x/b\r\n) `\n# H [[3]](<https://x/\\>>) `\n1. D"
    snapshots = [partial(text[:end]) for end in range(1, len(text) + 1)]
    outcome = play([*snapshots, final(text)], citation_markers=form)
    assert not any(isinstance(each, Revised) for each in outcome.events)
    assert text_of(outcome) == outcome.reply.text
    assert [each.number for each in outcome.reply.citations] == [1, 2, 3]


def test_places_are_those_of_the_text_without_tags() -> None:
    """They count in the text as it is returned."""
    text = f"<Person>Ada</Person> says so.[1]({PLACE}/a.docx#k) <File>a.docx</File>"
    reply = hear(partial(text[:40]), final(text), entity_tags="strip", citation_markers="footnote").reply
    assert reply.text == "Ada says so.[^1^] a.docx"
    assert reply.citations[0].spans == ((12, 17),)


def test_an_answer_with_too_many_markers_is_refused() -> None:
    """The limit of sources counts each marker, since each takes memory."""
    text = "[1](https://a.example)" * 3
    assert hear(final(text), limits=Limits(citations=3)).error is None
    outcome = hear(final(text), limits=Limits(citations=2))
    assert outcome.error is errors.ProtocolError
    assert "sources of one answer" in outcome.details["message"]


# --- answers that are not there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", None])
def test_an_answer_that_is_gone_at_the_end_was_withdrawn(text: str | None) -> None:
    """It is not lost: the text that was shown is kept, and the reply says that it does not count."""
    outcome = hear(partial("All"), final(text))
    assert outcome.events[:-1] == [Delta("All"), ev.TextRevoked("")]
    reply = outcome.reply
    assert (reply.text, reply.revoked, reply.finish_reason, reply.conversation_ended) == (
        "All",
        True,
        "content_filter",
        False,
    )


@pytest.mark.parametrize("whole", [False, True])
def test_a_turn_without_any_text_says_what_to_wait_for(whole: bool) -> None:  # noqa: FBT001
    """The index of a new licence is not built yet, so another attempt is of no use."""
    asked, empty = message("Ask", "u1"), message("")
    if whole:
        turn = new_turn(asked="Ask")
        turn.expect_json()
        turn.receive(json.dumps(conversation(asked, empty, displayName="Title")).encode())
        turn.receive_eof(1000)
    else:
        turn = new_turn(asked="Ask")
        turn.receive(final(""))
    with pytest.raises(errors.ServiceError, match="without an answer") as caught:
        list(drained(turn))
    assert "15 to 30 minutes" in caught.value.hint
    assert not errors.is_transient(caught.value)


def test_a_conflict_in_the_stream_is_a_running_turn() -> None:
    """It came after the work began, so it is not the refusal that HTTP 409 is."""
    outcome = hear(EMPTY, event({"error": {"code": "Conflict", "message": "Another turn runs."}}))
    assert (outcome.error, outcome.details["begun"]) == (errors.ConversationBusy, True)
