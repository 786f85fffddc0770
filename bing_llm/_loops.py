"""What belongs to one process or to one event loop, and how it ends: after a fork, with its loop, or at the exit.

- `PerProcess`: a value that a forked child makes anew.
- `PerLoop`: a resource for each event loop, closed with its loop, with its owner, or when its owner is collected.
- `background`: the one loop of a process that synchronous calls run on.

Outside the emulator, this is the one place that looks at process ids, registers with `atexit`, and waits for the end of
a loop.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from typing import Generic, Protocol, TypeAlias, TypeVar, cast

from bing_llm.errors import ConfigurationError

T = TypeVar("T")

_CLOSING_SECONDS = 2.0  # at the interpreter's end; closing takes milliseconds, and nobody should wait for more

THREAD_NAME = "bing-llm-loop"


def check_asyncio() -> None:
    """Refuse to run where there is no asyncio loop, such as on trio.

    Raises:
        ConfigurationError: None runs here.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        msg = "This call needs an asyncio event loop, and none runs here."
        hint = "On trio, call SyncBingClient in a thread: await trio.to_thread.run_sync(client.ask, prompt)."
        raise ConfigurationError(msg, hint=hint) from None


class PerProcess(Generic[T]):
    """A value that each process makes for itself when it first asks for it.

    A forked child does not use what it inherited, but keeps it: to collect it would close descriptors that the parent
    still uses. It uses no lock, because a fork could copy a lock that is held. If two threads make a value at once,
    only one value is kept; so `make` must not do anything that needs to be undone.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: dict[int, T] = {}  # by process id

    def get(self) -> T:
        """The value of this process."""
        pid = os.getpid()
        try:
            return self._values[pid]
        except KeyError:
            return self._values.setdefault(pid, self._make())


def in_this_process(action: Callable[[], None]) -> Callable[[], None]:
    """The same action, which does nothing in a forked child: a loop's timers are copied with it."""
    pid = os.getpid()

    def act() -> None:
        if os.getpid() == pid:
            action()

    return act


class LoopResource(Protocol):
    """What `PerLoop` holds. It must not refer to its `PerLoop`, nor to the owner of that."""

    def close(self) -> None:
        """Close it without waiting: its loop does not run, and may be closed already."""

    async def aclose(self) -> None:
        """Close it, on its own loop."""


K = TypeVar("K", bound=LoopResource)


class PerLoop(Generic[K]):
    """Resources of one kind, each made when it is first asked for on its loop. It may be used from several threads."""

    def __init__(self) -> None:
        self._key = object()
        weakref.finalize(self, _close_all, self._key).atexit = False  # for an owner that nobody closes

    async def get_or_create(self, make: Callable[[], K]) -> K:
        """The resource of the running loop, which `make` makes if there is none. It does not wait."""
        resource: LoopResource | None = self.here()
        if resource is None:
            scope = await _running_scope()
            resource = scope.resources[self._key] = make()
        return cast("K", resource)

    def here(self) -> K | None:
        """The resource of the running loop; None if there is none, or no loop runs."""
        try:
            scope = _scopes.get().get(asyncio.get_running_loop())
        except RuntimeError:
            return None
        return None if scope is None else cast("K | None", scope.resources.get(self._key))

    def __iter__(self) -> Iterator[K]:
        """The resources of all loops."""
        found = (scope.resources.get(self._key) for scope in list(_scopes.get().values()))
        return (cast("K", resource) for resource in found if resource is not None)

    async def aclose(self) -> None:
        """Close the resource of every loop, each on its own loop if that runs. It may be used again."""
        here = _scopes.get().get(asyncio.get_running_loop())
        resource = None if here is None else here.resources.pop(self._key, None)
        _close_all(self._key)
        if resource is not None:
            await resource.aclose()


