"""One running turn: what its reader sees, and what is left of it however it ends."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm._semaphore import Permit
from bing_llm.client import BingClient
from bing_llm.errors import ConnectionFailed, ConnectionLost, InvalidRequest, ServiceError
from bing_llm.fold import fold
from bing_llm.limits import Timeouts
from bing_llm.turn import TurnStream
from tests.fakes import FakeBackend, Line, Pause, Time, answer, client_of

SEARCH = ev.SearchStarted("weather")


async def events_of(turn: TurnStream) -> list[ev.Event]:
    """All events that are left."""
    return [event async for event in turn]


async def pieces_of(turn: TurnStream) -> list[str]:
    """All pieces of text that are left."""
    return [piece async for piece in turn.text]


async def settle() -> None:
    """Let the loop do what is due."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing is collected but when the test says so."""
    gc.disable()
    yield
    gc.enable()


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_nothing_is_sent_before_the_first_event_is_asked_for() -> None:
    """A stream that is made and entered, but not read, costs nothing."""
    backend = FakeBackend()
    async with client_of(backend).stream("Hello"):
        pass
    assert backend.calls == []


async def test_the_time_of_a_turn_begins_with_its_first_event() -> None:
    """A stream may be made long before it is read: its deadline counts from the reading."""
    time, backend = Time(), FakeBackend(answer("Hi"))
    turn = client_of(backend, time, timeouts=Timeouts(turn=60.0)).stream("Hello")
    time.now = 1000.0
    await turn.reply()
    assert [deadline.remaining() for deadline in backend.deadlines] == [60.0, 60.0]


async def test_every_event_comes_in_order_and_completed_last_and_once() -> None:
    """The reader sees what the service sent; after `TurnCompleted` there is nothing, however often one asks."""
    lines: list[Line] = [ev.Progress("..."), SEARCH, *answer("one", " two", suggestions=("three",))]
    turn = client_of(FakeBackend(lines)).stream("Hello")
    assert await events_of(turn) == lines
    assert await events_of(turn) == []


async def test_text_gives_the_pieces_alone() -> None:
    """`text` leaves out all other events, and never gives an empty piece."""
    lines: list[Line] = [SEARCH, ev.TextDelta(""), *answer("one", "", " two")]
    assert await pieces_of(client_of(FakeBackend(lines)).stream("Hello")) == ["one", " two"]


async def test_reply_takes_the_whole_turn() -> None:
    """`reply` alone drains the turn; asked again it answers the same."""
    backend = FakeBackend(answer("one", " two"))
    turn = client_of(backend).stream("Hello")
    reply = await turn.reply()
    assert reply.text == "one two"
    assert await turn.reply() is reply
    assert backend.calls == ["create", "turn 0 of conversation-1"]


async def test_text_and_then_reply_drain_the_turn_once() -> None:
    """`reply` after `text` asks the service for nothing more."""
    backend = FakeBackend(answer("one", " two"))
    turn = client_of(backend).stream("Hello")
    assert await pieces_of(turn) == ["one", " two"]
    (channel,) = backend.channels
    pulled = channel.pulled
    assert (await turn.reply()).text == "one two"
    assert channel.pulled == pulled == 3


async def test_events_text_and_reply_share_one_pass() -> None:
    """What one of them has taken does not come again from another; `reply` is whole in any case."""
    backend = FakeBackend([SEARCH, *answer("one", " two", " three")])
    turn = client_of(backend).stream("Hello")
    assert await anext(turn) == SEARCH
    async for piece in turn.text:
        assert piece == "one"
        break
    assert await anext(turn) == ev.TextDelta(" two")
    assert await anext(turn.text) == " three"
    assert (await turn.reply()).text == "one two three"
    assert backend.channels[0].pulled == 5


async def test_text_is_a_pure_extension() -> None:
    """After a rewrite `text` waits until the whole text extends what was given, and then gives what is missing."""
    lines: list[Line] = [
        ev.TextDelta("Hello wor"),
        ev.TextRevised("Help"),
        ev.TextDelta("ful"),
        ev.TextRevised("Hello world"),
        *answer("!"),
    ]
    turn = client_of(FakeBackend(lines)).stream("Hello")
    assert await pieces_of(turn) == ["Hello wor", "ld", "!"]


async def test_text_that_is_never_taken_up_again_ends() -> None:
    """When the rewrite stands, `text` gives no more, and the reply has the final text and says so."""
    lines: list[Line] = [
        ev.TextDelta("Hello"),
        ev.TextRevised("Help"),
        ev.TextDelta("!"),
        ev.TurnCompleted(ev.Reply(text="Help!", revised=True)),
    ]
    turn = client_of(FakeBackend(lines)).stream("Hello")
    assert await pieces_of(turn) == ["Hello"]
    reply = await turn.reply()
    assert (reply.text, reply.revised) == ("Help!", True)


