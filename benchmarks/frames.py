"""What a frame costs its reader, in each form in which a service may send it, beside a bare loop over the same server.

A server in another process sends answers that were written beforehand, as fast as they are read, or a frame each two
milliseconds. Most forms repeat the whole answer in each frame, as text and in a card: 2,000 frames of them have 21 MB.
What is measured is the CPU time of the process that reads. The floor is a loop of aiohttp that parses nothing; where
frames come one by one, it parses each with `json.loads`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any, Final, NamedTuple

import aiohttp

from benchmarks.forms import ALL_ESCAPED, AT_CURSOR, CHATHUB, ESCAPED, RECORDED, WORKIQ, texts_of
from benchmarks.frame_peers import PEERS, taking
from benchmarks.measuring import Bound, Sample, Take, Work, by_turns, median, quotient, report, sample
from benchmarks.servers import served
from benchmarks.written import path_of
from bing_llm import BingClient
from bing_llm.services import ChatHub, WorkIQ

__all__ = ["ASK", "CASES", "Case", "main"]

ASK: Final = "as recorded, ask"

_ASKED = '{"protocol":"json","version":1}\x1e{"type":4,"arguments":[],"invocationId":"0","target":"chat"}\x1e'
_LAST = 100  # characters of a message in which its last record begins
_DATA = b"data:"


class Case(NamedTuple):
    """A form of an answer.

    Attributes:
        name: What the table calls it.
        form: One of `benchmarks.forms`.
        most: The CPU time that a frame may take, in that of the floor.
        paced: Whether frames come one by one; else as fast as they are read.
    """

    name: str
    form: str
    most: float
    paced: bool = False


MOST_PLAIN: Final = 1.9
"""For a machine that does nothing else, where 1.24 to 1.65 was measured. With ten other processes, 2.2 to 2.8 was: the
server is then ahead of its reader, the floor reads many frames at once, and what we do beside it takes what it did."""

MOST: Final = {ESCAPED: 2.8, ALL_ESCAPED: 2.8, AT_CURSOR: 3.0}

CASES: Final = (
    *(Case(form, form, MOST.get(form, MOST_PLAIN)) for form in CHATHUB),
    Case("as recorded, 2 ms apart", RECORDED, 1.5, paced=True),
    Case("Work IQ", WORKIQ, 2.5),
    Case("Work IQ, 2 ms apart", WORKIQ, 1.5, paced=True),
)


# --- floors -----------------------------------------------------------------------------------------------------------


async def _read_hub(url: str, parse: Callable[[str], object] | None) -> int:
    """Read the messages of an answer to the last."""
    count = 0
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/sydney/ChatHub", max_msg_size=0) as socket:
        await socket.send_str(_ASKED)
        while True:
            message: str = (await socket.receive()).data
            count += 1
            if '"type":3' in message[-_LAST:]:
                return count
            if parse is not None:
                parse(message[:-1])


async def _read_stream(url: str, parse: Callable[[bytes], object] | None) -> int:
    """Read the events of an answer to the last."""
    count = 0
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/conversations/benchmark/chatOverStream", json={}) as response,
    ):
        if parse is None:
            async for _ in response.content.iter_any():
                count += 1
            return count
        rest = b""
        async for data in response.content.iter_any():  # a line of a stream may be longer than aiohttp takes
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.startswith(_DATA):
                    count += 1
                    parse(line[len(_DATA) :])
    return count


# --- ours -------------------------------------------------------------------------------------------------------------


async def _stream(client: BingClient, text: str) -> int:
    """Take each event of an answer."""
    count = 0
    async with client.stream("Go on.") as turn:
        async for _ in turn:
            count += 1
        _check((await turn.reply()).text, text)
    return count


async def _ask(client: BingClient, text: str) -> int:
    """Wait for the whole answer."""
    _check((await client.ask("Go on.")).text, text)
    return 1


def _check(given: str, text: str) -> None:
    if given != text:
        raise AssertionError


def _client(case: Case, url: str) -> BingClient:
    if case.form == WORKIQ:
        return BingClient(WorkIQ(endpoint=url, token="benchmark"))  # noqa: S106 - not a secret
    return BingClient(ChatHub(endpoint=url))


class Measured(NamedTuple):
    """The samples of a case."""

    case: Case
    ours: list[Sample]
    floor: list[Sample]

    @property
    def times(self) -> float:
        """Our CPU time, in that of the floor."""
        return quotient(self.ours, self.floor)

    @property
    def row(self) -> tuple[str, ...]:
        """A line of the table."""
        ours, floor = median(self.ours), median(self.floor)
        return (self.case.name, f"{floor.cpu_us:.1f}", f"{ours.cpu_us:.1f}", f"{self.times:.2f}", f"{ours.chunks:.0f}")


async def _measure(case: Case, server: str, *, frames: int, rounds: int) -> Measured:
    url = server + path_of(case.form, paced=case.paced)
    text = "".join(texts_of(case.form, frames))
    read: Any = _read_stream if case.form == WORKIQ else _read_hub
    async with _client(case, url) as client:
        floor: Work = partial(read, url, json.loads if case.paced else None)
        ours: Work = partial(_stream, client, text)
        takes = {"floor": partial(sample, floor, frames), "ours": partial(sample, ours, frames)}
        samples = await by_turns(takes, rounds=rounds)
    return Measured(case, samples["ours"], samples["floor"])


async def _measured(cases: Sequence[Case], *, frames: int, paced: int, rounds: int) -> list[Measured]:
    with served("written", frames) as flood, served("written", paced) as slow:
        return [
            await _measure(case, slow if case.paced else flood, frames=paced if case.paced else frames, rounds=rounds)
            for case in cases
        ]


async def _beside(*, frames: int, rounds: int, peers: Sequence[str]) -> dict[str, list[Sample]]:
    """The recorded form, whole answers and other clients."""
    text = "".join(texts_of(RECORDED, frames))
    with served("written", frames) as url, ExitStack() as others:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(BingClient(ChatHub(endpoint=url)))
            takes: dict[str, Take] = {
                "floor": partial(sample, partial(_read_hub, url, None), frames),
                ASK: partial(sample, partial(_ask, client, text), frames),
            }
            for name in peers:
                takes[name] = others.enter_context(taking(name, url, frames=frames, characters=len(text)))
            return await by_turns(takes, rounds=rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frames", description=__doc__)
    parser.add_argument("--frames", type=int, default=2000, help="updates of each answer, one word more in each")
    parser.add_argument("--paced", type=int, default=300, help="updates of an answer whose frames are 2 ms apart")
    parser.add_argument("--rounds", type=int, default=11, help="samples of each client")
    parser.add_argument("--form", action="append", help="only this row; may be given again")
    parser.add_argument("--peers", action="store_true", help="also sydney-py and g4f, which it installs for itself")
    chosen = parser.parse_args(arguments)
    cases = [case for case in CASES if not chosen.form or case.name in chosen.form]
    measured = asyncio.run(
        _measured(cases, frames=chosen.frames, paced=chosen.paced, rounds=chosen.rounds), debug=False
    )
    rows = [each.row for each in measured]
    beside = asyncio.run(
        _beside(frames=chosen.frames, rounds=chosen.rounds, peers=tuple(PEERS) if chosen.peers else ()), debug=False
    )
    floor = beside.pop("floor")
    rows += [
        (
            name,
            f"{median(floor).cpu_us:.1f}",
            f"{median(samples).cpu_us:.1f}",
            f"{quotient(samples, floor):.2f}",
            f"{median(samples).chunks:.0f}",
        )
        for name, samples in beside.items()
    ]
    bounds = [Bound(f"CPU a frame, {each.case.name}", each.times, each.case.most, "times") for each in measured]
    return report(("form", "floor, CPU us/frame", "bing_llm", "times", "events"), rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
