"""The conversations that a client keeps ready."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from typing import Any

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.http import Http
from bing_llm.client import BingClient
from bing_llm.emulator import Emulator, Fault, Scripted
from bing_llm.errors import (
    BingError,
    ConfigurationError,
    ConnectionLost,
    ContentFiltered,
    InvalidRequest,
    PromptTooLong,
    SessionExpired,
    Throttled,
    TimedOut,
)
from bing_llm.limits import Retries
from tests.client.helpers import SECRET, WORKIQ, kinds, name_of, script
from tests.fakes import FakeBackend, Pause, Time, Turn, answer, caught_up, client_of, settled


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
    """A turn that may create its conversation does so, whatever became of the prepared ones."""
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
    """The refusal is logged, without secrets, and waited out; turns create their own conversations until then."""
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
