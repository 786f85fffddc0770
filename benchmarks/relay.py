"""A relay that makes a server on this machine as far away as one round trip takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

__all__ = ["relayed"]

_PIECE = 65536


@asynccontextmanager
async def relayed(url: str, *, round_trip: float) -> AsyncGenerator[str, None]:
    """The URL of a relay to that server, which passes on what comes from either end half a round trip later.

    What is said takes its time. A connection is there at once: a relay cannot make its opening last.

    Args:
        url: The server's.
        round_trip: In seconds.
    """
    server_at = urlsplit(url)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(server_at.hostname, server_at.port)
        for source, target in ((reader, upstream_writer), (upstream_reader, writer)):
            task = asyncio.create_task(_pass_on(source, target, round_trip / 2))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    relay = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{relay.sockets[0].getsockname()[1]}"
    finally:
        relay.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, seconds: float) -> None:
    """Pass on each piece that many seconds after it came; the end, too."""
    now = asyncio.get_running_loop().time
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def take() -> None:
        piece = b"?"
        while piece:
            with suppress(OSError):
                piece = b""
                piece = await source.read(_PIECE)
            pieces.put_nowait((now() + seconds, piece))

    taking = asyncio.create_task(take())
    try:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(due - now())
            if not piece:
                return
            target.write(piece)
    finally:
        taking.cancel()
        target.close()
