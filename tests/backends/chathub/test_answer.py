"""From frames to events: which message is the answer, and what of its text is new."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.answer import AnswerReader
from bing_llm.backends.chathub.turn import Turn
from bing_llm.limits import Limits
from tests.backends.chathub.wire import (
    ACK,
    DONE,
    apology,
    bot,
    chat,
    cursor,
    disengaged,
    drained,
    final,
    hear,
    limiter,
    play,
    snapshot,
    stop,
    throttling,
    update,
    user,
    wire,
)
from tests.counting import steps

Delta, Revised = ev.TextDelta, ev.TextRevised


def texts(*script: str) -> tuple[list[ev.Event], ev.Reply]:
    """The text events of a turn, and its reply."""
    outcome = hear(ACK, *script)
    assert outcome.error is None, outcome.details
    return outcome.texts, outcome.reply


# --- Bing: each update repeats the whole text ---------------------------------------------------------------------


def test_text_that_grows_gives_deltas() -> None:
    """The text of a message is cumulative: what is new at its end is a delta, and repetition gives nothing."""
    given, reply = texts(
        *(update(bot(text)) for text in ("Cats", "Cats", "Cats purr", "Cats purr.")), final(bot("Cats purr."))
    )
    assert given == [Delta("Cats"), Delta(" purr"), Delta(".")]
    assert (reply.text, reply.message_id, reply.revised) == ("Cats purr.", "a1", False)


def test_text_that_shrinks_is_revised() -> None:
    """The service deletes text that it had sent: the rest is the whole text now."""
    given, reply = texts(
        update(bot("Cats purr")), update(bot("Cats")), update(bot("Cats purr!")), final(bot("Cats purr!"))
    )
    assert given == [Delta("Cats purr"), Revised("Cats"), Delta(" purr!")]
    assert not reply.revised


def test_text_that_is_rewritten_is_revised() -> None:
    """Text that does not extend what was sent takes its place, and the reply says so."""
    given, reply = texts(update(bot("Cats bark")), update(bot("Dogs")), final(bot("Dogs bark")))
    assert given == [Delta("Cats bark"), Revised("Dogs"), Delta(" bark")]
    assert (reply.text, reply.revised) == ("Dogs bark", True)


def test_another_message_takes_over() -> None:
    """A new message id begins a new text; the last one is the answer."""
    given, reply = texts(
        update(bot("Let me look.")),
        update(bot("Cats", message_id="a2")),
        final(bot("Let me look."), bot("Cats", message_id="a2")),
    )
    assert given == [Delta("Let me look."), Revised("Cats")]
    assert (reply.text, reply.message_id) == ("Cats", "a2")


def test_the_last_of_two_answers_in_a_frame_counts() -> None:
    """An update that repeats an interim text before the growing answer gives the answer only."""
    given, reply = texts(
        update(bot("One moment.", message_id="a0"), bot("Cats")),
        update(bot("One moment.", message_id="a0"), bot("Cats purr")),
        final(bot("One moment.", message_id="a0"), bot("Cats purr")),
    )
    assert given == [Delta("Cats"), Delta(" purr")]
    assert (reply.text, reply.revised) == ("Cats purr", False)


def test_an_interim_text_is_left_out_beside_asides() -> None:
    """Of the answers in one frame only the last counts; what stands between them is read in its place."""
    query = bot("Searching the web for: `cats`", message_id="q1", messageType="InternalSearchQuery", hiddenText="cats")
    interim, answer = bot("One moment.", message_id="a0"), bot("Cats")
    outcome = hear(ACK, update(interim, query, answer, bot(message_id="p1", messageType="New")), final(answer))
    assert [type(event) for event in outcome.events] == [ev.SearchStarted, Delta, ev.Unknown, ev.TurnCompleted]
    assert outcome.texts == [Delta("Cats")]


def test_another_message_may_extend_the_first() -> None:
    """A new message that repeats the text and goes on is a delta: what was given stays."""
    given, _ = texts(
        update(bot("Cats")), update(bot("Cats purr", message_id="a2")), final(bot("Cats purr", message_id="a2"))
    )
    assert given == [Delta("Cats"), Delta(" purr")]


@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_snapshot_says_nothing(text: str | None) -> None:
    """A message without text leaves the text as it is, in an update and in the final frame."""
    given, reply = texts(update(bot(text)), update(bot("Cats")), update(bot(text)), final(bot(text)))
    assert given == [Delta("Cats")]
    assert reply.text == "Cats"


def test_a_late_snapshot_is_set_right_by_the_final_frame() -> None:
    """A snapshot of the first message after the second one is a rewrite, as is the final one; the final text holds."""
    given, reply = texts(
        update(bot("Cats")),
        update(bot("Dogs", message_id="a2")),
        update(bot("Cats")),
        final(bot("Dogs", message_id="a2")),
    )
    assert given == [Delta("Cats"), Revised("Dogs"), Revised("Cats"), Revised("Dogs")]
    assert reply.text == "Dogs"


def test_an_answer_may_come_in_the_final_frame_only() -> None:
    """Without any update the final frame gives the whole text at once."""
    given, _ = texts(final(bot("Cats purr.")))
    assert given == [Delta("Cats purr.")]


def test_the_answer_is_the_last_bot_message_without_a_type() -> None:
    """Neither the second nor the last message of the final frame is the answer, and result.message is not it either."""
    card = bot("card", message_id="r1", messageType="RenderCardRequest")
    query = bot("Searching the web for: `cats`", message_id="q1", messageType="InternalSearchQuery")
    late = apology()
    given, reply = texts(
        update(bot("Ca")),
        final(
            query,
            bot("Old"),
            bot("Cats", message_id="a2"),
            card,
            late,
            result={"value": "Success", "message": "Cake recipe"},
        ),
    )
    assert given == [Delta("Ca"), Delta("ts")]
    assert (reply.text, reply.message_id) == ("Cats", "a2")
    assert reply.metadata["resultMessage"] == "Cake recipe"


@pytest.mark.parametrize("author", ["user", "system"])
def test_what_others_say_is_passed_over(author: str) -> None:
    """The echo of the user and words of the system give no event."""
    outcome = hear(ACK, update(bot("No.", author=author)), update(user()), final(bot("Cats")))
    assert [type(event) for event in outcome.events] == [Delta, ev.TurnCompleted]


# --- Microsoft 365: the text comes twice --------------------------------------------------------------------------


def test_pieces_at_the_cursor_are_deltas() -> None:
    """`writeAtCursor` appends."""
    given, reply = texts(
        update(cursor=cursor("a1"), writeAtCursor="Cats"),
        update(writeAtCursor=" pu"),
        update(writeAtCursor="rr."),
        final(bot("Cats purr.")),
    )
    assert given == [Delta("Cats"), Delta(" pu"), Delta("rr.")]
    assert (reply.text, reply.revised) == ("Cats purr.", False)


def test_two_copies_in_one_frame_count_once() -> None:
    """A snapshot and the piece that it holds already are one text."""
    given, _ = texts(
        update(bot("Cats"), cursor=cursor("a1"), writeAtCursor="Cats"),
        update(bot("Cats purr"), writeAtCursor=" purr"),
        update(bot("Cats purr."), writeAtCursor=".", isLastUpdate=True),
        final(bot("Cats purr.")),
    )
    assert given == [Delta("Cats"), Delta(" purr"), Delta(".")]


def test_a_snapshot_after_its_pieces_says_nothing_new() -> None:
    """A snapshot that repeats the pieces gives nothing; one that is ahead of them gives the difference."""
    given, _ = texts(
        update(writeAtCursor="Cats"),
        update(bot("Cats")),
        update(bot("Cats pur")),
        update(writeAtCursor="r"),
        update(bot("Cats purr"), isLastUpdate=True),
        final(bot("Cats purr")),
    )
    assert given == [Delta("Cats"), Delta(" pur"), Delta("r")]


def test_a_snapshot_that_lags_behind_the_pieces_is_ignored() -> None:
    """A shorter snapshot does not take back pieces, not even in the frame of the next piece."""
    given, reply = texts(
        update(writeAtCursor="Cats"),
        update(writeAtCursor=" purr"),
        update(bot("Cats")),
        update(bot("Cats"), writeAtCursor=" and"),
        update(writeAtCursor=" sleep"),
        final(bot("Cats purr and sleep")),
    )
    assert given == [Delta("Cats"), Delta(" purr"), Delta(" and"), Delta(" sleep")]
    assert not reply.revised


def test_a_late_snapshot_that_diverges_is_a_rewrite() -> None:
    """A snapshot that encodes citations anew is shorter and other than the pieces: it is the text now."""
    given, reply = texts(
        update(writeAtCursor="Cats [1] purr [2]."),
        update(bot("Cats \ue200cite\ue201."), isLastUpdate=True),
        final(bot("Cats \ue200cite\ue201.")),
    )
    assert given == [Delta("Cats [1] purr [2]."), Revised("Cats \ue200cite\ue201.")]
    assert reply.revised


@pytest.mark.parametrize("text", ["Cats", "Dogs"])
def test_the_final_text_is_right_in_any_case(text: str) -> None:
    """The final frame's answer takes the place of the pieces, also where it is shorter."""
    given, reply = texts(update(writeAtCursor="Cats purr"), final(bot(text)))
    assert given == [Delta("Cats purr"), Revised(text)]
    assert (reply.text, reply.revised) == (text, True)


