"""What ChatBing costs over a socket, beside ChatOpenAI.

Each asks a server in another process, which answers with the same one-word deltas: ChatBing the emulator, ChatOpenAI a
loopback server of server-sent events. What is measured is this process alone. A ChatHub repeats the whole text with
each delta, so its frames are many times longer than those of OpenAI. ChatBing joins the deltas that have come; the
second case shows it without.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from langchain_core.language_models.chat_models import BaseChatModel

from benchmarks.measuring import Work, reading
from benchmarks.sockets import Race
from langchain_bing import ChatBing

__all__ = ["main"]

OURS, UNJOINED, OTHER = "ChatBing", "ChatBing, not joined", "ChatOpenAI"


def chat_openai(url: str) -> BaseChatModel:
    """ChatOpenAI as its users have it, but for the address."""
    # By its name: only whoever runs this benchmark has it installed.
    model: BaseChatModel = importlib.import_module("langchain_openai").ChatOpenAI(
        base_url=url, api_key="none", model="benchmark"
    )
    return model


@asynccontextmanager
async def _opened(hub: str, url: str) -> AsyncGenerator[Mapping[str, Work], None]:
    async with ChatBing(endpoint=hub) as bing, ChatBing(endpoint=hub, join_deltas=False) as unjoined:
        models = {OURS: bing, UNJOINED: unjoined, OTHER: chat_openai(url)}
        yield {name: reading(partial(model.astream, "Go on.")) for name, model in models.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where the bound is broken."""
    race = Race(OURS, OTHER, _opened)
    return race.main(arguments, command="benchmarks.langchain_socket", description=__doc__)


if __name__ == "__main__":
    sys.exit(main())
