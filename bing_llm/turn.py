"""One running turn: an async context manager, an async iterator of events, and the loop that opens it again."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Final, NoReturn, Protocol, Self

from bing_llm import events as ev
from bing_llm._loops import check_asyncio
from bing_llm._retry import Attempts
from bing_llm._secrets import refuse_to_pickle
from bing_llm._semaphore import Permit, Semaphore
from bing_llm.backends.base import AnyBackend, TurnChannel
from bing_llm.errors import (
    BingError,
    ConnectionLost,
    ConversationKind,
    FailedAttempt,
    InvalidRequest,
)
from bing_llm.fold import Extension
from bing_llm.limits import Deadline, Retries, Timeouts
from bing_llm.pool import WarmPool

_TEXT_EVENTS: Final = (ev.TextDelta, ev.TextRevised)


class TurnContext(Protocol):
    """What turns need of their client; internal."""

    @property
    def backend(self) -> AnyBackend:
        """The service.

        Raises:
            ConfigurationError: The client was closed; so a running turn is not opened again on it.
        """

    @property
    def timeouts(self) -> Timeouts:
        """The limits."""

    @property
    def retries(self) -> Retries:
        """The attempts."""

    @property
    def semaphore(self) -> Semaphore | None:
        """How many turns may be open at once; None for no limit."""

    @property
    def pool(self) -> WarmPool:
        """The conversations that are ready for first turns."""


def new_deadline(context: TurnContext) -> Deadline:
    """The deadline of an operation that begins now."""
    label = f"[turn {os.urandom(4).hex()}]"
    return Deadline(context.timeouts.turn, context.retries.clock or time.monotonic, label)


class TurnSource(Protocol):
    """Where the attempts of one turn take place; internal."""

    @property
    def context(self) -> TurnContext:
        """The client's part in it."""

    @property
    def conversation(self) -> ConversationKind:
        """Where the last attempt took place."""

    async def open(self, deadline: Deadline) -> TurnChannel:
        """Make one attempt.

        Raises:
            BingError: It failed before there was a channel.
        """

    def answered(self) -> None:
        """The first text has come. Called at most once."""

    def end(self, reply: ev.Reply | None, error: BingError | None) -> None:
        """The turn is over: with this reply, with this error, or closed early. Called once, even if nothing was opened.

        It may be called from any thread, and by the collector.
        """


