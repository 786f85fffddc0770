"""Ways to read a turn, for its tests."""

from __future__ import annotations

import asyncio

from bing_llm import events as ev
from bing_llm.turn import TurnStream

SEARCH = ev.SearchStarted("weather")


async def events_of(turn: TurnStream) -> list[ev.Event]:
    """All events that are left."""
    return [event async for event in turn]


async def pieces_of(turn: TurnStream) -> list[str]:
    """All pieces of text that are left."""
    return [piece async for piece in turn.text]


async def settle() -> None:
    """Let the loop do what is due."""
    for _ in range(5):
        await asyncio.sleep(0)
