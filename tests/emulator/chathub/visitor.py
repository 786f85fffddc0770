"""A bare client of the emulator: HTTP calls, sockets and frames, with nothing of our own client but its `Turn`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from bing_llm import events as ev
from bing_llm.backends.chathub import codec, frames
from bing_llm.backends.chathub.turn import Turn
from bing_llm.emulator import Emulator

SEPARATOR = codec.SEPARATOR.decode()
HANDSHAKE = '{"protocol":"json","version":1}' + SEPARATOR
PATIENCE_S = 20.0  # reached only when the emulator hangs


@dataclass(frozen=True)
class Created:
    """What the creation of a conversation gave."""

    id: str
    client_id: str
    signature: str = ""
    token: str = ""


def chat(created: Created, text: str = "Hello", number: int | str = 0, **changes: Any) -> dict[str, Any]:
    """A chat request with the least that the service wants; `changes` replace arguments, None leaves one out."""
    arguments = {
        "source": "cib",
        "optionsSets": [],
        "isStartOfSession": number in {0, "0"},
        "message": {"author": "user", "text": text, "messageType": "Chat"},
        "conversationSignature": created.signature,
        "participant": {"id": created.client_id},
        "conversationId": created.id,
        **changes,
    }
    kept = {name: value for name, value in arguments.items() if value is not None}
    return {"arguments": [kept], "invocationId": str(number), "target": "chat", "type": 4}


class Socket:
    """One open ChatHub socket. `close_code` is known once `records` came to its end."""

    def __init__(self, socket: Any) -> None:
        self.raw = socket
        self._waiting: list[Any] = []

    @property
    def close_code(self) -> int | None:
        """How the server closed it."""
        code: int | None = self.raw.close_code
        return code

    async def send(self, *values: Any) -> None:
        """Send these JSON values as records of one message."""
        await self.raw.send_str("".join(json.dumps(value) + SEPARATOR for value in values))

    async def message(self) -> list[Any] | None:
        """The records of the next message; None at the end of the socket."""
        received = await asyncio.wait_for(self.raw.receive(), PATIENCE_S)
        if received.type is not aiohttp.WSMsgType.TEXT:
            return None
        return [json.loads(record) for record in received.data.split(SEPARATOR) if record]

    async def frame(self) -> Any:
        """The next record; None at the end of the socket."""
        while not self._waiting:
            records = await self.message()
            if records is None:
                return None
            self._waiting = records
        return self._waiting.pop(0)

    async def turn(self) -> list[Any]:
        """The records up to a completion, or up to the end of the socket."""
        received: list[Any] = []
        while (frame := await self.frame()) is not None:
            received.append(frame)
            if frame.get("type") == 3:
                break
        return received


class Visitor:
    """Talks to one emulator."""

    def __init__(self, emulator: Emulator, http: aiohttp.ClientSession) -> None:
        self._emulator = emulator
        self.http = http

    def url(self, path: str) -> str:
        """The URL of a path."""
        return self._emulator.url + path

    async def create(self, **cookies: str) -> Created:
        """A new conversation."""
        path = "/turing/conversation/create?bundleVersion=1.1816.0"
        async with self.http.get(self.url(path), cookies=cookies) as response:
            body = await response.json()
            return Created(
                body["conversationId"],
                body["clientId"],
                response.headers["X-Sydney-ConversationSignature"],
                response.headers["X-Sydney-EncryptedConversationSignature"],
            )

    @asynccontextmanager
    async def socket(
        self, token: str | None, *, greeted: bool = True, headers: dict[str, str] | None = None
    ) -> AsyncIterator[Socket]:
        """An open socket, with the handshake done unless `greeted` is False."""
        query = "" if token is None else f"?sec_access_token={quote(token, safe='')}"
        async with self.http.ws_connect(self.url(f"/sydney/ChatHub{query}"), headers=headers) as raw:
            socket = Socket(raw)
            if greeted:
                await raw.send_str(HANDSHAKE)
                assert await socket.message() == [{}]
            yield socket

    async def exchange(self, created: Created, request: dict[str, Any]) -> list[Any]:
        """What one request on a socket of its own is answered, up to its completion or the end of the socket."""
        async with self.socket(created.token) as socket:
            await socket.send(request)
            return await socket.turn()

    async def result(self, created: Created, request: dict[str, Any]) -> dict[str, Any]:
        """The `result` of the final frame that one request is answered."""
        *_, final, _ = await self.exchange(created, request)
        result: dict[str, Any] = final["item"]["result"]
        return result

    async def ask(self, text: str, created: Created | None = None, number: int = 0, **changes: Any) -> list[ev.Event]:
        """The events of one turn, as the client's own `Turn` reads them; in a new conversation unless one is given.

        Raises:
            BingError: As the turn does.
        """
        created = await self.create() if created is None else created
        turn = Turn()
        request = msgspec.convert(chat(created, text, number, **changes), frames.Chat)
        async with self.socket(created.token, greeted=False) as socket:
            await socket.raw.send_frame(turn.ask(request), aiohttp.WSMsgType.TEXT)
            return [event async for event in _events(turn, socket.raw)]

    async def reply(self, text: str, created: Created | None = None, number: int = 0, **changes: Any) -> ev.Reply:
        """The reply of one turn."""
        last = (await self.ask(text, created, number, **changes))[-1]
        assert isinstance(last, ev.TurnCompleted)
        return last.reply


async def _events(turn: Turn, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[ev.Event]:
    while not turn.completed:
        event = turn.next_event()
        if event is not None:
            yield event
            continue
        message = await asyncio.wait_for(socket.receive(), PATIENCE_S)
        if message.type is aiohttp.WSMsgType.TEXT:
            turn.receive(message.data.encode())
        else:
            turn.receive_eof(socket.close_code)
