"""How to test code that uses the service: a script for the emulator, errors included, and what it was sent."""

import asyncio

from bing_llm import BingClient, BingError, Citation, Event, Reply, Retries, SearchStarted, Throttled, TurnCompleted
from bing_llm.emulator import Emulator, Scripted

SCRIPT: list[list[str | Event | BingError]] = [
    [Throttled()],
    [
        SearchStarted("tides"),
        "The moon makes the tides [^1^].",
        TurnCompleted(Reply(citations=(Citation(1, "https://example.org/tides", "Tides"),))),
    ],
]


async def answer_or_excuse(bing: BingClient, prompt: str) -> str:
    """The code under test."""
    try:
        reply = await bing.ask(prompt)
    except Throttled:
        return "Please ask again later."
    return f"{reply.text} Sources: {', '.join(citation.url for citation in reply.citations)}"


async def main() -> None:
    async with Emulator(brain=Scripted(SCRIPT)) as emulator:
        async with BingClient(endpoint=emulator.url, retries=Retries(attempts=1)) as bing:
            print(await answer_or_excuse(bing, "Why are there tides?"))
            print(await answer_or_excuse(bing, "Why are there tides?"))
        print(f"the emulator was sent {len(emulator.requests)} requests")


asyncio.run(main())
