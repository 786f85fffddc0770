"""An LLM that is asked, and event loops as a script finds them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from bing_llm.emulator import Emulator
from llama_index.llms.bing import Bing
from tests.integrations.llama_index.llms.bing.knowledge import repeating
from tests.integrations.llama_index.llms.bing.services import GRACE_S


@pytest.fixture
def llm(bing_emulator: Emulator) -> Iterator[Bing]:
    """An LLM whose service says what it was asked."""
    bing_emulator.brain = repeating()
    with Bing(endpoint=bing_emulator.url) as llm:
        yield llm


@pytest.fixture(autouse=True)
def no_loop() -> None:
    """The thread has no event loop, so that LlamaIndex makes one for each call, and closes it."""
    asyncio.set_event_loop(None)


@pytest.fixture
def idle_loop(no_loop: None) -> Iterator[asyncio.AbstractEventLoop]:
    """The thread has an event loop that does not run; LlamaIndex runs coroutines on it, and never closes it.

    Up to Python 3.13 that is so in a script: `asyncio.get_event_loop()` gives the main thread one.
    """
    del no_loop
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.run_until_complete(_ended())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture(params=["idle_loop", "no_loop"])
def loop_of_the_thread(request: pytest.FixtureRequest) -> None:
    """The one and the other."""
    request.getfixturevalue(request.param)


async def _ended() -> None:
    """Wait for what was begun on this loop."""
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE_S)
