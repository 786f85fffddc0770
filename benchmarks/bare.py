"""The floor of the benchmarks over sockets: aiohttp alone gets the same answer, and parses no message of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp

from bing_llm.backends.chathub.options import resolve
from bing_llm.backends.chathub.request import Stamp, chat_request, parse_creation
from bing_llm.backends.chathub.turn import Turn
from bing_llm.backends.response import Response
from bing_llm.limits import DEFAULT_LIMITS
from bing_llm.messages import Prompt
from bing_llm.services import ChatHub

__all__ = ["bare_session", "bare_turn"]

_END = '{"type":3'
_END_CHARACTERS = 100  # the last record of a turn is shorter


def bare_session() -> aiohttp.ClientSession:
    """A session that opens as many sockets as it is asked for."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def bare_turn(session: aiohttp.ClientSession, url: str) -> AsyncGenerator[str, None]:
    """The messages of one turn of a new conversation at this ChatHub."""
    endpoints = resolve(url, allow_insecure=False)
    async with session.get(endpoints.create) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        conversation = parse_creation(Response(response.status, headers, await response.read()))
    request = chat_request(
        conversation,
        Prompt("Go on."),
        ChatHub(),
        0,
        stamp=Stamp("benchmark", "benchmark", "2023-10-01T00:00:00Z"),
    )
    address = endpoints.socket_for(conversation.encrypted_signature)
    async with session.ws_connect(address, max_msg_size=DEFAULT_LIMITS.frame_bytes) as socket:
        await socket.send_str(Turn().ask(request).decode())
        async for message in socket:
            yield message.data
            if _END in message.data[-_END_CHARACTERS:]:
                return
    raise RuntimeError("The answer did not come to its end.")
