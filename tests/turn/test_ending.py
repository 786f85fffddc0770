"""One running turn: what is left of it however it ends."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator

import pytest

from bing_llm import events as ev
from bing_llm.client import BingClient
from bing_llm.errors import ConnectionLost, InvalidRequest, ServiceError
from bing_llm.turn import TurnStream
from tests.fakes import FakeBackend, Pause, Time, answer, client_of
from tests.turn.reading import SEARCH, events_of, pieces_of, settle


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing is collected but when the test says so."""
    gc.disable()
    yield
    gc.enable()


# --- stop -------------------------------------------------------------------------------------------------------------


async def test_stop_before_the_start_sends_nothing() -> None:
    """A turn that is stopped before it is read is an empty answer."""
    backend = FakeBackend()
    turn = client_of(backend).stream("Hello")
    await turn.stop()
    assert await events_of(turn) == [ev.TurnCompleted(ev.Reply())]
    assert (await turn.reply()).text == ""
    assert backend.calls == []


async def test_stop_while_the_turn_is_opened_is_sent_when_it_is_open() -> None:
    """The stop waits for the connection; it is not lost."""
    backend = FakeBackend(answer("one", " two"))
    backend.opening = Pause()
    turn = client_of(backend).stream("Hello")
    reading = asyncio.create_task(turn.reply())
    await backend.opening.reached.wait()
    await turn.stop()
    backend.opening.go.set()
    assert (await reading).text == ""
    assert backend.channels[0].stops == 1


async def test_stop_amid_the_text_keeps_what_came() -> None:
    """The answer ends where it was stopped; the events go on to `TurnCompleted`."""
    backend = FakeBackend(answer("one", " two", " three"))
    turn = client_of(backend).stream("Hello")
    assert [await anext(turn), await anext(turn)] == [ev.TextDelta("one"), ev.TextDelta(" two")]
    await turn.stop()
    assert await events_of(turn) == [ev.TurnCompleted(ev.Reply(text="one two"))]
    assert (await turn.reply()).text == "one two"


async def test_stop_from_another_task_wakes_the_reader() -> None:
    """A reader that waits for the next event gets the end of the stopped answer."""
    pause = Pause()
    turn = client_of(FakeBackend([ev.TextDelta("one"), pause, *answer(" two")])).stream("Hello")
    reading = asyncio.create_task(turn.reply())
    await pause.reached.wait()
    await turn.stop()
    assert (await reading).text == "one"


async def test_stop_during_the_wait_for_the_next_attempt_makes_it_the_last() -> None:
    """No turn is opened after a stop; what came, nothing, is the answer."""
    backend, wait = FakeBackend([ServiceError("It broke.")], answer("Hi")), Pause()
    turn = client_of(backend, Time(wait)).stream("Hello")
    reading = asyncio.create_task(events_of(turn))
    await wait.reached.wait()
    await turn.stop()
    wait.go.set()
    assert await reading == [ev.TurnCompleted(ev.Reply())]
    assert backend.calls == ["create", "turn 0 of conversation-1"]


async def test_a_stop_before_the_restart_still_calls_the_metadata_off() -> None:
    """The reader is asked to discard what came, even if no further attempt follows."""
    backend, wait = FakeBackend([SEARCH, ServiceError("It broke.")]), Pause()
    turn = client_of(backend, Time(wait)).stream("Hello")
    reading = asyncio.create_task(events_of(turn))
    await wait.reached.wait()
    await turn.stop()
    wait.go.set()
    assert await reading == [SEARCH, ev.Restarted("It broke."), ev.TurnCompleted(ev.Reply())]


