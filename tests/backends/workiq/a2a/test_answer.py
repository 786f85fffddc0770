"""One turn of an agent, from the first byte to its last event; the network is a list of bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.workiq.a2a.answer import AgentConversation, TaskReader
from bing_llm.backends.workiq.turn import Turn
from bing_llm.fold import Extension
from bing_llm.limits import Limits
from tests.backends.workiq.a2a.wire import (
    CONTEXT,
    DONE,
    TASK,
    artifact,
    bare_task,
    event,
    hear,
    message,
    new_turn,
    piece,
    play,
    response,
    rpc_error,
    sse,
    status,
    task,
    update,
)
from tests.backends.workiq.test_snapshots import JSON
from tests.backends.workiq.wire import Outcome, drained, eof, stop

Delta, Revised, Progress = ev.TextDelta, ev.TextRevised, ev.Progress


def given_of(outcome: Outcome) -> str:
    """The text that a user is given piece by piece, and that is never recalled."""
    extension = Extension()
    return "".join(map(extension.push, outcome.texts))


# --- the documented stream --------------------------------------------------------------------------------------------


def test_the_documented_stream_is_a_turn() -> None:
    """A task, progress that is repeated, an answer that grows as a whole, and the state that proves the end."""
    looking = update("WORKING", "Looking into your mail")
    outcome = hear(task(), looking, looking, piece("You"), looking, piece("You asked"), DONE)
    assert outcome.events[:-1] == [Progress("Looking into your mail"), Delta("You"), Delta(" asked")]
    assert outcome.reply == ev.Reply(
        text="You asked",
        conversation_id=CONTEXT,
        message_id=TASK,
        metadata={"taskId": TASK, "state": "TASK_STATE_COMPLETED"},
    )


def test_pieces_are_appended() -> None:
    """With `append`, an artifact goes on with what comes; its parts are joined as they are."""
    outcome = hear(task(), piece("You", " as"), piece("ked", append=True), piece("?", append=True), DONE)
    assert outcome.events[:-1] == [Delta("You as"), Delta("ked"), Delta("?")]
    assert outcome.reply.text == "You asked?"


def test_artifacts_are_paragraphs_of_one_answer() -> None:
    """They keep the order in which they came, whatever of them goes on."""
    outcome = hear(task(), piece("One"), piece("Two", key="a2"), piece("!", key="a2", append=True), DONE)
    assert outcome.texts == [Delta("One"), Delta("\n\nTwo"), Delta("!")]
    outcome = hear(task(), piece("One"), piece("Two", key="a2"), piece("!", append=True), DONE)
    assert outcome.texts == [Delta("One"), Delta("\n\nTwo"), Revised("One!\n\nTwo")]
    assert outcome.reply.revised


def test_an_artifact_may_be_replaced() -> None:
    """Without `append`, it is whole: an answer may be rewritten, and an empty one waits for what fills it."""
    assert hear(task(), piece("Maybe"), piece("No"), DONE).texts == [Delta("Maybe"), Revised("No")]
    assert hear(task(), piece("No"), piece(""), piece("No way"), DONE).texts == [Delta("No"), Delta(" way")]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=4), st.booleans()), max_size=8))
def test_the_reply_is_what_the_artifacts_hold(script: list[tuple[str, str, bool]]) -> None:
    """Whatever is appended or replaced, in any order: the events and the reply say the same."""
    held: dict[str, str] = {}
    for key, text, append in script:
        held[key] = held.get(key, "") + text if append else text
    expected = "\n\n".join(text for text in held.values() if text)
    steps = [piece(text, key=key, append=append) for key, text, append in script]
    outcome = play(task(), *steps, update("COMPLETED", "Done") if expected else DONE)
    if expected:
        assert outcome.reply.text == expected
        assert outcome.reply.revised or given_of(outcome) == expected
    elif outcome.error is None:  # it was given, and taken back
        assert outcome.reply.revoked


def test_a_message_is_an_answer_without_a_task() -> None:
    """A direct answer ends the turn; its conversation goes on."""
    outcome = hear(event(message=message("Hello", contextId=CONTEXT)))
    assert outcome.events[0] == Delta("Hello")
    assert outcome.reply == ev.Reply(text="Hello", conversation_id=CONTEXT, message_id="m1")


@pytest.mark.parametrize("result", [{"task": bare_task("COMPLETED", artifact("Hi"))}, {"message": message("Hi")}])
def test_an_answer_may_come_whole(result: Any) -> None:
    """`SendMessage` answers with one JSON text: a task that is complete, or a message."""

    def whole(turn: Turn) -> None:
        turn.expect_json()
        turn.receive(json.dumps(response(result)).encode())
        turn.receive_eof(1000)

    assert play(whole).reply.text == "Hi"


def test_an_agent_may_answer_in_its_last_status() -> None:
    """One that makes no artifacts says its answer when it is done."""
    assert hear(task(), update("COMPLETED", "The answer")).reply.text == "The answer"


def test_the_last_words_beside_an_answer_are_progress() -> None:
    """They are not the answer."""
    outcome = hear(task(), piece("The answer"), update("COMPLETED", "All done"))
    assert outcome.events[:-1] == [Delta("The answer"), Progress("All done")]
    assert outcome.reply.text == "The answer"


def test_half_a_tag_is_not_given() -> None:
    """Tags around names are kept or stripped as over REST, however the text is cut."""
    script = [task(), piece("See <Per"), piece("son>Ann</", append=True), piece("Person>.", append=True), DONE]
    kept = hear(*script)
    assert kept.texts == [Delta("See "), Delta("<Person>Ann"), Delta("</Person>.")]
    assert hear(*script, entity_tags="strip").reply.text == "See Ann."
    assert hear(task(), piece("1 <"), DONE).reply.text == "1 <"


def test_files_are_named_in_the_metadata() -> None:
    """A part that is a link is not text; one that is not a harmless link loses its URL."""
    link = {"url": "https://contoso.sharepoint.com/plan.docx", "mediaType": "application/msword", "filename": "plan"}
    bad = {"url": "javascript:alert(1)", "filename": "bad"}
    outcome = hear(task("COMPLETED", artifact("Here", more=(link, bad, {"raw": "aGk="}))))
    assert outcome.reply.text == "Here"
    assert outcome.reply.metadata["files"] == [link, {"filename": "bad"}]


# --- sources ----------------------------------------------------------------------------------------------------------

PLAN = "https://contoso.sharepoint.com/Q3%20Plan.docx"
MAIL = "https://outlook.office.com/mail/1"
ATTRIBUTIONS = [
    {"attributionType": "Annotation", "providerDisplayName": "Ann", "seeMoreWebUrl": "https://x.example"},
    {"attributionType": "Citation", "providerDisplayName": "The plan", "seeMoreWebUrl": PLAN},
]


def test_links_in_the_text_are_citations() -> None:
    """Citations are those of REST, with the places of their markers; the last status may give their titles."""
    text = f"Yes [1]({PLAN}) and [2]({MAIL}#k)."
    cut = [piece(text[:20]), piece(text[20:70], append=True), piece(text[70:], append=True)]
    outcome = hear(task(), *cut, update("COMPLETED", metadata={"attributions": ATTRIBUTIONS}))
    assert outcome.reply.text == text == given_of(outcome)
    assert outcome.reply.citations == (
        ev.Citation(1, PLAN, "The plan", ((4, text.index(" and")),)),
        ev.Citation(2, f"{MAIL}#k", "1", ((text.index("[2]"), len(text) - 1),)),
    )
    assert outcome.reply.metadata["annotations"] == ATTRIBUTIONS[:1]
    assert outcome.texts[0] == Delta("Yes ")  # half a marker is not given


@pytest.mark.parametrize("append", [True, False])
def test_markers_may_be_footnotes(*, append: bool) -> None:
    """Places are those in the text that is given."""
    text = f"Yes [1]({PLAN}), no."
    cut = [piece(text[:9]), piece(text[9:] if append else text, append=append)]
    outcome = hear(task(), *cut, DONE, citation_markers="footnote")
    assert outcome.reply.text == given_of(outcome) == "Yes [^1^], no."
    assert outcome.reply.citations == (ev.Citation(1, PLAN, "Q3 Plan.docx", ((4, 9),)),)


def test_attributions_are_the_citations_of_a_text_without_links() -> None:
    """Of whatever last words have some; their values are compared without case."""
    said = update("COMPLETED", metadata={"attributions": ATTRIBUTIONS, "sensitivityLabel": {"displayName": "Secret"}})
    outcome = hear(task(), piece("Yes[^1^]."), update("WORKING", metadata={"x": 1}), said)
    assert outcome.reply.citations == (ev.Citation(1, PLAN, "The plan", ((3, 8),)),)
    assert outcome.reply.metadata["sensitivityLabel"] == {"displayName": "Secret"}


SOURCE = {"targetLink": f"{PLAN}#k1", "isCitedInResponse": True}
READ = {"targetLink": MAIL, "isCitedInResponse": False}


@pytest.mark.parametrize("data", [[SOURCE, READ], {"k1": SOURCE, "k2": READ}])
@pytest.mark.parametrize("in_status", [True, False])
def test_a_part_may_name_the_sources(data: Any, *, in_status: bool) -> None:
    """Of the announced type, in an artifact or in the last words; one that is not cited is kept apart."""
    part = {"data": data, "mediaType": "application/vnd.workiq-reference"}
    other = {"data": {"targetLink": "https://other.example"}, "mediaType": "application/json"}
    text = f"Yes [3]({PLAN}#k1)"
    in_artifact = () if in_status else (part, other)
    script = [
        event(artifactUpdate={"taskId": TASK, "contextId": CONTEXT, "artifact": artifact(text, more=in_artifact)}),
        update("COMPLETED", "", *([part, other] if in_status else [])),
    ]
    outcome = hear(task(), *script)
    assert outcome.reply.citations == (ev.Citation(3, f"{PLAN}#k1", "Q3 Plan.docx", ((4, len(text)),)),)
    assert list(outcome.reply.metadata["uncitedReferences"].values()) == [READ]


def test_a_part_may_be_an_attribution() -> None:
    """The fields of either form of REST are read."""
    part = {"data": ATTRIBUTIONS[1], "mediaType": "application/vnd.workiq-reference"}
    outcome = hear(task("COMPLETED", artifact("Yes[^1^]", more=(part,))))
    assert outcome.reply.citations == (ev.Citation(1, PLAN, "The plan", ((3, 8),)),)


@pytest.mark.parametrize("ending", ["; charset=utf-8", " ;q=1"])
def test_a_media_type_may_have_parameters(ending: str) -> None:
    """They are not compared, and neither is case."""
    part = {"data": ATTRIBUTIONS[1], "mediaType": f"Application/vnd.WorkIQ-reference{ending}"}
    outcome = hear(task("COMPLETED", artifact("Yes[^1^]", more=(part,))))
    assert outcome.reply.citations == (ev.Citation(1, PLAN, "The plan", ((3, 8),)),)


def test_sources_are_limited() -> None:
    """More than any answer has are an error."""
    script = [task(), piece("".join(f"[{n}](https://x.example/{n})" for n in range(1, 9))), DONE]
    assert hear(*script, limits=Limits(citations=8)).error is None
    assert hear(*script, limits=Limits(citations=7)).error is errors.ProtocolError


# --- states -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("FAILED", errors.ServiceError),
        ("REJECTED", errors.ContentFiltered),
        ("AUTH_REQUIRED", errors.Unauthorized),
        ("CANCELED", errors.ServiceError),
    ],
)
def test_a_failed_task_is_an_error_with_the_agents_words(state: str, error: type[errors.BingError]) -> None:
    """The text that had come is kept in it."""
    outcome = hear(task(), piece("Some"), update(state, "Because."))
    assert outcome.error is error
    assert outcome.details["value"] == f"TASK_STATE_{state}"
    assert outcome.details["service_message"] == "Because."
    assert outcome.details["partial_text"] == "Some"
    assert "(Because)" in outcome.details["message"]
    assert outcome.details["begun"]
    assert hear(task(), update(state)).error is error


def test_an_agent_that_wants_a_sign_in_says_where() -> None:
    """The token is not at fault, so the hint is not about it."""
    hint = hear(task(), update("AUTH_REQUIRED", "Sign in")).details["hint"]
    assert "Microsoft 365 Copilot" in hint
    assert hint != errors.Unauthorized("").hint


@pytest.mark.parametrize("state", ["WORKING", "SUBMITTED", "UNSPECIFIED", "SOMETHING_NEW"])
def test_other_states_go_on(state: str) -> None:
    """A state that is not known proves nothing."""
    assert hear(task(), update(state, "Hm"), piece("Hi"), DONE).events[:-1] == [Progress("Hm"), Delta("Hi")]


def test_an_end_without_an_answer_is_an_error() -> None:
    """An answer without text is the error of REST: the index of a new licence may be the cause."""
    outcome = hear(task(), DONE)
    assert outcome.error is errors.ServiceError
    assert "15 to 30 minutes" in outcome.details["hint"]


def test_an_answer_may_be_taken_back() -> None:
    """If the task ends with an empty artifact, what was shown is revoked."""
    outcome = hear(task(), piece("Secret"), piece(""), update("COMPLETED", "I cannot say that"))
    assert outcome.events[1] == ev.TextRevoked("I cannot say that")
    assert (outcome.reply.text, outcome.reply.revoked) == ("Secret", True)
    assert outcome.reply.finish_reason == "content_filter"


@pytest.mark.parametrize("end", [eof, lambda turn: turn.receive_eof(1006)])
def test_a_stream_that_ends_early_is_lost(end: Any) -> None:
    """Only a state proves the end."""
    outcome = hear(task(), piece("Some"), end)
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ConnectionLost, "Some")


def test_a_task_that_was_asked_for_whole_must_be_complete() -> None:
    """`GetTask` may show one that still runs."""

    def whole(turn: Turn) -> None:
        turn.expect_json()
        turn.receive(json.dumps(response(bare_task("WORKING", artifact("Some")))).encode())
        turn.receive_eof(1000)

    outcome = play(whole)
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ConnectionLost, "Some")


# --- the end by the user ----------------------------------------------------------------------------------------------


def test_a_stop_cancels_the_task() -> None:
    """The request names the task; the state that answers it ends the turn with what came."""
    turn = new_turn()
    play(task(), piece("Some"), turn=turn)
    request = json.loads(turn.stop() or b"")
    assert (request["method"], request["params"]) == ("CancelTask", {"id": TASK})
    outcome = play(piece("Some more"), update("CANCELED", "Canceled"), turn=turn)
    assert outcome.reply.text == "Some more"
    assert outcome.error is None


def test_a_stop_may_come_too_late() -> None:
    """A task that completes all the same gives its whole answer; a stream that just ends, what came."""
    assert hear(task(), piece("Some"), stop, piece("Some more"), DONE).reply.text == "Some more"
    assert hear(task(), piece("Some"), stop, eof).reply.text == "Some"


def test_a_stop_before_the_task_is_known_waits_for_its_id() -> None:
    """There is nothing to name before; the response is read on."""
    turn = new_turn()
    assert turn.stop() is None
    assert play(turn=turn).events == []
    assert play(task(), turn=turn).events == []
    request = turn.stop()
    assert request is not None
    assert json.loads(request)["params"] == {"id": TASK}
    assert play(update("CANCELED"), turn=turn).reply.text == ""


def test_a_task_that_ended_is_not_canceled() -> None:
    """Its answer waits to be taken."""
    reader = TaskReader(AgentConversation())
    turn = Turn(reader)
    turn.receive(task() + piece("Some") + DONE)
    assert turn.next_event() == Delta("Some")
    turn._read()
    assert reader.ended
    assert turn.stop() == b""
    assert [type(each) for each in drained(turn)] == [ev.TurnCompleted]


# --- another connection -----------------------------------------------------------------------------------------------


def lost(turn: Turn) -> None:
    """The connection breaks, and another one follows."""
    turn.receive_eof(1006)
    with pytest.raises(errors.ConnectionLost):
        turn.next_event()
    turn.resume()


@pytest.mark.parametrize(
    "rest",
    [
        [task("WORKING", artifact("One two")), piece(" three", append=True), DONE],
        [task("WORKING", artifact("One two")), piece("One two three"), DONE],
        [task("WORKING"), piece("One two three"), DONE],
        [task("COMPLETED", artifact("One two", " three"))],
        [update("WORKING", "Still at it"), piece("One"), piece(" two", " three", append=True), DONE],
    ],
)
def test_a_turn_goes_on_over_another_connection(rest: list[bytes]) -> None:
    """However the service says what had been, no text is given twice, and none is missing."""
    outcome = play(task(), piece("One"), piece(" t", append=True), lost, *rest)
    assert outcome.reply.text == "One two three"
    assert given_of(outcome) == "One two three"
    assert not outcome.reply.revised


@pytest.mark.parametrize("appends", [True, False])
@given(pieces=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6), place=st.integers(0, 5))
def test_wherever_it_breaks_the_text_is_whole(*, appends: bool, pieces: list[str], place: int) -> None:
    """A connection may break after any piece, with some missed before the next one."""
    whole = "".join(pieces)
    texts = [piece(text, append=appends and at > 0) for at, text in enumerate(pieces)]
    if not appends:
        texts = [piece("".join(pieces[: at + 1])) for at in range(len(pieces))]
    place = min(place, len(pieces))
    for missed in range(place, len(pieces) + 1):
        so_far = "".join(pieces[:missed])
        known = [artifact(so_far)] if so_far else []
        outcome = play(task(), *texts[:place], lost, task("WORKING", *known), *texts[missed:], DONE)
        assert outcome.reply.text == given_of(outcome) == whole


# --- an agent that asks -----------------------------------------------------------------------------------------------


def test_a_question_of_the_agent_is_an_answer() -> None:
    """Its words follow what the task gave, and the conversation remembers the task."""
    conversation = AgentConversation()
    outcome = play(task(), piece("Draft"), update("INPUT_REQUIRED", "Which plan?"), conversation=conversation)
    assert outcome.reply.text == "Draft\n\nWhich plan?"
    assert outcome.reply.metadata["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert (conversation.id, conversation.task_id) == (CONTEXT, TASK)


@pytest.mark.parametrize(
    "rest",
    [
        [task("INPUT_REQUIRED", artifact("Draft"), text="Which plan?"), piece("New", key="a2"), DONE],
        [task("WORKING", artifact("Draft")), piece("New", append=True), DONE],
        [update("WORKING"), piece("New", key="a2"), DONE],
        [task("COMPLETED", artifact("Draft"), artifact("New", key="a2"))],
    ],
)
def test_the_answer_to_it_is_what_is_new(rest: list[bytes]) -> None:
    """The task that goes on comes with what it had given before, and maybe as it was left."""
    conversation = AgentConversation()
    play(task(), piece("Draft"), update("INPUT_REQUIRED", "Which plan?"), conversation=conversation)
    outcome = play(*rest, conversation=conversation)
    assert outcome.reply.text == "New"
    assert outcome.texts == [Delta("New")]
    assert conversation.task_id == ""


def resent(text: str, seconds: int = 1, **fields: Any) -> dict[str, Any]:
    """The task that waits, at another time."""
    waiting = {**status("INPUT_REQUIRED", text), "timestamp": f"2026-11-30T10:00:0{seconds}Z"}
    return {"id": TASK, "contextId": CONTEXT, "status": waiting, **fields}


def as_update(value: dict[str, Any]) -> bytes:
    """The status of a task, as an update."""
    return event(statusUpdate={"taskId": TASK, "contextId": CONTEXT, "status": value["status"]})


def asked() -> AgentConversation:
    """A conversation in which the agent has asked."""
    conversation = AgentConversation()
    play(task(), piece("Draft"), update("INPUT_REQUIRED", "Which plan?"), conversation=conversation)
    return conversation


@pytest.mark.parametrize("words", ["Which plan?", ""])
@pytest.mark.parametrize("form", [lambda value: event(task=value), as_update])
def test_a_question_that_comes_again_first_is_not_an_answer(form: Any, words: str) -> None:
    """With another time, or without its words: the task is only shown as it was left."""
    outcome = play(form(resent(words)), update("WORKING"), piece("New", key="a2"), DONE, conversation=asked())
    assert (outcome.error, outcome.texts) == (None, [Delta("New")])


@pytest.mark.parametrize(
    "script",
    [
        [event(task=resent("Which year?"))],
        [as_update(resent("Which year?"))],
        [update("WORKING"), as_update(resent("Which plan?"))],
        [event(task=resent("Which plan?")), as_update(resent("Which plan?", 2))],
        [update("WORKING"), event(task=resent("Which plan?"))],
    ],
)
def test_an_agent_may_ask_again(script: list[bytes]) -> None:
    """Other words, and the same after the agent went on, are an answer."""
    outcome = play(*script, conversation=(conversation := asked()))
    assert outcome.reply.text in {"Which plan?", "Which year?"}
    assert conversation.task_id == TASK


def test_a_whole_answer_may_be_the_same_question() -> None:
    """It comes after the agent's work, so only one that is equal in all is the task as it was left."""

    def whole(value: dict[str, Any]) -> Outcome:
        def answer(turn: Turn) -> None:
            turn.expect_json()
            turn.receive(json.dumps(response({"task": value})).encode())
            turn.receive_eof(1000)

        return play(answer, conversation=asked())

    assert whole(resent("Which plan?")).reply.text == "Which plan?"
    assert whole(resent("Which plan?", 0)).error is errors.ConnectionLost