async def test_a_revocation_takes_no_text_back() -> None:
    """`TextRevoked` adds nothing to `text`; the reply keeps what was sent."""
    lines: list[Line] = [ev.TextDelta("Once"), ev.TextRevoked("Sorry."), *answer(revoked=True)]
    turn = client_of(FakeBackend(lines)).stream("Hello")
    assert await pieces_of(turn) == ["Once"]
    assert (await turn.reply()).revoked


async def test_one_task_reads_at_a_time() -> None:
    """A second reader is told so at once; the first one goes on."""
    pause = Pause()
    backend = FakeBackend([pause, *answer("one")])
    turn = client_of(backend).stream("Hello")
    first = asyncio.create_task(turn.reply())
    await pause.reached.wait()
    with pytest.raises(InvalidRequest, match="Two tasks"):
        await anext(turn)
    pause.go.set()
    assert (await first).text == "one"
    assert len(backend.channels) == 1


# --- what is there already --------------------------------------------------------------------------------------------


def joined(turn: TurnStream, piece: str) -> str:
    """This piece, and all the text that can be had without a wait."""
    while turn.ready() is not None:
        piece += turn.piece
    return piece


async def test_piece_is_what_the_last_event_added() -> None:
    """After each event `piece` is what it added to the text, however it was taken; a rewrite may add nothing."""
    lines: list[Line] = [SEARCH, ev.TextDelta("one"), ev.TextRevised("on"), ev.TextDelta("e two"), *answer("!")]
    turn = client_of(FakeBackend(lines)).stream("Hello")
    assert turn.piece == ""
    assert [turn.piece async for _ in turn] == ["", "one", "", " two", "!", ""]
    turn = client_of(FakeBackend(lines)).stream("Hello")
    await anext(turn)
    assert [turn.piece for _ in iter(turn.ready, None)] == ["one", "", " two", "!", ""]


async def test_ready_gives_what_can_be_had_without_a_wait() -> None:
    """`ready` gives events up to where the service pauses, and None there; what it gave does not come again."""
    pause = Pause()
    backend = FakeBackend([*answer("one", " two", " three")[:-1], pause, *answer(" four", suggestions=("?",))])
    turn = client_of(backend).stream("Hello")
    assert joined(turn, await anext(turn.text)) == "one two three"
    assert turn.ready() is None
    pause.go.set()
    assert joined(turn, await anext(turn.text)) == " four"
    assert (await turn.reply()).suggestions == ("?",)
    assert await events_of(turn) == []
    assert backend.channels[0].pulled == 5


async def test_ready_opens_nothing_and_ends_nothing() -> None:
    """Before the first event, after the last one and after a close there is nothing ready, and nothing is sent."""
    backend = FakeBackend(answer("one"), answer("two"))
    client = client_of(backend)
    turn = client.stream("Hello")
    assert turn.ready() is None
    assert backend.calls == []
    assert (await turn.reply()).text == "one"
    assert turn.ready() is None
    async with client.stream("Hello") as turn:
        await turn.stop()
        assert turn.ready() is None
        await anext(turn)
    assert turn.ready() is None


