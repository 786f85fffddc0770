"""The client: single turns and their attempts, conversations, and life on several event loops."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import ssl
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.base import ConversationInfo
from bing_llm.backends.chathub.backend import ChatHubBackend
from bing_llm.backends.http import Http
from bing_llm.backends.workiq.backend import WorkIQBackend
from bing_llm.client import BingClient
from bing_llm.emulated import EmulatedBackend
from bing_llm.emulator import Emulator, Fault, Scripted
from bing_llm.emulator.brains.scripted import Line
from bing_llm.errors import (
    BingError,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    ContentFiltered,
    ConversationEnded,
    InvalidRequest,
    PromptTooLong,
    ServiceError,
    SessionExpired,
    Throttled,
    TimedOut,
    TurnLimitReached,
)
from bing_llm.limits import Retries, Timeouts
from bing_llm.messages import convert
from bing_llm.services import ChatHub, Location, WorkIQ
from bing_llm.sync_client import SyncBingClient
from bing_llm.turn import TurnStream
from tests.fakes import FakeBackend, Pause, Time, Turn, answer, caught_up, client_of, settled

PNG = b"\x89PNG\r\n\x1a\n"
SECRET = "5ecret-Cookie-Va1ue"

PERMANENT = [
    errors.Unauthorized("x"),
    errors.CaptchaRequired("x"),
    errors.InvalidRequest("x"),
    errors.ContentFiltered("x"),
    errors.PromptTooLong("x"),
    errors.Throttled("x"),
    errors.UploadFailed("x"),
    errors.ConversationEnded("x"),
    errors.TurnLimitReached("x"),
    errors.ProtocolError("x"),
]
TRANSIENT = [
    ServiceError("x"),
    ConnectionFailed("x"),
    ConnectionLost("x"),
    TimedOut("x"),
    Throttled("x", retry_after=0.5),
]


def name_of(exc: Exception) -> str:
    """The name of its class."""
    return type(exc).__name__


# --- single turns -----------------------------------------------------------------------------------------------------


async def test_ask_is_one_turn_in_a_conversation_of_its_own(tmp_path: Path) -> None:
    """Two calls are two conversations; context and images go with the prompt."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(PNG)
    backend = FakeBackend(answer("a"), answer("b"))
    client = client_of(backend)
    context = convert([{"role": "user", "content": "Hi"}])
    assert (await client.ask("one", context=context, images=[picture])).text == "a"
    assert (await client.ask("two")).text == "b"
    assert backend.calls == ["create", "turn 0 of conversation-1", "create", "turn 0 of conversation-2"]
    sent = [(prompt.text, prompt.context, [image.data for image in prompt.images]) for prompt in backend.prompts]
    assert sent == [("one", context, [PNG]), ("two", None, [])]
    assert backend.open_channels == 0


@pytest.mark.parametrize("failure", TRANSIENT, ids=name_of)
async def test_creation_and_turn_are_tried_again(failure: BingError) -> None:
    """Wherever a transient failure happens before the first text, the turn is opened again in a new conversation."""
    time = Time()
    backend = FakeBackend(failure, [failure], [ev.SearchStarted("x"), failure], answer("Hi"), creations=[failure])
    assert (await client_of(backend, time).ask("Hello")).text == "Hi"
    assert backend.calls.count("create") == 5
    assert len(time.waits) == 4


@pytest.mark.parametrize("failure", PERMANENT, ids=name_of)
@pytest.mark.parametrize("where", ["creation", "opening", "turn"])
async def test_what_another_attempt_cannot_mend_is_raised_at_once(failure: BingError, where: str) -> None:
    """One request, no wait, and the very error."""
    time = Time()
    if where == "creation":
        backend = FakeBackend(creations=[failure])
    else:
        backend = FakeBackend(failure if where == "opening" else [failure])
    with pytest.raises(type(failure)) as caught:
        await client_of(backend, time).ask("Hello")
    assert caught.value is failure
    assert (backend.calls.count("create"), time.waits) == (1, [])


async def test_an_expired_conversation_of_a_single_turn_is_replaced() -> None:
    """Nobody holds on to the conversation of a single turn: SessionExpired opens the turn again in a new one."""
    backend = FakeBackend([SessionExpired("x")], SessionExpired("x"), answer("Hi"))
    assert (await client_of(backend).ask("Hello")).text == "Hi"
    assert backend.calls.count("create") == 3


@pytest.mark.parametrize("attempts", [1, 4, 5])
async def test_creation_and_turn_share_the_attempts(attempts: int) -> None:
    """Failed creations, failed openings and failed turns count together; the last one's error is raised."""
    failures = [ServiceError(str(number)) for number in range(4)]
    backend = FakeBackend(failures[2], [failures[3]], answer("Hi"), creations=failures[:2])
    client = client_of(backend, attempts=attempts)
    if attempts == 5:
        assert (await client.ask("Hello")).text == "Hi"
    else:
        with pytest.raises(ServiceError) as caught:
            await client.ask("Hello")
        assert caught.value is failures[attempts - 1]
    assert backend.calls.count("create") == attempts


async def test_creation_and_turn_share_the_deadline() -> None:
    """Every step of every attempt gets the one deadline of the turn, which began with it."""
    time = Time()
    backend = FakeBackend([ServiceError("x")], answer("Hi"), creations=[ServiceError("x")])
    await client_of(backend, time, timeouts=Timeouts(turn=60.0)).ask("Hello")
    assert len(backend.deadlines) == 5
    assert len(set(map(id, backend.deadlines))) == 1
    assert backend.deadlines[0].remaining() == 60.0 - sum(time.waits)


