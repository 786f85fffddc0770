"""Many clients at once, of both services, one turn after another, against services that fail or attack.

Of one service, each tenth turn fails. Of another, each answer is an attack (`benchmarks.hostile`). A heartbeat on the
same loop sees the longest stall: how long no other task could run, in CPU time, since the machine may be busy.

Each turn must end as one may: with the whole answer, with an error of ours and a part of the answer, or where it was
left or cancelled. At three moments all clients pause, and what they hold is counted: before, in the middle, at the end.
The service is an emulator in another process, which draws its faults by the seed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, NamedTuple, Self, TypeAlias

from benchmarks.faulty import ANSWER, KINDS, TOKEN
from benchmarks.measuring import Bound, report
from benchmarks.resident import kib_in_use
from benchmarks.servers import served
from bing_llm.backends.channel import Channel
from bing_llm.backends.http import ByteStream, Socket
from bing_llm.client import BingClient
from bing_llm.completion.request import Request
from bing_llm.completion.stream import Completed, Completion
from bing_llm.errors import BingError
from bing_llm.events import Reply
from bing_llm.limits import Limits, Retries, Timeouts
from bing_llm.messages import Message
from bing_llm.turn import TurnStream

__all__ = ["MEASURES", "main"]

MOST_GROWN_MIB = 4.0
"""Memory that may be added from the middle to the end: less than a KiB for each turn of half a minute, and more than
the allocator is seen to move."""

MOST_STALL_MS = 50.0
"""The longest that the loop may be kept by the work of one iteration, in milliseconds of CPU time."""

HUNG_S = 120.0
"""Twice what a turn may take: one that is not over then will never be."""

_ATTACKED = 4  # clients that ask the service that attacks: what each takes of an iteration of the loop adds up
_ATTACKED_LIMITS = Limits(frame_bytes=2**20)  # the memory of longer lines would hide what is looked for
_BEAT_S = 0.005

_LIVE = (TurnStream, Channel, Socket, ByteStream)
_HEADER = ("what", "start", "middle", "end")

MEASURES = ("seconds", "turns", "turns a second", "memory, MiB", "open files", "longest stall, ms")
"""The first rows of the table; after them each outcome has one."""


class Soak:
    """The clients and what became of their turns.

    Args:
        clients: How many, each with one turn at a time.
        seed: Of what they do.
        url: Where the service is that fails.
        attacker: Where the service is that attacks; some clients ask it.
        patience: How long a service may be silent, in seconds.
    """

    def __init__(self, *, clients: int, seed: int, url: str, attacker: str, patience: float) -> None:
        limits = Timeouts(silence=patience, answer=patience, turn=HUNG_S / 2)
        retries = Retries(first_wait=0.05)
        # Kept conversations are limited by their number, which a minute does not reach: it would look like a leak.
        settings: dict[str, Any] = {
            "timeouts": limits,
            "retries": retries,
            "continue_conversations": False,
            "max_concurrency": 1,
        }
        hubs = [BingClient(endpoint=url, **settings) for _ in range(clients - clients // 2)]
        rest = [BingClient(endpoint=f"{url}/rest", token=TOKEN, **settings) for _ in range(clients // 2)]
        for place in range(min(_ATTACKED, len(rest) // 2)):
            rest[place] = BingClient(endpoint=attacker, token=TOKEN, limits=_ATTACKED_LIMITS, **settings)
        self._attacked = {id(client) for client in rest[: min(_ATTACKED, len(rest) // 2)]}
        seeds = (f"{seed} {number}" for number in range(clients))
        self._clients = [
            (client, Random(own))  # noqa: S311 - it must be repeatable
            for client, own in zip([*hubs, *rest], seeds, strict=True)
        ]
        self.begun = 0
        self.outcomes: Counter[str] = Counter()
        self.unaccounted: list[str] = []

    async def turns(self, until: float) -> None:
        """One turn of each client, and further ones until that time by the clock of the loop."""
        await asyncio.gather(*(self._turns_of(client, random, until) for client, random in self._clients))

    async def aclose(self) -> None:
        """Close all clients."""
        await asyncio.gather(*(client.aclose() for client, _ in self._clients))

    async def _turns_of(self, client: BingClient, random: Random, until: float) -> None:
        now = asyncio.get_running_loop().time
        await asyncio.sleep(random.random())  # not all in the same iteration of the loop
        while True:
            way = random.choice(_WAYS)
            self.begun += 1
            try:
                self.outcomes[await asyncio.wait_for(way(client, random), HUNG_S)] += 1
            except BingError as exc:
                attacked = id(client) in self._attacked
                if type(exc) in KINDS and (attacked or ANSWER.startswith(exc.partial_text)):
                    self.outcomes[f"{type(exc).__name__}, attacked" if attacked else type(exc).__name__] += 1
                else:
                    self.unaccounted.append(f"{way.__name__}: {exc!r} with {exc.partial_text!r}")
            except _Wrong as exc:
                if id(client) in self._attacked:  # it may say what it likes
                    self.outcomes["answered, attacked"] += 1
                else:
                    self.unaccounted.append(f"{way.__name__}: {exc!r}")
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is what we look for
                self.unaccounted.append(f"{way.__name__}: {exc!r}")
            if now() >= until:
                return


# --- what a client does -----------------------------------------------------------------------------------------------


class _Wrong(Exception):
    """An answer that is not the answer."""


def _outcome(reply: Reply, shown: str) -> str:
    """What the reply is, of which this was shown."""
    if reply.text == shown == ANSWER:
        return "answered"
    if reply.text == shown and ANSWER.startswith(shown):
        if reply.finish_reason == "content_filter":
            return "withdrawn"
        if reply.quota is not None and reply.quota.spent:
            return "at its limit"
    raise _Wrong(reply, shown)


async def _ask(client: BingClient, random: Random) -> str:
    del random
    reply = await client.ask("Go on.")
    return _outcome(reply, reply.text)


async def _stream(client: BingClient, random: Random) -> str:
    del random
    async with client.stream("Go on.") as turn:
        shown = "".join([text async for text in turn.text])
        return _outcome(await turn.reply(), shown)


async def _complete(client: BingClient, random: Random) -> str:
    del random
    *pieces, end = await Completion(client, Request(messages=(Message("user", "Go on."),))).whole()
    if not isinstance(end, Completed):
        raise _Wrong(end)
    return _outcome(end.reply, "".join(map(str, pieces)))


async def _converse(client: BingClient, random: Random) -> str:
    conversation = await client.create_conversation()
    for _ in range(random.randrange(2)):
        await conversation.ask("Go on.")
    reply = await conversation.ask("Go on.")
    return _outcome(reply, reply.text)


async def _leave(client: BingClient, random: Random) -> str:
    shown = ""
    async with client.stream("Go on.") as turn:
        async for text in turn.text:
            shown += text
            if random.random() < 0.5:  # noqa: PLR2004 - as good as any
                break
    if not ANSWER.startswith(shown):
        raise _Wrong(shown)
    return "left"


async def _cancel(client: BingClient, random: Random) -> str:
    asking = asyncio.create_task(_ask(client, random))
    done, _ = await asyncio.wait({asking}, timeout=random.random())
    if done:
        return asking.result()
    asking.cancel()
    await asyncio.wait({asking})
    return "cancelled" if asking.cancelled() else asking.result()


_Way: TypeAlias = Callable[[BingClient, Random], Awaitable[str]]
_WAYS: tuple[_Way, ...] = (_ask, _stream, _complete, _converse, _leave, _cancel)


# --- what is counted --------------------------------------------------------------------------------------------------


class Count(NamedTuple):
    """One moment at which no turn is open.

    Attributes:
        seconds: Since the first turn.
        turns: How many there were.
        outcomes: How they ended.
        mib: Memory of this process.
        files: Its open files, sockets included.
        live: Turns, channels and sockets that are still in memory.
        stall_ms: The longest stall so far.
    """

    seconds: float
    turns: int
    outcomes: Counter[str]
    mib: float
    files: int
    live: int
    stall_ms: float


class Heart:
    """Beats on the running loop, and sees how long it was kept from that: `async with Heart() as heart`.

    Attributes:
        stall_ms: The most CPU time that this thread has taken between two beats, in milliseconds.
    """

    def __init__(self) -> None:
        self.stall_ms = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            began = time.thread_time()
            await asyncio.sleep(0)  # one iteration of the loop: all that was ready has run
            self.stall_ms = max(self.stall_ms, (time.thread_time() - began) * 1e3)


def _count(soak: Soak, began: float, heart: Heart) -> Count:
    gc.collect()
    live = sum(type(each) in _LIVE for each in gc.get_objects())
    mib = kib_in_use() / 1024
    return Count(time.monotonic() - began, soak.begun, soak.outcomes.copy(), mib, _open_files(), live, heart.stall_ms)


def _open_files() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - not a folder of files


class Outcome(NamedTuple):
    """What became of all of it: three counts, what nobody accounts for, and the tasks that are left."""

    counts: list[Count]
    unaccounted: list[str]
    tasks: int


async def run(*, seconds: float, clients: int, seed: int, url: str, attacker: str, patience: float) -> Outcome:
    """Let the clients work for that time."""
    soak = Soak(clients=clients, seed=seed, url=url, attacker=attacker, patience=patience)
    now, began = asyncio.get_running_loop().time, time.monotonic()
    counts = []
    async with Heart() as heart:
        for share in (0, seconds / 2, seconds / 2):
            await soak.turns(now() + share)
            counts.append(_count(soak, began, heart))
            before = heart.stall_ms if len(counts) > 1 else 0.0  # the first turns have brought all imports
            if len(counts) == 1:
                gc.freeze()  # as a server does: a full collection of what was imported would stall it by 40 ms
            await asyncio.sleep(10 * _BEAT_S)  # to count takes its time, which is not that of a turn
            heart.stall_ms = before
    await soak.aclose()
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        _, others = await asyncio.wait(others, timeout=patience)
    return Outcome(counts, soak.unaccounted, len(others))


def rows_of(counts: Sequence[Count]) -> list[tuple[str, ...]]:
    """The table."""
    names = sorted({name for count in counts for name in count.outcomes}, key=lambda name: (name[0].isupper(), name))
    measured = [
        (
            f"{count.seconds:.1f}",
            str(count.turns),
            f"{count.turns / count.seconds:.1f}",
            f"{count.mib:.1f}",
            str(count.files),
            f"{count.stall_ms:.1f}",
        )
        for count in counts
    ]
    return [
        *((name, *cells) for name, *cells in zip(MEASURES, *measured, strict=True)),
        *((name, *(str(count.outcomes[name]) for count in counts)) for name in names),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak and report; 1 where a turn is not accounted for, memory has grown, or something was left open."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long turns begin; the last ones end later")
    parser.add_argument("--clients", type=int, default=200, help="how many work at once")
    parser.add_argument("--seed", type=int, default=1, help="of the faults, and of what the clients do")
    parser.add_argument("--patience", type=float, default=5.0, help="seconds of silence after which a turn is given up")
    given = parser.parse_args(arguments)
    files = _open_files()
    with served("faulty", given.seed) as url, served("hostile", given.seed) as attacker:
        sizes = {"seconds": given.seconds, "clients": given.clients, "seed": given.seed, "patience": given.patience}
        counts, unaccounted, tasks = asyncio.run(run(url=url, attacker=attacker, **sizes), debug=False)
    for each in unaccounted[:10]:
        print(each, file=sys.stderr)  # noqa: T201 - for who looks into it
    _, middle, end = counts
    missing = end.turns - sum(end.outcomes.values())
    bounds = [
        Bound("turns not accounted for", missing, 0, f"of {end.turns:,}"),
        Bound("memory grown from the middle to the end", end.mib - middle.mib, MOST_GROWN_MIB, "MiB"),
        Bound("turns and sockets in memory while none is open", max(count.live for count in counts), 0, "at once"),
        Bound("longest stall of the loop", end.stall_ms, MOST_STALL_MS, "ms of CPU time"),
        Bound("tasks left", tasks, 0, "behind"),
        Bound("open files left", _open_files() - files, 0, "behind"),
    ]
    return report(_HEADER, rows_of(counts), bounds)


if __name__ == "__main__":
    sys.exit(main())
