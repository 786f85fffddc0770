"""One request and its answer: a completion is run, and its items are written as they come, or as one body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from aiohttp import web

from bing_llm.completion.stream import Completion, Item
from bing_llm.errors import BingError
from bing_llm.serve.errors import ApiError, api_error, is_refusal
from bing_llm.serve.record import Record

_LOOK_S: Final = 0.5
"""How often it is looked whether the caller is still there, in seconds, for a server that does not cancel handlers."""

_STREAM_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold the chunks back
}


class Answer(Protocol):
    """What an API makes of the items of a completion."""

    @property
    def finish_reason(self) -> str | None:
        """Why it ended; None before that."""

    def is_over(self) -> bool:
        """Whether nothing follows but the end."""

    def body(self) -> bytes:
        """The whole answer."""

    def begin(self) -> bytes:
        """What a stream begins with."""

    def add(self, item: Item) -> bytes:
        """What an item adds to a stream."""

    def refuse(self, notice: str, asked: Sequence[str]) -> bytes:
        """The service refused because of what was said: what a stream ends with."""

    def fail(self, error: ApiError) -> bytes:
        """What a stream ends with after an error."""

    def end(self) -> bytes:
        """What follows the last item."""


class Exchange:
    """A completion and the answer that is made of it.

    Args:
        completion: The completion; it is closed in the end, however that comes.
        answer: What the API makes of its items.
        asked: The texts that were asked, to estimate their tokens where the service refuses.
        record: What is noted of the request.
        headers: Headers of the response.
    """

    def __init__(
        self,
        completion: Completion,
        answer: Answer,
        *,
        asked: Sequence[str],
        record: Record,
        headers: Mapping[str, str],
    ) -> None:
        self._completion = completion
        self._answer = answer
        self._asked = asked
        self._record = record
        self._headers = headers
        self._has_begun = False

    async def run(self, request: web.Request, *, stream: bool) -> web.StreamResponse:
        """Answer the request.

        Raises:
            BingError: The turn failed before anything was written.
        """
        try:
            return await (self._stream(request) if stream else self._whole())
        finally:
            self._record.finish_reason = self._answer.finish_reason
            self._record.turns = self._completion.turns
            self._completion.close()

    async def _whole(self) -> web.Response:
        try:
            for item in await self._completion.whole():
                self._answer.add(item)
        except BingError as exc:
            self._answer.refuse(*self._refused(exc))
        return web.Response(body=self._answer.body(), content_type="application/json", headers=self._headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Nothing is written before the first item is there, so that an error before has its status."""
        response = web.StreamResponse(headers={**_STREAM_HEADERS, **self._headers})
        data = self._answer.begin() + await self._next()
        await response.prepare(request)
        self._has_begun = True
        while data:
            await response.write(data)
            data = await self._next()
        await response.write_eof()
        return response

    async def _next(self) -> bytes:
        """What comes next, all that is there already; b"" at the end.

        Raises:
            BingError: The turn failed before anything was written.
        """
        answer, completion, data = self._answer, self._completion, b""
        if answer.is_over():
            return data
        try:
            while not (data or answer.is_over()):
                data = answer.add(await completion.__anext__())
                while (item := completion.pop_ready()) is not None:
                    data += answer.add(item)
        except BingError as exc:
            if not (is_refusal(exc) or self._has_begun):
                raise
            data += self._last_words(exc)
        return data + answer.end() if answer.is_over() else data

    def _last_words(self, exc: BingError) -> bytes:
        if is_refusal(exc):
            return self._answer.refuse(*self._refused(exc))
        error = api_error(exc)
        self._record.error = error.code or ""
        return self._answer.fail(error)

    def _refused(self, exc: BingError) -> tuple[str, Sequence[str]]:
        if not is_refusal(exc):
            raise exc
        return exc.service_message or exc.message, self._asked


@contextmanager
def cancelled_without_caller(request: web.Request) -> Iterator[None]:
    """Cancel the running task soon after its caller has left, so that the turn ends at the service, too.

    aiohttp does that itself with `handler_cancellation=True`, at once. Without it, nobody would notice before the next
    text is written, which may take minutes.
    """
    looks = _Looks(lambda: request.transport)
    try:
        yield
    finally:
        looks.timer.cancel()


class _Looks:
    """Looks again and again whether the caller is still there."""

    def __init__(self, transport: Callable[[], asyncio.Transport | None]) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self.timer = self._loop.call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        transport = self._transport()
        if transport is not None and not transport.is_closing():
            self.timer = self._loop.call_later(_LOOK_S, self._look)
        elif self._task is not None:
            self._task.cancel()