async def test_the_deadline_ends_the_attempts() -> None:
    """No attempt begins after the deadline, however many are left."""
    time = Time()
    backend = FakeBackend(creations=[ServiceError("x") for _ in range(100)])
    with pytest.raises(ServiceError):
        await client_of(backend, time, timeouts=Timeouts(turn=10.0), attempts=100, first_wait=4.0).ask("Hello")
    assert time.waits == [4.0]
    assert backend.calls == ["create", "create"]


async def test_retry_after_is_honoured() -> None:
    """The service's own wait is kept; one beyond the deadline raises at once."""
    time = Time()
    backend = FakeBackend(answer("Hi"), creations=[Throttled("x", retry_after=40.0)])
    await client_of(backend, time).ask("Hello")
    assert time.waits == [40.0]
    time = Time()
    backend = FakeBackend(answer("Hi"), creations=[Throttled("x", retry_after=900.0)])
    with pytest.raises(Throttled):
        await client_of(backend, time).ask("Hello")
    assert (time.waits, backend.calls) == ([], ["create"])


# --- conversations ----------------------------------------------------------------------------------------------------


async def test_creating_a_conversation_is_tried_again() -> None:
    """`create_conversation` has the attempts and the deadline of a turn."""
    time = Time()
    backend = FakeBackend(creations=[ServiceError("x"), TimedOut("x")])
    chat = await client_of(backend, time).create_conversation()
    assert chat.id == "conversation-1"
    assert (backend.calls, time.waits) == (["create"] * 3, [0.5, 1.0])
    assert len(set(map(id, backend.deadlines))) == 1


async def test_attempts_never_nest() -> None:
    """A creation that always fails is tried as often as was asked for, no more."""
    backend = FakeBackend(creations=[ServiceError(str(number)) for number in range(50)])
    for call in (
        client_of(backend, attempts=3).create_conversation,
        lambda: client_of(backend, attempts=3).ask("Hello"),
    ):
        backend.calls.clear()
        with pytest.raises(ServiceError):
            await call()
        assert backend.calls == ["create"] * 3


async def test_conversations_are_listed_and_deleted() -> None:
    """The service's list comes as it is; deletion takes the conversation up and deletes it; both are tried again."""
    time = Time()
    backend = FakeBackend(creations=[ServiceError("x"), None, ServiceError("x"), None, ServiceError("x"), None])
    backend.chats.append(ConversationInfo("one", "Name", {"chatName": "Name"}))
    client = client_of(backend, time)
    with pytest.raises(InvalidRequest, match="conversation id"):
        await client.delete_conversation(None)  # type: ignore[arg-type]
    assert await client.list_conversations() == backend.chats
    await client.delete_conversation("one")
    assert backend.calls == ["list"] * 2 + ["reopen one"] * 2 + ["delete one"] * 2
    assert time.waits == [0.5] * 3


# --- settings ---------------------------------------------------------------------------------------------------------


async def test_bad_input_is_refused_before_anything_is_sent() -> None:
    """An empty prompt or an unreadable picture raises when the turn is made."""
    backend = FakeBackend()
    client = client_of(backend)
    for prompt, images in (("", []), ("Hello", ["no-such.png"]), ("Hello", [b"no picture"])):
        with pytest.raises(InvalidRequest):
            client.stream(prompt, images=images)
        with pytest.raises(InvalidRequest):
            await client.ask(prompt, images=images)
    assert backend.calls == []


def test_defaults_are_those_of_the_documentation() -> None:
    """The default limits, and nothing of a service but its own defaults."""
    client = BingClient(backend="chathub")
    assert client.service == ChatHub()
    assert (client.model, client.prompt_limit) == ("bing-balanced", 4000)
    assert (client.timeouts, client.retries) == (Timeouts(), Retries())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"timeouts": Timeouts(connect=0)}, "timeouts.connect"),
        ({"retries": Retries(attempts=0)}, "retries.attempts"),
        ({"prompt_limit": 0}, "prompt_limit"),
        ({"locale": "English"}, "English"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], named: str) -> None:
    """Limits, locale and options are checked when the client is made, and the text names what is wrong."""
    with pytest.raises(ConfigurationError, match=named):
        BingClient(backend="chathub", **settings)


def test_each_backend_name_has_its_backend() -> None:
    """`chathub` speaks to a service, `emulator` to one that it starts."""
    assert type(BingClient(backend="chathub").backend) is ChatHubBackend
    client = BingClient(backend="emulator", model="bing-creative")
    assert type(client.backend) is EmulatedBackend
    asyncio.run(client.aclose())
    assert repr(client) == "BingClient(backend='emulator', model='bing-creative')"


def test_nothing_shows_the_cookies() -> None:
    """Neither the client nor what it is made of has a secret in its repr."""
    client = BingClient(backend="chathub", cookies={"_U": SECRET}, proxy=f"http://user:{SECRET}@127.0.0.1:1")
    for shown in (client, client.backend, client.service, client.stream("Hello")):
        assert SECRET not in repr(shown)


def test_no_secret_reaches_a_pickle() -> None:
    """Client, conversation and turn hold cookies and signatures: pickling one, or its copy, is refused."""
    backend = FakeBackend()
    client = client_of(backend)
    chat = asyncio.run(client.create_conversation())
    synchronous = SyncBingClient(backend="chathub", cookies=f"_U={SECRET}")
    for held in (client, chat, client.stream("Hello"), chat.stream("Hello"), synchronous):
        with pytest.raises(TypeError, match="holds cookies"):
            pickle.dumps(held)
        with pytest.raises(TypeError, match="holds cookies"):
            copy.deepcopy(held)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2", True])
