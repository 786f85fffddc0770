"""Write, as JSON, how many seconds the first text of each turn takes with sydney-py.

    python first_text_sydney_py.py BASE_URL TURNS

Each turn has a conversation of its own. Only the host in the client's URLs changes, and two headers go that it would
send twice.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

from sydney import SydneyClient, sydney


def point_at(base_url: str) -> None:
    """Send the client to `base_url`."""
    host = urlsplit(base_url).netloc
    for name in dir(sydney):
        if name.startswith("BING_"):
            shipped = urlsplit(getattr(sydney, name))
            scheme = {"https": "http", "wss": "ws"}[shipped.scheme]
            setattr(sydney, name, shipped._replace(scheme=scheme, netloc=host).geturl())
    for name in ("Connection", "User-Agent"):
        del sydney.CHATHUB_HEADERS[name]


async def first_text() -> float:
    """Seconds to the first text of one turn."""
    client = SydneyClient()
    began = time.perf_counter()
    await client.start_conversation()
    async for piece in client.ask_stream("Hello"):
        if piece:
            break
    seconds = time.perf_counter() - began
    await client.close_conversation()
    return seconds


async def main(base_url: str, turns: str) -> None:
    """Take one turn after another."""
    point_at(base_url)
    json.dump([await first_text() for _ in range(int(turns))], sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
