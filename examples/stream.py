"""Stream an answer, then show what came with it."""

import asyncio

from bing_llm import BingClient


async def main() -> None:
    async with BingClient() as bing, bing.stream("What is the latest news about Python?") as turn:
        async for text in turn.text:
            print(text, end="", flush=True)
        reply = await turn.reply()
    print()
    for citation in reply.citations:
        print(f"[{citation.number}] {citation.title} {citation.url}")
    for search in reply.searches:
        print(f"searched for: {search.query}")
    print("next:", " | ".join(reply.suggestions))


asyncio.run(main())
