"""Talk to a ChatHub server through re-edge-gpt and write what the client gave as one line of JSON.

    python drive_re_edge_gpt.py BASE_URL {ask,stream} PROMPT [PROMPT ...]

All prompts go into one conversation. Two settings of the client's own send it there: the environment variable
BING_PROXY_URL and the argument `wss_link`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from urllib.parse import urlsplit

from re_edge_gpt import Chatbot
from re_edge_gpt.chat.constants import BUNDLE_VERSION


async def ask(bot: Chatbot, prompt: str, hub: str) -> dict[str, object]:
    """The answer, with its sources and suggestions, as the client simplifies it."""
    answer = await bot.ask(prompt, wss_link=hub, conversation_style="balanced", simplify_response=True)
    return {
        "text": answer["text"],
        "sources": dict(zip(answer["source_keys"], answer["source_values"], strict=True)),
        "suggestions": answer["suggestions"],
    }


async def stream(bot: Chatbot, prompt: str, hub: str) -> dict[str, object]:
    """The answer, as the growing snapshots in which the client hands it on."""
    answer = bot.ask_stream(prompt, wss_link=hub, conversation_style="balanced")
    return {"snapshots": [text async for final, text in answer if not final]}


async def main(base_url: str, way: str, *prompts: str) -> None:
    """Put each prompt in turn, in one conversation."""
    os.environ["BING_PROXY_URL"] = f"{base_url}/turing/conversation/create?bundleVersion={BUNDLE_VERSION}"
    hub = f"ws://{urlsplit(base_url).netloc}/sydney/ChatHub"
    put = {"ask": ask, "stream": stream}[way]
    bot = await Chatbot.create()
    try:
        answers = [await put(bot, prompt, hub) for prompt in prompts]
    finally:
        await bot.close()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