def test_max_concurrency_is_none_or_a_whole_number_from_1_on(limit: Any) -> None:
    """Anything else is refused when the client is made, by both clients."""
    for kind in (BingClient, SyncBingClient):
        with pytest.raises(ConfigurationError, match=r"max_concurrency is .* whole number from 1 .* or None"):
            kind(backend="chathub", max_concurrency=limit)


# --- Work IQ ----------------------------------------------------------------------------------------------------------

WORKIQ: dict[str, Any] = {"backend": "workiq", "token": SECRET, "time_zone": "Europe/Zurich"}
FILE = "https://contoso.sharepoint.com/sites/x/plan.docx"


def test_settings_reach_work_iq() -> None:
    """What the constructor takes is what the options say."""
    place = Location(47.4, 8.5)
    client = BingClient(
        **WORKIQ, search=False, location=place, prompt_limit=10, files=[FILE], entity_tags="strip", model="copilot"
    )
    assert type(client.backend) is WorkIQBackend
    assert client.service == WorkIQ(
        token=SECRET,
        time_zone="Europe/Zurich",
        search=False,
        location=place,
        prompt_limit=10,
        files=(FILE,),
        entity_tags="strip",
    )
    assert client.prompt_limit == 10
    assert repr(client) == "BingClient(backend='workiq', model='copilot')"


def test_defaults_of_work_iq() -> None:
    """Its one model, the web allowed, the tags kept, the limit of one client."""
    client = BingClient(**WORKIQ)
    assert client.service == WorkIQ(token=SECRET, time_zone="Europe/Zurich")
    assert (client.model, client.prompt_limit) == ("copilot", 16_000)
    with pytest.raises(InvalidRequest, match=r"16,001 characters; copilot takes at most 16,000"):
        client.stream("x" * 16_001)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"model": "bing-precise"}, "allowed: copilot"),
        ({"time_zone": "W. Europe Standard Time"}, "IANA"),
        ({"files": ["https://example.com/plan.docx"]}, "SharePoint"),
        ({"entity_tags": "drop"}, "entity_tags"),
        ({"cookies": "_U=1"}, "cookies is a setting of the backends chathub and emulator"),
        ({"locale": "de-DE"}, "locale is a setting of the backends chathub and emulator"),
        ({"endpoint": ("https://a.example.com", "wss://b.example.com")}, "not a URL"),
        ({"endpoint": "http://workiq.example.com"}, "not encrypted"),
        ({"proxy": "socks5://127.0.0.1:1"}, "proxy"),
        ({"token": 7}, "token is a int"),
        ({"token": f"Bearer {SECRET}"}, "without 'Bearer'"),
        ({"timeouts": Timeouts(connect=0)}, "timeouts.connect"),
        ({"retries": Retries(attempts=0)}, "retries.attempts"),
    ],
)
def test_settings_that_cannot_work_with_work_iq_are_refused(settings: dict[str, Any], named: str) -> None:
    """When the client is made; the text names what is wrong, and never the token."""
    with pytest.raises(ConfigurationError, match=named) as caught:
        BingClient(**{**WORKIQ, **settings})
    assert SECRET not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def test_cookies_of_the_environment_do_not_stand_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor those that a framework has read there and passes on; they go nowhere."""
    monkeypatch.setenv("BING_COOKIES", "_U=environment")
    forms: list[dict[str, Any]] = [{}, {"cookies": "_U=environment"}]
    for settings in forms:
        client = BingClient(**WORKIQ, **settings)
        assert type(client.service) is WorkIQ


def test_work_iq_without_a_token_says_where_to_get_one() -> None:
    """When the client is made."""
    with pytest.raises(ConfigurationError, match="has no token") as caught:
        BingClient(backend="workiq", time_zone="UTC")
    assert "WORKIQ_TOKEN" in caught.value.hint


def test_work_iq_without_a_time_zone_takes_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be told is an error that says to name one."""
    monkeypatch.setitem(sys.modules, "tzlocal", SimpleNamespace(get_localzone_name=lambda: "Asia/Tokyo"))
    assert BingClient(backend="workiq", token="x").service == WorkIQ(token="x", time_zone="Asia/Tokyo")
    monkeypatch.setitem(sys.modules, "tzlocal", None)
    with pytest.raises(ConfigurationError, match="time_zone="):
        BingClient(backend="workiq", token="x")


async def test_work_iq_is_asked_over_a_socket(bing_emulator: Emulator) -> None:
    """A single turn, a stream and a conversation, each with the token and the time zone; and no list or deletion."""
    settings = {**WORKIQ, "token": bing_emulator.token, "endpoint": bing_emulator.workiq_url}
    async with BingClient(**settings) as bing:
        assert (await bing.ask("Hello")).text
        async with bing.stream("Hello") as turn:
            assert (await turn.reply()).text
        chat = await bing.create_conversation()
        bing_emulator.brain = Scripted(lambda question: ["You said: ", *(turn.question for turn in question.history)])
        await chat.ask("My name is Ada.")
        assert "Ada" in (await chat.ask("What is my name?")).text
        with pytest.raises(InvalidRequest, match="no call"):
            await bing.list_conversations()
        with pytest.raises(InvalidRequest, match="no call"):
            await bing.delete_conversation(chat.id)
        with pytest.raises(InvalidRequest, match="text alone"):
            bing.stream("Hello", images=[PNG])
    chats = [request for request in bing_emulator.requests if request.kind == "chat"]
    assert [request.body["locationHint"] for request in chats] == [{"timeZone": "Europe/Zurich"}] * 4
    assert {request.headers["Authorization"] for request in bing_emulator.requests} == {"Bearer emulator-token"}


