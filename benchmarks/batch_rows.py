"""What a long batch costs: memory, which does not grow with the rows, and CPU time a row, when nothing is waited for.

The answers are in memory. Each length is a process of its own, which tells how much its memory has grown at most: over
rows that are read, asked, written and sorted, and then over a second run, which finds that all is done. The floor of
that one is a set of ids: decode the lines of both files, and look up each id of the input in a set of those of the
output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.measuring import Bound, report
from benchmarks.memory import client_from_memory, words
from benchmarks.resident import kib_at_most
from bing_llm.batch import arun

__all__ = ["main"]

MOST_MIB = 8.0
"""By how much the memory of a batch may grow where it has ten times the rows, in MiB."""

MOST_SKIPPED = 3.8
"""CPU time of a row that was done before, in that of the set of ids: 8 us where that takes 2.1 us. A set is faster, but
takes more memory with each row."""

HEADER = ("rows", "memory, MiB", "CPU us/row", "done before, CPU us/row", "set of ids", "ratio", "bound")

_CONCURRENCY = 16
_ROUNDS = 3  # samples of the second run, and of its floor
_WORDS = 50  # of a prompt and of an answer


class Cost(NamedTuple):
    """What the rows of one process cost it: growth of its memory in MiB, and CPU time a row in microseconds."""

    mib: float
    ask_us: float
    skip_us: float
    floor_us: float

    @property
    def skip_ratio(self) -> float:
        """What a row that was done before costs, in the floor's cost."""
        return self.skip_us / self.floor_us


def cost(rows: int) -> Cost:
    """What a fresh process tells."""
    command = [sys.executable, "-m", "benchmarks.batch_rows", "--one", "--rows", str(rows)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own
    return Cost(**json.loads(done.stdout))


async def _measured(rows: int, folder: Path) -> Cost:
    await _run(16, folder, "warm-up")  # brings all imports
    memory = kib_at_most()
    ask_us = await _run(rows, folder, "all", ordered=True)
    skips_us = [await _run(rows, folder, "all") for _ in range(_ROUNDS)]
    mib = (kib_at_most() - memory) / 1024
    floors_us = [_set_of_ids(rows, folder) for _ in range(_ROUNDS)]
    return Cost(mib, ask_us, statistics.median(skips_us), statistics.median(floors_us))


def _set_of_ids(rows: int, folder: Path) -> float:
    """The CPU time of the floor, in microseconds a row."""
    began = time.process_time()
    with (folder / "all-answers.jsonl").open("rb") as output:
        done = {msgspec.json.decode(line)["id"] for line in output}
    with (folder / "all.jsonl").open("rb") as source:
        found = sum(msgspec.json.decode(line)["id"] in done for line in source)
    spent = time.process_time() - began
    if found != rows:
        raise SystemExit(f"{found} of {rows} ids were found.")
    return spent / rows * 1e6


async def _run(rows: int, folder: Path, name: str, *, ordered: bool = False) -> float:
    """The CPU time of a run, in microseconds a row."""
    source, output = folder / f"{name}.jsonl", folder / f"{name}-answers.jsonl"
    if not source.exists():
        _write(source, rows)
    async with client_from_memory(["".join(words(_WORDS))]) as client:
        began = time.process_time()
        summary = await arun(source, output, client=client, concurrency=_CONCURRENCY, ordered=ordered)
        spent = time.process_time() - began
    if not summary.complete or summary.answered + summary.earlier != rows or summary.failed:
        raise SystemExit(f"The batch came to {summary}.")
    return spent / rows * 1e6


def _write(path: Path, rows: int) -> None:
    prompt = "".join(words(_WORDS))
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps({'id': f'row-{number}', 'prompt': prompt})}\n" for number in range(rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_rows", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="of the longer batch; the other has a tenth")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asyncio.run(_measured(options.rows, Path(folder)))._asdict()))  # noqa: T201
        return 0
    costs = {rows: cost(rows) for rows in (options.rows // 10, options.rows)}
    rows = [
        (f"{rows:,}", f"{one.mib:.1f}", f"{one.ask_us:.0f}", f"{one.skip_us:.1f}", f"{one.floor_us:.1f}",
         f"{one.skip_ratio:.2f}", f"{MOST_SKIPPED:g}")
        for rows, one in costs.items()
    ]  # fmt: skip
    short, long = costs.values()
    bounds = [
        Bound("memory of ten times the rows", long.mib - short.mib, MOST_MIB, "MiB more"),
        Bound("CPU of a row that was done before, in that of a set of ids", long.skip_ratio, MOST_SKIPPED, "times"),
    ]
    return report(HEADER, rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
