"""One running turn: what its reader sees."""

from __future__ import annotations

import asyncio

import pytest

from bing_llm import events as ev
from bing_llm.errors import InvalidRequest, ServiceError
from bing_llm.limits import Timeouts
from bing_llm.turn import TurnStream
from tests.fakes import FakeBackend, Line, Pause, Time, answer, client_of
from tests.turn.reading import SEARCH, events_of, pieces_of

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
    """A second reader gets an error at once; the first one goes on."""
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
    """A close from another thread wins over an event that was taken at the same time."""
    backend = FakeBackend(answer("one", " two"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)

    def close_first() -> ev.Event:
        turn.close()
        return ev.TextDelta(" two")

    backend.channels[0].ready_event = close_first  # type: ignore[method-assign]
    assert turn.ready() is None
    assert turn.piece == "one"
