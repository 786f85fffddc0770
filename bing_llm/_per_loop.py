"""One of a thing for each event loop, closed with its loop, with its owner, or with whoever has forgotten it.

What is made on a loop belongs to that loop. asyncio has no hook for a loop's end but one: an async generator that was
started on a loop is closed by `shutdown_asyncgens`, so each thing is held by such a generator and ends with its loop.
"""

from __future__ import annotations

import asyncio
import atexit
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

__all__ = ["PerLoop"]


class Kept(Protocol):
    """What can be kept for a loop. It knows nothing of its `PerLoop`, nor of that one's owner."""

    def let_go(self) -> None:
        """Prepare to be closed while the loop does not run: then `aclose` must have nothing to wait for."""

    async def aclose(self) -> None:
        """Close it. Called once."""


K = TypeVar("K", bound=Kept)


class _Held(Generic[K]):
    def __init__(self, kept: K, keeper: AsyncGenerator[None, None]) -> None:
        self.kept = kept
        self.keeper = keeper


_AllHeld: TypeAlias = dict[asyncio.AbstractEventLoop, _Held[K]]


class PerLoop(Generic[K]):
    """Things, each made when it is first asked for on its loop. It may be used from several threads."""

    def __init__(self) -> None:
        self._held: _AllHeld[K] = {}
        _all.add(self)
        # For an owner that nobody closes. It holds the things, which must not be collected before they are closed.
        weakref.finalize(self, _abandon, self._held).atexit = False

    async def here(self, make: Callable[[], K]) -> K:
        """The thing of the running loop, which `make` makes if there is none. It does not wait."""
        for other, old in list(self._held.items()):  # a copy: other threads may add theirs
            if other.is_closed():
                self._held.pop(other, None)
                _close_elsewhere(other, old)
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None:
            kept = make()
            held = self._held[loop] = _Held(kept, _keep(self._held, loop, kept))
            await anext(held.keeper)
        return held.kept

    def __iter__(self) -> Iterator[K]:
        """The things of all loops."""
        return (held.kept for held in list(self._held.values()))

    async def aclose(self) -> None:
        """Close the thing of every loop, each on its own where that one runs. It may be used again."""
        here = asyncio.get_running_loop()
        for loop, held in list(self._held.items()):
            self._held.pop(loop, None)
            if loop is here:
                await held.keeper.aclose()
            else:
                _close_elsewhere(loop, held)


async def _keep(all_held: _AllHeld[K], loop: asyncio.AbstractEventLoop, kept: K) -> AsyncGenerator[None, None]:
    """Holds a thing, and closes it with its loop. Knows no `PerLoop`, so that one can be collected."""
    try:
        yield
    finally:
        if loop in all_held and all_held[loop].kept is kept:  # else it has been replaced
            del all_held[loop]
        await kept.aclose()


def _abandon(all_held: _AllHeld[Any]) -> None:
    """Close the things of an owner that is no more, from whatever thread the collector runs in."""
    while all_held:
        _close_elsewhere(*all_held.popitem())


_all: weakref.WeakSet[PerLoop[Any]] = weakref.WeakSet()


@atexit.register
def _close_idle() -> None:
    """At the interpreter's end: a loop that nobody runs or closes, as `asyncio.get_event_loop()` gives it, has no end.

    What belongs to the background loop is closed on it.
    """
    for per_loop in list(_all):
        for loop, held in list(per_loop._held.items()):  # noqa: SLF001 - our own
            if not loop.is_running():
                per_loop._held.pop(loop, None)  # noqa: SLF001
                _close_elsewhere(loop, held)


def _close_elsewhere(loop: asyncio.AbstractEventLoop, held: _Held[Any]) -> None:
    """Close what belongs to another loop: at once where that loop does not run, since it may never again."""
    if loop.is_running():
        with suppress(RuntimeError):  # the loop was closed just now
            loop.call_soon_threadsafe(lambda: loop.create_task(held.keeper.aclose()))
        return
    held.kept.let_go()
    closing = held.keeper.aclose()
    with suppress(StopIteration, RuntimeError):  # it waits for nothing now; on a closed loop, a socket may complain
        closing.send(None)
