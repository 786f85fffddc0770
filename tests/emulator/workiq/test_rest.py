"""Work IQ of the emulator, as plain HTTP."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import aiohttp
import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Emulator, Fault, Late, Obedient, Scripted
from tests.emulator.workiq.visitor import Waiting, WorkIQVisitor, body

BASES = ("/rest", "/rest/beta", "/beta/copilot")
QUALIFIED = "microsoft.graph.copilot."
INTERMEDIATE = "Intermediate Conversation Update"


# --- conversations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [*BASES, "/rest/beta/copilot"])
async def test_a_conversation_is_created(workiq: WorkIQVisitor, base: str) -> None:
    """A POST of `{}` is answered with status 201 and a conversation without turns, under every base."""
    workiq.base = base
    answer = await workiq.post("/conversations", {})
    assert answer.status == 201
    created = answer.json
    assert (created["state"], created["turnCount"], created["agentId"]) == ("active", 0, None)
    assert created["id"]
    assert "messages" not in created


@pytest.mark.parametrize("sent", [b"", b"[]", b"nonsense", b"\xff"])
async def test_a_creation_has_a_body(workiq: WorkIQVisitor, sent: bytes) -> None:
    """What is no JSON object creates nothing."""
    answer = await workiq.post("/conversations", sent)
    assert (answer.status, answer.code) == (400, "BadRequest")


async def test_creations_can_be_refused() -> None:
    """The failures that were asked for come first, one each."""
    failures = [errors.Throttled(retry_after=7), errors.Unauthorized(), errors.ServiceError(), errors.ProtocolError()]
    async with (
        Emulator(faults=[Fault(failure, "creation") for failure in failures]) as emulator,
        aiohttp.ClientSession() as http,
    ):
        workiq = WorkIQVisitor(emulator, http)
        answers = [await workiq.post("/conversations", {}) for _ in range(5)]
    assert [answer.status for answer in answers] == [429, 401, 500, 200, 201]
    assert answers[0].headers["Retry-After"] == "7"
    with pytest.raises(ValueError, match="Unterminated"):
        _ = answers[3].json


# --- authorization ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer another", "Basic emulator-token", "emulator-token"])
async def test_another_token_is_refused(workiq: WorkIQVisitor, header: str) -> None:
    """Without the one token every call is answered with 401, in the envelope of Graph."""
    conversation = await workiq.create()
    for path, sent in (("/conversations", {}), (f"/conversations/{conversation}/chat", body())):
        answer = await workiq.post(path, sent, Authorization=header)
        assert (answer.status, answer.code) == (401, "InvalidAuthenticationToken")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_the_token_may_be_another(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """It is given when the emulator is made, and may be replaced, as when a token has expired."""
    assert emulator.token == "emulator-token"
    emulator.token = "fresh"
    stale = await workiq.post("/conversations", {}, Authorization="Bearer emulator-token")
    fresh = await workiq.post("/conversations", {}, Authorization="bearer fresh")
    assert (stale.status, fresh.status) == (401, 201)


# --- turns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("namespace", ["", QUALIFIED])
async def test_a_turn_is_answered_whole(workiq: WorkIQVisitor, base: str, namespace: str) -> None:
    """The conversation has the echo of the prompt, then the answer, under every base and both names of the action."""
    workiq.base = base
    answer = await workiq.post(f"/conversations/{await workiq.create()}/{namespace}chat", body("Hello"))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert [message["text"] for message in answer.json["messages"]] == ["Hello", "You said: Hello"]
    assert (answer.json["displayName"], answer.json["turnCount"]) == ("Hello", 1)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("namespace", ["", QUALIFIED])
async def test_a_turn_is_answered_in_events(
    emulator: Emulator, workiq: WorkIQVisitor, base: str, namespace: str
) -> None:
    """Each event has the whole answer so far; the first and the last but one have none; the last has both messages."""
    emulator.brain = Scripted([["Hello ", "there."]])
    workiq.base = base
    answer = await workiq.post(f"/conversations/{await workiq.create()}/{namespace}chatOverStream", body("Hi"))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert answer.texts == [[], ["Hello "], ["Hello there."], [], ["Hi", "Hello there."]]
    assert [event["displayName"] for event in answer.events] == [INTERMEDIATE] * 4 + ["Hi"]
    assert len({event["messages"][-1]["id"] for event in answer.events if event["messages"]}) == 1


async def test_the_docs_old_path_has_no_chat(workiq: WorkIQVisitor) -> None:
    """Under /rest/beta/copilot a conversation is created and no turn is found."""
    workiq.base = "/rest/beta/copilot"
    assert (await workiq.chat()).status == 404
    assert (await workiq.stream()).status == 404


async def test_the_default_brain_answers_here_too(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """What Work IQ cannot show, such as searches and suggestions, is left out; what a search found is cited."""
    emulator.brain = Obedient(pace=0)
    answer = (await workiq.stream("What is the newest Python today?")).events[-1]["messages"][-1]
    keys = list(answer["references"])
    assert f"[1](https://www.example.com/news#{keys[1]})" in answer["text"]
    assert f"[2](https://www.example.org/overview#{keys[0]})" in answer["text"]
    assert answer["attributions"] == []
    assert set(answer["sensitivityLabel"].values()) == {None}


async def test_the_documented_form_is_there_where_it_is_asked_for() -> None:
    """Markers with numbers alone, and attributions."""
    async with Emulator(Obedient(pace=0), shapes="documented") as emulator, aiohttp.ClientSession() as http:
        answer = (await WorkIQVisitor(emulator, http).stream("What is the newest Python today?")).events[-1][
            "messages"
        ][-1]
    assert "[^1^]" in answer["text"]
    assert {each["attributionType"] for each in answer["attributions"]} == {"citation"}
    assert "references" not in answer


async def test_conditional_access_challenges_a_token(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """Once, with the claims in base64."""
    claims = '{"access_token":{"acrs":{"value":"c1"}}}'
    refusal = errors.Unauthorized(value="insufficient_claims", service_message=claims)
    emulator.faults = [Fault(refusal, "first")]
    answer = await workiq.chat()
    header = answer.headers["WWW-Authenticate"]
    assert answer.status == 401
    assert 'error="insufficient_claims"' in header
    assert base64.b64decode(header.partition('claims="')[2].rstrip('"')).decode() == claims
    assert (await workiq.chat()).status == 200


@pytest.mark.parametrize(("value", "words"), [("scopes", "Required scopes = [WorkIQAgent.Ask]"), ("403", "validation")])
async def test_two_refusals_have_one_status(value: str, words: str, emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """403 says which scopes lack consent, or nothing of the kind."""
    emulator.faults = [Fault(errors.Unauthorized(value=value), "first")]
    answer = await workiq.chat()
    assert answer.status == 403
    assert words in answer.json["error"]["message"]


async def test_a_first_byte_may_be_late(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """The answer is the usual one."""
    emulator.faults = [Fault(Late(0.02), "creation"), Fault(Late(0.02), "request")]
    assert (await workiq.stream()).status == 200
    assert emulator.faults == []


async def test_a_conversation_goes_on(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """The brain knows the earlier turns, of both ways to ask, and the title stays that of the first."""
    emulator.brain = Scripted(lambda question: ["|".join(turn.answer for turn in question.history) or "first"])
    conversation = await workiq.create()
    answers = [
        (await workiq.chat("one", conversation)).json,
        (await workiq.stream("two", conversation)).events[-1],
        (await workiq.chat("three", conversation)).json,
    ]
    assert [answer["messages"][-1]["text"] for answer in answers] == ["first", "first", "first|first"]
    assert [(answer["displayName"], answer["turnCount"]) for answer in answers] == [("one", 1), ("one", 2), ("one", 3)]


async def test_requests_are_kept(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """Each call is there for assertions, refused ones included, with what it asked."""
    conversation = await workiq.create()
    await workiq.chat("Hi", conversation, additionalContext=[{"text": "before"}])
    await workiq.post(f"/conversations/{conversation}/chatOverStream", b"nonsense")
    creation, chat, broken = emulator.requests
    assert (creation.kind, creation.path, creation.body) == ("creation", "/rest/conversations", {})
    assert (chat.kind, chat.path) == ("chat", f"/rest/conversations/{conversation}/chat")
    assert (chat.text, chat.context, chat.conversation_id) == ("Hi", "before", conversation)
    assert chat.body == body("Hi", additionalContext=[{"text": "before"}])
    assert chat.headers["authorization"] == "Bearer emulator-token"
    assert (broken.kind, broken.text, broken.body, broken.chat_body) == ("chat", "", None, None)


async def test_the_services_do_not_see_each_other(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """A conversation of Work IQ is not in the list of the ChatHub's."""
    await workiq.chat()
    async with workiq.http.get(f"{emulator.url}/turing/conversation/chats") as response:
        assert (await response.json())["chats"] == []