def test_an_error_brings_the_pieces_that_had_come() -> None:
    """The text so far is whole also where it came in pieces."""
    outcome = hear(ACK, update(writeAtCursor="Cats"), update(writeAtCursor=" purr"), DONE)
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ServiceError, "Cats purr")


def test_a_final_frame_without_messages_keeps_the_pieces() -> None:
    """A success whose final frame repeats nothing has the text that was sent."""
    given, reply = texts(update(writeAtCursor="Cats"), final(result={"value": "Success", "message": "Cats"}))
    assert given == [Delta("Cats")]
    assert reply.text == "Cats"


@pytest.mark.parametrize("field", ["contentOrigin", "contentType"])
def test_a_placeholder_is_progress(field: str) -> None:
    """EarlyProgress is not the answer, nor are the pieces that are written into it."""
    placeholder = bot("Working on it…", message_id="p1", **{field: "EarlyProgress"})
    outcome = hear(
        ACK,
        update(placeholder, cursor=cursor("p1")),
        update(writeAtCursor=" still"),
        update(bot("Cats"), cursor=cursor("a1"), writeAtCursor="Cats"),
        update(writeAtCursor=" purr"),
        final(placeholder, bot("Cats purr")),
    )
    assert outcome.events[:-1] == [ev.Progress("Working on it…"), Delta("Cats"), Delta(" purr")]


