"""One ChatHub socket of the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import aclosing

from aiohttp import WSMsgType, web

from bing_llm.backends.chathub import codec, frames
from bing_llm.backends.chathub.connection import Connection, Role, Sentinel
from bing_llm.backends.chathub.connection import State as ConnectionState
from bing_llm.emulator.answering import Outgoing, answer_turn
from bing_llm.emulator.faults import Breakage, result_of
from bing_llm.emulator.received import Received
from bing_llm.emulator.state import State
from bing_llm.emulator.writing import AnswerWriter
from bing_llm.errors import ConversationBusy, ProtocolError

__all__ = ["Session"]

_log = logging.getLogger(__name__)

_CLOSED_WITH_AN_ERROR = frames.Close("Connection closed with an error.", allow_reconnect=True)  # recording 12
_GARBAGE = b'{"type":1,"target":"update","arguments":[{"messages":[\x1e'
_BUSY = {ConnectionState.ANSWERING, ConnectionState.STOPPING}


class Session:
    """One socket, from the handshake to its end. The turn that runs on it is a task.

    Args:
        state: The emulator's.
        socket: The open socket.
        request: The upgrade request: its headers, its query, its transport.
    """

    def __init__(self, state: State, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._state = state
        self._socket = socket
        self._request = request
        self._transport = request.transport
        self._connection = Connection(Role.SERVER)
        self._turn: asyncio.Task[None] | None = None
        self._invocation_id = ""
        self._closing = False
        self._pinging: asyncio.Task[None] | None = None
        self._spoke_at = 0.0

    def abort(self) -> None:
        """Break the connection now."""
        if self._transport is not None:
            self._transport.abort()

    async def run(self) -> None:
        """Serve the socket until it ends."""
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.TEXT or not await self._take_in(message.data):
                    break
        finally:
            if self._closing and self._turn is not None:
                await asyncio.wait({self._turn})
            await _cancel(self._pinging)
            await _cancel(self._turn)

    # --- what comes in --------------------------------------------------------------------------------------------

    async def _take_in(self, data: bytes) -> bool:
        """Take in one message; answer whether to go on."""
        try:
            self._connection.receive(data)
            while not isinstance(frame := await self._next_frame(), Sentinel):
                await self._handle(frame)
        except ProtocolError as exc:
            _log.info("A client broke the protocol: %s", exc.message)
            await self._refuse_to_go_on()
            return False
        return not self._socket.closed

    async def _next_frame(self) -> frames.ServerFrame | frames.ClientFrame | Sentinel:
        try:
            return self._connection.next_frame()
        except ProtocolError:
            # What parses and may not come while a turn runs is another request; the rest raises again.
            frame = codec.decode_client(self._connection.record) if self._connection.state in _BUSY else None
            if not isinstance(frame, frames.Chat):
                raise
            await self._refuse_second(frame)
            return frames.Ping()

    async def _handle(self, frame: frames.ServerFrame | frames.ClientFrame) -> None:
        match frame:
            case frames.HandshakeRequest():
                await self._greet(frame)
            case frames.Chat():
                await self._begin_turn(frame)
            case frames.Invocation(target="stop"):
                await self._stop(frame)
            case _:
                pass  # a ping is not answered: two ends that echo each other never stop

    async def _greet(self, handshake: frames.HandshakeRequest) -> None:
        if (handshake.protocol, handshake.version) == (frames.HANDSHAKE.protocol, frames.HANDSHAKE.version):
            await self._send(frames.HandshakeAck())
            self._pinging = asyncio.create_task(self._keep_alive())
        else:
            error = f"The protocol '{handshake.protocol}' in version {handshake.version} is not supported."
            await self._send(frames.HandshakeAck(error))
            await self._socket.close()

    async def _refuse_to_go_on(self) -> None:
        """Answer a breach of the protocol: before the handshake with a bare close, later with a close frame."""
        await _cancel(self._turn)
        if self._connection.state not in {ConnectionState.NEW, ConnectionState.CLOSED}:
            await self._send(_CLOSED_WITH_AN_ERROR)
        await self._socket.close()

    # --- turns ----------------------------------------------------------------------------------------------------

    async def _begin_turn(self, chat: frames.Chat) -> None:
        request = self._note(chat)
        if not chat.invocation_id:
            await self._refuse_to_go_on()
        elif chat.target != "chat":
            await self._send(frames.Completion(chat.invocation_id, f"Unknown hub method '{chat.target}'"))
        else:
            if self._turn is not None:
                await asyncio.wait({self._turn})  # it has sent its last frame
            self._invocation_id = chat.invocation_id
            self._turn = asyncio.create_task(self._play(request, chat))

    async def _refuse_second(self, chat: frames.Chat) -> None:
        """Refuse a turn while another runs on this socket; its frames are no step of the running one."""
        self._note(chat)
        writer = AnswerWriter(chat, lifetime=self._state.lifetime, clock=self._state.clock)
        await self._send_data(codec.encode(*writer.refusal(result_of(ConversationBusy()))))

    async def _play(self, request: Received, chat: frames.Chat) -> None:
        try:
            async with aclosing(answer_turn(self._state, request, chat, request.query.get("sec_access_token"))) as turn:
                async for outgoing in turn:
                    await self._perform(outgoing)
        except Exception:  # noqa: BLE001 - a mistake in here must not leave the client waiting
            _log.exception("A turn of the emulator failed.")
            self.abort()

    async def _perform(self, outgoing: Outgoing) -> None:
        match outgoing:
            case Breakage.CLOSE:
                self._closing = True
                await self._socket.close()
            case Breakage.ABORT:
                self.abort()
            case Breakage.GARBAGE:
                await self._send_data(_GARBAGE)
            case Breakage.SILENCE:
                await _cancel(self._pinging)
                await asyncio.Event().wait()
            case _:
                await self._send(*outgoing)

    async def _stop(self, frame: frames.Invocation) -> None:
        self._state.note(
            Received(
                kind="stop",
                path=self._request.path,
                headers=self._request.headers,
                query=self._request.query,
                body=codec.decode_json(self._connection.record),
                invocation_id=frame.invocation_id or "",
            )
        )
        await _cancel(self._turn)
        if self._connection.state is ConnectionState.STOPPING:
            await self._send(frames.Completion(self._invocation_id))

    def _note(self, chat: frames.Chat) -> Received:
        arguments = chat.arguments[0] if chat.arguments else None
        request = Received(
            kind="chat",
            path=self._request.path,
            headers=self._request.headers,
            query=self._request.query,
            body=codec.decode_json(self._connection.record),
            arguments=arguments,
            invocation_id=chat.invocation_id,
            conversation_id=(arguments and arguments.conversation_id) or "",
        )
        self._state.note(request)
        return request

    # --- what goes out --------------------------------------------------------------------------------------------

    async def _send(self, *outgoing: frames.ServerFrame) -> None:
        await self._send_data(self._connection.send(*outgoing))

    async def _send_data(self, data: bytes) -> None:
        self._spoke_at = asyncio.get_running_loop().time()
        with contextlib.suppress(ConnectionError):  # the client may be gone: some leave as soon as they have type 2
            await self._socket.send_frame(data, WSMsgType.TEXT)

    async def _keep_alive(self) -> None:
        """Ping whenever nothing was sent for the interval."""
        now = asyncio.get_running_loop().time
        while True:
            left = self._spoke_at + self._state.ping_interval - now()
            if left > 0:
                await asyncio.sleep(left)
            else:
                await self._send(frames.Ping())


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
