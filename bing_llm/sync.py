"""The one background event loop that synchronous calls run on: `run(coroutine)`, `iterate(async iterator)`.

One daemon thread per process, started when first needed and again after a fork. Works inside a running loop (Jupyter),
since nothing here touches the caller's loop. Context variables of the caller are seen by what runs.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Protocol, TypeVar, runtime_checkable

from bing_llm._loops import Background, background
from bing_llm.errors import ConfigurationError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop that `run` uses, started where needed."""
    return background.get().loop


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for its result.

    An exception in the waiting thread (Ctrl-C) cancels the coroutine and waits until it has cleaned up.

    Raises:
        ConfigurationError: Called on the background loop's own thread, which would wait for itself.
    """
    home = background.get()
    loop = home.loop
    if _on_background_thread():
        coroutine.close()
        msg = "A synchronous call was made on the background loop's own thread, where it would wait for itself."
        raise ConfigurationError(msg, hint="Await the asynchronous call there.")
    done: Future[T] = Future()
    task: list[asyncio.Task[T]] = []
    is_main = threading.current_thread() is threading.main_thread()

    def start() -> None:
        if home.ending and not is_main:  # a daemon thread, which ends where it waits; `atexit` of the caller may go on
            coroutine.close()
            return
        task.append(loop.create_task(_report(home, coroutine, done)))  # type: ignore[arg-type]

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


async def _report(home: Background, coroutine: Coroutine[Any, Any, T], done: Future[T]) -> None:
    try:
        result = await coroutine
    except BaseException as exc:  # noqa: BLE001 - handed to the waiting thread as it is
        if not (home.ending and isinstance(exc, asyncio.CancelledError)):  # a daemon thread would complain of it
            done.set_exception(exc)
    else:
        done.set_result(result)


def _wait_quietly(done: Future[T]) -> None:
    with suppress(BaseException):  # the interrupt that brought us here is what is raised
        done.exception()


@runtime_checkable
class Buffered(Protocol[T_co]):
    """An async iterator whose steps may make several items at once.

    A step on the background loop costs two changes of thread, far more than an item. So the items of one step are taken
    one after another by the thread that waited for it.
    """

    def pop_ready(self) -> T_co | None:
        """The next item if an earlier step has made it, else None. Called from any thread, never during a step."""


class Steps(Iterator[T]):
    """The items of an async iterator, one step on the background loop at a time. It closes nothing.

    Items that a step of a `Buffered` iterator has made are given without a further step.
    """

    def __init__(self, iterator: AsyncIterator[T]) -> None:
        self._iterator = iterator
        self._pop_ready = iterator.pop_ready if isinstance(iterator, Buffered) else _nothing

    def __next__(self) -> T:
        item: T | None = self._pop_ready()
        if item is not None:
            return item
        try:
            return run(_next(self._iterator))
        except StopAsyncIteration:
            raise StopIteration from None


def _nothing() -> None:
    """What an iterator that makes one item a step has ready."""


def iterate(iterator: AsyncIterator[T]) -> Generator[T, None, None]:
    """Iterate an async iterator from synchronous code, as `Steps` does.

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


async def _close(iterator: AsyncIterator[T]) -> None:
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()


def _on_background_thread() -> bool:
    return background.get().thread is threading.current_thread()
