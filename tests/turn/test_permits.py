"""How many turns may be open at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm._semaphore import Permit
from bing_llm.client import BingClient
from bing_llm.errors import ConnectionLost, InvalidRequest
from bing_llm.limits import Timeouts
from bing_llm.turn import TurnStream
from tests.fakes import FakeBackend, Pause, Time, answer, client_of
from tests.turn.reading import events_of, settle


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

    def close_first() -> Permit:
        turn.close()
        return request()

    semaphore.request = close_first  # type: ignore[method-assign]
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
