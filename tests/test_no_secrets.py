"""Nothing that a program sees or writes holds a cookie, a token, a signature or a proxy's password.

The services of these tests say back all that they were sent, wherever they may say something (`tests/echoing.py`).
"""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from rich.pretty import pretty_repr

from bing_llm import BingClient, BingError, ConfigurationError, Retries, SyncBingClient, Timeouts
from tests.backends.serving import Server, Talk, served
from tests.cli.conftest import Command, command, same_logging
from tests.echoing import (
    AGENT,
    COOKIE,
    CREATIONS,
    FRAMES,
    MARK,
    PASSWORD,
    TOKEN,
    TURNS,
    UPGRADES,
    agent,
    chathub,
    shown,
    work_iq,
)

__all__ = ["command", "same_logging"]

CHATHUB = [*CREATIONS, *UPGRADES, *FRAMES]
WORK_IQ = [*TURNS, *(f"creation {fault}" for fault in TURNS)]

SETTINGS: dict[str, Any] = {"timeouts": Timeouts(connect=5.0, answer=5.0), "retries": Retries(attempts=2, first_wait=0)}


async def _give() -> str:
    return TOKEN


TOKENS: dict[str, Any] = {
    "text": TOKEN,
    "function": lambda: TOKEN,
    "coroutine function": _give,
    "credential": SimpleNamespace(get_token=lambda *_scopes: SimpleNamespace(token=TOKEN, expires_on=9e9)),
}


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """All loggers, asyncio's and aiohttp's too, at their most talkative."""
    caplog.set_level(logging.DEBUG)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, the log holds no secret."""
    yield
    for when in ("setup", "call"):
        for record in caplog.get_records(when):
            assert MARK not in record.getMessage()
            assert MARK not in repr(record.args)
            assert MARK not in str(record.exc_text or "")


@asynccontextmanager
async def chathub_client(fault: str, **settings: Any) -> AsyncIterator[BingClient]:
    """A client with cookies, of a ChatHub that fails in this way."""
    asyncio.get_running_loop().slow_callback_duration = 0  # then debug mode logs each callback and task
    async with (
        Server(chathub(fault)) as server,
        BingClient(
            backend="chathub", endpoint=server.url(""), **{"cookies": {"_U": COOKIE}, **SETTINGS, **settings}
        ) as client,
    ):
        yield client


@asynccontextmanager
async def work_iq_client(fault: str, **settings: Any) -> AsyncIterator[BingClient]:
    """A client with a token, of a Work IQ that fails in this way."""
    asyncio.get_running_loop().slow_callback_duration = 0
    given = {"token": TOKEN, "time_zone": "Europe/Zurich", **SETTINGS, **settings}
    async with (
        Server(work_iq(fault)) as server,
        BingClient(backend="workiq", endpoint=server.url(""), **given) as client,
    ):
        yield client


async def failure(client: BingClient) -> BingError:
    """How a turn ends, by its events: what they show is looked at too."""
    turn = client.stream("Hello")
    with pytest.raises(BingError) as caught:
        await turn.reply()
    assert MARK not in repr(turn)
    return caught.value


@pytest.mark.parametrize("fault", CHATHUB)
async def test_no_error_of_a_chathub_shows_a_secret(fault: str) -> None:
    """Whatever a ChatHub says back, in whatever answer, header, frame or error."""
    async with chathub_client(fault) as client:
        assert MARK not in shown(await failure(client))


@pytest.mark.parametrize("fault", ["handshake", "result", "unknown message", "socket 500"])
async def test_a_cookie_header_is_as_secret_as_a_mapping(fault: str) -> None:
    """In both forms, and with several cookies in it."""
    async with chathub_client(fault, cookies=f"MUID={MARK}{MARK}; _U={COOKIE}") as client:
        assert MARK not in shown(await failure(client))


@pytest.mark.parametrize("fault", WORK_IQ)
async def test_no_error_of_work_iq_shows_a_secret(fault: str) -> None:
    """No fault of Work IQ puts a secret into an error."""
    async with work_iq_client(fault) as client:
        assert MARK not in shown(await failure(client))


@pytest.mark.parametrize("fault", AGENT)
async def test_no_error_of_an_agent_shows_a_secret(fault: str) -> None:
    """Nor that of its card."""
    asyncio.get_running_loop().slow_callback_duration = 0
    async with (
        Server(agent(fault)) as server,
        BingClient(agent="P_1", endpoint=server.url("/a2a"), token=TOKEN, time_zone="UTC", **SETTINGS) as client,
    ):
        assert MARK not in shown(await failure(client))


@pytest.mark.parametrize("kind", TOKENS)
async def test_a_token_is_secret_wherever_it_comes_from(kind: str) -> None:
    """A token in text, of a function or of a credential; also where it is refused, and asked for again."""
    for fault in ("turn 401", "error in a stream", "creation turn 401"):
        async with work_iq_client(fault, token=TOKENS[kind], over_stream=True) as client:
            assert MARK not in shown(await failure(client))
            assert MARK not in repr(client)


@pytest.mark.parametrize("fault", ["creation 403", "socket 500", "close"])
async def test_the_password_of_a_proxy_is_secret(fault: str) -> None:
    """Where the proxy is the one that says back what it was sent, and where there is none."""
    async with Server(chathub(fault)) as server:
        proxy = f"http://bob:{PASSWORD.replace('/', '%2F')}@127.0.0.1"
        for port in (server.port, 1):
            async with BingClient(
                backend="chathub",
                endpoint="http://service.example",
                allow_insecure=True,
                proxy=f"{proxy}:{port}",
                cookies={"_U": COOKIE},
                **SETTINGS,
            ) as client:
                assert MARK not in shown(await failure(client))
                assert MARK not in repr(client)


async def test_other_calls_show_no_secret() -> None:
    """To list and to delete conversations, and to upload a picture, are calls with the same secrets."""
    async with chathub_client("result") as client:
        for call in (
            client.list_conversations(),
            client.delete_conversation("c1"),
            client.ask("Hello", images=[b"\x89PNG\r\n\x1a\n"]),
        ):
            with pytest.raises(BingError) as caught:
                await call
            assert MARK not in shown(caught.value)


async def test_nothing_that_is_held_shows_a_secret() -> None:
    """Clients, backends, conversations, turns and settings: what is printed, pretty-printed or pickled."""
    async with chathub_client("result") as client, work_iq_client("turn 500") as other:
        things: list[Any] = []
        for each in (client, other):
            conversation = await each.create_conversation()
            turn = conversation.stream("Hello")
            things += [each, each.backend, each._backends, each.service, conversation]
            things += [conversation._state, conversation._state.handle, turn, each.with_options(retries=Retries())]
        for thing in things:
            assert MARK not in f"{thing!r} {thing} {pretty_repr(thing, max_depth=9)}"
        for thing in (client, other, *(thing for thing in things if "Conversation" in type(thing).__name__)):
            with pytest.raises(TypeError) as caught:
                pickle.dumps(thing)
            assert MARK not in shown(caught.value)


async def test_a_running_turn_shows_no_secret() -> None:
    """Tasks, as a debugger or asyncio lists them, while the service is silent."""
    async with chathub_client("handshake") as client, Server(_silent()) as server:
        asking = asyncio.create_task(client.ask("Hello"))
        other = BingClient(
            backend="workiq", endpoint=server.url(""), token=TOKEN, time_zone="Europe/Zurich", **SETTINGS
        )
        waiting = asyncio.create_task(other.ask("Hello"))
        await server.asked()
        for task in asyncio.all_tasks():
            file = io.StringIO()
            task.print_stack(file=file)
            assert MARK not in f"{task!r} {file.getvalue()}"
        waiting.cancel()
        results = await asyncio.gather(asking, waiting, return_exceptions=True)
        assert MARK not in repr(results)
        await other.aclose()


def _silent() -> Talk:
    async def talk(_request: Any, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    return talk


REFUSED: dict[str, dict[str, Any]] = {
    "cookies of two lines": {"cookies": f"_U={COOKIE}\r\nX: y"},
    "cookies without a name": {"cookies": COOKIE},
    "cookies of bytes": {"cookies": COOKIE.encode()},
    "a cookie with a semicolon": {"cookies": {"_U": f"{COOKIE};"}},
    "a cookie of bytes": {"cookies": {"_U": COOKIE.encode()}},
    "an endpoint with a password": {"endpoint": f"https://bob:{COOKIE}@example.com"},
    "an endpoint with a query": {"endpoint": f"https://example.com/?token={COOKIE}"},
    "an endpoint with a broken password": {"endpoint": f"https://bob:{COOKIE}"},
    "a proxy without a scheme": {"proxy": f"bob:{PASSWORD}@127.0.0.1"},
    "a proxy with a broken port": {"proxy": f"http://bob:x@127.0.0.1:{PASSWORD}"},
    "a token of two lines": {"backend": "workiq", "token": f"{TOKEN}\r\nX: y"},
    "a token of bytes": {"backend": "workiq", "token": TOKEN.encode()},
    "a token for the wrong service": {"backend": "chathub", "token": TOKEN},
    "cookies for the wrong service": {"backend": "workiq", "token": "a-token", "cookies": COOKIE},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_setting_that_is_refused_is_not_shown(name: str) -> None:
    """The error names the setting, never its value."""
    for kind in (BingClient, SyncBingClient):
        with pytest.raises(ConfigurationError) as caught:
            kind(**{"backend": "chathub", "endpoint": "https://example.com", **REFUSED[name]})
        assert MARK not in shown(caught.value)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait between attempts."""
    monkeypatch.setattr("random.random", lambda: 0.0)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", ["ask", "chat"])