# --- refusals ---------------------------------------------------------------------------------------------------------


async def test_an_unknown_conversation_is_not_found(workiq: WorkIQVisitor) -> None:
    """The id of no conversation is answered with 404 and the envelope, with the ids that support asks for."""
    answer = await workiq.chat(conversation="unknown")
    assert (answer.status, answer.code) == (404, "NotFound")
    assert answer.headers["request-id"] == answer.json["error"]["innerError"]["request-id"]


async def test_a_conversation_expires() -> None:
    """A lifetime after its last turn a conversation is not found, by the clock that was given."""
    now = [0.0]
    brain = Scripted(lambda _: ["Hi"])
    async with Emulator(brain, lifetime=60, clock=lambda: now[0]) as emulator, aiohttp.ClientSession() as http:
        workiq = WorkIQVisitor(emulator, http)
        conversation = await workiq.create()
        statuses = []
        for now[0] in (30.0, 60.0, 120.0):
            statuses.append((await workiq.chat("x", conversation)).status)
    assert statuses == [200, 200, 404]


async def test_a_conversation_has_its_turns() -> None:
    """After its last turn a conversation takes no other."""
    async with Emulator(Scripted(lambda _: ["Hi"]), turn_limit=1) as emulator, aiohttp.ClientSession() as http:
        workiq = WorkIQVisitor(emulator, http)
        conversation = await workiq.create()
        assert [(await workiq.stream("x", conversation)).status for _ in range(2)] == [200, 400]


