"""Microsoft 365 Copilot: a conversation with sources, through Work IQ.

Run `bing-llm login` first, or set `WORKIQ_TOKEN`. With `BING_LLM_BACKEND=emulator` it asks an emulator of Work IQ.

Needs `pip install ".[workiq]"`.
"""

import asyncio
import os
from contextlib import AsyncExitStack

from bing_llm import BingClient
from bing_llm.emulator import Emulator


async def main() -> None:
    async with AsyncExitStack() as stack:
        if os.environ.get("BING_LLM_BACKEND") == "emulator":
            emulator = await stack.enter_async_context(Emulator())
            bing = BingClient(
                backend="workiq", endpoint=emulator.workiq_url, token=emulator.token, time_zone="Europe/Zurich"
            )
        else:
            bing = BingClient(backend="workiq", entity_tags="strip")
        await stack.enter_async_context(bing)
        chat = await bing.create_conversation()
        for prompt in ("What is the latest news about Python?", "Thank you!"):
            async with chat.stream(prompt) as turn:
                async for text in turn.text:
                    print(text, end="", flush=True)
                reply = await turn.reply()
            print()
            for citation in reply.citations:
                print(f"[{citation.number}] {citation.title} {citation.url}".rstrip())
            label = reply.metadata.get("sensitivityLabel") or {}
            print("sensitivity:", label.get("displayName") or "none")


asyncio.run(main())