async def test_a_failing_turn_of_work_iq_is_opened_again(bing_emulator: Emulator) -> None:
    """In a new conversation, as often as the retries say; a wrong token is not tried again."""
    settings = {**WORKIQ, "token": bing_emulator.token, "endpoint": bing_emulator.workiq_url}
    retries = Retries(attempts=2, first_wait=0.0)
    bing_emulator.brain = Scripted([[ServiceError()], ["Hi"], [ServiceError()], [ServiceError()]])
    async with BingClient(**settings, retries=retries) as bing:
        assert (await bing.ask("Hello")).text == "Hi"
        with pytest.raises(ServiceError):
            await bing.ask("Hello")
    assert [request.kind for request in bing_emulator.requests] == ["creation", "chat"] * 4
    bing_emulator.clear()
    async with BingClient(**{**settings, "token": "wrong"}, retries=retries) as bing:
        with pytest.raises(errors.Unauthorized):
            await bing.ask("Hello")
    assert len(bing_emulator.requests) == 1


def test_nothing_shows_the_token() -> None:
    """Neither the client nor what it is made of has it in its repr or in a pickle."""
    client = BingClient(**WORKIQ)
    for shown in (client, client.backend, client.service, client.stream("Hello"), client._backends):
        assert SECRET not in repr(shown)
    with pytest.raises(TypeError, match="tokens"):
        pickle.dumps(client)


# --- other models -----------------------------------------------------------------------------------------------------


async def test_another_model_shares_the_connections() -> None:
    """Each turn goes to the one service with its client's model; what else the client was given stays."""
    time, backend = Time(), FakeBackend(answer("a"), answer("b"), [ServiceError("x")], answer("c"))
    client = client_of(backend, time, timeouts=Timeouts(turn=60.0))
    precise = client.with_options(model="bing-precise")
    assert (client.model, precise.model) == ("bing-balanced", "bing-precise")
    assert (precise.backend_name, precise.timeouts, precise.retries) == ("chathub", client.timeouts, client.retries)
    assert repr(precise) == "BingClient(backend='chathub', model='bing-precise')"
    await client.ask("one")
    await precise.ask("two")
    await precise.with_options(model="bing-creative").ask("three")
    assert backend.models == [None, "bing-precise", "bing-creative", "bing-creative"]
    assert precise.service == BingClient(backend="chathub", model="bing-precise").service


def test_another_model_costs_nothing() -> None:
    """It can be asked for at each request: the backend of a model is made once."""
    client = BingClient(backend="chathub")
    backends = {
        client.with_options(model=model).backend for _ in range(3) for model in ("bing-precise", "bing-balanced")
    }
    assert len(backends) == 2
    assert client.backend in backends
    assert client.with_options(model="bing-balanced").backend is client.backend


@pytest.mark.parametrize("model", ["bing-huge", "", ["bing-precise"]])
def test_another_model_must_be_known(model: Any) -> None:
    """The error names the models that are allowed."""
    with pytest.raises(ConfigurationError, match="allowed: bing-creative, bing-balanced, bing-precise"):
        BingClient(backend="chathub").with_options(model=model)


async def test_the_same_connections_may_have_other_retries() -> None:
    """`with_options` keeps what is not named, and checks what is."""
    backend = FakeBackend([Throttled(retry_after=0.0)], answer("one"))
    client = client_of(backend, attempts=2)
    with pytest.raises(Throttled):
        await client.with_options(retries=Retries(attempts=1)).ask("Hello")
    assert (await client.with_options(model="bing-precise").ask("Hello")).text == "one"
    assert client.with_options(model="bing-precise").retries is client.retries
    with pytest.raises(ConfigurationError, match="from 1 on"):
        client.with_options(retries=Retries(attempts=0))


async def test_only_the_origin_closes() -> None:
    """Closing a client of another model closes nothing, not even when it has the same one; the origin closes all."""
    backend = FakeBackend(answer("a"), answer("b"))
    client = client_of(backend)
    for model in ("bing-precise", "bing-balanced"):
        async with client.with_options(model=model) as derived:
            pass
        assert "close" not in backend.calls
        await derived.ask("Hello")
    await client.aclose()
    assert backend.calls[-1] == "close"
    with pytest.raises(ConfigurationError, match="This client was closed"):
        await derived.ask("Hello")
    with pytest.raises(ConfigurationError, match="This client was closed"):
        await client.with_options(model="bing-precise").ask("Hello")


async def test_another_model_on_the_wire(bing_emulator: Emulator) -> None:
    """The service hears of the model in each turn, over one session."""
    async with BingClient(endpoint=bing_emulator.url) as bing:
        await bing.ask("one")
        await bing.with_options(model="bing-precise").ask("two")
        chats = [request for request in bing_emulator.requests if request.kind == "chat"]
        assert [chat.body["arguments"][0]["tone"] for chat in chats] == ["Balanced", "Precise"]
        made = list(bing._backends.opened.values())
        assert [type(backend) for backend in made] == [ChatHubBackend] * 2
        assert len({id(vars(backend)["_http"]) for backend in made}) == 1


