"""Our client against the server of the official a2a-sdk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from a2a.helpers import new_data_part, new_text_part

from bing_llm import events as ev
from bing_llm.backends.http import ByteStream
from bing_llm.client import BingClient
from bing_llm.errors import BingError, ContentFiltered, ServiceError, Unauthorized
from bing_llm.services import WorkIQ
from tests.backends.serving import GRACE_S
from tests.backends.workiq.a2a.sdk import AGENT, Agent, Script, Work, serving

pytestmark = pytest.mark.system

STREAMS = pytest.mark.parametrize("streaming", [True, False])


@asynccontextmanager
async def client_of(script: Script, *, streaming: bool = True) -> AsyncIterator[tuple[BingClient, Agent]]:
    """A client of the SDK's server, whose agent follows the script."""
    async with serving(script, streaming=streaming) as (url, agent):
        service = WorkIQ(endpoint=url, agent=AGENT, token="token-for-it", time_zone="Europe/Zurich")
        async with BingClient(service) as client:
            yield client, agent


async def answer(work: Work) -> None:
    """An ordinary turn."""
    await work.submit()
    await work.updater.start_work(work.words("Looking"))
    await work.say("You said ")
    await work.say(work.text, append=True)
    await work.say("More", "a2")
    await work.updater.complete()


@STREAMS
async def test_a_turn(*, streaming: bool) -> None:
    """A task, its work, artifacts that are new and go on, and its end; the context goes on too."""
    async with client_of(answer, streaming=streaming) as (client, _):
        conversation = await client.create_conversation()
        for text in ("one", "two"):
            async with conversation.stream(text) as turn:
                events = [event async for event in turn]
            reply = events[-1].reply  # type: ignore[union-attr]
            assert reply.text == f"You said {text}\n\nMore"
            assert conversation.id == reply.conversation_id
            assert (ev.Progress("Looking") in events) is streaming
            assert sum(isinstance(event, ev.TextDelta) for event in events) == (3 if streaming else 1)
        assert (await client.agent_card()).name == "Example agent"


@STREAMS
async def test_an_agent_that_asks(*, streaming: bool) -> None:
    """The next message goes on with the task, and its answer is what is new."""

    async def script(work: Work) -> None:
        if work.context.current_task is None:
            await work.submit()
            await work.say("Draft")
            await work.updater.requires_input(work.words("Which plan?"))
            return
        await work.say(f" of {work.text}", append=True)
        await work.updater.complete()

    async with client_of(script, streaming=streaming) as (client, _):
        conversation = await client.create_conversation()
        first = await conversation.ask("Write")
        assert first.text == "Draft\n\nWhich plan?"
        assert first.metadata["state"] == "TASK_STATE_INPUT_REQUIRED"
        second = await conversation.ask("the first")
        assert second.text == " of the first"
        assert second.metadata["taskId"] == first.metadata["taskId"]
        assert second.conversation_id == first.conversation_id


@STREAMS
async def test_a_direct_message(*, streaming: bool) -> None:
    """An answer without a task."""

    async def script(work: Work) -> None:
        await work.queue.enqueue_event(work.words("Hello"))

    async with client_of(script, streaming=streaming) as (client, _):
        reply = await client.ask("Hi")
        assert reply.text == "Hello"
        assert reply.conversation_id


@STREAMS
@pytest.mark.parametrize(
    ("state", "error"), [("failed", ServiceError), ("reject", ContentFiltered), ("requires_auth", Unauthorized)]
)
async def test_an_end_that_is_an_error(*, streaming: bool, state: str, error: type[BingError]) -> None:
    """With the agent's words, and asked once."""
    asked = 0

    async def script(work: Work) -> None:
        nonlocal asked
        asked += 1
        await work.submit()
        await getattr(work.updater, state)(work.words("Because"))

    async with client_of(script, streaming=streaming) as (client, _):
        with pytest.raises(error, match="Because"):
            await client.ask("Hi")
        assert asked == 1


async def test_a_stop_cancels() -> None:
    """The agent is told; the answer is what came."""

    async def script(work: Work) -> None:
        await work.submit()
        await work.say("Begin")
        await asyncio.Event().wait()

    async with client_of(script) as (client, agent):
        async with client.stream("Hi") as turn:
            async for event in turn:
                if isinstance(event, ev.TextDelta):
                    await turn.stop()
            reply = await turn.reply()
        assert reply.text == "Begin"
        await asyncio.wait_for(agent.canceled.wait(), GRACE_S)


async def break_connections(client: BingClient) -> None:
    """Break all connections of the client, as a network does."""
    sessions = client.backend._http._sessions  # type: ignore[attr-defined]
    held = [each for session in sessions for each in session.sockets if isinstance(each, ByteStream)]
    assert held
    for stream in held:
        connection = stream._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()


@pytest.mark.parametrize("ends_first", [True, False])
async def test_a_broken_stream_goes_on(*, ends_first: bool) -> None:
    """By a subscription if the task runs, else with the task as it ended; the agent works once."""
    broken, ended = asyncio.Event(), asyncio.Event()
    asked = 0

    async def script(work: Work) -> None:
        nonlocal asked
        asked += 1
        await work.submit()
        await work.say("One")
        await broken.wait()
        await work.say(" two", append=True)
        if not ends_first:
            await agent.subscribed.wait()
        await work.say(" three", append=True)
        await work.updater.complete()
        ended.set()

    async with client_of(script) as (client, agent):
        async with client.stream("Hi") as turn:
            given = [await anext(turn.text)]
            await break_connections(client)
            broken.set()
            if ends_first:  # the client notices the break when it reads on
                await asyncio.wait_for(ended.wait(), GRACE_S)
            given += [text async for text in turn.text]
            reply = await turn.reply()
        assert "".join(given) == reply.text == "One two three"
        assert asked == 1
        assert agent.subscribed.is_set()


async def test_a_data_part_is_not_text() -> None:
    """Other parts than text do not show."""

    async def script(work: Work) -> None:
        await work.submit()
        parts = [new_text_part("Hi"), new_data_part({"x": 1}, media_type="application/json")]
        await work.updater.add_artifact(parts, artifact_id="a1")
        await work.updater.complete()

    async with client_of(script) as (client, _):
        assert (await client.ask("Hi")).text == "Hi"