def test_a_placeholder_may_become_the_answer() -> None:
    """A message that was a placeholder and then is the answer takes pieces again."""
    outcome = hear(
        ACK,
        update(bot("Working on it…", contentOrigin="EarlyProgress"), cursor=cursor("a1")),
        update(bot("Cats")),
        update(writeAtCursor=" pu"),
        update(writeAtCursor="rr"),
        final(bot("Cats purr")),
    )
    assert outcome.texts == [Delta("Cats"), Delta(" pu"), Delta("rr")]


@pytest.mark.parametrize(
    "arguments", [{}, {"messages": None}, {"cursor": None}, {"cursor": {}}, {"cursor": {"j": "elsewhere"}}]
)
def test_an_update_may_lack_messages(arguments: dict[str, Any]) -> None:
    """An update without messages, and one with a cursor that names none, gives nothing."""
    given, _ = texts(update(**arguments), update(writeAtCursor="Cats", **arguments), final(bot("Cats")))
    assert given == [Delta("Cats")]


def test_one_update_may_hold_several_arguments() -> None:
    """Every element of the arguments is read."""
    both = wire({"type": 1, "target": "update", "arguments": [{"messages": [bot("Cats")]}, {"writeAtCursor": " purr"}]})
    given, _ = texts(both, wire({"type": 1, "arguments": []}), final(bot("Cats purr")))
    assert given == [Delta("Cats"), Delta(" purr")]


