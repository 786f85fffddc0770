"""How much is read between two looks at the clock: bounded in bytes and in lines, whatever comes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from bing_llm._secrets import Redactor
from bing_llm.backends.channel import Channel, TurnProtocol
from bing_llm.backends.chathub.frames import Chat, ChatArguments
from bing_llm.backends.chathub.turn import Turn
from bing_llm.backends.json_text import MAX_VALUES, decode_json
from bing_llm.backends.transport import End
from bing_llm.backends.workiq.a2a.cards import parse_card
from bing_llm.errors import ProtocolError, TimedOut
from bing_llm.limits import Deadline, Timeouts
from bing_llm.tools.calls import Tool, Toolbox
from bing_llm.tools.parser import CallParser
from tests.backends.workiq.wire import new_turn
from tests.counting import steps

PIECE = 16 * 1024
"""What a stream gives at once; a socket gives a message."""

MOST_BYTES = 1024 * 1024
MOST_LINES = 12_000


class Flood:
    """A connection on which the next piece is always there: the same, again and again."""

    def __init__(self, piece: bytes, times: int) -> None:
        self._piece = piece
        self._left = times

    def ready(self) -> list[bytes | End]:
        """The next piece."""
        self._left -= 1
        return [self._piece if self._left >= 0 else End(1000, "response at its end")]

    async def receive(self, seconds: float) -> list[bytes | End]:
        """The same: nobody waits."""
        del seconds
        return self.ready()

    async def send(self, data: bytes, seconds: float) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        """Nothing is open."""

    hang_up = abort


class Reading:
    """Counts what a protocol is given in each iteration of the loop, which is seen by a task that never rests."""

    def __init__(self, protocol: TurnProtocol) -> None:
        self.bytes = Counter[int]()
        self.lines = Counter[int]()
        self._iteration = 0
        self._receive = protocol.receive
        protocol.receive = self._count  # type: ignore[method-assign]

    def _count(self, data: bytes) -> None:
        self.bytes[self._iteration] += len(data)
        self.lines[self._iteration] += data.count(b"\n") + data.count(b"\r") + data.count(b"\x1e")
        self._receive(data)

    async def watch(self) -> None:
        """Count iterations until cancelled."""
        while True:
            self._iteration += 1
            await asyncio.sleep(0)


def chathub() -> TurnProtocol:
    """A turn of a ChatHub after its handshake."""
    turn = Turn()
    turn.ask(Chat([ChatArguments()], "0"))
    turn.receive(b"{}\x1e")
    return turn


def work_iq() -> TurnProtocol:
    """A turn of Work IQ over REST."""
    return new_turn(asked="Ask", conversation_id="c1")


UPDATE = json.dumps({"type": 1, "target": "update", "arguments": [{"messages": [{"author": "bot", "text": "x"}]}]})

FLOODS: dict[str, tuple[Any, bytes]] = {
    "comments": (work_iq, b":\n" * (PIECE // 2)),
    "line ends": (work_iq, b"\r" * PIECE),
    "events without data": (work_iq, b"event: x\n\n" * (PIECE // 10)),
    "unknown events": (work_iq, b"data: {}\n\n" * (PIECE // 10)),
    "half an event": (work_iq, b"x" * PIECE),
    "pings": (chathub, b'{"type":6}\x1e' * (PIECE // 11)),
    "unknown records": (chathub, b"{}\x1e" * (PIECE // 3)),
    "updates": (chathub, f"{UPDATE}\x1e".encode() * (PIECE // 100)),
    "half a record": (chathub, b" " * PIECE),
    "one small record each": (chathub, b'{"type":6}\x1e'),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_lets_others_run_and_the_clock_be_seen(name: str) -> None:
    """Between two awaits so many bytes and lines are read at most, and the time of the turn ends it."""
    make, piece = FLOODS[name]
    protocol = make()
    reading = Reading(protocol)
    ticks: Iterator[float] = iter(range(10**9))
    deadline = Deadline(40.0, lambda: float(next(ticks)), "[turn t]")
    channel = Channel(Flood(piece, 5000), protocol, Timeouts(), deadline, redact=Redactor)
    watching = asyncio.create_task(reading.watch())
    with pytest.raises((TimedOut, ProtocolError)):
        await _exhaust(channel)
    watching.cancel()
    channel.close()
    assert max(reading.bytes.values()) <= MOST_BYTES
    assert max(reading.lines.values()) <= MOST_LINES + piece.count(b"\r")


async def _exhaust(channel: Channel) -> None:
    while True:
        await channel.next_event()


# --- what is read at once ---------------------------------------------------------------------------------------------
# These read one text between two awaits. Its length has a limit, and so has what it costs: its values, or its steps.


def test_json_has_a_number_of_values() -> None:
    """Counted before it is decoded, since each takes many times its text."""
    text = b"[" + b"0," * MAX_VALUES + b"0]"
    with pytest.raises(ProtocolError, match="values"):
        decode_json(text)


def test_an_agents_card_costs_as_much_as_it_is_long() -> None:
    """Of many skills and many places, each is looked at once."""

    def card(count: int) -> bytes:
        place = {"url": "https://a.example/agents/x", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        skill = {"id": "s", "name": "s", "description": "x"}
        return json.dumps({"name": "A", "supportedInterfaces": [place] * count, "skills": [skill] * count}).encode()

    def read(count: int) -> int:
        text = card(count)

        def work() -> None:
            with suppress(ProtocolError):
                parse_card(text, "https://a.example/")

        return steps(work)

    assert read(4000) <= 10 * read(400)


@pytest.mark.parametrize("text", ["<tool_call>", "{", "```json\n", '<tool_call>{"a": "', "\\"])
def test_calls_cost_as_much_as_the_text_is_long(text: str) -> None:
    """However it comes, also at once."""

    def parse(size: int) -> int:
        parser = CallParser(Toolbox(tools=(Tool("t"),)))
        return steps(lambda: (parser.feed(text * (size // len(text))), parser.close()))

    assert parse(80_000) <= 10 * parse(10_000)
