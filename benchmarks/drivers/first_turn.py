"""Write how many CPU seconds this process takes to the first text of a turn: `python first_turn.py BASE_URL`."""

import asyncio
import sys
import time

from bing_llm import BingClient


async def _main(url: str) -> None:
    async with BingClient(backend="chathub", endpoint=url) as bing, bing.stream("Go on.") as turn:
        async for _ in turn.text:
            print(time.process_time())  # noqa: T201 - `benchmarks.turns` reads it
            return


asyncio.run(_main(sys.argv[1]))
