"""How a turn of Work IQ is sent over HTTP: whole, as server-sent events, or cut short by a fault."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import TypeAlias

from aiohttp import web

from bing_llm import errors
from bing_llm.emulator.faults import Cut, Duplicate, Merge, Raw, Silence, Split
from bing_llm.emulator.http_faults import LOOK_S, break_off
from bing_llm.emulator.received import received_of
from bing_llm.emulator.request_log import log_frame
from bing_llm.emulator.state import State
from bing_llm.emulator.wire import Delivery
from bing_llm.emulator.workiq import shapes
from bing_llm.emulator.workiq.turn import Outgoing

_FIRST_ID = 137
_GAPS = (4, 1, 2, 1)  # ids grow, and not by one
_COMMENT_EVERY = 3

Refuse: TypeAlias = Callable[[errors.BingError], web.Response]
"""Makes the response for an error that has a status."""

Play: TypeAlias = Callable[
    [web.Request, AsyncGenerator[Outgoing, None], Refuse, State], Coroutine[object, None, web.StreamResponse]
]
"""One of the two ways to answer."""


class RunningTurn:
    """A turn that runs: its answer is a task, which ends when the client goes away.

    Args:
        request: What is answered.
        answer: Sends the answer.
    """

    def __init__(self, request: web.Request, answer: Coroutine[object, None, web.StreamResponse]) -> None:
        self._request = request
        self._answering = asyncio.create_task(answer)

    async def run(self) -> web.StreamResponse:
        """Wait for the answer for as long as the client stays connected."""
        try:
            while not self._answering.done() and not self._is_left:
                await asyncio.wait({self._answering}, timeout=LOOK_S)
        finally:
            await self._end()
        if self._answering.cancelled() or isinstance(self._answering.exception(), ConnectionError):
            return web.Response()  # nobody gets it
        return self._answering.result()

    def abort(self) -> None:
        """Break the connection now."""
        break_off(self._request)
        self._answering.cancel()

    async def end_if_left(self) -> None:
        """End the turn if its client is gone. A client may reconnect before the next check, so this checks at once."""
        if self._is_left:
            await self._end()

    @property
    def _is_left(self) -> bool:
        return self._request.transport is None or self._request.transport.is_closing()

    async def _end(self) -> None:
        self._answering.cancel()
        await asyncio.wait({self._answering})


async def answer_whole(
    request: web.Request, answer: AsyncGenerator[Outgoing, None], refuse: Refuse, _state: State
) -> web.StreamResponse:
    """Send the last snapshot alone; there is nothing in it that could be cut, held or repeated."""
    shown = b""
    async with aclosing(answer):
        async for outgoing in answer:
            match outgoing:
                case bytes():
                    shown = outgoing
                case errors.BingError():
                    return refuse(outgoing)
                case Cut(how=how):
                    if how == "abort":
                        break_off(request)
                    break
                case Silence():
                    await asyncio.Event().wait()
                case Raw(text=text):
                    shown = text.encode()
                case _:
                    pass
    return shapes.json_response(shown)


async def answer_in_events(
    request: web.Request, answer: AsyncGenerator[Outgoing, None], refuse: Refuse, state: State
) -> web.StreamResponse:
    """Send each snapshot as an event. Status and headers go out with the first: an error before it has its own."""
    stream = _Stream(request, state)
    async with aclosing(answer):
        async for outgoing in answer:
            match outgoing:
                case bytes():
                    await stream.send(outgoing)
                case errors.BingError():
                    if not stream.is_open:
                        return refuse(outgoing)
                    await stream.send(shapes.error_event(outgoing))
                case Cut(how=how):
                    if how == "abort":
                        break_off(request)
                    break
                case Silence(pings=pings):
                    await stream.say_nothing(state.ping_interval if pings else None)
                case Raw(text=text):
                    await stream.send(text.encode())
                case Split() | Merge() | Duplicate():
                    stream.delivery.change(outgoing)
                case _:
                    pass
    return await stream.end()


class EventWriter:
    """Writes the events of one stream.

    Whatever the service may do, and a client must take, each stream has: ends of lines of both kinds, ids with gaps,
    and comments.
    """

    def __init__(self) -> None:
        self._id = _FIRST_ID
        self._count = 0

    def event(self, data: bytes) -> bytes:
        """One event: its data, which has no line break, and its id."""
        end = b"\r\n" if self._count % 2 else b"\n"
        comment = b": keep-alive" + end + end if self._count % _COMMENT_EVERY == 1 else b""
        written = comment + b"data: " + data + end + b"id:%d" % self._id + end + end
        self._id += _GAPS[self._count % len(_GAPS)]
        self._count += 1
        return written


class _Stream:
    """A stream of events, which is opened by what is sent first."""

    def __init__(self, request: web.Request, state: State) -> None:
        self.delivery: Delivery[bytes] = Delivery()
        self._request = request
        self._state = state
        self._events = EventWriter()
        self._response: web.StreamResponse | None = None

    @property
    def is_open(self) -> bool:
        """Whether status and headers went out."""
        return self._response is not None

    async def send(self, data: bytes) -> None:
        """Send one event."""
        log_frame(self._state, received_of(self._request), "sent", data)
        await self._write(self.delivery.pieces(self._events.event(data)))

    async def say_nothing(self, ping_interval: float | None) -> None:
        """Send nothing, or a comment at this interval in seconds, until cancelled."""
        while ping_interval is not None:
            await self._write([b": ping\n\n"])
            await asyncio.sleep(ping_interval)
        await asyncio.Event().wait()

    async def end(self) -> web.StreamResponse:
        """Complete the response."""
        await self._write(self.delivery.rest())
        response = await self._opened()
        await response.write_eof()
        return response

    async def _write(self, pieces: Sequence[bytes]) -> None:
        response = await self._opened()
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(self.delivery.pause)

    async def _opened(self) -> web.StreamResponse:
        if self._response is None:
            headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
            self._response = web.StreamResponse(headers={**headers, "request-id": str(uuid.uuid4())})
            await self._response.prepare(self._request)
        return self._response
