"""What Bing for LlamaIndex costs over a socket, beside LlamaIndex's own OpenAI.

Each asks a server in another process, which answers with the same one-word deltas: Bing the emulator, OpenAI a loopback
server of server-sent events. What is measured is this process alone. A ChatHub repeats the whole text with each delta,
so its frames are many times longer than those of OpenAI. Bing joins the deltas that have come; the second case shows it
without.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from llama_index.core.llms import LLM, ChatMessage

from benchmarks.measuring import Work, reading
from benchmarks.sockets import Race
from llama_index.llms.bing import Bing

__all__ = ["main"]

OURS, UNJOINED, OTHER = "Bing", "Bing, not joined", "OpenAI"


def openai(url: str) -> LLM:
    """OpenAI as LlamaIndex's users have it, but for the address."""
    # By its name: only whoever runs this benchmark has it installed. The model's: one that it knows.
    model: LLM = importlib.import_module("llama_index.llms.openai").OpenAI(
        api_base=url, api_key="none", model="gpt-4o-mini"
    )
    return model


@asynccontextmanager
async def _opened(hub: str, url: str) -> AsyncGenerator[Mapping[str, Work], None]:
    question = [ChatMessage("Go on.")]
    async with Bing(endpoint=hub) as bing, Bing(endpoint=hub, join_deltas=False) as unjoined:
        models: dict[str, LLM] = {OURS: bing, UNJOINED: unjoined, OTHER: openai(url)}
        yield {name: reading(partial(model.astream_chat, question)) for name, model in models.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where the bound is broken."""
    race = Race(OURS, OTHER, _opened)
    return race.main(arguments, command="benchmarks.llama_index_socket", description=__doc__)


if __name__ == "__main__":
    sys.exit(main())
