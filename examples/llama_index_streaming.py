"""Stream an answer: each chunk has the new text as `delta`, and the last one has the sources.

Needs `pip install ".[llama-index]"`.
"""

import asyncio
from typing import Any

from llama_index.core.llms import ChatMessage

from llama_index.llms.bing import Bing


async def main() -> None:
    citations: list[dict[str, Any]] = []
    async with Bing() as llm:
        async for chunk in await llm.astream_chat([ChatMessage("What is the latest news about Python?")]):
            print(chunk.delta, end="", flush=True)
            citations = chunk.additional_kwargs.get("citations", [])
    print()
    for citation in citations:
        print(f"[{citation['number']}] {citation['title']} {citation['url']}")


asyncio.run(main())