@pytest.mark.parametrize("code", [-32001, -32004])
def test_a_task_that_does_not_wait_any_more_has_expired(code: int) -> None:
    """The next message of the conversation does not name it."""
    conversation = AgentConversation()
    play(task(), update("INPUT_REQUIRED", "Which plan?"), conversation=conversation)
    assert play(sse(rpc_error(code)), conversation=conversation).error is errors.SessionExpired
    assert (conversation.id, conversation.task_id) == (CONTEXT, "")


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (-32602, errors.InvalidRequest),
        (-32603, errors.ServiceError),
        (-32601, errors.ProtocolError),
        (-32600, errors.ProtocolError),
        (-32700, errors.ProtocolError),
        (-32009, errors.ProtocolError),
        (-32001, errors.SessionExpired),
        (-32004, errors.InvalidRequest),
        (-32099, errors.ServiceError),
        (True, errors.ServiceError),
        ("-32602", errors.ServiceError),
        (None, errors.ServiceError),
        (10**20, errors.ServiceError),
    ],
)
def test_a_json_rpc_error_is_an_error_by_its_code(code: Any, error: type[errors.BingError]) -> None:
    """With the service's words; a code that is none says nothing."""
    outcome = hear(sse(rpc_error(code, "No way.")))
    assert outcome.error is error
    assert outcome.details["service_message"] == "No way."
    assert "No way" in outcome.details["message"]
    assert outcome.details["value"] in {str(code), None}
    assert not outcome.details["begun"]


