"""What ChatBing costs over a socket, beside ChatOpenAI.

Each asks a server in another process, which answers with the same one-word deltas: ChatBing the emulator, ChatOpenAI a
loopback server of server-sent events. What is measured is this process alone. A ChatHub repeats the whole text with
each delta, so its frames are many times longer than those of OpenAI. ChatBing joins the deltas that have come; the
second case shows it without.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import statistics
import sys
from collections.abc import Sequence

from langchain_core.language_models.chat_models import BaseChatModel

from benchmarks.measuring import Bound, Sample, asking, interleaved, median, report
from benchmarks.servers import served
from langchain_bing import ChatBing

__all__ = ["main", "run"]

MOST = 0.25
"""The part of ChatOpenAI's CPU time that ChatBing may take."""

OURS, UNJOINED, OTHER = "ChatBing", "ChatBing, not joined", "ChatOpenAI"
HEADER = ("model", "CPU us/delta", "of ChatOpenAI's", "wall us/delta", "chunks")


def chat_openai(url: str) -> BaseChatModel:
    """ChatOpenAI as its users have it, but for the address."""
    # By its name: only whoever runs this benchmark has it installed.
    model: BaseChatModel = importlib.import_module("langchain_openai").ChatOpenAI(
        base_url=url, api_key="none", model="benchmark"
    )
    return model


async def run(*, deltas: int, rounds: int) -> dict[str, list[Sample]]:
    """The samples of each model."""
    with served("emulator", deltas) as hub, served("openai", deltas) as url:
        async with ChatBing(endpoint=hub) as bing, ChatBing(endpoint=hub, join_deltas=False) as unjoined:
            works = {OURS: asking(bing), UNJOINED: asking(unjoined), OTHER: asking(chat_openai(url))}
            return await interleaved(works, deltas=deltas, rounds=rounds)


def part(samples: Sequence[Sample], of: Sequence[Sample]) -> float:
    """The median of the quotients, each of two samples of one round."""
    return statistics.median(one.cpu_us / other.cpu_us for one, other in zip(samples, of, strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where the bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.langchain_socket", description=__doc__)
    parser.add_argument("--deltas", type=int, default=1000, help="one-word deltas of each answer")
    parser.add_argument("--rounds", type=int, default=9, help="samples of each model")
    sizes = parser.parse_args(arguments)
    measured = asyncio.run(run(deltas=sizes.deltas, rounds=sizes.rounds), debug=False)
    rows = []
    for name, samples in measured.items():
        middle = median(samples)
        rows.append(
            (
                name,
                f"{middle.cpu_us:.1f}",
                f"{part(samples, measured[OTHER]):.2f}",
                f"{middle.wall_us:.1f}",
                f"{middle.chunks:.0f}",
            )
        )
    bound = Bound("CPU of ChatBing, in that of ChatOpenAI", part(measured[OURS], measured[OTHER]), MOST, "times")
    return report(HEADER, rows, [bound])


if __name__ == "__main__":
    sys.exit(main())
