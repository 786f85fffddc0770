"""Stream an answer: callbacks see each token, and the sum of the chunks is the whole message.

Needs `pip install ".[langchain]"`.
"""

import asyncio
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessageChunk

from langchain_bing import ChatBing


class Counter(AsyncCallbackHandler):
    """Counts the chunks that hold text."""

    chunks = 0

    async def on_llm_new_token(self, token: str | list[str | dict[str, Any]], **_more: Any) -> None:
        """Called for each chunk."""
        self.chunks += bool(token)


async def main() -> None:
    async with ChatBing() as model:
        counter = Counter()
        whole = AIMessageChunk(content="")
        async for chunk in model.astream("What is the latest news about Python?", config={"callbacks": [counter]}):
            print(chunk.text, end="", flush=True)
            whole += chunk
    print(f"\n({counter.chunks} chunks, finish_reason {whole.response_metadata['finish_reason']})")
    for citation in whole.response_metadata.get("citations", ()):
        print(f"[{citation['number']}] {citation['title']} {citation['url']}")


asyncio.run(main())