def test_references_are_citations() -> None:
    """The references of the answer are its citations; a link that is not of the web is dropped."""
    references = {
        "s1": {"targetLink": "https://one.example", "displayData": {"content": '{"title":"One"}'}},
        "s2": {"targetLink": "javascript:alert(1)"},
    }
    _, reply = texts(update(writeAtCursor="Cats"), final(bot("Cats", references=references, sourceAttributions=[])))
    assert reply.citations == (ev.Citation(1, "https://one.example", "One"),)


# --- what goes with an answer -------------------------------------------------------------------------------------

CARD = [
    {"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": '[1]: https://one.example "One"\n\nCats [^1^][1]'}]}
]


def test_references_may_stand_beside_the_messages() -> None:
    """References of an update are the citations of an answer that has none of its own."""
    references = {"turn1search1": {"targetLink": "https://cats.example"}}
    _, reply = texts(update(bot("Cats"), references=references), update(writeAtCursor=" purr"), final(bot("Cats purr")))
    assert reply.citations == (ev.Citation(1, "https://cats.example"),)


def test_queries_of_a_progress_message_are_searches() -> None:
    """The M365 hub shows its searches as progress with a list of queries; each comes once, and odd ones are dropped."""
    shown = bot(
        "Searching",
        message_id="s1",
        messageType="Progress",
        contentType="SearchResults",
        searchQueries=["cats", 5, "", "dogs"],
    )
    outcome = hear(ACK, update(shown), update(shown), final(bot("Cats")))
    assert [event for event in outcome.events if isinstance(event, ev.SearchStarted)] == [
        ev.SearchStarted("cats"),
        ev.SearchStarted("dogs"),
    ]


def test_citations_come_from_the_card_of_the_answer() -> None:
    """Marker n of the text is definition n of the card."""
    _, reply = texts(final(bot("Cats[^1^]", adaptiveCards=CARD)))
    assert (reply.text, reply.citations) == ("Cats[^1^]", (ev.Citation(1, "https://one.example", "One", ((4, 9),)),))


def search(number: int, *, results: bool) -> dict[str, Any]:
    """The query of a search, or its results."""
    if results:
        pages = {"web_search_results": [{"title": "T", "url": f"https://{number}.example", "snippets": ["s"]}]}
        return bot(json.dumps(pages), message_id=f"r{number}", messageType="InternalSearchResult")
    return bot(
        f"Searching for `{number}`", message_id=f"q{number}", messageType="InternalSearchQuery", hiddenText=str(number)
    )


def found(number: int) -> tuple[ev.SearchResult, ...]:
    """What that search finds."""
    return (ev.SearchResult("T", f"https://{number}.example", ("s",)),)


def test_searches_come_once() -> None:
    """A query and its results that updates and the final frame repeat give one event each."""
    query, results = search(1, results=False), search(1, results=True)
    outcome = hear(ACK, update(query), update(query, results), update(bot("Cats")), final(query, results, bot("Cats")))
    assert outcome.events[:-1] == [ev.SearchStarted("1"), ev.SearchResults(found(1)), Delta("Cats")]
    assert outcome.reply.searches == (ev.Search("1", found(1)),)