async def test_the_end_that_is_ready_closes_the_connection() -> None:
    """`TurnCompleted` counts however it was taken: the socket is closed and the reply is there."""
    backend = FakeBackend(answer("one"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)
    assert isinstance(turn.ready(), ev.TurnCompleted)
    assert backend.open_channels == 0
    assert (await turn.reply()).text == "one"


async def test_an_error_is_not_ready() -> None:
    """A failure is left for the iteration: `ready` raises nothing before it and gives nothing after it."""
    turn = client_of(FakeBackend([SEARCH, ev.TextDelta("one"), ServiceError("It broke.")])).stream("Hello")
    await anext(turn)
    assert (turn.ready(), turn.ready()) == (ev.TextDelta("one"), None)
    with pytest.raises(ServiceError):
        await anext(turn)
    assert turn.ready() is None


@pytest.mark.parametrize(("line", "attempts"), [(SEARCH, 2), (ev.TextDelta("one"), 1)])
async def test_an_event_that_was_ready_counts_for_the_next_attempt(line: ev.Event, attempts: int) -> None:
    """Text that `ready` gave cannot be recalled; metadata that it gave is called off when the turn is opened again."""
    backend = FakeBackend([ev.Progress("..."), line, ServiceError("It broke.")], answer("Hi"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)
    assert turn.ready() == line
    if attempts == 1:
        with pytest.raises(ServiceError):
            await anext(turn)
    else:
        assert await events_of(turn) == [ev.Restarted("It broke."), *answer("Hi")]
    assert len(backend.channels) == attempts


async def test_nothing_is_ready_for_a_second_reader() -> None:
    """While another task reads, `ready` takes nothing from it."""
    pause = Pause()
    turn = client_of(FakeBackend([pause, *answer("one")])).stream("Hello")
    reading = asyncio.create_task(turn.reply())
    await pause.reached.wait()
    assert turn.ready() is None
    pause.go.set()
    assert (await reading).text == "one"


async def test_what_is_ready_when_the_stream_is_closed_is_not_given() -> None:
    """A close from another thread wins over an event that was taken meanwhile."""
    backend = FakeBackend(answer("one", " two"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)

    def closed_meanwhile() -> ev.Event:
        turn.close()
        return ev.TextDelta(" two")

    backend.channels[0].ready_event = closed_meanwhile  # type: ignore[method-assign]
    assert turn.ready() is None
    assert turn.piece == "one"


# --- opened again -----------------------------------------------------------------------------------------------------


async def test_a_turn_without_text_is_opened_again_in_a_new_conversation() -> None:
    """A failure before any event is not seen by the reader."""
    time = Time()
    backend = FakeBackend([], ConnectionFailed("x"), answer("Hi"))
    assert await events_of(client_of(backend, time).stream("Hello")) == answer("Hi")
    assert backend.calls == [
        "create",
        "turn 0 of conversation-1",
        "create",
        "turn 0 of conversation-2",
        "create",
        "turn 0 of conversation-3",
    ]
    assert time.waits == [0.5, 1.0]
    assert backend.open_channels == 0


async def test_metadata_before_the_failure_is_followed_by_restarted() -> None:
    """What was yielded before the turn was opened again is called off by `Restarted`, and the fold forgets it."""
    lines: list[Line] = [SEARCH, ev.Suggestions(("old",)), ev.Quota(1, 5), ServiceError("It broke.")]
    second: list[Line] = [ev.SearchStarted("second"), ev.TextDelta("Hi"), ev.TurnCompleted(ev.Reply(text="Hi"))]
    events = await events_of(client_of(FakeBackend(lines, second)).stream("Hello"))
    assert events == [*lines[:3], ev.Restarted("It broke."), *second]
    folded = fold(events[:-1])
    assert (folded.text, folded.searches, folded.suggestions, folded.quota) == ("Hi", (ev.Search("second"),), (), None)


async def test_restarted_comes_only_where_something_is_to_be_forgotten() -> None:
    """A further failure that followed on nothing is not announced again; one that followed on metadata is."""
    backend = FakeBackend(
        [SEARCH, ServiceError("first")],
        ConnectionFailed("second"),
        [SEARCH, ServiceError("third")],
        answer("Hi"),
    )
    events = await events_of(client_of(backend).stream("Hello"))
    assert events == [SEARCH, ev.Restarted("first"), SEARCH, ev.Restarted("third"), *answer("Hi")]


@pytest.mark.parametrize(
    "line",
    [ev.TextDelta("Once"), ev.TextRevised("Once"), ev.TextRevoked("Sorry.")],
    ids=lambda line: type(line).__name__,
)
async def test_after_text_the_error_is_raised(line: ev.Event) -> None:
    """Text that was given cannot be recalled: the turn is not opened again."""
    failure = ConnectionLost("It broke.")  # by itself it does not say that there was text
    backend = FakeBackend([SEARCH, line, failure], answer("Hi"))
    turn = client_of(backend).stream("Hello")
    with pytest.raises(ConnectionLost) as caught:
        await events_of(turn)
    assert caught.value is failure
    assert len(backend.channels) == 1
    assert backend.open_channels == 0


async def test_text_that_came_with_the_error_counts() -> None:
    """An error that brings text was after text, even if no event had shown it."""
    backend = FakeBackend([ServiceError("It broke.", partial_text="Once")], answer("Hi"))
    with pytest.raises(ServiceError):
        await client_of(backend).stream("Hello").reply()
    assert len(backend.channels) == 1


async def test_the_end_must_be_proved() -> None:
    """A connection that ends without `TurnCompleted` is an error, with the text that had come."""
    backend = FakeBackend([ev.TextDelta("Once "), ev.TextDelta("upon")])
    with pytest.raises(ConnectionLost) as caught:
        await client_of(backend).stream("Hello").reply()
    assert caught.value.partial_text == "Once upon"


# --- errors -----------------------------------------------------------------------------------------------------------


async def test_the_same_error_comes_again() -> None:
    """A turn that failed fails in whatever way it is read again, and asks the service for nothing."""
    backend = FakeBackend([errors.ContentFiltered("No.")])
    turn = client_of(backend).stream("Hello")
    with pytest.raises(errors.ContentFiltered) as first:
        await turn.reply()
    for again in (turn.reply(), events_of(turn), pieces_of(turn), anext(turn)):
        with pytest.raises(errors.ContentFiltered) as caught:
            await again
        assert caught.value is first.value
    assert len(backend.channels) == 1


async def test_the_original_error_is_raised_after_the_last_attempt() -> None:
    """The very error of the last attempt comes out, with its cause."""
    cause = OSError("refused")
    failures = [ConnectionFailed(str(number)) for number in range(3)]
    failures[-1].__cause__ = cause
    with pytest.raises(ConnectionFailed) as caught:
        await client_of(FakeBackend(*failures), attempts=3).stream("Hello").reply()
    assert caught.value is failures[-1]
    assert caught.value.__cause__ is cause


async def test_a_bug_below_closes_the_turn() -> None:
    """An exception that is none of ours comes out as it is, and leaves nothing open."""
    backend = FakeBackend(answer("Hi"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)

    async def broken() -> ev.Event:
        raise LookupError("a bug")

    backend.channels[0].next_event = broken  # type: ignore[method-assign]
    with pytest.raises(LookupError, match="a bug"):
        await anext(turn)
    assert backend.open_channels == 0


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
    """The reader is told to forget what came even if no further attempt follows."""
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
    """Cancelled at any await, a turn leaves no connection and no attempt behind, and the client works on."""
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


async def test_a_close_that_breaks_the_answer_is_no_error() -> None:
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


# --- how many at once -------------------------------------------------------------------------------------------------


def free_permits(client: BingClient) -> int:
    """How many further turns the client would open now."""
    assert client.semaphore is not None
    queue = client.semaphore._queues.get()
    assert not queue.waiting
    return len(queue.free)


async def reads_to_the_end(turn: TurnStream) -> None:
    """The whole answer."""
    assert (await turn.reply()).text == "one two"


async def meets_an_error(turn: TurnStream) -> None:
    """The service fails after the first piece."""
    await anext(turn)
    turn._open.channel._lines.clear()  # type: ignore[union-attr]
    with pytest.raises(ConnectionLost):
        await turn.reply()


async def leaves_early(turn: TurnStream) -> None:
    """The block is left after the first piece."""
    async with turn:
        await anext(turn)


async def closes_twice(turn: TurnStream) -> None:
    """Once here, once in another thread."""
    await anext(turn)
    turn.close()
    await asyncio.to_thread(turn.close)


async def closes_elsewhere(turn: TurnStream) -> None:
    """In another thread alone."""
    await anext(turn)
    await asyncio.to_thread(turn.close)


async def drops_it(turn: TurnStream) -> None:
    """After the first piece nobody holds it any more."""
    await anext(turn)


async def is_cancelled(turn: TurnStream) -> None:
    """Amid the opening."""
    reading = asyncio.create_task(turn.reply())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


ENDS = [reads_to_the_end, meets_an_error, leaves_early, closes_twice, closes_elsewhere, drops_it, is_cancelled]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("in_conversation", [False, True])
async def test_a_slot_is_released_once_however_the_turn_ends(
    end: Callable[[TurnStream], Awaitable[None]], *, in_conversation: bool
) -> None:
    """Each turn holds one slot while it is open, and none after."""
    client = client_of(FakeBackend(answer("one", " two")), max_concurrency=2)
    source = await client.create_conversation() if in_conversation else client
    await end(source.stream("Hello"))
    gc.collect()
    assert free_permits(client) == 2


async def test_further_turns_wait_in_their_order() -> None:
    """With two slots, two turns are open; each that ends lets in the one that was read first."""
    pauses = [Pause() for _ in range(4)]
    backend = FakeBackend(*([ev.TextDelta("one"), pause, *answer(" two")] for pause in pauses))
    client = client_of(backend, max_concurrency=2)
    order: list[int] = []

    async def ask(number: int) -> None:
        async with client.stream(f"Hello {number}") as turn:
            await turn.reply()
        order.append(number)

    asking = [asyncio.create_task(ask(number)) for number in range(4)]
    await pauses[1].reached.wait()
    await settle()
    assert backend.open_channels == len(backend.channels) == 2
    pauses[1].go.set()
    await pauses[2].reached.wait()
    assert backend.open_channels == 2
    for pause in pauses:
        pause.go.set()
    await asyncio.gather(*asking)
    assert [prompt.text for prompt in backend.prompts] == [f"Hello {number}" for number in range(4)]
    assert order[0] == 1
    assert free_permits(client) == 2


async def test_all_turns_of_a_client_share_its_permits() -> None:
    """Those of its conversations and of the clients that `with_options` gives count too; only turns do."""
    pause = Pause()
    backend = FakeBackend([pause, *answer("one")], answer("two"), answer("three"))
    client = client_of(backend, max_concurrency=1)
    other = client.with_options(model="bing-creative")
    asking = [asyncio.create_task(client.ask("1"))]
    await pause.reached.wait()
    conversation = await other.create_conversation()
    asking += [asyncio.create_task(conversation.ask("2")), asyncio.create_task(other.ask("3"))]
    await settle()
    assert len(backend.channels) == 1
    pause.go.set()
    assert [reply.text for reply in await asyncio.gather(*asking)] == ["one", "two", "three"]
    assert free_permits(client) == 1


async def test_the_time_of_a_turn_begins_with_its_permit() -> None:
    """What it waited for others does not count for its deadline."""
    time, pause = Time(), Pause()
    client = client_of(
        backend := FakeBackend([pause, *answer("one")], answer("two")),
        time,
        timeouts=Timeouts(turn=60.0),
        max_concurrency=1,
    )
    asking = [asyncio.create_task(client.ask(prompt)) for prompt in "12"]
    await pause.reached.wait()
    time.now = 1000.0
    pause.go.set()
    await asyncio.gather(*asking)
    assert backend.deadlines[-1].remaining() == 60.0


@pytest.mark.parametrize("how", ["cancelled", "closed", "closed elsewhere"])
async def test_a_turn_that_waits_can_be_left(how: str) -> None:
    """Its reader ends at once, nothing is sent, and the next in the queue is not held up."""
    pause = Pause()
    backend = FakeBackend([pause, *answer("one")], answer("two"))
    client = client_of(backend, max_concurrency=1)
    first = asyncio.create_task(client.ask("1"))
    await pause.reached.wait()
    leaving = client.stream("never")
    reading = asyncio.create_task(leaving.reply())
    last = asyncio.create_task(client.ask("2"))
    await settle()
    if how == "cancelled":
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    else:
        await (leaving.aclose() if how == "closed" else asyncio.to_thread(leaving.close))
        with pytest.raises(InvalidRequest, match="closed before"):
            await reading
    pause.go.set()
    assert [(await asked).text for asked in (first, last)] == ["one", "two"]
    assert [prompt.text for prompt in backend.prompts] == ["1", "2"]
    assert free_permits(client) == 1


async def test_a_turn_that_is_closed_as_it_joins_the_queue_leaves_it() -> None:
    """A close from another thread, just before the permit is known, does not leave it taken."""
    client = client_of(backend := FakeBackend(), max_concurrency=1)
    turn = client.stream("Hello")
    semaphore = client.semaphore
    assert semaphore is not None
    request = semaphore.request

    def closed_meanwhile() -> Permit:
        turn.close()
        return request()

    semaphore.request = closed_meanwhile  # type: ignore[method-assign]
    assert await events_of(turn) == []
    assert backend.calls == []
    assert free_permits(client) == 1


async def test_a_turn_that_may_not_begin_holds_no_permit() -> None:
    """When another turn of its conversation was first, the permit goes back with the error."""
    pause = Pause()
    client = client_of(FakeBackend([pause, *answer("one")]), max_concurrency=2)
    conversation = await client.create_conversation()
    first, second = conversation.stream("1"), conversation.stream("2")
    reading = asyncio.create_task(first.reply())
    await pause.reached.wait()
    with pytest.raises(errors.ConversationBusy):
        await second.reply()
    assert free_permits(client) == 1
    pause.go.set()
    await reading
    assert free_permits(client) == 2


async def test_turns_that_wait_for_a_client_that_is_closed_are_refused() -> None:
    """Each gets its permit in its turn, is refused, and gives the permit back."""
    pause = Pause()
    client = client_of(FakeBackend([pause, *answer("one")]), max_concurrency=1)
    asking = [asyncio.create_task(client.ask("Hello")) for _ in range(3)]
    await pause.reached.wait()
    await settle()
    await client.aclose()
    pause.go.set()
    first, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, ev.Reply)
    assert [type(other) for other in others] == [errors.ConfigurationError] * 2
    assert free_permits(client) == 1