async def test_stop_twice_and_after_the_end_is_harmless() -> None:
    """Only an open turn is stopped."""
    backend = FakeBackend(answer("one", " two"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)
    await turn.stop()
    await turn.stop()
    assert (await turn.reply()).text == "one"
    sent = backend.channels[0].stops
    await turn.stop()
    assert backend.channels[0].stops == sent
    assert (await turn.reply()).text == "one"


async def test_stop_raises_when_the_connection_breaks() -> None:
    """A stop that could not be sent is an error for its caller."""
    backend = FakeBackend(answer("one", " two"))
    async with client_of(backend).stream("Hello") as turn:
        await anext(turn)

        async def broken() -> None:
            raise ConnectionLost("It broke.", partial_text="one")

        backend.channels[0].stop = broken  # type: ignore[method-assign]
        with pytest.raises(ConnectionLost, match="It broke"):
            await turn.stop()


# --- close ------------------------------------------------------------------------------------------------------------


async def test_the_end_of_the_answer_closes_the_connection() -> None:
    """The socket is not held until the stream is left."""
    backend = FakeBackend(answer("one"))
    async with client_of(backend).stream("Hello") as turn:
        await turn.reply()
        assert backend.open_channels == 0


async def test_leaving_early_closes_the_connection_at_once() -> None:
    """The way out of `async with` closes without waiting for anything, and the rest is not taken."""
    backend = FakeBackend(answer("one", " two"))
    async with client_of(backend).stream("Hello") as turn:
        async for _ in turn:
            break
    assert backend.channels[0].closed
    assert backend.channels[0].pulled == 1


async def test_an_exception_in_the_block_closes_the_connection() -> None:
    """Whatever leaves the block, the connection does not stay."""
    backend = FakeBackend(answer("one", " two"))

    async def fail() -> None:
        async with client_of(backend).stream("Hello") as turn:
            await anext(turn)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert backend.channels[0].closed


async def test_a_closed_stream_has_no_reply() -> None:
    """After an early close there is no reply, and the error says what to call instead; iteration is at its end."""
    backend = FakeBackend(answer("one", " two"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)
    turn.close()
    with pytest.raises(InvalidRequest, match=r"closed before its answer was complete.*stop\(\)"):
        await turn.reply()
    assert await events_of(turn) == []
    assert await pieces_of(turn) == []
    turn.close()
    await turn.aclose()
    assert len(backend.channels) == 1


async def test_a_stream_that_is_closed_unread_is_at_its_end() -> None:
    """Close before the start: nothing is sent, then or later."""
    backend = FakeBackend()
    turn = client_of(backend).stream("Hello")
    await turn.aclose()
    with pytest.raises(InvalidRequest):
        await turn.reply()
    assert backend.calls == []


AWAITS = ("create", "open", "event", "wait")
"""Where a reader may wait: for a conversation, for its turn, for an event, for the next attempt."""


def paused_at(where: str) -> tuple[FakeBackend, BingClient, Pause, Time]:
    """A client whose first turn waits there; its second turn answers."""
    pause = Pause()
    time = Time(pause)
    backend = FakeBackend(answer("unseen"), answer("Hi"))
    if where == "create":
        backend.creations.append(pause)
    elif where == "open":
        backend.opening = pause
    elif where == "event":
        backend = FakeBackend([SEARCH, pause, *answer("unseen")], answer("Hi"))
    else:
        backend = FakeBackend([ServiceError("It broke.")], answer("Hi"))
    return backend, client_of(backend, time), pause, time


@pytest.mark.parametrize("where", AWAITS)
async def test_cancellation_leaves_nothing_open(where: str) -> None:
    """Cancelled at any await, a turn leaves no connection and no attempt open, and the client works on."""
    backend, client, pause, _ = paused_at(where)
    turn = client.stream("Hello")
    reading = asyncio.create_task(turn.reply())
    await pause.reached.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert backend.open_channels == 0
    with pytest.raises(InvalidRequest, match="closed before"):
        await turn.reply()
    pause.go.set()
    calls = len(backend.calls)
    await settle()
    assert len(backend.calls) == calls
    assert (await client.ask("Hello")).text in {"Hi", "unseen"}


@pytest.mark.parametrize("where", AWAITS)
async def test_close_by_another_task_ends_the_reader(where: str) -> None:
    """Closed at any await, a turn ends its reader's loop without an error, and is not opened again."""
    backend, client, pause, time = paused_at(where)
    turn = client.stream("Hello")
    reading = asyncio.create_task(events_of(turn))
    await pause.reached.wait()
    turn.close()
    pause.go.set()
    assert await reading == ([SEARCH] if where == "event" else [])
    assert backend.open_channels == 0
    assert backend.calls[2:] == []
    assert len(time.waits) == (1 if where == "wait" else 0)
    with pytest.raises(InvalidRequest, match="closed before"):
        await turn.reply()


async def test_an_event_that_meets_a_close_is_not_given() -> None:
    """An event that was on its way when the stream was closed does not reopen it."""
    pause = Pause()
    backend = FakeBackend([pause, *answer("one")])
    turn = client_of(backend).stream("Hello")
    reading = asyncio.create_task(events_of(turn))
    await pause.reached.wait()
    channel = backend.channels[0]
    channel.close = lambda: None  # type: ignore[method-assign]  # the event is ready: closing cannot break it any more
    pause.go.set()
    turn.close()
    assert await reading == []


async def test_a_close_that_breaks_the_answer_is_not_an_error() -> None:
    """What the reader of a closed stream gets is its end, even amid the text."""
    pause = Pause()
    backend = FakeBackend([ev.TextDelta("one"), pause, *answer(" two")])
    turn = client_of(backend).stream("Hello")
    reading = asyncio.create_task(events_of(turn))
    await pause.reached.wait()
    turn.close()
    assert await reading == [ev.TextDelta("one")]


async def test_close_from_another_thread_is_done_on_the_loop() -> None:
    """A connection belongs to its loop's thread: another thread only asks for the close."""
    backend = FakeBackend(answer("one", " two"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)
    await asyncio.to_thread(turn.close)
    await settle()
    assert backend.channels[0].closed_in == threading.get_ident()


@pytest.mark.usefixtures("no_collector")
async def test_a_stream_that_is_dropped_closes_its_connection() -> None:
    """Left without `async with`, the connection does not outlive the stream."""
    backend = FakeBackend(answer("one", " two"))
    async for _ in client_of(backend).stream("Hello"):
        break
    await settle()
    assert backend.channels[0].closed


@pytest.mark.usefixtures("no_collector")
async def test_a_stream_that_another_thread_collects_is_closed_on_its_loop() -> None:
    """The collector may run in any thread; the connection is closed in its own."""
    backend = FakeBackend(answer("one", " two"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)
    turn.__dict__["itself"] = turn
    del turn
    await settle()
    assert not backend.channels[0].closed
    await asyncio.to_thread(gc.collect)
    await settle()
    assert backend.channels[0].closed_in == threading.get_ident()


@pytest.mark.usefixtures("no_collector")
def test_a_stream_may_outlive_its_loop() -> None:
    """When the loop is closed no thread needs the connection: a stream that is dropped or closed closes it."""
    backend = FakeBackend(answer("one", " two"), answer("one", " two"))
    client = client_of(backend)

    async def leave() -> TurnStream:
        turn = client.stream("Hello")
        await anext(turn)
        return turn

    dropped, closed = asyncio.run(leave()), asyncio.run(leave())
    del dropped
    closed.close()
    assert [channel.closed for channel in backend.channels] == [True, True]


async def test_two_hundred_turns_leave_nothing() -> None:
    """However turns end, none of them stays open."""
    backend = FakeBackend(*([SEARCH, *answer("one", " two")] for _ in range(200)))
    client = client_of(backend)
    for number in range(200):
        async with client.stream("Hello") as turn:
            for _ in range(number % 6):
                await anext(turn, None)
    assert backend.open_channels == 0


async def test_the_end_gives_the_loop_a_turn() -> None:
    """It lets go of the socket in it: some loops are closed as soon as their coroutine has returned."""
    done: list[str] = []
    async for event in client_of(FakeBackend(answer("Hello"))).stream("Hi"):
        if isinstance(event, ev.TurnCompleted):
            asyncio.get_running_loop().call_soon(done.append, "the loop had a turn")
    assert done == ["the loop had a turn"]
