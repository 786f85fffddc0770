"""End an answer early and keep what came."""

import asyncio

from bing_llm import BingClient

ENOUGH = 60  # characters


async def main() -> None:
    async with BingClient() as bing, bing.stream("Tell me a long story about the sea.") as turn:
        length = 0
        async for text in turn.text:
            length += len(text)
            if length >= ENOUGH:
                await turn.stop()
        reply = await turn.reply()
    print(f"{reply.text}...\n({len(reply.text)} characters, finish_reason {reply.finish_reason})")


asyncio.run(main())
