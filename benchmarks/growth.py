"""How the cost grows: with the length of an answer, the number of turns at once, and the size of what is asked.

For the first two, a ChatHub in another process answers as fast as it can; each of its frames repeats the whole text so
far. What is measured is this process alone: a client that takes every event, beside a bare aiohttp session that parses
nothing. For the others, the answer is in memory: see `benchmarks.inputs`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.bare import bare_session, bare_turn
from benchmarks.measuring import Bound, Sample, Work, interleaved, median, quotient, reading, report
from benchmarks.servers import served
from bing_llm.client import BingClient

__all__ = ["main"]

MOST_BY_NUMBER = 2.0
"""CPU time a turn of the most turns at once, in that of a tenth as many; bare aiohttp's grows too."""

MOST_BY_SIZE = 2.0
"""CPU time of one part of what is eight times as large, in that of a part of the smaller; a square would be eight."""

HEADER = ("answer, turns at once", "CPU ms/turn", "us/word", "us/KiB", "of bare aiohttp's")


class Case(NamedTuple):
    """Turns whose CPU time is one sample.

    Attributes:
        words: Of each answer, a delta each.
        at_once: How many turns are open at once.
        times: How often, one after another: a sample must not be too short.
    """

    words: int
    at_once: int
    times: int = 1

    def __str__(self) -> str:
        return f"{self.words:,} words, {self.at_once:,}"


class Measured(NamedTuple):
    """What was measured of one case: samples in microseconds a turn, and the KiB that a turn receives."""

    case: Case
    ours: list[Sample]
    bare: list[Sample]
    kib: float

    @property
    def turn_us(self) -> float:
        """CPU time of one turn, in microseconds."""
        return median(self.ours).cpu_us

    @property
    def row(self) -> tuple[str, ...]:
        """Its line in the table."""
        values = self.turn_us / self.case.words, self.turn_us / self.kib, quotient(self.ours, self.bare)
        return str(self.case), f"{self.turn_us / 1e3:.2f}", *(f"{value:.2f}" for value in values)


def cases_of(words: int, turns: int) -> list[Case]:
    """Answers of a hundredth, a tenth and all of the words, alone; then short ones, up to so many turns at once."""
    lengths = [Case(words // 100, 1, 20), Case(words // 10, 1, 4), Case(words, 1)]
    return [*lengths, Case(words // 100, turns // 100, 4), *(Case(words // 100, turns // part) for part in (10, 1))]


async def run(cases: Sequence[Case], rounds: int) -> list[Measured]:
    """Measure these cases, one after another."""
    with ExitStack() as servers:
        urls = {words: servers.enter_context(served("emulator", words)) for words in {case.words for case in cases}}
        return [await _measure(case, urls[case.words], rounds) for case in cases]


async def _measure(case: Case, url: str, rounds: int) -> Measured:
    async with BingClient(endpoint=url) as client, bare_session() as session:
        works = {
            "ours": _all(case, reading(lambda: client.stream("Go on."))),
            "bare": _all(case, reading(lambda: bare_turn(session, url))),
        }
        samples = await interleaved(works, deltas=case.at_once * case.times, rounds=rounds)
        characters = sum([len(message) async for message in bare_turn(session, url)])
    return Measured(case, samples["ours"], samples["bare"], characters / 1024)


def _all(case: Case, work: Work) -> Work:
    async def read() -> int:
        chunks = 0
        for _ in range(case.times):
            chunks += sum(await asyncio.gather(*(work() for _ in range(case.at_once))))
        return chunks

    return read


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--words", type=int, default=10_000, help="of the longest answer, 100 or more")
    parser.add_argument("--turns", type=int, default=1000, help="the most turns at once, 100 or more")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each case")
    parser.add_argument("--divisor", type=int, default=1, help="by which the sizes of inputs are divided")
    sizes = parser.parse_args(arguments)
    measured = asyncio.run(run(cases_of(sizes.words, sizes.turns), sizes.rounds), debug=False)
    *_, fewer, most = measured
    bounds = [
        Bound(
            f"CPU a turn of {most.case.at_once:,} at once, in that of {fewer.case.at_once:,}",
            most.turn_us / fewer.turn_us,
            MOST_BY_NUMBER,
            "times",
        ),
    ]
    code = report(HEADER, [each.row for each in measured], bounds)
    return report_inputs(sizes.divisor, sizes.rounds) or code


def report_inputs(divisor: int, rounds: int) -> int:
    """Measure and report each kind of input, at its sizes divided by this; 1 where a bound is broken."""
    from benchmarks import inputs  # noqa: PLC0415 - it brings both frameworks, which crowds of turns do not need

    rows, bounds = [], []
    for name, kind in inputs.KINDS.items():
        grown = asyncio.run(inputs.grown(name, divisor=divisor, rounds=rounds), debug=False)
        values = f"{grown.small_us:.1f}", f"{grown.large_us:.1f}", f"{grown.ratio:.2f}", f"{MOST_BY_SIZE:g}"
        rows.append((name, str(max(2, kind.size // divisor)), *values))
        bounds.append(Bound(f"CPU of one of {inputs.GROWTH} times as many: {name}", grown.ratio, MOST_BY_SIZE, "times"))
    print()  # noqa: T201 - as `report` does
    header = ("grows", "size", "us/part", f"of {inputs.GROWTH} times", "ratio", "bound")
    return report(header, rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