async def test_the_limit_of_a_prompt_can_be_asked_for() -> None:
    """`prompt_limit` is the longest prompt that is taken: the model's, or what the client was told."""
    for client, limit in (
        (BingClient(backend="chathub"), 4000),
        (BingClient(backend="emulator").with_options(model="bing-creative"), 8000),
        (BingClient(backend="chathub", prompt_limit=10).with_options(model="bing-creative"), 10),
        (client_of(FakeBackend(prompt_limit=7)), 7),
    ):
        assert client.prompt_limit == limit
        client.stream("x" * limit)
        with pytest.raises(InvalidRequest):
            client.stream("x" * (limit + 1))
    await client.aclose()
    with pytest.raises(ConfigurationError, match="This client was closed"):
        _ = client.prompt_limit


# --- life -------------------------------------------------------------------------------------------------------------


async def test_the_client_closes_what_it_opened() -> None:
    """Leaving the block closes the backend; closing again is harmless."""
    backend = FakeBackend()
    async with client_of(backend) as client:
        assert backend.calls == []
    await client.aclose()
    assert backend.calls == ["close", "close"]


async def test_a_cancelled_ask_leaves_the_client_usable() -> None:
    """Cancelled amid an answer, the connection is closed, and the next question is answered."""
    pause = Pause()
    backend = FakeBackend([ev.TextDelta("one"), pause], answer("Hi"))
    client = client_of(backend)
    asking = asyncio.create_task(client.ask("Hello"))
    await pause.reached.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert backend.open_channels == 0
    assert (await client.ask("Hello")).text == "Hi"


# --- with the emulator ------------------------------------------------------------------------------------------------


def script(*turns: list[Line]) -> Scripted:
    """A brain that plays these turns."""
    return Scripted(turns)


def kinds(emulator: Emulator) -> list[str]:
    """What the emulator was asked for."""
    return [request.kind for request in emulator.requests]


async def test_a_turn_from_end_to_end(bing_emulator: Emulator) -> None:
    """Context, image and prompt arrive; search, text, citations, suggestions and quota come back."""
    cited = ev.Citation(1, "https://example.org/a", "A")
    whole = ev.Reply(text="It rains[^1^].", citations=(cited,), suggestions=("Why?",))
    result = ev.SearchResult("A", "https://example.org/a", ("rain",))
    bing_emulator.brain = script(
        [ev.SearchStarted("weather"), ev.SearchResults((result,)), "It ", "rains[^1^].", ev.TurnCompleted(whole)]
    )
    context = convert([{"role": "user", "content": "I am in Rome."}])
    async with BingClient(endpoint=bing_emulator.url) as bing:
        reply = await bing.ask("Weather?", context=context, images=[PNG])
    assert (reply.text, reply.citations, reply.suggestions) == ("It rains[^1^].", (cited,), ("Why?",))
    assert reply.searches == (ev.Search("weather", (result,)),)
    assert (reply.quota, reply.finish_reason, reply.revoked, reply.revised) == (ev.Quota(1, 30), "stop", False, False)
    assert kinds(bing_emulator) == ["creation", "upload", "chat"]
    assert (bing_emulator.requests[-1].text, bing_emulator.requests[-1].context) == ("Weather?", context)


