"""A Work IQ whose every answer is an attack: bodies that are packed, endless, deep, or nothing but line ends.

It is not the emulator, but bytes over a bare socket, and each attack is over within some megabytes or seconds.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from random import Random

__all__ = ["ATTACKS", "hostile"]

_MIB = 2**20
_PIECE = 64 * 1024

ATTACKS: dict[str, tuple[bytes, str]] = {
    "packed comments": (gzip.compress(b":\n" * (8 * _MIB)), "gzip"),
    "comments": (b":\n" * _MIB, "identity"),
    "line ends": (b"\r\n" * _MIB + b"\r" * _MIB, "identity"),
    "events without data": (b"event: x\n\n" * (_MIB // 4), "identity"),
    "small events": (b"data: {}\n\n" * (_MIB // 4), "identity"),
    "snapshots": (b'data: {"id":"c","messages":[{"id":"m","text":"x"}]}\n\n' * 20_000, "identity"),
    "one line": (b"data: " + b"x" * (20 * _MIB), "identity"),
    "deep JSON": (b"data: " + b"[" * _MIB + b"\n\n", "identity"),
    "many values": (b"data: [" + b"{}," * _MIB + b"{}]\n\n", "identity"),
    "packed lie": (b"not packed", "gzip"),
}
"""The bodies, each with its `Content-Encoding`."""

_CREATED = b'{"id":"c","state":"active","turnCount":0,"messages":[]}'


@asynccontextmanager
async def hostile(seed: int) -> AsyncGenerator[str, None]:
    """The base URL of the service, whose attacks come in an order by this seed."""
    random = Random(seed)  # noqa: S311 - it must be repeatable

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_length_in(head))
                if b"chat" not in head.partition(b"\r\n")[0]:
                    writer.write(_head(201, "application/json", "identity", len(_CREATED)) + _CREATED)
                    continue
                body, encoding = ATTACKS[random.choice([*ATTACKS])]
                writer.write(_head(200, "text/event-stream", encoding, None))
                for piece in _pieces(body):
                    writer.write(piece)
                    await writer.drain()
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rest"


def _length_in(head: bytes) -> int:
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(lengths[0]) if lengths else 0


def _head(status: int, kind: str, encoding: str, length: int | None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Encoding: {encoding}"]
    lines.append("Connection: close" if length is None else f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def _pieces(body: bytes) -> Iterator[bytes]:
    return itertools.takewhile(bool, (body[at : at + _PIECE] for at in itertools.count(0, _PIECE)))