class _LoopScope:
    """The resources of one loop, by the keys of their `PerLoop`s.

    asyncio has one hook for the end of a loop: an async generator that was started on it is closed by
    `shutdown_asyncgens`. So each scope has one, which closes what the scope holds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.resources: dict[object, LoopResource] = {}
        self.closing: list[LoopResource] = []  # which the loop has yet to close
        self.end = _close_with_loop(self)

    def close(self, key: object) -> None:
        """Close a resource from elsewhere: at once if the loop does not run, since it may never run again."""
        resource = self.resources.pop(key, None)
        if resource is None:
            return
        with suppress(RuntimeError):  # the loop was closed just now
            if self.loop.is_running():
                self.closing.append(resource)
                self.loop.call_soon_threadsafe(lambda: self.loop.create_task(self.close_here()))
            else:
                resource.close()

    async def close_here(self) -> None:
        """Close what the loop has yet to close; on the loop."""
        while self.closing:
            await self.closing.pop().aclose()

    def close_all(self) -> None:
        """Close every resource of the loop."""
        for key in list(self.resources):
            self.close(key)
        while self.closing and not self.loop.is_running():  # it stopped before it came to that
            with suppress(RuntimeError):
                self.closing.pop().close()


_Scopes: TypeAlias = dict[asyncio.AbstractEventLoop, _LoopScope]

_scopes: PerProcess[_Scopes] = PerProcess(dict)


async def _running_scope() -> _LoopScope:
    scopes = _scopes.get()
    for loop, scope in list(scopes.items()):  # a copy: other threads may add theirs
        if loop.is_closed():  # without `shutdown_asyncgens`
            scopes.pop(loop, None)
            scope.close_all()
    here = asyncio.get_running_loop()
    known = scopes.get(here)
    if known is not None:
        return known
    scope = scopes[here] = _LoopScope(here)
    await anext(scope.end)
    return scope


async def _close_with_loop(scope: _LoopScope) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        scopes = _scopes.get()
        if scopes.get(scope.loop) is scope:  # else this is a forked child, and the resources are its parent's
            del scopes[scope.loop]
            scope.closing.extend(scope.resources.values())
            scope.resources.clear()
            await scope.close_here()


def _close_all(key: object) -> None:
    """Close the resources of one `PerLoop`, from whatever thread the collector runs in."""
    for scope in list(_scopes.get().values()):
        scope.close(key)


class Background:
    """The loop that synchronous calls run on, and its daemon thread; started when it is first asked for.

    Attributes:
        ending: Whether the interpreter ends; set and read on the loop.
    """

    def __init__(self) -> None:
        self.ending = False
        self._started: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
        self._lock = threading.RLock()  # the collector may run where it is held, and close what asks for the loop

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, which runs."""
        started = self._started
        if started is None or not started[1].is_alive():
            with self._lock:
                started = self._started
                if started is None or not started[1].is_alive():
                    started = self._started = self._start()
        return started[0]

    @property
    def thread(self) -> threading.Thread | None:
        """The loop's thread; None before it was started."""
        return None if self._started is None else self._started[1]

    def _start(self) -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
        loop = asyncio.new_event_loop()

        def serve() -> None:
            asyncio.set_event_loop(loop)
            loop.run_forever()

        thread = threading.Thread(target=serve, name=THREAD_NAME, daemon=True)
        thread.start()
        return loop, thread

    def end(self) -> None:
        """Close what is open on the loop, which goes on: a client or a turn that a script left would complain."""
        if self.thread is not None and self.thread.is_alive():
            closing = asyncio.run_coroutine_threadsafe(self._end(), self.loop)
            with suppress(Exception):
                closing.result(_CLOSING_SECONDS)

    async def _end(self) -> None:
        self.ending = True
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:  # an async generator cannot be closed while a task runs it
            ended, _ = await asyncio.wait(tasks, timeout=_CLOSING_SECONDS / 2)
            await asyncio.gather(*ended, return_exceptions=True)  # what is not looked at is logged
        await asyncio.get_running_loop().shutdown_asyncgens()


background: PerProcess[Background] = PerProcess(Background)


def close_idle_loops() -> None:
    """Close the resources of loops that do not run, such as one of `asyncio.get_event_loop()` that nobody closed."""
    for scope in list(_scopes.get().values()):
        if not scope.loop.is_running():
            scope.close_all()


@atexit.register
def _close_at_exit() -> None:
    close_idle_loops()
    background.get().end()


class AbandonedTask(asyncio.Task[T]):
    """A task that its loop may be closed without: whoever started it closes what it has opened, so nothing is lost."""

    def __del__(self) -> None:
        """Leave out asyncio's complaint that a task was destroyed while it was pending; it has no switch for that."""
