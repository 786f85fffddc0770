"""What has come already, and what comes in floods."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.chathub.turn import PING_SECONDS
from bing_llm.backends.transport import End
from bing_llm.errors import BingError
from bing_llm.limits import Timeouts
from tests.backends.channel.hub import HELLO, Other, asked, over
from tests.backends.channel.network import Network, Step, each, events_of, failure_of, reply_of
from tests.backends.chathub.wire import ACK, END, PING, bot, final, snapshot, update, wire

# --- what has come already --------------------------------------------------------------------------------------------


async def test_what_has_come_is_ready() -> None:
    """Events of messages that have come are given without a wait, one by one, and None where one is needed."""
    channel, network = await asked(ACK, PING, HELLO, update(), 2.0, update(bot("Hello, you")), final(bot("Hello, you")))
    assert [channel.ready_event(), channel.ready_event()] == [ev.TextDelta("Hello"), None]
    assert (network.waits, network.passed) == ([], 0)
    assert await channel.next_event() == ev.TextDelta(", you")
    assert isinstance(channel.ready_event(), ev.TurnCompleted)
    assert channel.ready_event() is None
    assert network.passed == 2


@pytest.mark.parametrize(
    "end",
    [
        wire({"type": 7, "error": "bad token hunter2+/="}),
        "x" * 20_000_000,
        End(),
        errors.ProtocolError("binary"),
    ],
    ids=["close", "long", "closed", "binary"],
)
async def test_a_failure_that_is_ready_is_left_for_the_next_wait(end: str | End | BingError) -> None:
    """`ready_event` raises nothing and takes nothing further; `next_event` raises, each time, without the secrets."""
    network = Network(ACK, HELLO, end, HELLO)
    hub = over(network, None, "hunter2+/=")
    await hub.ask()
    channel = hub.channel
    assert channel.ready_event() == ev.TextDelta("Hello")
    assert [channel.ready_event(), channel.ready_event()] == [None, None]
    first, second = await failure_of(channel), await failure_of(channel)
    assert first is second
    assert first.partial_text == "Hello"
    assert "hunter2" not in f"{first} {first!r} {first.service_message}"
    assert list(network.script) == [HELLO]


LONG = "Cats " * 200
PIECES = (" purr", " and", ' "play"', " with 猫")
SPELLINGS: dict[str, Callable[[Any], str]] = {
    "as the service writes it": partial(json.dumps, ensure_ascii=False, separators=(",", ":")),
    "escaped": partial(json.dumps, separators=(",", ":")),
    "with blanks": json.dumps,
    "on many lines": partial(json.dumps, indent=1),
    "in another order": partial(json.dumps, sort_keys=True),
}
CUTS: dict[str, Callable[[list[str]], list[Step]]] = {
    "a message each": list,
    "one message": lambda records: ["".join(records)],
    "halves": lambda records: [half for record in records for half in (record[:99], record[99:])],
    "slowly": lambda records: [step for record in records for step in (0.5, record)],
}


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_the_same_frames_give_the_same_events(
    spelling: str, cut: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each frame gives its own events: whatever its spelling, however it was cut or timed, and whatever is logged."""
    caplog.set_level(level)
    texts = [LONG + "".join(PIECES[:count]) for count in range(len(PIECES) + 1)]
    answer = [json.loads(snapshot(text, number=number)[:-1]) for number, text in enumerate(texts)]
    records = [f"{SPELLINGS[spelling](record)}{END}" for record in answer]
    channel, _ = await asked(ACK, *CUTS[cut](records), final(bot(texts[-1])))
    events = await events_of(channel)
    assert events[:-1] == [ev.TextDelta(piece) for piece in (LONG, *PIECES)]
    logged = sum(" received " in record.getMessage() for record in caplog.records)
    assert logged == (len([ACK, *records]) + len(["final", "completion"]) if level == logging.DEBUG else 0)


def pieces_of(stream: bytes, data: st.DataObject) -> list[Step]:
    """A stream, cut anywhere, with pauses anywhere."""
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    pauses = data.draw(
        st.lists(st.sampled_from([0.0, 0.0, 0.5, 3.0]), min_size=len(places) + 1, max_size=len(places) + 1)
    )
    cuts = itertools.pairwise([0, *places, len(stream)])
    pieces = [(pause, stream[start:end]) for (start, end), pause in zip(cuts, pauses, strict=True)]
    return [step for pause, piece in pieces if piece for step in ((pause, piece) if pause else (piece,))]


ANSWER = ["Cats", " purr", " and", ' "play"', " with 猫", "."]


