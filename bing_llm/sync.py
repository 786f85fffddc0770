"""The one background event loop that synchronous calls run on: `run(coroutine)`, `iterate(async iterator)`.

One daemon thread per process, started when first needed and again after a fork. Works inside a running loop (Jupyter),
since nothing here touches the caller's loop. Context variables of the caller are seen by what runs.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from bing_llm.errors import ConfigurationError

__all__ = ["THREAD_NAME", "Steps", "background_loop", "iterate", "run"]

T = TypeVar("T")

_CLOSING_SECONDS = 2.0  # at the interpreter's end; closing takes milliseconds, and nobody should wait for more

THREAD_NAME = "bing-llm-loop"


class _Background:
    """The loop and its thread. `pid` tells a forked child that neither came along.

    The child keeps what it inherited: to collect it would close descriptors that the parent's loop still uses.
    """

    def __init__(self, inherited: _Background | None) -> None:
        self.pid = os.getpid()
        self.inherited = inherited
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, name=THREAD_NAME, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    @property
    def serves(self) -> bool:
        """Whether the loop runs in this process."""
        return self.pid == os.getpid() and self.thread.is_alive()


_ending = False
"""Whether the interpreter ends; set and read on the background loop."""

_lock = threading.RLock()  # the collector may run where it is held, and close what asks for the loop
_background: _Background | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop that `run` uses, started where needed."""
    global _background  # noqa: PLW0603 - one per process is the point
    background = _background
    if background is None or not background.serves:
        with _lock:  # only now: a fork copies a lock as it is, and one that is held then is never released
            background = _background
            if background is None or not background.serves:
                background = _background = _Background(background)
    return background.loop


@atexit.register
def _close_what_is_open() -> None:
    """At the interpreter's end: a script may leave a client or a turn open, which would complain of it."""
    background = _background
    if background is not None and background.serves:
        closing = asyncio.run_coroutine_threadsafe(_end_all(), background.loop)
        with suppress(Exception):
            closing.result(_CLOSING_SECONDS)


async def _end_all() -> None:
    global _ending  # noqa: PLW0603 - the interpreter ends once
    _ending = True
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:  # an async generator cannot be closed while a task runs it
        ended, _ = await asyncio.wait(tasks, timeout=_CLOSING_SECONDS / 2)
        await asyncio.gather(*ended, return_exceptions=True)  # what is not looked at is logged
    await asyncio.get_running_loop().shutdown_asyncgens()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for its result.

    An exception in the waiting thread (Ctrl-C) cancels the coroutine and waits until it has cleaned up.

    Raises:
        ConfigurationError: Called on the background loop's own thread, which would wait for itself.
    """
    loop = background_loop()
    if _on_background_thread():
        coroutine.close()
        msg = "A synchronous call was made on the background loop's own thread, where it would wait for itself."
        raise ConfigurationError(msg, hint="Await the asynchronous call there.")
    done: Future[T] = Future()
    task: list[asyncio.Task[T]] = []
    is_main = threading.current_thread() is threading.main_thread()

    def start() -> None:
        if _ending and not is_main:  # a daemon thread, which ends where it waits; `atexit` of the caller may go on
            coroutine.close()
            return
        task.append(loop.create_task(_report(coroutine, done)))  # type: ignore[arg-type]

    def cancel() -> None:
        if task:
            loop.call_soon(task[0].cancel)  # not now: a task that is cancelled before its first step reports nothing
        else:  # interrupted before `start` was asked for
            coroutine.close()
            done.cancel()

    try:
        loop.call_soon_threadsafe(start, context=copy_context())
        return done.result()
    except BaseException:
        if not done.done():
            loop.call_soon_threadsafe(cancel)
            _wait_quietly(done)
        raise


async def _report(coroutine: Coroutine[Any, Any, T], done: Future[T]) -> None:
    try:
        result = await coroutine
    except BaseException as exc:  # noqa: BLE001 - handed to the waiting thread as it is
        if not (_ending and isinstance(exc, asyncio.CancelledError)):  # a daemon thread would complain of it
            done.set_exception(exc)
    else:
        done.set_result(result)


def _wait_quietly(done: Future[Any]) -> None:
    with suppress(BaseException):  # the interrupt that brought us here is what is raised
        done.exception()


class Steps(Iterator[T]):
    """The items of an async iterator, one step on the background loop at a time. It closes nothing."""

    def __init__(self, iterator: AsyncIterator[T]) -> None:
        self._iterator = iterator

    def __next__(self) -> T:
        try:
            return run(_next(self._iterator))
        except StopAsyncIteration:
            raise StopIteration from None


def iterate(iterator: AsyncIterator[T]) -> Generator[T, None, None]:
    """Iterate an async iterator from synchronous code, one step on the background loop at a time.

    Closing the result early, or leaving its loop, closes the async iterator where it has `aclose`.
    """
    try:
        yield from Steps(iterator)
    finally:
        if not sys.is_finalizing():  # else the loop's thread runs no more: to wait for it would be for ever
            # The collector runs in the middle of anything: its thread may hold a lock that the loop waits for.
            if _collecting_in == threading.get_ident() or _on_background_thread():
                asyncio.run_coroutine_threadsafe(_close(iterator), background_loop())
            else:
                run(_close(iterator))


_collecting_in: int | None = None
"""The thread in which the collector runs, if it does."""


def _note_collection(phase: str, _info: Mapping[str, int]) -> None:
    global _collecting_in  # noqa: PLW0603 - one collection runs at a time
    _collecting_in = threading.get_ident() if phase == "start" else None


gc.callbacks.append(_note_collection)


async def _next(iterator: AsyncIterator[T]) -> T:
    return await iterator.__anext__()


async def _close(iterator: AsyncIterator[Any]) -> None:
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()


def _on_background_thread() -> bool:
    return _background is not None and _background.thread is threading.current_thread()
