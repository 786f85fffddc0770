"""The emulator as a whole."""

from __future__ import annotations

import asyncio
from urllib.request import urlopen

import aiohttp
import pytest
from aiohttp import web

import bing_llm.emulator
from bing_llm import errors
from bing_llm.emulator import Emulator, Obedient, Script, Scripted
from tests.children import run_python
from tests.emulator.chathub.visitor import Visitor, chat


async def test_it_listens_on_loopback(emulator: Emulator) -> None:
    """By default it listens on 127.0.0.1, on a free port."""
    assert emulator.url.startswith("http://127.0.0.1:")


async def test_it_answers_by_default(visitor: Visitor, emulator: Emulator) -> None:
    """Without a brain it has an Obedient one, and the brain may be replaced at any time."""
    assert isinstance(Emulator().brain, Obedient)
    emulator.brain = Scripted([["replaced"]])
    assert (await visitor.reply("Hello")).text == "replaced"


async def test_a_script_replaces_brain_and_faults(visitor: Visitor, emulator: Emulator) -> None:
    """And one without answers brings back the brain that the emulator was made with; a wrong one changes nothing."""
    emulator.play(Script(answers=["scripted"], faults=[{"fault": "service error", "step": "creation"}]))
    with pytest.raises(ValueError, match=r"faults\[0\].fault must be there"):
        emulator.play(Script(answers=["wrong"], faults=[{}]))
    assert len(emulator.faults) == 1
    with pytest.raises(aiohttp.ContentTypeError):  # the page of a service that is down
        await visitor.create()
    assert (await visitor.reply("Hello")).text == "scripted"
    with pytest.raises(errors.InvalidRequest, match="has no turn number 2; it has 1"):
        await visitor.reply("Hello")
    emulator.brain = Scripted([["replaced"]])
    emulator.play(Script())
    assert (await visitor.reply("Hello")).text == "You said: Hello"


async def test_it_keeps_what_it_was_sent(emulator: Emulator, visitor: Visitor) -> None:
    """Requests are kept in their order, with what makes them; `clear` forgets them and no conversation."""
    created = await visitor.create(name="value")
    await visitor.ask("Hello", created)
    creation, asked = emulator.requests
    assert (creation.kind, creation.path) == ("creation", "/turing/conversation/create")
    assert creation.query["bundleVersion"] == "1.1816.0"
    assert creation.headers["cookie"] == "name=value"
    assert (asked.kind, asked.text, asked.invocation_id, asked.conversation_id) == ("chat", "Hello", "0", created.id)
    assert asked.body == {**chat(created), "arguments": [asked.body["arguments"][0]]}
    assert asked.arguments is not None
    emulator.clear()
    assert emulator.requests == []
    assert (await visitor.reply("more", created, 1)).text == "You said: more"


async def test_conversations_expire() -> None:
    """A conversation is gone a lifetime after its last turn, by the clock that was given."""
    now = [0.0]
    brain = Scripted(lambda _: ["Hi"])
    async with Emulator(brain, lifetime=60, clock=lambda: now[0]) as emulator, aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        created = await visitor.create()
        await visitor.ask("one", created)
        now[0] = 60.0
        with pytest.raises(errors.SessionExpired, match="00:01:00"):
            await visitor.ask("two", created, 1)


async def test_closing_ends_running_turns() -> None:
    """Closing breaks open sockets and ends their turns at once."""
    async with Emulator(Scripted([["Hi", errors.TimedOut()]])) as emulator, aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        created = await visitor.create()
        async with visitor.socket(created.token) as running, visitor.socket(created.token) as idle:
            await running.send(chat(created))
            await running.frame()
            await running.frame()
            await asyncio.wait_for(emulator.aclose(), 4)  # less than any time limit of the server
            assert await running.frame() is None
            assert await idle.frame() is None