def test_the_final_frame_fills_in_results() -> None:
    """Results that only the final frame has go to their own queries."""
    queries = [search(number, results=False) for number in (1, 2)]
    results = [search(number, results=True) for number in (1, 2)]
    outcome = hear(
        ACK, update(queries[0]), update(queries[1]), final(queries[0], results[0], queries[1], results[1], bot("Cats"))
    )
    assert outcome.reply.searches == (ev.Search("1", found(1)), ev.Search("2", found(2)))


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({"messageType": "InternalLoaderMessage"}, ev.Progress("Text")),
        ({"messageType": "Progress", "contentOrigin": "CodeInterpreter"}, ev.Progress("Text")),
        ({"messageType": "GenerateContentQuery", "contentType": "IMAGE"}, ev.ImageRequested("Text")),
        ({"messageType": "InternalSearchQuery"}, ev.SearchStarted("Text")),
        ({"messageType": "InternalSearchResult"}, ev.SearchResults(())),
    ],
)
def test_asides_are_events_of_their_own(fields: dict[str, Any], event: ev.Event) -> None:
    """A message that is not an answer gives its event once, without an id too, and no text."""
    for aside in (bot("Text", message_id="x1", **fields), {**bot("Text", **fields), "messageId": None}):
        outcome = hear(ACK, update(aside), update(aside), update(bot("Cats")), final(aside, bot("Cats")))
        assert outcome.events[:-1] == [event, Delta("Cats")]


def test_progress_without_words_says_nothing() -> None:
    """A loader message without a text gives no event."""
    outcome = hear(ACK, update(bot(messageType="InternalLoaderMessage", message_id="p1")), final(bot("Cats")))
    assert outcome.events[:-1] == [Delta("Cats")]


def test_suggestions_come_once() -> None:
    """Suggestions are an event when they are new; the newest are those of the reply."""
    with_one = bot("Cats", suggestedResponses=[{"text": "Why?"}])
    with_two = bot("Cats", suggestedResponses=[{"text": "Why?"}, {"text": "How?"}])
    outcome = hear(ACK, update(with_one), update(with_one), final(with_two))
    assert outcome.of(ev.Suggestions) == [ev.Suggestions(("Why?",)), ev.Suggestions(("Why?", "How?"))]
    assert outcome.reply.suggestions == ("Why?", "How?")


def test_quota_comes_once() -> None:
    """The quota is an event when it is new; a missing count of turns is 0, and without a limit there is no quota."""
    outcome = hear(
        ACK,
        update(throttling=throttling(None, 5)),
        update(throttling=throttling(None, 5)),
        update(throttling=throttling(3, None)),
        update(throttling=None),
        final(bot("Cats"), throttling=throttling(1, 5)),
    )
    assert outcome.of(ev.Quota) == [ev.Quota(0, 5), ev.Quota(1, 5)]
    assert outcome.reply.quota == ev.Quota(1, 5)


def test_the_reply_names_its_conversation_and_its_metadata() -> None:
    """Ids and times that only this service sends are kept under the service's own names."""
    outcome = hear(
        ACK,
        final(
            bot("Cats"),
            requestId="r1",
            conversationExpiryTime="2024-02-06T07:35:59.2109401Z",
            result={"value": "Success", "message": "Cats", "serviceVersion": "20240203.114"},
        ),
    )
    assert outcome.reply.conversation_id == "c1"
    assert outcome.reply.metadata == {
        "requestId": "r1",
        "conversationExpiryTime": "2024-02-06T07:35:59.2109401Z",
        "serviceVersion": "20240203.114",
        "resultMessage": "Cats",
    }


@pytest.mark.parametrize("conversation_id", [None, ""])
def test_a_reply_without_a_conversation_takes_the_one_asked(conversation_id: str | None) -> None:
    """A final frame that names no conversation belongs to the one of the request."""
    assert hear(ACK, final(bot("Cats"), conversationId=conversation_id)).reply.conversation_id == "c0"


# --- what is not known --------------------------------------------------------------------------------------------

UNKNOWN_MESSAGES = [
    bot("A card", message_id="x1", messageType="RenderCardRequest", url="https://example.org", nested={"a": [1]}),
    bot("print(1)", message_id="x2", messageType="GeneratedCode"),
    bot("Song", message_id="x3", messageType="GenerateContentQuery", contentType="SUNO", hiddenText="RequestId=1"),
    {"text": "Who says this?", "messageId": "x4"},
    {"author": "bot", "messageType": "AdsQuery"},
    {"author": "bot", "messageType": "SemanticSerp"},
    {"author": "bot", "messageType": "SearchQuery", "hiddenText": "one"},
    {"author": "bot", "messageType": "SearchQuery", "hiddenText": "two"},
]


