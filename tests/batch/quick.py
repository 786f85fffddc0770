"""The background loop without asyncio's debug mode, which would be a third of the work of thousands of turns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from bing_llm import sync

__all__ = ["quick_loop"]


@contextmanager
def quick_loop() -> Iterator[None]:
    """Meanwhile the loop on which emulators and synchronous calls run notes no stacks."""
    before = sync.run(_set_debug(on=False))
    try:
        yield
    finally:
        sync.run(_set_debug(on=before))


async def _set_debug(*, on: bool) -> bool:
    """Returns: What it was."""
    loop = asyncio.get_running_loop()
    before = loop.get_debug()
    loop.set_debug(on)
    return before
