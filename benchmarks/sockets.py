"""What the socket benchmarks share: an adapter beside the model that its framework's users have for OpenAI.

Each asks a server in another process, which answers with the same one-word deltas: the adapter the emulator, the other
model a loopback server of server-sent events. What is measured is this process alone.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, TypeAlias

from benchmarks.measuring import Bound, Sample, Work, interleaved, median, quotient, report
from benchmarks.servers import served

__all__ = ["Opened", "Race"]

MOST = 0.25
"""The part of the other model's CPU time that ours may take."""

Opened: TypeAlias = Callable[[str, str], AbstractAsyncContextManager[Mapping[str, Work]]]
"""The works of the models, by name, while they are open; given the URLs of the ChatHub and of OpenAI's service."""


class Race(NamedTuple):
    """Two models: `ours` has the bound, in CPU time of `other`. `opened` may have more, for information."""

    ours: str
    other: str
    opened: Opened

    async def run(self, *, deltas: int, rounds: int) -> dict[str, list[Sample]]:
        """The samples of each model."""
        with served("emulator", deltas) as hub, served("openai", deltas) as url:
            async with self.opened(hub, url) as works:
                return await interleaved(works, deltas=deltas, rounds=rounds)

    def main(self, arguments: Sequence[str] | None, *, command: str, description: str | None) -> int:
        """Measure and report; 1 where the bound is broken."""
        parser = argparse.ArgumentParser(prog=f"python -m {command}", description=description)
        parser.add_argument("--deltas", type=int, default=1000, help="one-word deltas of each answer")
        parser.add_argument("--rounds", type=int, default=9, help="samples of each model")
        sizes = parser.parse_args(arguments)
        measured = asyncio.run(self.run(deltas=sizes.deltas, rounds=sizes.rounds), debug=False)
        rows = [
            (
                name,
                f"{median(samples).cpu_us:.1f}",
                f"{quotient(samples, measured[self.other]):.2f}",
                f"{median(samples).wall_us:.1f}",
                f"{median(samples).chunks:.0f}",
            )
            for name, samples in measured.items()
        ]
        bound = Bound(
            f"CPU of {self.ours}, in that of {self.other}",
            quotient(measured[self.ours], measured[self.other]),
            MOST,
            "times",
        )
        return report(("model", "CPU us/delta", f"of {self.other}'s", "wall us/delta", "chunks"), rows, [bound])
