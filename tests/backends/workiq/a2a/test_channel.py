"""Turns that go on, or not, after their connection broke."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.workiq.a2a.answer import AgentConversation
from bing_llm.backends.workiq.a2a.backend import A2ABackend
from bing_llm.backends.workiq.a2a.channel import TaskChannel
from bing_llm.client import BingClient
from bing_llm.limits import Deadline, Timeouts
from bing_llm.messages import Prompt
from bing_llm.services import WorkIQ
from tests.backends.serving import GRACE_S, Answer, Request, cut_off, reply, silent
from tests.backends.workiq.a2a.agents import (
    AGENT,
    CARD_PATH,
    SECRET,
    Slept,
    agent_at,
    ask,
    broken,
    events_of,
    in_time,
    methods,
    streamed,
    whole,
)
from tests.backends.workiq.a2a.wire import (
    DONE,
    artifact,
    bare_task,
    piece,
    response,
    rpc_error,
    task,
    update,
)

# --- connections that break -------------------------------------------------------------------------------------------


async def outcome_of(backend: A2ABackend) -> str | errors.BingError:
    """The text of a turn, or its error."""
    try:
        return (await ask(backend)).text
    except errors.BingError as exc:
        return exc


GONE_ON = streamed(task("WORKING", artifact("One two")), piece(" three", append=True), DONE)
REFUSED = whole(rpc_error(-32004, "Not here"))
RUNNING = whole(response(bare_task("WORKING", artifact("One two"))))
FINISHED = whole(response(bare_task("COMPLETED", artifact("One two three"))))
NO_ANSWER = cut_off(b"")


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        ([GONE_ON], ["SubscribeToTask"]),
        ([NO_ANSWER, GONE_ON], ["SubscribeToTask"] * 2),
        ([reply(b"", 503), NO_ANSWER, GONE_ON], ["SubscribeToTask"] * 3),
        ([broken(task("WORKING", artifact("One two"))), GONE_ON], ["SubscribeToTask"] * 2),
        ([REFUSED, FINISHED], ["SubscribeToTask", "GetTask"]),
        ([reply(b"", 404), FINISHED], ["SubscribeToTask", "GetTask"]),
        ([NO_ANSWER, NO_ANSWER, NO_ANSWER, FINISHED], ["SubscribeToTask"] * 3 + ["GetTask"]),
        ([REFUSED, RUNNING, NO_ANSWER, FINISHED], ["SubscribeToTask", *["GetTask"] * 3]),
        ([streamed(), REFUSED, FINISHED], ["SubscribeToTask", "SubscribeToTask", "GetTask"]),
    ],
)
async def test_a_turn_whose_task_is_known_goes_on(script: Sequence[Answer], asked: list[str]) -> None:
    """The message is sent once, and no text is doubled."""
    async with agent_at(broken(task(), piece("One")), *script) as (server, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time())
        given = await events_of(channel)
        assert "".join(each.text for each in given if isinstance(each, ev.TextDelta)) == "One two three"
        assert methods(server) == ["SendStreamingMessage", *asked]


@pytest.mark.parametrize(
    "script",
    [
        [REFUSED, whole(rpc_error(-32001))],
        [broken(task("WORKING", artifact("One"))), REFUSED, whole(rpc_error(-32001))],
        [REFUSED, NO_ANSWER],
        [REFUSED, reply(b"", 401)],
    ],
)
async def test_a_turn_that_cannot_go_on_is_lost(script: Sequence[Answer]) -> None:
    """With the text that had come; the message is not sent again."""
    async with agent_at(broken(task(), piece("One")), *script) as (server, backend):
        error = await outcome_of(backend)
        assert isinstance(error, errors.ConnectionLost)
        assert error.partial_text == "One"
        assert methods(server).count("SendStreamingMessage") == 1


# --- tasks that still run ---------------------------------------------------------------------------------------------


async def replied(backend: A2ABackend, seconds: float = 900.0) -> ev.Reply:
    """The reply of a turn in which only the waits between the calls take time."""
    assert isinstance(backend._sleep, Slept)
    deadline = Deadline(seconds, backend._sleep.clock)
    last = (await events_of(await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, deadline)))[-1]
    assert isinstance(last, ev.TurnCompleted)
    return last.reply


def waits_of(backend: A2ABackend) -> list[float]:
    """The seconds between the calls of a turn."""
    assert isinstance(backend._sleep, Slept)
    return backend._sleep.seconds


async def test_a_task_that_still_runs_is_polled() -> None:
    """Its answer is paid for, so only refusals and failures count as attempts; the polls become rarer."""
    async with agent_at(broken(task(), piece("One")), REFUSED, *[RUNNING] * 8, FINISHED) as (server, backend):
        assert (await replied(backend)).text == "One two three"
        assert methods(server) == ["SendStreamingMessage", "SubscribeToTask", *["GetTask"] * 9]
        assert waits_of(backend) == [0.0, 0.0, 0.5, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]


async def test_an_answer_that_is_a_running_task_is_polled() -> None:
    """`SendMessage` may answer before the task has ended."""
    began = whole(response({"task": bare_task("WORKING")}))
    async with agent_at(began, REFUSED, *[RUNNING] * 6, FINISHED, streaming=False) as (server, backend):
        assert (await replied(backend)).text == "One two three"
        assert methods(server) == ["SendMessage", "SubscribeToTask", *["GetTask"] * 7]


async def test_a_task_that_shows_nothing_new_is_left() -> None:
    """After the limit for an answer, with the text that had come."""
    async with agent_at(broken(task(), piece("One")), REFUSED, RUNNING) as (server, backend):
        with pytest.raises(errors.TimedOut, match=r"timeouts\.answer") as caught:
            await replied(backend)
        assert caught.value.partial_text == "One two"
        assert sum(waits_of(backend)) >= Timeouts().answer
        assert methods(server).count("SendStreamingMessage") == 1


async def test_a_task_that_goes_on_is_polled_until_the_turn_has_no_time_left() -> None:
    """What is new begins the limit for an answer anew; near the end, polls come closer together."""
    growing = [whole(response(bare_task("WORKING", artifact("x" * size)))) for size in range(1, 99)]
    async with agent_at(broken(task()), REFUSED, *growing) as (_, backend):
        with pytest.raises(errors.TimedOut, match=r"timeouts\.turn") as caught:
            await replied(backend, 200.0)
        assert 199.0 <= sum(waits_of(backend)) < 200.0
        assert caught.value.partial_text.startswith("xxx")


async def held_up(backend: A2ABackend) -> tuple[TaskChannel, asyncio.Task[ev.Event]]:
    """A turn that waits before its next poll, and who waits for its next event."""
    paused = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds:
            paused.set()
            await asyncio.Event().wait()

    backend._sleep = sleep
    channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time())
    assert await channel.next_event() == ev.TextDelta("One")
    assert await channel.next_event() == ev.TextDelta(" two")
    waiting = asyncio.create_task(channel.next_event())
    await asyncio.wait_for(paused.wait(), GRACE_S)
    return channel, waiting


async def test_a_stop_between_two_polls_ends_the_wait() -> None:
    """The task is canceled once, and what came is the answer."""
    async with agent_at(broken(task(), piece("One")), REFUSED, RUNNING, FINISHED) as (server, backend):
        channel, waiting = await held_up(backend)
        await channel.stop()
        last = await asyncio.wait_for(waiting, GRACE_S)
        assert isinstance(last, ev.TurnCompleted)
        assert last.reply.text == "One two"
        assert methods(server)[2:] == ["GetTask", "CancelTask"]
        channel.close()


async def test_a_close_between_two_polls_ends_the_wait() -> None:
    """Nothing more is sent."""
    async with agent_at(broken(task(), piece("One")), REFUSED, RUNNING) as (server, backend):
        channel, waiting = await held_up(backend)
        channel.close()
        with pytest.raises(errors.ConnectionLost):
            await asyncio.wait_for(waiting, GRACE_S)
        assert methods(server)[2:] == ["GetTask"]


# --- turns that do not go on ------------------------------------------------------------------------------------------


async def test_a_task_that_failed_meanwhile_says_so() -> None:
    """The client asks how the task ended, and reports it."""
    failed = whole(response(bare_task("FAILED", artifact("One"), text="Broken")))
    async with agent_at(broken(task(), piece("One")), REFUSED, failed) as (_, backend):
        assert isinstance(await outcome_of(backend), errors.ServiceError)


@pytest.mark.parametrize("first", [NO_ANSWER, broken(), streamed()])
async def test_a_turn_that_breaks_before_its_task_is_known_is_lost(first: Answer) -> None:
    """There is nothing to go on with."""
    async with agent_at(first) as (server, backend):
        assert isinstance(await outcome_of(backend), errors.ConnectionLost)
        assert len(methods(server)) == 1


async def test_a_service_that_breaks_each_connection_is_left() -> None:
    """After as many as bring something, and no more."""
    breaking = [broken(task("WORKING", artifact("One")))] * 21
    async with agent_at(*breaking, NO_ANSWER) as (server, backend):
        assert isinstance(await outcome_of(backend), errors.ConnectionLost)
        assert methods(server) == ["SendStreamingMessage", *["SubscribeToTask"] * 20, *["GetTask"] * 3]


async def test_a_turn_does_not_go_on_after_its_deadline() -> None:
    """Waiting for the next connection would take longer."""
    async with agent_at(broken(task(), piece("One")), NO_ANSWER) as (server, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time(0.4))
        with pytest.raises(errors.ConnectionLost):
            await events_of(channel)
        assert methods(server) == ["SendStreamingMessage", "SubscribeToTask"]


async def test_a_service_that_is_gone_is_tried_a_few_times() -> None:
    """Nobody listens any more; the loss is what the caller gets, with what had come."""
    async with agent_at(broken(task(), piece("One"))) as (server, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time())
        assert await channel.next_event() == ev.TextDelta("One")
        assert server._server is not None
        server._server.close()
        with pytest.raises(errors.ConnectionLost) as caught:
            await channel.next_event()
        assert caught.value.partial_text == "One"
        assert isinstance(caught.value.__cause__, errors.ConnectionFailed)
        assert isinstance(backend._sleep, Slept)
        assert backend._sleep.seconds == [0.0, 0.5, 2.0] * 2
        channel.close()


async def test_a_stopped_turn_does_not_go_on() -> None:
    """The task is canceled once; the answer is what came."""
    canceled = whole(response(bare_task("CANCELED", artifact("One"))))
    async with agent_at(broken(task(), piece("One")), canceled) as (server, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time())
        assert await channel.next_event() == ev.TextDelta("One")
        await channel.stop()
        last = (await events_of(channel))[-1]
        assert isinstance(last, ev.TurnCompleted)
        assert last.reply.text == "One"
        assert methods(server) == ["SendStreamingMessage", "CancelTask"]


@pytest.mark.parametrize("runs_on", [True, False])
async def test_a_stop_before_the_task_is_known_cancels_it_when_it_is(*, runs_on: bool) -> None:
    """The task would run on, and is paid for; also where its stream ends with its id."""
    asked, stopped, canceled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def begin(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await stopped.wait()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        writer.write(head + task() + piece("Some"))
        if runs_on:
            await canceled.wait()
            writer.write(update("CANCELED"))

    async def cancel(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(response(bare_task("CANCELED"))))
        canceled.set()

    async with agent_at(begin, cancel) as (server, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time())
        await asyncio.wait_for(asked.wait(), GRACE_S)
        await channel.stop()
        assert channel.ready_event() is None
        assert methods(server) == ["SendStreamingMessage"]
        stopped.set()
        last = (await events_of(channel))[-1]
        assert isinstance(last, ev.TurnCompleted)
        assert last.reply.text == "Some"
        assert methods(server) == ["SendStreamingMessage", "CancelTask"]


async def test_a_stop_of_an_answer_that_comes_whole_cancels_its_task() -> None:
    """`SendMessage` may answer with a task that still works: it is canceled, not polled."""
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def begin(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await stopped.wait()
        writer.write(RUNNING)

    async with agent_at(begin, whole(rpc_error(-32002)), streaming=False) as (server, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time())
        await asyncio.wait_for(asked.wait(), GRACE_S)
        await channel.stop()
        stopped.set()
        last = (await events_of(channel))[-1]
        assert isinstance(last, ev.TurnCompleted)
        assert last.reply.text == "One two"
        assert methods(server) == ["SendMessage", "CancelTask"]


async def test_a_stop_does_not_wait_for_ever_for_the_id() -> None:
    """A service that does not name the task within the limit is left."""
    async with agent_at(silent, timeouts=Timeouts(stop=0.05)) as (server, backend):
        channel = await backend.open_turn(
            AgentConversation(), Prompt("Ask"), 0, Deadline(60.0, asyncio.get_running_loop().time)
        )
        await channel.stop()
        assert [type(each) for each in await events_of(channel)] == [ev.TurnCompleted]
        assert methods(server) == ["SendStreamingMessage"]


async def test_a_card_may_be_ready_before_the_turn() -> None:
    """That is all that goes before it."""
    async with agent_at(streamed(task(), piece("Hi"), DONE)) as (server, backend):
        warm = await backend.warm_up(in_time())
        assert warm.alive()
        await warm.keep_alive()
        assert [request.target for request in server.requests] == [CARD_PATH]
        given = await events_of(await backend.open_warm(warm, Prompt("Ask"), in_time()))
        assert given[0] == ev.TextDelta("Hi")
        warm.close()


async def test_a_closed_turn_opens_no_connection() -> None:
    """It was left while it was to go on."""
    async with agent_at(broken(task(), piece("One")), GONE_ON) as (server, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time())
        assert await channel.next_event() == ev.TextDelta("One")
        channel.close()
        channel.close()
        with pytest.raises(errors.ConnectionLost):
            await channel.next_event()
        assert methods(server) == ["SendStreamingMessage"]


async def test_a_service_that_does_not_answer_a_stop_does_not_hold_it_up() -> None:
    """The answer ends with what came, and so does the call."""

    async def begin(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + task() + piece("One"))
        await silent(request, reader, writer)

    async with agent_at(begin, silent) as (server, _):
        service = WorkIQ(endpoint=server.url("/a2a/"), agent=AGENT, token=SECRET, time_zone="UTC")
        async with BingClient(service, timeouts=Timeouts(stop=0.05)) as client, client.stream("Ask") as turn:
            assert await anext(turn) == ev.TextDelta("One")
            await turn.stop()
            assert (await turn.reply()).text == "One"
        assert methods(server) == ["SendStreamingMessage", "CancelTask"]