@pytest.mark.parametrize("changes", [{"locationHint": None}, {"locationHint": {"timeZone": "W. Europe Standard Time"}}])
@pytest.mark.parametrize("action", ["chat", "chatOverStream"])
async def test_a_body_that_the_service_refuses(workiq: WorkIQVisitor, changes: dict[str, Any], action: str) -> None:
    """What is missing or wrong in a body is answered with 400, before the brain is asked."""
    answer = await workiq.post(f"/conversations/{await workiq.create()}/{action}", body(**changes))
    assert (answer.status, answer.code) == (400, "BadRequest")


async def test_text_beyond_the_limit_is_refused(workiq: WorkIQVisitor) -> None:
    """Message and context over the limit are answered with 413."""
    answer = await workiq.stream("x" * 16_000, additionalContext=[{"text": "x" * 16_001}])
    assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")


async def test_one_turn_at_a_time(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """While a turn runs, another one of its conversation is a conflict; one of another conversation is answered."""
    waiting = Waiting()
    emulator.brain = waiting
    conversation = await workiq.create()
    async with workiq.streaming("one", conversation) as stream:
        assert await stream.event_with_text() == "Half an"
        emulator.brain = Scripted(lambda _: ["Hi"])
        assert (await workiq.chat("two", conversation)).status == 409
        assert (await workiq.chat("two")).status == 200
    await asyncio.wait_for(waiting.closed.wait(), 20)


async def test_two_turns_at_once_are_one(workiq: WorkIQVisitor) -> None:
    """Of requests that come together only one begins its turn."""
    conversation = await workiq.create()
    answers = await asyncio.gather(*(workiq.chat("x", conversation) for _ in range(2)))
    turns = {answer.json["turnCount"] for answer in answers if answer.status == 200}
    assert {answer.status for answer in answers} <= {200, 409}
    assert len(turns) == sum(answer.status == 200 for answer in answers)


# --- what goes wrong --------------------------------------------------------------------------------------------------

STATUSES = [
    (errors.Unauthorized(), (401, "InvalidAuthenticationToken")),
    (errors.Unauthorized(value="403"), (403, "Forbidden")),
    (errors.Throttled(), (429, "TooManyRequests")),
    (errors.InvalidRequest(value="AuthenticationError"), (400, "AuthenticationError")),
    (errors.PromptTooLong(), (413, "RequestEntityTooLarge")),
    (errors.SessionExpired(), (404, "NotFound")),
    (errors.ConversationBusy(), (409, "Conflict")),
    (errors.TurnLimitReached(), (400, "BadRequest")),
    (errors.ServiceError(), (500, "InternalServerError")),
    (errors.ServiceError(value="503"), (503, "InternalServerError")),
]


@pytest.mark.parametrize("action", ["chat", "chatOverStream"])
@pytest.mark.parametrize(("error", "expected"), STATUSES)
async def test_an_error_before_text_is_a_status(
    emulator: Emulator, workiq: WorkIQVisitor, error: errors.BingError, expected: tuple[int, str], action: str
) -> None:
    """An error before the first event is sent as a status, streamed or not, and does not count as a turn."""
    emulator.brain = Scripted([[error], ["Hi"]])
    conversation = await workiq.create()
    answer = await workiq.post(f"/conversations/{conversation}/{action}", body())
    assert (answer.status, answer.code) == expected
    assert (await workiq.chat("again", conversation)).json["turnCount"] == 1


async def test_an_error_after_text_is_an_event(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """In a stream that has begun an error is its last event; asked for whole, the turn has a status."""
    emulator.brain = Scripted(lambda _: ["Half", errors.ServiceError(service_message="No.")])
    answer = await workiq.stream()
    assert answer.status == 200
    assert answer.events[-1] == {"error": {"code": "InternalServerError", "message": "No."}}
    assert (await workiq.chat()).status == 500


async def test_a_mistake_in_the_emulator_does_not_hang(
    emulator: Emulator, workiq: WorkIQVisitor, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong in a turn is logged and answered, and the conversation takes the next one."""
    emulator.brain = Scripted([[ev.TextRevoked("\ud800")], ["Hi"]])
    conversation = await workiq.create()
    assert (await workiq.chat("x", conversation)).status == 500
    assert [record.name for record in caplog.records] == ["bing_llm.emulator.server"]
    assert (await workiq.chat("x", conversation)).status == 200


# --- moderation -------------------------------------------------------------------------------------------------------

MODERATION = [
    errors.ConversationEnded("No."),
    errors.ContentFiltered("No."),
    ev.TextRevoked("No."),
    ev.TextRevoked("No.", ended=True),
]


@pytest.mark.parametrize("last", MODERATION, ids=lambda last: type(last).__name__)
@pytest.mark.parametrize("said", [[], ["Half"]], ids=["before text", "after text"])
async def test_moderation_ends_the_conversation(
    emulator: Emulator, workiq: WorkIQVisitor, last: ev.Event | errors.BingError, said: list[str]
) -> None:
    """A notice replaces the answer, with status 200 and state disengagedForRai; later turns have that state."""
    emulator.brain = Scripted([[*said, last], [*said, last]])
    conversation = await workiq.create()
    for final in ((await workiq.stream("x", conversation)).events[-1], (await workiq.chat("x")).json):
        assert final["state"] == "disengagedForRai"
        assert [message["text"] for message in final["messages"]] == ["x", "No."]
    again = await workiq.stream("more", conversation)
    assert (again.status, [event["state"] for event in again.events]) == (200, ["disengagedForRai"])
    assert again.texts == [[]]
    assert emulator.requests[-1].text == "more"