@given(st.sampled_from(sorted(SPELLINGS)), st.data())
def test_neither_cuts_nor_pauses_change_the_events_of_a_chathub(spelling: str, data: st.DataObject) -> None:
    """Snapshots, pieces at the cursor and asides, in each spelling: the events follow from the frames alone."""
    texts = ["".join(ANSWER[:count]) for count in range(1, len(ANSWER) + 1)]
    progress = {"text": "Looking", "messageType": "Progress", "author": "bot"}
    frames = [ACK, update(bot(texts[0])), update(progress), *(update(bot(text)) for text in texts[1:4])]
    frames += [wire({"type": 1, "target": "update", "arguments": [{"writeAtCursor": piece}]}) for piece in ANSWER[4:]]
    frames.append(final(bot(texts[-1])))
    records = [json.loads(record) for frame in frames for record in frame.split(END) if record]
    stream = "".join(f"{SPELLINGS[spelling](record)}{END}" for record in records).encode()

    async def events(steps: list[Step]) -> list[ev.Event]:
        channel, _ = await asked(*steps)
        return await events_of(channel)

    expected = asyncio.run(events(list(frames)))
    assert [event for event in expected if isinstance(event, ev.TextDelta)] == [ev.TextDelta(piece) for piece in ANSWER]
    assert asyncio.run(events(pieces_of(stream, data))) == expected


async def test_what_was_ready_shows_that_the_service_lives() -> None:
    """Silence, and the silence of the answer, begin with the last message, however it was taken."""
    channel, network = await asked(ACK, 40.0, HELLO, *each(30.0, PING, 10), timeouts=Timeouts(silence=41, answer=70))
    assert channel.ready_event() is None
    assert await channel.next_event() == ev.TextDelta("Hello")
    assert channel.ready_event() is None
    assert "(timeouts.answer)" in str(await failure_of(channel))
    assert network.passed == 40 + 70


async def test_a_look_at_what_is_ready_leaves_the_callers_time_out() -> None:
    """The caller's own time before, between and after looks is neither a silence of the service nor an overdue ping."""
    channel, network = await asked(ACK, HELLO, 44.0, final(bot("Hello")), turn=9000)
    for _ in range(3):
        network.now += 500
        channel.ready_event()
    network.now += 500
    sent = len(network.sent)
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 4 * 500 + 44
    assert [at for at, _ in network.sent[sent:]] == [2000 + PING_SECONDS, 2000 + 2 * PING_SECONDS]


async def test_looks_keep_neither_the_loop_nor_the_deadline() -> None:
    """After a stretch nothing is ready until `next_event` has let other tasks run and has looked at the limits."""
    script = [wire({"type": 99, "n": number}) for number in range(1000)]
    channel, network = await asked(ACK, *script, turn=60)
    other = Other()
    given = stretches = 0
    while given < 500:
        stretches += 1
        await channel.next_event()
        given += 1
        while channel.ready_event() is not None:
            given += 1
    other.task.cancel()
    assert other.turns >= stretches - 1 >= 4
    network.now += 61
    assert "(timeouts.turn)" in str(await failure_of(channel))
    assert network.script


async def test_a_flood_does_not_put_off_a_ping_or_the_end_of_a_stop() -> None:
    """Messages that are there without a wait count as those that are waited for: limits and pings are kept."""
    channel, network = await asked(ACK, HELLO, *[update()] * 2000)
    await channel.next_event()
    await channel.stop()
    receive = channel._protocol.receive

    def slow(data: bytes) -> None:
        network.now += 0.05
        receive(data)

    channel._protocol.receive = slow  # type: ignore[method-assign]
    channel._pinged -= PING_SECONDS
    assert (await reply_of(channel)).text == "Hello"
    assert 5 <= network.passed < 5 + 0.05 * 200
    assert len(network.sent_of(6)) == 1


# --- hostile ----------------------------------------------------------------------------------------------------------


async def test_a_long_message_does_not_keep_the_loop() -> None:
    """Between the events of one message other tasks get their turn."""
    channel, _ = await asked(ACK, wire(*({"type": 99, "n": number} for number in range(250))), final(bot("Hi")))
    other = Other()
    assert (await reply_of(channel)).text == "Hi"
    other.task.cancel()
    assert other.turns >= 2


async def test_a_long_message_does_not_outlive_the_turn() -> None:
    """The deadline of the turn counts between the events of one message too."""
    channel, network = await asked(ACK, wire(*({"type": 99, "n": number} for number in range(250))), turn=60)
    await channel.next_event()
    network.now += 61
    error = await failure_of(channel)
    assert type(error) is errors.TimedOut
    assert "60 seconds (timeouts.turn)" in str(error)