def test_unknown_messages_are_kept_whole_and_come_once() -> None:
    """A message of an unknown kind is an event with all its fields, once, however often it is repeated."""
    outcome = hear(ACK, update(*UNKNOWN_MESSAGES[:4]), update(*UNKNOWN_MESSAGES), final(*UNKNOWN_MESSAGES, bot("Cats")))
    assert outcome.events[:-1] == [*map(ev.Unknown, UNKNOWN_MESSAGES), Delta("Cats")]


def test_unknown_messages_of_the_final_frame_are_kept() -> None:
    """An unknown message that only the final frame has is an event too."""
    outcome = hear(ACK, update(bot("Cats")), final(bot("Cats"), *UNKNOWN_MESSAGES[:2]))
    assert outcome.of(ev.Unknown) == [*map(ev.Unknown, UNKNOWN_MESSAGES[:2])]


def test_an_unknown_message_is_found_beside_misleading_fields() -> None:
    """A field of another frame's name in a frame does not confuse the reader."""
    odd = wire({"type": 1, "target": "update", "item": 7, "arguments": [{}, {"messages": UNKNOWN_MESSAGES[:1]}]})
    outcome = hear(ACK, odd, final(bot("Cats"), arguments=7))
    assert outcome.of(ev.Unknown) == [ev.Unknown(UNKNOWN_MESSAGES[0])]


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": 9, "sequenceId": 1},
        {"type": 1, "target": "notify", "arguments": [{"a": 1}]},
        {"type": 1, "target": "update", "arguments": [{"messages": [{"text": 7}]}]},
    ],
)
def test_unknown_frames_are_kept_whole(frame: dict[str, Any]) -> None:
    """A frame of an unknown type, target or shape is an event with all its fields, and the turn goes on."""
    outcome = hear(ACK, wire(frame), update(bot("Cats")), wire(frame), final(bot("Cats")))
    assert outcome.events[:-1] == [ev.Unknown(frame), Delta("Cats"), ev.Unknown(frame)]


# --- moderation ---------------------------------------------------------------------------------------------------

NOTICE = "My mistake, let's try another topic."


@pytest.mark.parametrize("frame", [update, final])
def test_an_apology_before_any_text_is_an_error(frame: Any) -> None:
    """Where nothing was said, moderation refused the prompt."""
    outcome = hear(ACK, frame(apology()))
    assert outcome.error is errors.ContentFiltered
    assert outcome.details["service_message"] == NOTICE
    assert outcome.details["message"] == f"The service refused to answer: {NOTICE}"
    assert outcome.details["value"] == "Apology"


def test_an_apology_may_have_no_words() -> None:
    """An apology without a text refuses all the same."""
    outcome = hear(ACK, update(apology(None)))
    assert (outcome.error, outcome.details["message"]) == (errors.ContentFiltered, "The service refused to answer.")


@pytest.mark.parametrize(
    "script",
    [
        [update(bot("Well,")), update(apology()), final(bot("Well,"), apology())],
        [update(bot("Well,")), update(apology()), final(apology())],
        [update(bot("Well,")), final(apology())],
        [update(bot("Well,"), apology()), final(bot("Well,"))],
        [final(apology(), bot("Well,"))],
    ],
)
def test_an_apology_after_text_revokes_it(script: list[str]) -> None:
    """Where text was given it is kept and revoked, once, in an update or in the final frame."""
    outcome = hear(ACK, *script)
    assert outcome.events[:-1] == [Delta("Well,"), ev.TextRevoked(NOTICE)]
    reply = outcome.reply
    assert (reply.text, reply.revoked, reply.notice, reply.finish_reason) == ("Well,", True, NOTICE, "content_filter")
    assert not reply.conversation_ended
    assert reply.message_id == "a1"


@pytest.mark.parametrize("frame", [update, final])
def test_a_disengagement_before_any_text_is_an_error(frame: Any) -> None:
    """The recorded Disengaged message ends the conversation."""
    outcome = hear(ACK, frame(disengaged()))
    assert outcome.error is errors.ConversationEnded
    assert outcome.details["service_message"] == "> Conversation disengaged"


