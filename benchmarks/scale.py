"""Many turns at once on one client, beside as many of a bare aiohttp session.

A ChatHub in another process sends each a word every 50 ms, or as fast as it can where the machine is too slow for that.
Each sample is a process of its own, which tells how much its memory has grown at most.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence

from benchmarks.crowd import BARE, OURS, Crowd, crowd
from benchmarks.measuring import Bound, report
from benchmarks.servers import served

__all__ = ["main"]

MOST_KIB = 64.0
"""Memory that an open turn may take beyond aiohttp's own, in KiB."""

HEADER = ("client", "complete", "at once", "KiB/turn", "CPU ms/turn", "wall s")


def run(*, turns: int, deltas: int, rounds: int) -> dict[str, list[Crowd]]:
    """The samples of both clients, taken in turns."""
    samples: dict[str, list[Crowd]] = {BARE: [], OURS: []}
    with served("paced", deltas) as url:
        for _ in range(rounds):
            for name, taken in samples.items():
                taken.append(crowd(name, url, turns))
    return samples


def bounds_of(samples: Mapping[str, Sequence[Crowd]], turns: int) -> list[Bound]:
    """What became of the bounds."""
    above = statistics.median(our.kib - bare.kib for our, bare in zip(samples[OURS], samples[BARE], strict=True))
    return [
        Bound("turns that did not complete", turns - min(each.complete for each in samples[OURS]), 0, "of any round"),
        Bound("turns that were not open at once", turns - min(each.most for each in samples[OURS]), 0, "of any round"),
        Bound("memory of an open turn beyond aiohttp's own", above, MOST_KIB, "KiB"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--turns", type=int, default=1000, help="turns at once; each is an open file")
    parser.add_argument("--deltas", type=int, default=40, help="one-word deltas of each answer")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each client")
    sizes = parser.parse_args(arguments)
    samples = run(turns=sizes.turns, deltas=sizes.deltas, rounds=sizes.rounds)
    rows = []
    for name, taken in samples.items():
        middle = Crowd(*(statistics.median(values) for values in zip(*taken, strict=True)))
        cells = f"{middle.complete:.0f}", f"{middle.most:.0f}", f"{middle.kib:.1f}", f"{middle.cpu_ms:.2f}"
        rows.append((name, *cells, f"{middle.wall_s:.1f}"))
    return report(HEADER, rows, bounds_of(samples, sizes.turns))


if __name__ == "__main__":
    sys.exit(main())
