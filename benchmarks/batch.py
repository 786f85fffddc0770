"""How many turns a second a batch does, beside what so many rows at once allow, and beside a bare loop over the client.

A ChatHub in another process answers each turn after half a second. With n rows at once, n turns in the time that a lone
turn takes are the most that there can be. The client keeps conversations ready: else each row would wait for two more
round trips.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias

from benchmarks.measuring import Bound, report
from benchmarks.servers import served
from bing_llm.batch import arun
from bing_llm.client import BingClient
from bing_llm.pool import MOST_WARM

__all__ = ["main"]

AT_ONCE = (1, 10, 100, 500)
BATCH, BARE = "batch", "bare loop"

MOST_SHORT = 10.0
"""Turns that a batch may be short of, in percent."""
MOST_AT_ONCE = 100
"""Rows at once up to which the ideal is the measure; with more of them the processors are the limit."""

HEADER = ("rows at once", "turns/s", "ideal", "% of it", "CPU ms/turn")

_PROMPT = "Hello"

Work: TypeAlias = Callable[[BingClient, int, int], Awaitable[None]]


class Pace(NamedTuple):
    """How fast turns were done: how many a second, and the CPU time of one, in milliseconds."""

    per_second: float
    cpu_ms: float


async def _batch(client: BingClient, turns: int, at_once: int) -> None:
    with TemporaryDirectory() as folder:
        summary = await arun([_PROMPT] * turns, Path(folder) / "answers.jsonl", client=client, concurrency=at_once)
    if summary.answered != turns:
        raise SystemExit(f"Of {turns} rows {summary.answered} were answered: {summary.errors}.")


async def _bare(client: BingClient, turns: int, at_once: int) -> None:
    async def loop() -> None:
        for _ in range(turns // at_once):
            await client.ask(_PROMPT)

    await asyncio.gather(*(loop() for _ in range(at_once)))


WORKS: Mapping[str, Work] = {BATCH: _batch, BARE: _bare}


async def _pace(work: Work, client: BingClient, turns: int, at_once: int) -> Pace:
    wall, cpu = time.perf_counter(), time.process_time()
    await work(client, turns, at_once)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Pace(turns / wall, cpu / turns * 1e3)


async def measure(
    url: str, *, each: int, most: int, at_once: Sequence[int], rounds: int
) -> tuple[float, dict[tuple[int, str], list[Pace]]]:
    """The seconds that a lone turn takes, and the samples of each number of rows at once and each work, in turns."""
    async with BingClient(endpoint=url, warm=MOST_WARM) as client:
        await client.ask(_PROMPT)  # brings all imports, and what is kept between turns
        lone = [1 / (await _pace(_bare, client, 1, 1)).per_second for _ in range(max(3, rounds))]
        paces: dict[tuple[int, str], list[Pace]] = {(rows, name): [] for rows in at_once for name in WORKS}
        for _ in range(rounds):
            for (rows, name), taken in paces.items():
                turns = rows * max(1, min(each, most // rows))
                taken.append(await _pace(WORKS[name], client, turns, rows))
    return statistics.median(lone), paces


def bounds_of(answer_s: float, paces: Mapping[tuple[int, str], Sequence[Pace]]) -> list[Bound]:
    """What became of the bounds."""
    bounds = []
    for rows in sorted({rows for rows, _ in paces}):
        ours, bare = paces[rows, BATCH], paces[rows, BARE]
        if rows <= MOST_AT_ONCE:
            share = statistics.median(one.per_second * answer_s / rows for one in ours)
            bounds.append(_short(f"turns short of the ideal, {rows} at once", share))
        share = statistics.median(one.per_second / other.per_second for one, other in zip(ours, bare, strict=True))
        bounds.append(_short(f"turns short of a bare loop, {rows} at once", share))
    return bounds


def _short(what: str, share: float) -> Bound:
    return Bound(what, 100 * (1 - share), MOST_SHORT, "%")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--milliseconds", type=int, default=500, help="what an answer takes")
    parser.add_argument("--each", type=int, default=20, help="turns one after the other in each place")
    parser.add_argument("--most", type=int, default=2000, help="turns of one sample")
    parser.add_argument("--at-once", type=int, nargs="+", default=AT_ONCE, help="rows at once")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each")
    sizes = parser.parse_args(arguments)
    with served("delayed", sizes.milliseconds) as url:
        work = measure(url, each=sizes.each, most=sizes.most, at_once=sizes.at_once, rounds=sizes.rounds)
        answer_s, paces = asyncio.run(work, debug=False)
    table = []
    for (rows, name), taken in paces.items():
        middle = Pace(*(statistics.median(values) for values in zip(*taken, strict=True)))
        ideal = rows / answer_s
        numbers = (middle.per_second, ideal, 100 * middle.per_second / ideal, middle.cpu_ms)
        table.append((f"{rows}, {name}", *(f"{number:.1f}" for number in numbers)))
    return report(HEADER, table, bounds_of(answer_s, paces))


if __name__ == "__main__":
    sys.exit(main())
