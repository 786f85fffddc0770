"""Talk to a ChatHub server through sydney-py and write what the client gave as one line of JSON.

    python drive_sydney_py.py BASE_URL {ask,stream,cited,look,list} PROMPT [PROMPT ...]

All prompts go into one conversation. Only the host in the client's URLs changes, and two headers go that it
would send twice.
"""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import urlsplit

from sydney import SydneyClient, sydney


def point_at(base_url: str) -> None:
    """Send the client to `base_url`; paths and queries stay as the client ships them."""
    host = urlsplit(base_url).netloc
    for name in dir(sydney):
        if name.startswith("BING_"):
            shipped = urlsplit(getattr(sydney, name))
            scheme = {"https": "http", "wss": "ws"}[shipped.scheme]
            setattr(sydney, name, shipped._replace(scheme=scheme, netloc=host).geturl())
    # The websockets library sends these two itself; aiohttp's server refuses a request that has one twice.
    for name in ("Connection", "User-Agent"):
        del sydney.CHATHUB_HEADERS[name]


async def ask(client: SydneyClient, prompt: str) -> dict[str, object]:
    """The answer, whole."""
    return {"text": await client.ask(prompt)}


async def stream(client: SydneyClient, prompt: str) -> dict[str, object]:
    """The answer, as the pieces in which the client hands it on."""
    return {"pieces": [piece async for piece in client.ask_stream(prompt)]}


async def cited(client: SydneyClient, prompt: str) -> dict[str, object]:
    """The answer as its card shows it, with link definitions, and the suggested next messages."""
    text, suggestions = await client.ask(prompt, citations=True, suggestions=True)
    return {"text": text, "suggestions": suggestions}


async def look(client: SydneyClient, prompt: str) -> dict[str, object]:
    """The answer to a prompt with a picture, which the client uploads first."""
    return {"text": await client.ask(prompt, attachment="https://example.org/cat.png")}


async def list_(client: SydneyClient, prompt: str) -> dict[str, object]:
    """The answer, and the ids of the conversations that there are after it."""
    text = await client.ask(prompt)
    listed = await client.get_conversations()
    return {"text": text, "conversations": [chat["conversationId"] for chat in listed["chats"]]}


async def main(base_url: str, way: str, *prompts: str) -> None:
    """Put each prompt in turn, in one conversation."""
    point_at(base_url)
    put = {"ask": ask, "stream": stream, "cited": cited, "look": look, "list": list_}[way]
    async with SydneyClient() as client:
        answers = [await put(client, prompt) for prompt in prompts]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