async def test_a_client_that_leaves_at_the_upgrade_is_not_a_fault(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Warm sockets are dropped at any time, and the log stays for what matters."""
    address = emulator.url.removeprefix("http://")
    lines = [
        "GET /sydney/ChatHub HTTP/1.1",
        f"Host: {address}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    host, _, port = address.rpartition(":")
    for _ in range(5):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write("\r\n".join([*lines, "", ""]).encode())
        writer.transport.abort()
    async with aiohttp.ClientSession() as session, session.get(emulator.url + "/turing/conversation/create") as answer:
        assert answer.status == 200  # by now they were served
    assert caplog.records == []


async def test_it_can_be_closed_twice_and_started_again() -> None:
    """A closed emulator has no URL; closing it again does nothing, and it may be started again."""
    emulator = Emulator()
    await emulator.aclose()
    for _ in range(2):
        await emulator.start()
        assert emulator.url in repr(emulator)
        with pytest.raises(errors.ConfigurationError, match="running already"):
            await emulator.start()
        await emulator.aclose()
        await emulator.aclose()
        for name in ("url", "workiq_url"):
            with pytest.raises(errors.ConfigurationError, match="not running"):
                getattr(emulator, name)
    assert repr(emulator) == "Emulator(not started, brain=Obedient)"


def test_synchronous_code_may_use_it() -> None:
    """A plain `with` runs it on the background loop and closes it."""
    with Emulator() as emulator:
        with urlopen(f"{emulator.url}/turing/conversation/create") as answer:  # noqa: S310 - our own server
            assert answer.status == 200
        assert [request.kind for request in emulator.requests] == ["creation"]
    with pytest.raises(errors.ConfigurationError, match="not running"):
        _ = emulator.url


async def test_a_taken_port_is_an_error_that_names_it(emulator: Emulator) -> None:
    """Where it cannot listen it says where, and leaves nothing open."""
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(errors.ConfigurationError, match=f"127.0.0.1, port {port}"):
        await Emulator(port=port).start()


async def test_an_address_of_version_6_is_a_url() -> None:
    """The URL of an IPv6 address has brackets."""
    emulator = Emulator()
    emulator._address = ("::1", 80)
    assert emulator.url == "http://[::1]:80"


@pytest.mark.parametrize("name", ["turn_limit", "lifetime", "context_limit", "ping_interval"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_above_zero(name: str, value: float) -> None:
    """A limit that leaves nothing is refused by its name."""
    with pytest.raises(errors.ConfigurationError, match=name):
        Emulator(**{name: value})  # type: ignore[arg-type]


def test_a_token_is_not_empty() -> None:
    """A token that every client would have is refused."""
    with pytest.raises(errors.ConfigurationError, match="token"):
        Emulator(token="")


async def test_work_iq_has_its_own_url(emulator: Emulator) -> None:
    """The base URL of Work IQ is one path on the same server."""
    assert emulator.workiq_url == f"{emulator.url}/rest"


def test_what_is_not_a_plan_is_refused() -> None:
    """Faults are refused when the emulator is made, and when they are set."""
    with pytest.raises(errors.ConfigurationError, match="TimedOut"):
        Emulator(faults=[errors.TimedOut()])  # type: ignore[list-item]
    emulator = Emulator()
    with pytest.raises(errors.ConfigurationError, match="list of Fault"):
        emulator.faults = [errors.TimedOut()]  # type: ignore[list-item]


def test_public_names_are_loaded_when_used() -> None:
    """Importing the package imports no aiohttp; its names are listed, can be imported, and others are unknown."""
    code = "import sys, bing_llm.emulator as e; print('aiohttp' in sys.modules, e.Scripted.__name__)"
    done = run_python("-c", code)
    assert (done.stdout.split(), done.stderr) == (["False", "Scripted"], "")
    for name in bing_llm.emulator.__all__:
        assert name in dir(bing_llm.emulator)
        assert getattr(bing_llm.emulator, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = bing_llm.emulator.Nothing


async def test_a_client_may_leave_while_its_socket_is_opened(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That is not a failure of the server, which logs nothing."""

    async def leave(*_: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(web.WebSocketResponse, "prepare", leave)
    async with aiohttp.ClientSession() as http, http.get(f"{emulator.url}/sydney/ChatHub") as answer:
        assert answer.status == 200
    assert not [record for record in caplog.records if record.name == "bing_llm.emulator.server"]


async def test_a_forked_child_leaves_the_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed in another process than the one that started it, it only forgets the server, which that one still uses."""
    async with Emulator() as emulator, aiohttp.ClientSession() as http:
        url = f"{emulator.url}/turing/conversation/create"
        runner = emulator._runner
        assert runner is not None
        with monkeypatch.context() as child:
            child.setattr("bing_llm.emulator.server.os.getpid", lambda: -1)
            await emulator.aclose()
        async with http.get(url) as answer:
            assert answer.status == 200
        await runner.cleanup()