@pytest.mark.parametrize("fault", ["creation 403", "socket 401", "handshake", "result", "unknown message", "no JSON"])
def test_the_command_line_shows_no_secret(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, fault: str
) -> None:
    """Neither stdout nor stderr, with all that --verbose tells."""
    with served(chathub(fault)) as url:
        monkeypatch.setenv("BING_LLM_BACKEND", "chathub")
        monkeypatch.setenv("BING_LLM_ENDPOINT", url)
        monkeypatch.setenv("BING_COOKIES", f"_U={COOKIE}")
        done = command(*(("ask", "Hi", "--verbose") if name == "ask" else ("chat", "--verbose")), stdin=b"Hi\n")
    assert "bing-llm: " in done.err
    assert MARK not in done.out + done.err


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", ["ask", "chat"])
@pytest.mark.parametrize("fault", ["creation turn 403", "turn 401", "error in a stream", "unknown event", "no JSON"])
def test_the_command_line_shows_no_token(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, fault: str
) -> None:
    """A failed command prints no token."""
    with served(work_iq(fault)) as url:
        monkeypatch.setenv("BING_LLM_BACKEND", "workiq")
        monkeypatch.setenv("BING_LLM_ENDPOINT", url)
        monkeypatch.setenv("WORKIQ_TOKEN", TOKEN)
        done = command(*(("ask", "Hi", "--verbose") if name == "ask" else ("chat", "--verbose")), stdin=b"Hi\n")
    assert "bing-llm: " in done.err
    assert MARK not in done.out + done.err


@pytest.mark.parametrize("options", [(), ("--json",), ("--verbose",)])
def test_the_command_line_does_not_show_what_it_refuses(
    command: Command, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """Settings of the environment that cannot be."""
    monkeypatch.setenv("BING_COOKIES", f"{COOKIE}\n")
    monkeypatch.setenv("BING_LLM_ENDPOINT", f"https://bob:{PASSWORD}@example.com")
    for backend in ("chathub", "workiq"):
        done = command("ask", "Hi", "--backend", backend, *options)
        assert (done.code, MARK in done.out + done.err) == (2, False)
    monkeypatch.setenv("AZURE_CLIENT_ID", "app-1")
    done = command("login")
    assert (done.code, MARK in done.out + done.err) == (2, False)