@pytest.mark.parametrize(
    "script", [[update(disengaged()), final(bot("Well,"), disengaged())], [final(bot("Well,"), disengaged())]]
)
def test_a_disengagement_after_text_revokes_it_and_ends_the_conversation(script: list[str]) -> None:
    """Where text was given it is kept and revoked, and the conversation takes no further turn."""
    outcome = hear(ACK, update(bot("Well,")), *script)
    assert outcome.events[:-1] == [Delta("Well,"), ev.TextRevoked("> Conversation disengaged", ended=True)]
    assert (outcome.reply.conversation_ended, outcome.reply.finish_reason) == (True, "content_filter")


@pytest.mark.parametrize("messages", [[apology(), disengaged()], [disengaged(), apology()]])
def test_a_disengagement_holds_beside_an_apology(messages: list[dict[str, Any]]) -> None:
    """A conversation that was ended stays ended, whether the apology came before or after."""
    outcome = hear(ACK, update(bot("Well,")), update(*messages), final(*messages))
    assert len(outcome.of(ev.TextRevoked)) == 2
    assert outcome.reply.conversation_ended


@pytest.mark.parametrize("frame", [update, final])
def test_a_turn_limiter_before_any_text_is_an_error(frame: Any) -> None:
    """Where nothing was said, the conversation has no turn left."""
    outcome = hear(ACK, frame(limiter()))
    assert outcome.error is errors.TurnLimitReached
    assert outcome.details["service_message"] == "No more turns."


def test_a_turn_limiter_after_text_takes_nothing_away() -> None:
    """The last allowed turn returns its answer."""
    outcome = hear(
        ACK, update(bot("Cats")), update(limiter()), final(bot("Cats"), limiter(), throttling=throttling(5, 5))
    )
    assert outcome.events[:-1] == [Delta("Cats"), ev.Quota(5, 5)]
    assert (outcome.reply.finish_reason, outcome.reply.revoked) == ("stop", False)


# --- no answer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "messages", [[], [bot("")], [bot("Looking", message_id="p1", messageType="InternalLoaderMessage")]]
)
def test_a_turn_without_an_answer_is_an_error(messages: list[dict[str, Any]]) -> None:
    """A success without any text is a fault of the service."""
    outcome = hear(ACK, final(*messages))
    assert outcome.error is errors.ServiceError
    assert "without an answer" in outcome.details["message"]
    assert outcome.details["value"] == "Success"


def test_no_answer_at_the_limit_is_the_limit() -> None:
    """Where the count of turns is reached and nothing was said, the conversation has no turn left."""
    outcome = hear(ACK, update(throttling=throttling(5, 5)), final())
    assert outcome.error is errors.TurnLimitReached
    assert "all its 5 turns" in outcome.details["message"]


def test_a_request_for_a_picture_is_an_answer() -> None:
    """A turn that only asks for a picture is complete, with an empty text."""
    outcome = hear(ACK, final(bot("a cat", message_id="i1", messageType="GenerateContentQuery", contentType="IMAGE")))
    assert outcome.events[0] == ev.ImageRequested("a cat")
    assert (outcome.reply.text, outcome.reply.image_prompts) == ("", ("a cat",))


def test_a_stopped_turn_may_have_no_answer() -> None:
    """After a stop the final frame may come without any text."""
    assert hear(ACK, stop, final()).reply.text == ""


# --- the reader alone ---------------------------------------------------------------------------------------------


def test_the_text_so_far_can_be_asked_for() -> None:
    """`text` is the whole text after each frame."""
    reader = AnswerReader()
    assert reader.text == ""
    message = frames.WireMessage(author="bot", text="Cats")
    reader.update(frames.Update(arguments=[frames.UpdateArguments(messages=[message])]), b"")
    assert reader.text == "Cats"
    reader.update(frames.Update(arguments=[frames.UpdateArguments(write_at_cursor=" purr")]), b"")
    assert reader.text == "Cats purr"
    assert list(reader.events) == [Delta("Cats"), Delta(" purr")]