@pytest.mark.parametrize("error", ["torn", 7, [], {"message": None}])
def test_a_strange_error_is_one_too(error: Any) -> None:
    """Whatever stands in its place."""
    assert hear(sse({"jsonrpc": "2.0", "error": error})).error is errors.ServiceError


def test_an_error_may_come_after_text() -> None:
    """The text is kept in it."""
    outcome = hear(task(), piece("Some"), sse(rpc_error(-32603)))
    assert (outcome.error, outcome.details["partial_text"]) == (errors.ServiceError, "Some")
    assert outcome.details["begun"]


@pytest.mark.parametrize("value", [{}, response({}), response(None), response({"newEvent": {"x": 1}}), {"id": 7}])
def test_what_is_not_known_is_kept(value: Any) -> None:
    """It is no error, and no text."""
    assert hear(task(), sse(value), piece("Hi"), DONE).events[0] == ev.Unknown(value)


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: []\n\n", b"data: 7\n\n", sse(response([])), event(task=[])])
def test_what_cannot_be_read_is_a_protocol_error(data: bytes) -> None:
    """A part that a turn cannot do without has another type."""
    assert hear(task(), data).error is errors.ProtocolError


@given(st.lists(JSON, max_size=4))
def test_any_json_gives_events_or_an_error(values: list[Any]) -> None:
    """Nothing else leaves a turn, whatever comes."""
    for wrapped in (values, [response(value) for value in values], [response({"task": value}) for value in values]):
        play(*map(sse, wrapped), eof)


# --- limits -----------------------------------------------------------------------------------------------------------

SMALL = Limits(answer_characters=1000)


@pytest.mark.parametrize(
    "script",
    [
        [piece("x" * 600), piece("x" * 600, append=True)],
        [piece("x" * 400, key=key) for key in "abc"],
        [piece(key=str(number)) for number in range(20)],
        [update("WORKING", str(number)) for number in range(20)],
    ],
)
def test_what_is_held_is_limited(script: list[bytes]) -> None:
    """Text, artifacts and progress count, each piece with what it costs by itself."""
    outcome = hear(task(), *script, limits=SMALL)
    assert outcome.error is errors.ProtocolError
    assert "limits.answer_characters" in outcome.details["message"]


def test_what_is_replaced_does_not_count_any_more() -> None:
    """An answer may come whole as often as it grows."""
    assert hear(task(), *[piece("x" * size) for size in range(100, 800, 10)], DONE, limits=SMALL).error is None
