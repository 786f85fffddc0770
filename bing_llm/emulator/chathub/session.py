"""One ChatHub socket of the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import aclosing
from typing import Any

from aiohttp import WSMsgType, web

from bing_llm._safe_text import log_line
from bing_llm.backends.chathub import codec, frames
from bing_llm.backends.chathub.codec import SEPARATOR
from bing_llm.backends.chathub.connection import Connection, Role, Sentinel
from bing_llm.backends.chathub.connection import State as ConnectionState
from bing_llm.backends.json_text import decode_json
from bing_llm.emulator.chathub.shapes import result_of
from bing_llm.emulator.chathub.turn import Outgoing, answer_turn
from bing_llm.emulator.chathub.writer import AnswerWriter
from bing_llm.emulator.faults import Cut, Duplicate, HandshakeRefused, How, Merge, Raw, Silence, Split
from bing_llm.emulator.received import Kind, Received, received_of
from bing_llm.emulator.request_log import end_request, log_frame
from bing_llm.emulator.state import State
from bing_llm.emulator.wire import Delivery
from bing_llm.errors import BingError, ConversationBusy, ProtocolError

_log = logging.getLogger(__name__)

_BUSY = {ConnectionState.ANSWERING, ConnectionState.STOPPING}


class Session:
    """One socket, from the handshake to its end. The turn that runs on it is a task.

    Args:
        state: The state of the emulator.
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
        self._playing: Received | None = None
        self._invocation_id = ""
        self._closing = False
        self._pinging: asyncio.Task[None] | None = None
        self._spoke_at = 0.0
        self._delivery: Delivery[str] = Delivery()
        self._opened = received_of(request)

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
        """Handle one message; return whether to continue."""
        try:
            self._connection.receive(data)
            while not isinstance(frame := await self._next_frame(), Sentinel):
                if not await self._handle(frame):
                    return False
        except ProtocolError as exc:
            _log.info("A client broke the protocol: %s", log_line(exc.message))
            self._note_violation(exc)
            await self._refuse_to_go_on()
            return False
        return not self._socket.closed

    async def _next_frame(self) -> frames.ServerFrame | frames.ClientFrame | Sentinel:
        try:
            return self._connection.next_frame()
        except ProtocolError:
            # During a turn, a frame that parses but is not allowed is a second request. All others raise again.
            frame = codec.decode_client(self._connection.record) if self._connection.state in _BUSY else None
            if not isinstance(frame, frames.Chat):
                raise
            await self._refuse_second(frame)
            return frames.Ping()

    async def _handle(self, frame: frames.ServerFrame | frames.ClientFrame) -> bool:
        """Handle one frame; return whether to continue."""
        match frame:
            case frames.HandshakeRequest():
                log_frame(self._state, self._opened, "received", self._connection.record)
                return await self._handshake(frame)
            case frames.Chat():
                await self._begin_turn(frame)
            case frames.Invocation(target="stop"):
                await self._stop(frame)
            case _:  # a ping gets no reply: two ends that echo pings would never stop
                log_frame(self._state, self._opened, "received", self._connection.record)
        return True

    async def _handshake(self, handshake: frames.HandshakeRequest) -> bool:
        if (handshake.protocol, handshake.version) != (frames.HANDSHAKE.protocol, frames.HANDSHAKE.version):
            error = f"The protocol '{handshake.protocol}' in version {handshake.version} is not supported."
            self._opened.fail(error)
            return await self._refuse_handshake(error)
        match self._state.plan.fault_at("chathub", "handshake", self._opened.hit):
            case HandshakeRefused(error=error):
                return await self._refuse_handshake(error)
            case Cut(how=how):
                await self._cut(how)
                return False
            case Silence():
                return await self._listen_only()
            case Raw(text=text):
                await self._send_text(text + SEPARATOR.decode())
                return await self._listen_only()
            case Split() as split:
                self._delivery.change(split)
            case _:
                pass
        await self._deliver(self._connection.send(frames.HandshakeAck()).decode())
        self._delivery = Delivery()
        self._opened.answered = True
        end_request(self._state, self._opened)
        self._pinging = asyncio.create_task(self._keep_alive())
        return True

    async def _refuse_handshake(self, error: str) -> bool:
        await self._send(frames.HandshakeAck(error))
        await self._socket.close()
        return False

    async def _listen_only(self) -> bool:
        """Send nothing until the client leaves."""
        async for _ in self._socket:
            pass
        return False

    async def _refuse_to_go_on(self) -> None:
        """Close the socket after a violation of the protocol. After the handshake, a close frame is sent first."""
        await _cancel(self._turn)
        if self._connection.state not in {ConnectionState.NEW, ConnectionState.CLOSED}:
            await self._send(_closed_with_an_error(allow_reconnect=True))
        await self._socket.close()

    # --- turns ----------------------------------------------------------------------------------------------------

    async def _begin_turn(self, chat: frames.Chat) -> None:
        request = self._note(chat)
        if not chat.invocation_id:
            self._fail(request, "It has no invocationId.")
            await self._refuse_to_go_on()
        elif chat.target != "chat":
            self._fail(request, f"Unknown hub method '{chat.target}'")
            await self._send(frames.Completion(chat.invocation_id, request.error))
        else:
            if self._turn is not None:
                await asyncio.wait({self._turn})  # it has sent its last frame
            self._invocation_id = chat.invocation_id
            self._delivery = Delivery()
            self._playing = request
            self._turn = asyncio.create_task(self._play(request, chat))

    async def _refuse_second(self, chat: frames.Chat) -> None:
        """Refuse a turn while another one runs on this socket. The refusal is not a fault point of the running turn."""
        refusal = ConversationBusy()
        self._fail(self._note(chat), refusal)
        writer = AnswerWriter(chat, lifetime=self._state.lifetime, clock=self._state.clock)
        data = codec.encode(*writer.refusal(result_of(refusal)))
        log_frame(self._state, self._opened, "sent", data)
        await self._send_data(data)

    def _fail(self, request: Received, error: BingError | str) -> None:
        request.fail(error)
        end_request(self._state, request)

    def _note_violation(self, error: ProtocolError) -> None:
        """Note what violated the protocol: the handshake, or a frame after it, which ends the running turn."""
        if not self._opened.ended:
            log_frame(self._state, self._opened, "received", self._connection.record)
            self._opened.fail(error)
            return
        if self._playing is not None:
            self._playing.fail(error)
        self._fail(self._frame("other"), error)

    async def _play(self, request: Received, chat: frames.Chat) -> None:
        try:
            async with aclosing(answer_turn(self._state, request, chat, request.query.get("sec_access_token"))) as turn:
                async for outgoing in turn:
                    if not await self._perform(outgoing):
                        return
            for piece in self._delivery.rest():
                await self._send_text(piece)
        except Exception:  # noqa: BLE001 - a bug in here must not leave the client waiting
            _log.exception("A turn of the emulator failed.")
            request.fail("the emulator failed")
            self.abort()
        finally:
            end_request(self._state, request)

    async def _perform(self, outgoing: Outgoing) -> bool:
        """Send frames or apply a fault; return whether the turn continues."""
        match outgoing:
            case tuple():
                await self._deliver(self._connection.send(*outgoing).decode())
            case Cut(how=how):
                await self._cut(how)
                return False
            case Silence(pings=pings):
                if not pings:
                    await _cancel(self._pinging)
                await asyncio.Event().wait()
            case Raw(text=text):
                await self._deliver(text + SEPARATOR.decode())
            case Split() | Merge() | Duplicate():
                await _cancel(self._pinging)  # a ping must not come between two pieces of a record
                self._delivery.change(outgoing)
            case _:
                pass
        return True

    async def _cut(self, how: How) -> None:
        match how:
            case "abort":
                self.abort()
            case "type 3":
                await self._send(frames.Completion(self._invocation_id, "The turn failed."))
            case "type 7" | "type 7 allowReconnect":
                await self._send(_closed_with_an_error(allow_reconnect=how != "type 7"))
                await self._close(1000)
            case _:
                await self._close(1001 if how == "close 1001" else 1000)

    async def _close(self, code: int) -> None:
        self._closing = True
        await self._socket.close(code=code)

    async def _stop(self, frame: frames.Invocation) -> None:
        request = self._frame("stop", invocation_id=frame.invocation_id or "")
        self._state.note(request)
        if self._playing is not None:
            request.conversation_id, request.turn = self._playing.conversation_id, self._playing.turn
        request.answered = True
        end_request(self._state, request)
        await _cancel(self._turn)
        if self._connection.state is ConnectionState.STOPPING:
            await self._send(frames.Completion(self._invocation_id))

    def _note(self, chat: frames.Chat) -> Received:
        arguments = chat.arguments[0] if chat.arguments else None
        request = self._frame(
            "chat",
            arguments=arguments,
            invocation_id=chat.invocation_id,
            conversation_id=(arguments and arguments.conversation_id) or "",
        )
        self._state.note(request)
        return request

    def _frame(self, kind: Kind, **fields: Any) -> Received:
        """The frame that has just come."""
        request = Received(
            kind=kind,
            method="WS",
            path=self._request.path,
            headers=self._request.headers,
            query=self._request.query,
            body=None if kind == "other" else decode_json(self._connection.record),
            **fields,
        )
        log_frame(self._state, request, "received", self._connection.record)
        return request

    # --- what goes out --------------------------------------------------------------------------------------------

    async def _send(self, *outgoing: frames.ServerFrame) -> None:
        data = self._connection.send(*outgoing)
        log_frame(self._state, self._opened, "sent", data)
        await self._send_data(data)

    async def _deliver(self, text: str) -> None:
        log_frame(self._state, self._opened, "sent", text)
        for piece in self._delivery.pieces(text):
            await self._send_text(piece)
            await asyncio.sleep(self._delivery.pause)

    async def _send_text(self, text: str) -> None:
        await self._send_data(text.encode())

    async def _send_data(self, data: bytes) -> None:
        self._spoke_at = asyncio.get_running_loop().time()
        with contextlib.suppress(ConnectionError):  # the client may be gone: some leave as soon as they have type 2
            await self._socket.send_frame(data, WSMsgType.TEXT)

    async def _keep_alive(self) -> None:
        """Send a ping whenever nothing was sent for `ping_interval`."""
        now = asyncio.get_running_loop().time
        while True:
            left = self._spoke_at + self._state.ping_interval - now()
            if left > 0:
                await asyncio.sleep(left)
            else:
                await self._send(frames.Ping())


def _closed_with_an_error(*, allow_reconnect: bool) -> frames.Close:
    return frames.Close("Connection closed with an error.", allow_reconnect=allow_reconnect)  # recording 12


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
