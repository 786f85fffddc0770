"""What the benchmarks share: samples of CPU time, interleaved rounds, a table, and bounds that decide the exit code.

The machine may be busy with other work. So CPU time is measured and not wall time, what is compared is measured in the
same run and in turns, and one sample more or less does not move a median.
"""

# ruff: noqa: T201 - its work is to print

from __future__ import annotations

import gc
import inspect
import statistics
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "TABLES",
    "Bound",
    "Sample",
    "Table",
    "Take",
    "Work",
    "by_turns",
    "difference",
    "interleaved",
    "median",
    "quotient",
    "reading",
    "report",
    "sample",
]

Work: TypeAlias = Callable[[], Awaitable[int]]
"""Streams one answer and counts its chunks."""


class Sample(NamedTuple):
    """What one answer cost: CPU time of this process and wall time, in microseconds a delta; and its chunks."""

    cpu_us: float
    wall_us: float
    chunks: float


Take: TypeAlias = Callable[[], Awaitable[Sample]]
"""Takes one sample, maybe of another process."""


class Bound(NamedTuple):
    """A limit that the project sets itself."""

    what: str
    value: float
    limit: float
    unit: str

    @property
    def kept(self) -> bool:
        """Whether the value is at most the limit."""
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "kept" if self.kept else "BROKEN"
        return f"{verdict}: {self.what}: {self.value:.2f} {self.unit}, at most {self.limit:g}"


def reading(
    stream: Callable[[], AsyncIterable[object] | Awaitable[AsyncIterable[object]] | Iterable[object]],
) -> Work:
    """Read what this streams each time it is called."""

    async def read() -> int:
        chunks = stream()
        if inspect.isawaitable(chunks):
            chunks = await chunks
        if not isinstance(chunks, AsyncIterable):
            return sum(1 for _ in chunks)
        count = 0
        async for _ in chunks:
            count += 1
        return count

    return read


async def interleaved(works: Mapping[str, Work], *, deltas: int, rounds: int) -> dict[str, list[Sample]]:
    """The samples of each work, by its name: one a round, after a round that does not count."""
    return await by_turns({name: partial(sample, work, deltas) for name, work in works.items()}, rounds=rounds)


async def by_turns(takes: Mapping[str, Take], *, rounds: int) -> dict[str, list[Sample]]:
    """The samples of each taker, by its name: one a round, after a round that does not count."""
    samples: dict[str, list[Sample]] = {name: [] for name in takes}
    for _ in range(rounds + 1):
        for name, take in takes.items():
            samples[name].append(await take())
    return {name: taken[1:] for name, taken in samples.items()}


async def sample(work: Work, deltas: int) -> Sample:
    """What one answer of so many deltas costs this process."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    chunks = await work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Sample(cpu / deltas * 1e6, wall / deltas * 1e6, chunks)


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each value."""
    return Sample(*(statistics.median(values) for values in zip(*samples, strict=True)))


def difference(samples: Sequence[Sample], floor: Sequence[Sample]) -> float:
    """The median of the differences of CPU time, each of two samples of one round."""
    return statistics.median(one.cpu_us - other.cpu_us for one, other in zip(samples, floor, strict=True))


def quotient(samples: Sequence[Sample], of: Sequence[Sample]) -> float:
    """The median of the quotients of CPU time, each of two samples of one round."""
    return statistics.median(one.cpu_us / other.cpu_us for one, other in zip(samples, of, strict=True))


class Table(NamedTuple):
    """What a benchmark reported: a line above the columns, and the rows."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


TABLES: Final[list[Table]] = []
"""What this process has reported, in order: `python -m benchmarks --save` keeps it."""


def report(header: Sequence[str], rows: Sequence[Sequence[str]], bounds: Sequence[Bound]) -> int:
    """Print a table and what became of the bounds; answer with the exit code, 1 where one is broken."""
    TABLES.append(Table(header, rows))
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for first, *cells in (header, *rows):
        right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        print("  ".join((first.ljust(widths[0]), *right)))
    print()
    for bound in bounds:
        print(bound)
    return 0 if all(bound.kept for bound in bounds) else 1