class _Open:
    """A channel that is open, and the loop on whose thread alone it may be touched."""

    def __init__(self, channel: TurnChannel) -> None:
        self.channel = channel
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Close it: at once on its loop, else as soon as that loop runs."""
        if _running_loop() is self._loop:
            self.channel.close()
        else:
            self.close_soon()

    def close_soon(self) -> None:
        """Have its loop close it. If that loop is closed, so are its sockets, and the channel only takes note."""
        with suppress(RuntimeError):  # the loop is closed, or was closed just now
            if self._loop.is_closed():
                self.channel.close()
            else:
                self._loop.call_soon_threadsafe(self.channel.close)


class TurnStream:
    """A turn of the service, opened when the first event is asked for.

    Use it as a context manager, so that leaving it early closes the socket at once::

        async with bing.stream("prompt") as turn:
            async for text in turn.text:
                print(text, end="")
            reply = await turn.reply()

    Iterating the turn itself gives every event. Events, `text` and `reply` share one pass over the turn: what one of
    them has taken does not come again from another, and `reply` after `text` only takes what is left. One task reads;
    `stop` may be called from another task, `close` from another thread too.
    """

    def __init__(self, source: TurnSource) -> None:
        self._source = source
        self._permit: Permit | None = None
        self._attempts: Attempts | None = None
        self._open: _Open | None = None
        self._extension = Extension()
        self._piece = ""
        self._reply: ev.Reply | None = None
        self._error: BingError | None = None
        self._ended = False
        self._reading = False
        self._stop_asked = False
        self._has_text = False
        self._has_other = False
        self._restart_cause: str | None = None

    # --- what users call ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[ev.Event]:
        return self

    async def __anext__(self) -> ev.Event:
        """The next event.

        Raises:
            BingError: The turn failed; the same error again when called again.
            InvalidRequest: Another task is reading this stream.
        """
        try:
            event = self.ready()
        except BaseException:
            self.close()
            raise
        return await self._wait_for_event() if event is None else event

    async def _wait_for_event(self) -> ev.Event:
        if self._error is not None:
            raise self._error
        if self._ended:
            await self.aclose()
            raise StopAsyncIteration
        if self._reading:
            msg = "Two tasks read this stream at the same time."
            raise InvalidRequest(msg, hint="Read it from one task; stop() and close() may be called from another.")
        self._reading = True
        try:
            opened, event, failure = self._open, None, None
            if opened is not None:
                try:
                    event = await opened.channel.next_event()
                except BingError as exc:
                    failure = exc
            if event is None:
                event = await self._next(failure)
        except BingError as exc:
            if not self._ended:
                self._error = exc
                self.close()
                raise
        except BaseException:
            self.close()
            raise
        else:
            if not self._ended:
                self._take(event)
                return event
        finally:
            self._reading = False
        raise StopAsyncIteration  # another task closed it during the wait

    @property
    def piece(self) -> str:
        """What the last event that was taken added to the text; "" where it added none. See `text`."""
        return self._piece

    def ready(self) -> ev.Event | None:
        """The next event if it is there without waiting, else None. For readers that join what has come already.

        It is one more reader of the one pass: what it gives does not come again. None says nothing about the end: it
        also comes before the turn is open, after its end, while another task reads, before an error, and now and then
        in between. An iteration waits, raises and ends; so go on with that.
        """
        opened = self._open
        if opened is None or self._reading:
            return None
        event = opened.channel.ready_event()
        if event is None or self._ended:  # another thread closed it just now
            return None
        self._take(event)
        return event

    @property
    def text(self) -> AsyncIterator[str]:
        """The answer, piece by piece, never to be recalled.

        After a rewrite by the service it waits until the whole text extends again what was given. If that never
        happens, `reply.revised` is True and `reply.text` holds the final text.
        """
        return _Text(self)

    async def reply(self) -> ev.Reply:
        """The whole answer; takes what is left of the turn first.

        Raises:
            BingError: The turn failed.
            InvalidRequest: The stream was closed before the answer was complete.
        """
        with suppress(StopAsyncIteration):
            while True:  # without a variable for the events: tools that print those would show the answer
                await self.__anext__()
        if self._reply is None:
            msg = "This stream was closed before its answer was complete, so there is no reply."
            raise InvalidRequest(msg, hint="Call stop() to end an answer early and keep what came.")
        return self._reply

    async def stop(self) -> None:
        """Ask the service to end the answer here. The events go on to `TurnCompleted`, which keeps what came.

        Raises:
            ConnectionLost: The connection broke while the stop was sent.
        """
        self._stop_asked = True
        if self._open is not None:
            await self._open.channel.stop()

    def close(self) -> None:
        """Close the socket now, without waiting for anything. May be called twice, and from any thread."""
        was_open, self._open = self._open, None
        if was_open is not None:
            was_open.close()
        self._end()

    async def aclose(self) -> None:
        """Close the socket, and let the loop run once to release it: the loop may be closed right after this call."""
        self.close()
        await asyncio.sleep(0)

    # --- one step -------------------------------------------------------------------------------------------------

    async def _next(self, failure: BingError | None) -> ev.Event:
        """The first event of an attempt, after the last one failed with this."""
        attempts = self._attempts or await self._begin()
        while True:
            if failure is not None:
                await self._reopen(failure, attempts)
            try:
                notice = self._notice()
                if notice is not None:
                    return notice
                opened = self._open = _Open(await self._source.open(attempts.deadline))
                self._go_on()
                if self._stop_asked:
                    await opened.channel.stop()
                return await opened.channel.next_event()
            except BingError as exc:
                failure = exc

    async def _begin(self) -> Attempts:
        """Wait for a permit, and start the clock."""
        check_asyncio()
        context = self._source.context
        if context.semaphore is not None:
            await self._acquire(context.semaphore)
        self._attempts = Attempts(context.retries, new_deadline(context), context.backend.metering)
        return self._attempts

    async def _acquire(self, semaphore: Semaphore) -> None:
        permit = self._permit = semaphore.request()
        self._go_on()  # closed by another thread just before, which saw no permit to release
        await permit.wait()
        self._go_on()

    def _notice(self) -> ev.Event | None:
        """The event that the reader gets between two attempts, if there is one."""
        if self._restart_cause is not None:
            cause, self._restart_cause = self._restart_cause, None
            return ev.Restarted(cause)
        return ev.TurnCompleted(ev.Reply()) if self._stop_asked else None

    async def _reopen(self, failure: BingError, attempts: Attempts) -> None:
        """Wait for the next attempt, or raise the failure."""
        was_open, self._open = self._open, None
        if was_open is not None:
            was_open.close()
        # A connection that broke while the request went out may have delivered it.
        failure.sent = was_open is not None or isinstance(failure, ConnectionLost)
        answered = self._has_text or bool(failure.partial_text)
        failure.begun = failure.begun or answered or self._has_other
        self._go_on()
        await attempts.failed(failure, FailedAttempt(self._source.conversation, failure.sent, answered))
        self._go_on()
        if self._has_other:
            self._restart_cause = failure.message
            self._has_other = False

    def _go_on(self) -> None:
        """End the step here if another task has closed the stream during a wait."""
        if self._ended:
            raise StopAsyncIteration

    def _take(self, event: ev.Event) -> None:
        if isinstance(event, _TEXT_EVENTS):
            if not self._has_text:
                self._has_text = True
                self._source.answered()
            self._piece = self._extension.push(event)
            return
        self._piece = ""
        match event:
            case ev.TextRevoked():
                self._has_text = True
            case ev.TurnCompleted(reply=reply):
                self._reply = reply
                self.close()  # the answer is whole: the socket is not needed any more
            case ev.Restarted():
                pass
            case _:
                self._has_other = True

    def _end(self) -> None:
        had_ended, self._ended = self._ended, True
        if not had_ended:
            self._source.end(self._reply, self._error)
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.release()

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)

    def __del__(self) -> None:
        # Left without `async with`: the socket must not outlive the stream. The collector may run in any thread, and
        # in the middle of anything.
        if self._open is not None:
            self._open.close_soon()
        self._end()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Text(AsyncIterator[str]):
    """The text of a turn. Not a generator: there is nothing to clean up when it is left early."""

    def __init__(self, turn: TurnStream) -> None:
        self._turn = turn

    async def __anext__(self) -> str:
        turn = self._turn
        while True:
            await turn.__anext__()
            if turn.piece:
                return turn.piece