@pytest.mark.parametrize(
    ("line", "kind", "attempts"),
    [
        (ContentFiltered("No."), ContentFiltered, 1),
        (ConversationEnded(), ConversationEnded, 1),
        (TurnLimitReached(), TurnLimitReached, 1),
        (PromptTooLong(), ConnectionLost, 2),
        (ConnectionLost(), ConnectionLost, 2),
        (errors.ProtocolError(), errors.ProtocolError, 1),
        (Throttled(), Throttled, 1),
        (errors.CaptchaRequired(), errors.CaptchaRequired, 1),
        (SessionExpired(), SessionExpired, 2),
        (errors.Unauthorized(), errors.Unauthorized, 1),
        (InvalidRequest(), InvalidRequest, 1),
        (ServiceError(), ServiceError, 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BingError) else None,
)
async def test_what_the_service_says_before_any_text(
    bing_emulator: Emulator, line: BingError, kind: type[BingError], attempts: int
) -> None:
    """Each failure comes as its own class, with a hint, and is tried again only where that may help."""
    bing_emulator.brain = script([line], [line])
    async with BingClient(endpoint=bing_emulator.url, retries=Time().retries(attempts=2)) as bing:
        with pytest.raises(BingError) as caught:
            await bing.ask("Hello")
    assert type(caught.value) is kind
    assert caught.value.hint
    assert caught.value.partial_text == ""
    assert kinds(bing_emulator).count("chat") == kinds(bing_emulator).count("creation") == attempts


async def test_a_silent_refusal_of_a_long_prompt(bing_emulator: Emulator) -> None:
    """Closed without a word on over 4,000 characters of prompt and context: PromptTooLong, not tried again."""
    bing_emulator.brain = script([PromptTooLong()])
    async with BingClient(endpoint=bing_emulator.url) as bing:
        with pytest.raises(PromptTooLong):
            await bing.ask("Hello", context="x" * 4000)
    assert kinds(bing_emulator) == ["creation", "chat"]


@pytest.mark.parametrize("line", [ServiceError(), ConnectionLost(), Throttled()], ids=name_of)
async def test_what_the_service_says_after_text(bing_emulator: Emulator, line: BingError) -> None:
    """After text the error is raised with the text that had come, after one attempt."""
    bing_emulator.brain = script(["Once ", "upon", line])
    pieces = []
    async with BingClient(endpoint=bing_emulator.url) as bing, bing.stream("Hello") as turn:
        with pytest.raises(type(line)) as caught:
            pieces.extend([piece async for piece in turn.text])
    assert caught.value.partial_text == "Once upon"
    assert kinds(bing_emulator) == ["creation", "chat"]


@pytest.mark.parametrize("ended", [False, True])
async def test_a_revocation_after_text(bing_emulator: Emulator, ended: bool) -> None:  # noqa: FBT001
    """Apology and Disengaged after text return what had come, and say that it was revoked."""
    bing_emulator.brain = script(["Once ", "upon", ev.TextRevoked("Sorry.", ended=ended)])
    async with BingClient(endpoint=bing_emulator.url) as bing, bing.stream("Hello") as turn:
        events = [event async for event in turn]
        reply = await turn.reply()
    assert [event.ended for event in events if isinstance(event, ev.TextRevoked)] == [ended]
    assert (reply.text, reply.finish_reason, reply.revoked, reply.conversation_ended) == (
        "Once upon",
        "content_filter",
        True,
        ended,
    )


async def test_stop_on_the_wire(bing_emulator: Emulator) -> None:
    """The service is asked to stop, and what came is the answer."""
    bing_emulator.brain = script(["one", TimedOut()])
    async with BingClient(endpoint=bing_emulator.url) as bing, bing.stream("Hello") as turn:
        assert await anext(turn.text) == "one"
        await turn.stop()
        assert (await turn.reply()).text == "one"
    assert kinds(bing_emulator) == ["creation", "chat", "stop"]


async def test_secrets_stay_out_of_logs_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    """Cookies and signatures are in no log line, at any level, and in no error; the retry is logged at INFO."""
    caplog.set_level(logging.DEBUG)
    failures = [Fault(ServiceError(), "creation"), Fault(Throttled(retry_after=1), "creation")]
    async with Emulator(script([ServiceError()], ["Hi"], [Throttled()]), faults=failures) as emulator:
        async with BingClient(endpoint=emulator.url, cookies=f"_U={SECRET}", retries=Time().retries()) as bing:
            await bing.ask("Hello")
            with pytest.raises(Throttled) as caught:
                await bing.ask("Hello")
        sent = [value for request in emulator.requests for value in request.query.values()]
    signatures = [value for value in sent if len(value) > 20]
    assert signatures
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("bing_llm")]
    told = "\n".join([*lines, repr(caught.value), str(caught.value), repr(vars(caught.value))])
    assert not [secret for secret in (SECRET, *signatures) if secret in told]
    retries = [record for record in caplog.records if record.name == "bing_llm._retry"]
    assert [record.levelname for record in retries] == ["INFO"] * 3


