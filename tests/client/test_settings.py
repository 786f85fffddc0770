"""The settings of a client, and Work IQ through one."""

from __future__ import annotations

import asyncio
import copy
import pickle
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from bing_llm import errors
from bing_llm.backends.chathub.backend import ChatHubBackend
from bing_llm.backends.workiq.backend import WorkIQBackend
from bing_llm.client import BingClient
from bing_llm.emulated import EmulatedBackend
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import (
    ConfigurationError,
    InvalidRequest,
    Metering,
    PromptTooLong,
    ServiceError,
)
from bing_llm.limits import Retries, Timeouts
from bing_llm.services import ChatHub, Location, WorkIQ
from bing_llm.sync_client import SyncBingClient
from langchain_bing import ChatBing
from tests.client.helpers import PNG, SECRET, WORKIQ
from tests.fakes import FakeBackend, client_of

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


FILE = "https://contoso.sharepoint.com/sites/x/plan.docx"


def test_settings_reach_work_iq() -> None:
    """What the constructor takes is what the options say."""
    place = Location(47.4, 8.5)
    client = BingClient(
        **WORKIQ,
        search=False,
        location=place,
        prompt_limit=10,
        files=[FILE],
        entity_tags="strip",
        model="copilot",
        citation_markers="footnote",
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
        citation_markers="footnote",
    )
    assert client.prompt_limit == 10
    assert repr(client) == "BingClient(backend='workiq', model='copilot')"


def test_defaults_of_work_iq() -> None:
    """Its one model, the web allowed, the tags kept, the limit of one client, and time for its slowest answers."""
    client = BingClient(**WORKIQ)
    assert client.timeouts == Timeouts(silence=330.0, answer=330.0)
    assert client.backend.metering == Metering(metered=True, throttling_passes=True)
    on_graph = BingClient(**{**WORKIQ, "token": "t"}, endpoint="https://graph.microsoft.com/beta/copilot")
    assert on_graph.backend.metering == Metering(throttling_passes=True)
    assert client.service == WorkIQ(token=SECRET, time_zone="Europe/Zurich")
    assert (client.model, client.prompt_limit) == ("copilot", 16_000)
    with pytest.raises(PromptTooLong, match=r"16,001 characters; copilot takes at most 16,000"):
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
    """Nor those that LangChain has read there. As an argument they are refused: an argument counts as any other."""
    monkeypatch.setenv("BING_COOKIES", "_U=environment")
    assert type(BingClient(**WORKIQ).service) is WorkIQ
    assert type(ChatBing(**WORKIQ)._connection.service) is WorkIQ
    with pytest.raises(ConfigurationError, match="cookies"):
        BingClient(**WORKIQ, cookies="_U=environment")


def test_work_iq_without_a_token_says_where_to_get_one() -> None:
    """When the client is made."""
    with pytest.raises(ConfigurationError, match="has no token") as caught:
        BingClient(backend="workiq", time_zone="UTC")
    assert "WORKIQ_TOKEN" in caught.value.hint


def test_work_iq_without_a_time_zone_takes_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tzlocal, an error says to name the time zone."""
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
    assert {request.headers["Authorization"] for request in bing_emulator.requests} == {f"Bearer {bing_emulator.token}"}


async def test_a_failing_turn_of_work_iq_is_opened_again(bing_emulator: Emulator) -> None:
    """In a new conversation, as often as the retries say, if they may; a wrong token is not tried again."""
    settings = {**WORKIQ, "token": bing_emulator.token, "endpoint": bing_emulator.workiq_url}
    bing_emulator.brain = Scripted([[ServiceError()]])
    async with BingClient(**settings, retries=Retries(attempts=2, first_wait=0.0)) as bing:
        with pytest.raises(ServiceError) as caught:
            await bing.ask("Hello")
    assert caught.value.may_be_charged
    assert [request.kind for request in bing_emulator.requests] == ["creation", "chat"]
    bing_emulator.clear()
    retries = Retries(attempts=2, first_wait=0.0, resend_metered=True)
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


async def test_another_service_gets_connections_of_its_own() -> None:
    """With the same limits and the same number of turns at once; closing one leaves the other open."""
    client = BingClient(ChatHub(endpoint="http://127.0.0.1:1"), timeouts=Timeouts(turn=7), max_concurrency=2)
    other = client.with_service(WorkIQ(token="x", time_zone="UTC"))
    assert (other.backend_name, other.model, other.timeouts.turn) == ("workiq", "copilot", 7)
    assert other.semaphore is client.semaphore
    assert other.continuations is not client.continuations
    assert isinstance(client.backend, ChatHubBackend)
    assert isinstance(other.backend, WorkIQBackend)
    await other.aclose()
    assert isinstance(client.backend, ChatHubBackend)
    await client.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        _ = other.backend
    with pytest.raises(ConfigurationError, match="must be a ChatHub"):
        client.with_service("workiq")  # type: ignore[arg-type]