def test_a_stopped_turn_has_the_sources_that_came_last() -> None:
    """The reply of a turn that is cut short has the text and the sources of its newest update."""
    turn = Turn()
    turn.ask(chat())
    turn.receive(ACK.encode() + snapshot("Cats", "[1]: https://exa"))
    assert list(drained(turn)) == [Delta("Cats")]
    turn.receive(snapshot("Cats purr[^1^]", '[1]: https://example.org/cats "Cats"\n\nCats purr'))
    assert list(drained(turn)) == [Delta(" purr[^1^]")]
    turn.stop()
    reply = turn.cut_short().reply
    assert reply.text == "Cats purr[^1^]"
    assert reply.message_id == "5d91d7e3-bddd-4dfa-9ee6-d6c54a9ac81c"
    assert [citation.url for citation in reply.citations] == ["https://example.org/cats"]


def test_events_before_an_error_come_first() -> None:
    """What a frame says before its refusal is given before the error is raised."""
    outcome = hear(ACK, update(apology(), throttling=throttling(1, 5)))
    assert (outcome.events, outcome.error) == ([ev.Quota(1, 5)], errors.ContentFiltered)


def test_frames_after_the_end_are_not_read() -> None:
    """A completed turn stays complete, whatever else comes."""
    outcome = play([ACK, final(bot("Cats")), DONE, update(bot("Dogs")), "nope\x1e"])
    assert outcome.reply.text == "Cats"


@pytest.mark.parametrize(
    "flood",
    [
        [update(writeAtCursor="x" * 60), update(writeAtCursor="x" * 60)],
        [update(bot("x" * 60, message_id=f"s{number}", messageType="InternalSearchResult")) for number in range(2)],
        [
            update(bot(None, message_id=f"s{number}", messageType="InternalSearchQuery", hiddenText="x" * 60))
            for number in range(2)
        ],
        [update(bot("Hi", message_id="p1", messageType="Progress", searchQueries=["x" * 60, "y" * 60]))],
        [
            update(bot("x" * 60, message_id=f"i{number}", messageType="GenerateContentQuery", contentType="IMAGE"))
            for number in range(2)
        ],
    ],
    ids=["pieces", "results", "queries", "progress", "images"],
)
def test_a_turn_holds_so_much(flood: list[str]) -> None:
    """What a turn makes us hold is bounded, in whatever form it comes."""
    outcome = play([ACK, *flood, final(bot("Hi"))], limits=Limits(answer_characters=250))
    assert outcome.error is errors.ProtocolError
    assert "over 250 characters" in outcome.details["message"]
    assert "limits.answer_characters" in outcome.details["message"]


def steps_for(frame: str) -> int:
    """How many steps a turn takes for this frame, after one with a text."""
    turn = Turn()
    turn.ask(chat())
    turn.receive((ACK + update(bot("x" * 1000))).encode())
    list(drained(turn))

    def read() -> None:
        turn.receive(frame.encode())
        list(drained(turn))

    return steps(read)


@pytest.mark.parametrize(
    "frame",
    [
        lambda size: update(bot("x" * size * 100)),
        lambda size: update(*[bot("Cats")] * size),
        lambda size: final(*[bot("Cats")] * size),
        lambda size: wire({"type": 1, "arguments": [{"writeAtCursor": "x" * 100}] * size}),
        lambda size: wire({"type": 1, "arguments": [{"writeAtCursor": "x" * 100}, {"messages": [bot("x")]}] * size}),
        lambda size: wire({"type": 1, "arguments": [{"writeAtCursor": "x" * 100}, {"messages": [user()]}] * size}),
    ],
    ids=["text", "answers", "final answers", "pieces", "pieces and stale texts", "pieces and other messages"],
)
def test_a_frame_takes_linear_steps(frame: Callable[[int], str]) -> None:
    """Eight times the frame takes about eight times the steps, not sixty-four."""
    assert steps_for(frame(8000)) < 12 * steps_for(frame(1000))