async def test_all_log_lines_of_a_turn_name_it(bing_emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Retries and frames of one turn begin with the same label, those of another turn with another one."""
    caplog.set_level(logging.DEBUG)
    bing_emulator.brain = script([ServiceError()], ["Hi"], [ServiceError()], ["Hi"])
    labels = []
    async with BingClient(endpoint=bing_emulator.url, retries=Time().retries()) as bing:
        for _ in range(2):
            caplog.clear()
            await bing.ask("Hello")
            lines = [
                record for record in caplog.records if record.name.startswith(("bing_llm._retry", "bing_llm.back"))
            ]
            assert {record.name.rpartition(".")[2] for record in lines} == {"_retry", "channel"}
            labels += sorted({record.getMessage().partition("]")[0] for record in lines})
    assert [label.startswith("[turn ") for label in labels] == [True, True]
    assert len(set(labels)) == 2


def test_a_client_works_on_several_loops(bing_emulator: Emulator) -> None:
    """One client serves loops one after another, and loops side by side in threads; each closes its own sockets."""
    bing_emulator.brain = Scripted(lambda question: [f"You said {question.text}"])
    bing = BingClient(endpoint=bing_emulator.url)

    async def ask(prompt: str) -> str:
        return (await bing.ask(prompt)).text

    assert [asyncio.run(ask(prompt)) for prompt in ("one", "two")] == ["You said one", "You said two"]
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(ask("three")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["You said three"] * 4
    asyncio.run(bing.aclose())


def test_a_turn_that_is_dropped_as_its_loop_ends(bing_emulator: Emulator) -> None:
    """A stream that was left early, without closing it, leaves no socket behind when the loop ends at once."""
    bing_emulator.brain = script(["one", TimedOut()])
    bing = BingClient(endpoint=bing_emulator.url)

    async def leave() -> None:
        async for piece in bing.stream("Hello").text:
            assert piece == "one"
            break

    asyncio.run(leave())


async def test_an_own_ssl_context_is_taken(bing_emulator: Emulator) -> None:
    """`ssl_context` reaches the connections; on plain loopback it changes nothing."""
    context = ssl.create_default_context()
    async with BingClient(endpoint=bing_emulator.url, ssl_context=context, trust_env=True) as bing:
        assert (await bing.ask("Hello")).text


async def test_the_emulator_backend_starts_one_emulator_and_ends_it() -> None:
    """Turns and conversations share the server that the client started; closing the client ends it."""
    async with BingClient(backend="emulator") as bing:
        chat = await bing.create_conversation()
        assert (await chat.ask("Hello")).text
        assert (await bing.ask("Hello")).text
        assert chat.id in [info.id for info in await bing.list_conversations()]


async def test_a_closed_client_takes_no_further_call() -> None:
    """After aclose every call is refused, and a running turn is not opened again; closing again is fine."""
    backend = FakeBackend()
    client = client_of(backend)
    chat = await client.create_conversation()
    await client.aclose()
    await client.aclose()
    for call in (client.ask("Hello"), client.create_conversation(), client.list_conversations(), chat.ask("Hello")):
        with pytest.raises(ConfigurationError, match="This client was closed"):
            await call


def test_a_stream_that_outlives_its_loop_leaves_nothing_open(bing_emulator: Emulator) -> None:
    """Its socket ends with the loop, also while somebody keeps the stream, as a traceback may."""
    client, kept = BingClient(endpoint=bing_emulator.url), list[TurnStream]()

    async def leave() -> None:
        kept.append(client.stream("Hello"))
        await anext(kept[0])

    asyncio.run(leave())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        kept.clear()
        gc.collect()
    assert [str(warning.message) for warning in told] == []


# --- warm conversations -----------------------------------------------------------------------------------------------


async def warmed(client: BingClient) -> BingClient:
    """The client, with what it keeps ready."""
    await client.__aenter__()
    await settled(client.pool)
    return client


async def test_a_single_turn_takes_what_is_ready() -> None:
    """It creates nothing; another one is made in its place, and one that comes too early goes the whole way."""
    slow = Pause()
    backend = FakeBackend(answer("a"), answer("b"), creations=[None, slow])
    client = await warmed(client_of(backend, warm=1))
    assert backend.calls == ["create"]
    assert (await client.ask("one")).text == "a"
    assert backend.calls == ["create", "warm turn of conversation-1", "create"]
    await slow.reached.wait()
    assert (await client.ask("two")).text == "b"
    assert backend.calls[3:] == ["create", "turn 0 of conversation-2"]
    await client.aclose()
    assert backend.open_channels == 0


async def test_what_is_ready_serves_all_models() -> None:
    """`with_options` shares it, and each turn names its own model."""
    backend = FakeBackend(answer("a"))
    client = await warmed(client_of(backend, warm=1))
    other = client.with_options(model="bing-precise")
    assert other.pool is client.pool
    await other.ask("Hello")
    assert backend.calls[1] == "warm turn of conversation-1"
    assert backend.models == ["bing-precise"]
    await client.aclose()


@pytest.mark.parametrize(
    "failure",
    [ConnectionLost("x"), TimedOut("x"), SessionExpired("x"), PromptTooLong("x"), errors.Unauthorized("x")],
    ids=name_of,
)
@pytest.mark.parametrize("opened", [False, True])
async def test_one_that_has_gone_stale_costs_no_attempt(failure: BingError, *, opened: bool) -> None:
    """What waiting may have broken is asked again in a new conversation, at once, even by who allows one attempt."""
    time = Time()
    turns: list[Turn] = [[ev.SearchStarted("x"), failure] if opened else failure, answer("Hi")]
    backend = FakeBackend(*turns)
    client = await warmed(client_of(backend, time, warm=2, attempts=1))
    assert (await client.ask("Hello")).text == "Hi"
    asked = [call for call in backend.calls if "turn" in call]
    assert [call.partition(" of ")[0] for call in asked] == ["warm turn", "turn 0"]
    assert time.waits == []
    await client.aclose()


async def test_it_costs_no_attempt_once() -> None:
    """The attempts after it are counted as always, and take no other warm conversation."""
    backend = FakeBackend(ConnectionLost("x"), ConnectionLost("y"), ConnectionLost("z"))
    client = await warmed(client_of(backend, warm=3, attempts=2))
    with pytest.raises(ConnectionLost, match="z"):
        await client.ask("Hello")
    asked = [call.partition(" of ")[0] for call in backend.calls if "turn" in call]
    assert asked == ["warm turn", "turn 0", "turn 0"]
    await client.aclose()


@pytest.mark.parametrize("failure", [ContentFiltered("x"), Throttled("x"), InvalidRequest("x")], ids=name_of)
async def test_what_no_new_conversation_mends_is_raised_from_a_warm_one(failure: BingError) -> None:
    """A refusal is the service's answer; it is not asked for twice."""
    backend = FakeBackend([failure])
    client = await warmed(client_of(backend, warm=1))
    with pytest.raises(type(failure)):
        await client.ask("Hello")
    await client.aclose()


async def test_a_warm_turn_is_not_repeated_after_text() -> None:
    """Text that was given out cannot be taken back."""
    backend = FakeBackend([ev.TextDelta("Once"), ConnectionLost("x")])
    client = await warmed(client_of(backend, warm=1))
    with pytest.raises(ConnectionLost):
        await client.ask("Hello")
    await client.aclose()


async def test_a_service_that_makes_none_ready_fails_no_turn() -> None:
    """A turn that may create its conversation does so, whatever became of those that were to be ready."""
    backend = FakeBackend(answer("a"), answer("b"), creations=[Throttled("x", retry_after=60), None, None])
    client = await warmed(client_of(backend, warm=1))
    assert [(await client.ask(text)).text for text in ("one", "two")] == ["a", "b"]
    assert backend.calls.count("create") == 3
    await client.aclose()


@pytest.mark.parametrize("warm", [-1, 33, True, 0.5, "2"])
def test_how_many_are_kept_ready_is_checked(warm: Any) -> None:
    """A number that cannot work is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match=r"^warm is .*from 0"):
        BingClient(backend="chathub", warm=warm)


@pytest.mark.parametrize("limit", [0, -1, 1.0, "2", True, sys.maxsize])
def test_a_limit_of_open_turns_is_a_whole_number(limit: Any) -> None:
    """Anything else is refused by the name of the argument, with what is allowed."""
    with pytest.raises(ConfigurationError, match=r"max_concurrency is .* from 1 to 1,000,000, or None for no limit"):
        BingClient(backend="chathub", max_concurrency=limit)


async def waiting_id(client: BingClient) -> str:
    """The id of the one conversation that is ready, when it is."""
    await settled(client.pool)
    [on_loop] = client.pool._loops
    [waiting] = on_loop.ready
    return waiting.conversation.handle.id


async def test_a_warm_turn_needs_neither_creation_nor_socket(
    bing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no way to a new connection it gets its answer, in the conversation that was there."""
    bing_emulator.brain = script(["Hi"])
    async with BingClient(endpoint=bing_emulator.url, warm=1) as bing:
        known = await waiting_id(bing)
        monkeypatch.setattr(Http, "_session", None)
        assert (await bing.ask("Hello")).conversation_id == known
        await settled(bing.pool)
        monkeypatch.undo()
    assert kinds(bing_emulator) == ["creation", "chat"]


async def test_a_warm_conversation_that_expired_is_replaced(bing_emulator: Emulator) -> None:
    """The service says so when it is asked; the turn goes on in a new one."""
    hours = [0.0]
    async with Emulator(script(["Hi"]), clock=lambda: hours[0] * 3600) as emulator:
        async with BingClient(endpoint=emulator.url, warm=1, retries=Retries(attempts=1)) as bing:
            await settled(bing.pool)
            hours[0] = 7.0
            assert (await bing.ask("Hello")).text == "Hi"
            await settled(bing.pool)
        chats = [request for request in emulator.requests if request.kind == "chat"]
        assert len({chat.conversation_id for chat in chats}) == 2
    assert bing_emulator.requests == []


async def test_a_warm_socket_that_broke_is_replaced(bing_emulator: Emulator) -> None:
    """Whether that is seen before the turn or by it, the turn goes the whole way."""
    bing_emulator.brain = script([ConnectionLost()], ["Hi"])
    async with BingClient(endpoint=bing_emulator.url, warm=1, retries=Retries(attempts=1)) as bing:
        await settled(bing.pool)
        assert (await bing.ask("Hello")).text == "Hi"
        await settled(bing.pool)


async def test_a_throttled_creation_fails_no_turn(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, without secrets, and waited out; turns create their own conversations meanwhile."""
    caplog.set_level(logging.INFO)
    failures = [Fault(Throttled(retry_after=60), "creation")]
    async with Emulator(script(["a"], ["b"]), faults=failures) as emulator:
        async with BingClient(endpoint=emulator.url, warm=1, cookies=f"_U={SECRET}") as bing:
            await settled(bing.pool)
            assert [(await bing.ask(text)).text for text in ("one", "two")] == ["a", "b"]
        assert kinds(emulator) == ["creation", "creation", "chat", "creation", "chat"]
    [line] = [record.getMessage() for record in caplog.records if record.name == "bing_llm.pool"]
    assert line.startswith("[warm ")
    assert line.endswith("; next in 60 seconds")
    assert SECRET not in line


async def test_a_warm_turn_of_work_iq(bing_emulator: Emulator) -> None:
    """Its conversation is there already."""
    bing_emulator.brain = script(["Hi"])
    settings = {**WORKIQ, "token": bing_emulator.token, "endpoint": bing_emulator.workiq_url}
    async with BingClient(**settings, warm=1) as bing:
        known = await waiting_id(bing)
        assert (await bing.ask("Hello")).conversation_id == known
        await settled(bing.pool)


@pytest.mark.usefixtures("no_leaked_tasks")
@pytest.mark.parametrize("steps", [0, 1, 5, 25, 125, 625])
async def test_closing_a_client_that_warms_up_leaves_nothing(bing_emulator: Emulator, steps: int) -> None:
    """What is ready, and what is being made, ends with the client, however far it has come."""
    async with BingClient(endpoint=bing_emulator.url, warm=3) as bing:
        for _ in range(steps):
            await asyncio.sleep(0)
    assert bing.pool.ready == 0
    await caught_up(bing_emulator)


@pytest.mark.parametrize("wait", [False, True])
def test_a_loop_that_ends_leaves_nothing_warm(bing_emulator: Emulator, *, wait: bool) -> None:
    """Without closing the client; on the next loop it works as on the first."""
    bing_emulator.brain = Scripted(lambda question: [question.text])
    bing = BingClient(endpoint=bing_emulator.url, warm=2)

    async def ask() -> str:
        reply = await bing.ask("Hello")
        if wait:
            await settled(bing.pool)
        return reply.text

    assert [asyncio.run(ask()) for _ in range(2)] == ["Hello"] * 2
    asyncio.run(caught_up(bing_emulator))


def test_a_loop_that_is_closed_rudely_leaves_nothing_warm(bing_emulator: Emulator) -> None:
    """Open sockets of a loop that was closed without `shutdown_asyncgens` cost no warning."""
    loop = asyncio.new_event_loop()
    bing = BingClient(endpoint=bing_emulator.url, warm=2)
    loop.run_until_complete(warmed(bing))
    loop.close()
    asyncio.run(bing.aclose())


async def test_a_client_that_nobody_closed_leaves_nothing_warm(bing_emulator: Emulator) -> None:
    """It is collected, with what it had ready, without a warning."""
    bing = await warmed(BingClient(endpoint=bing_emulator.url, warm=2))
    [on_loop] = bing.pool._loops
    del bing
    gc.collect()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not on_loop.ready
