"""Write, as JSON, how many seconds the first text of each turn takes with g4f's provider Bing.

    python first_text_g4f.py BASE_URL TURNS

Each turn has a conversation of its own. Only the host of the requests changes.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp

provider = importlib.import_module("g4f.Provider.Bing")


def point_at(base_url: str) -> None:
    """Send the provider to `base_url`: its URLs are in the middle of its code."""
    host = urlsplit(base_url).netloc
    request = aiohttp.ClientSession._request  # noqa: SLF001 - what both HTTP calls and sockets begin with

    async def redirected(session: aiohttp.ClientSession, method: str, url: Any, **more: Any) -> Any:
        there = urlsplit(str(url))._replace(scheme="http", netloc=host).geturl()
        return await request(session, method, there, **more)

    aiohttp.ClientSession._request = redirected  # type: ignore[assignment,method-assign] # noqa: SLF001


async def first_text() -> float:
    """Seconds to the first text of one turn."""
    messages = [{"role": "user", "content": "Hello"}]
    began = time.perf_counter()
    pieces = provider.Bing.create_async_generator("Balanced", messages, connector=aiohttp.TCPConnector())
    async for piece in pieces:
        if piece:
            break
    seconds = time.perf_counter() - began
    await pieces.aclose()
    return seconds


async def main(base_url: str, turns: str) -> None:
    """Take one turn after another."""
    point_at(base_url)
    json.dump([await first_text() for _ in range(int(turns))], sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
