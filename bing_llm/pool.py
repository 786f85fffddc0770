"""Conversations that wait for a turn of a client.

- `WarmPool`: made ready before there is a prompt (`BingClient(warm=n)`). They belong to the event loop on which they
  were made, so each loop has its own. No turn waits for one, and none fails with one: it takes one that is ready, or
  creates a conversation itself.
- `Continuations`: kept after an answer, for the history that goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from bing_llm._loops import AbandonedTask, PerLoop, PerProcess, in_this_process
from bing_llm.backends.base import ConversationHandle, WarmConversation
from bing_llm.errors import BingError, ConfigurationError, is_transient
from bing_llm.limits import CONVERSATION_SECONDS, Deadline

_log = logging.getLogger(__name__)

MOST_WARM: Final = 32
"""A guard against a slip: they are as many creations at the service, which limits how many an account may make."""

PING_SECONDS: Final = 15.0
"""How often what is ready is checked and pinged: a service may drop a client that is silent for 30 s."""

_MOST_DOUBLINGS = 6  # of the wait after a failure: 15 s, 30 s, ... 16 min

WarmUp: TypeAlias = Callable[[Deadline], Awaitable[WarmConversation]]


class Timer(Protocol):
    """A pending call, such as asyncio's `TimerHandle`."""

    def cancel(self) -> None:
        """Do not make the call."""


StartTimer: TypeAlias = Callable[[float, Callable[[], None]], Timer]
"""Calls the function on the running loop, in that many seconds."""


class WarmPool:
    """The conversations that one client keeps ready, on each loop that it is used on.

    It may be used from several threads. Nothing is made before the first `start` or `take` on a loop.

    Args:
        size: How many on each loop; 0 for none.
        warm_up: Makes one.
        seconds: How long that may take.
        clock: The time in seconds; None for `time.monotonic`.
        start_timer: None for the running loop's own.

    Raises:
        ConfigurationError: The size is not a whole number from 0 to `MOST_WARM`.
    """

    def __init__(
        self,
        size: int,
        warm_up: WarmUp,
        *,
        seconds: float,
        clock: Callable[[], float] | None = None,
        start_timer: StartTimer | None = None,
    ) -> None:
        given: object = size
        if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= MOST_WARM:
            msg = f"warm is {given!r}; it must be a whole number from 0 (none) to {MOST_WARM}."
            raise ConfigurationError(msg)
        # What is open on a loop must not refer to the pool: then it, and the client that has it, can be collected.
        self._plan = _Plan(size, warm_up, seconds, clock or time.monotonic, start_timer or _start_timer)
        self._loops = PerLoop[_LoopPool]()
        self._closed = size == 0

    @property
    def ready(self) -> int:
        """How many are ready, on all loops."""
        return sum(len(pool.ready) for pool in self._loops)

    async def start(self) -> None:
        """Begin to make them on this loop. It does not wait."""
        if not self._closed:
            await self._loops.get_or_create(self._new_loop_pool)

    async def take(self) -> WarmConversation | None:
        """One that is ready on this loop, replaced by the next `refill`; None if none is. It does not wait."""
        if self._closed:
            return None
        pool = await self._loops.get_or_create(self._new_loop_pool)
        return pool.take()

    def refill(self) -> None:
        """Make what is missing on this loop, for a turn that took one and has its first text.

        Not before, or the making would put that text off. Where no loop runs, the next upkeep does it.
        """
        pool = None if self._closed else self._loops.here()
        if pool is not None:
            pool.refill()

    async def aclose(self) -> None:
        """Close all of them; there are none from now on. May be called twice."""
        self._closed = True
        await self._loops.aclose()

    def _new_loop_pool(self) -> _LoopPool:
        return _LoopPool(self._plan)


class _Plan(NamedTuple):
    """How many, and how they are made."""

    size: int
    warm_up: WarmUp
    seconds: float
    clock: Callable[[], float]
    start_timer: StartTimer


class _Ready(NamedTuple):
    conversation: WarmConversation
    made_at: float


class _LoopPool:
    """What is ready on the running loop, the oldest first. Tasks run only while something is made or pinged."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self.ready: deque[_Ready] = deque()
        self._tasks: set[AbandonedTask[None]] = set()
        self._making: AbandonedTask[None] | None = None
        self._timer: Timer | None = None
        self._failures = 0  # since one was taken
        self._not_before = plan.clock()
        self._closed = False
        self._maintain()

    # --- for the pool ---------------------------------------------------------------------------------------------

    def take(self) -> WarmConversation | None:
        """The oldest one that is alive; None if there is none."""
        while self.ready:
            first = self.ready.popleft()
            if self._is_good(first):
                self._failures = 0
                return first.conversation
        self.refill()
        return None

    def close(self) -> None:
        """Close everything, and give up what is being made; the loop does not run."""
        self._closed = True
        for task in self._tasks:
            with suppress(RuntimeError):  # the loop is closed
                if self._loop.is_closed():
                    task.get_coro().close()
                else:
                    task.cancel()
        self._tasks.clear()
        self._close_ready()

    async def aclose(self) -> None:
        """Close everything, and wait for the tasks."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        self._close_ready()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _close_ready(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        while self.ready:
            with suppress(RuntimeError):  # the loop is closed
                self.ready.popleft().conversation.close()

    # --- upkeep ---------------------------------------------------------------------------------------------------

    def _maintain(self) -> None:
        """Discard what is dead or old, ping the rest, make what is missing; and again after `PING_SECONDS`."""
        self.ready = deque([item for item in self.ready if self._is_good(item)])
        if self.ready:
            self._run(self._ping())
        self.refill()
        self._timer = self._plan.start_timer(PING_SECONDS, in_this_process(self._maintain))

    def _is_good(self, item: _Ready) -> bool:
        """Whether it can be used; else it is closed."""
        alive = item.conversation.alive()
        if alive and self._plan.clock() - item.made_at < CONVERSATION_SECONDS:
            return True
        item.conversation.close()
        if not alive:
            self._back_off_once()
        return False

    async def _ping(self) -> None:
        for item in list(self.ready):
            if not await _is_alive(item.conversation) and item in self.ready:  # else a turn has it
                self.ready.remove(item)
                item.conversation.close()
                self._back_off_once()

    def refill(self) -> None:
        """Make what is missing, unless it is being made, or a failure has to be waited out."""
        idle = self._making is None or self._making.done()
        if idle and len(self.ready) < self._plan.size and self._plan.clock() >= self._not_before:
            self._making = self._run(self._make())

    async def _make(self) -> None:
        """Make what is missing, one after another, up to the first failure."""
        while len(self.ready) < self._plan.size:
            deadline = Deadline(self._plan.seconds, self._plan.clock, f"[warm {uuid.uuid4().hex[:8]}]")
            try:
                made = await self._plan.warm_up(deadline)
            except Exception as exc:  # noqa: BLE001 - whatever it is, a turn without a warm conversation meets it too
                if not self._closed:  # else this is how aiohttp reports that
                    self._fail(exc, deadline.label)
                return
            self.ready.append(_Ready(made, self._plan.clock()))

    def _fail(self, exc: Exception, label: str) -> None:
        said, asked = type(exc).__name__, None
        if isinstance(exc, BingError):  # the text of other errors may hold anything
            said, asked = f"{said}: {exc.message}", exc.retry_after
        wait = self._back_off(asked)
        level = logging.INFO if is_transient(exc) else logging.WARNING
        _log.log(level, "%s no conversation was made ready (%s); next in %.0f seconds", label, said, wait)

    def _back_off_once(self) -> None:
        """Back off once for all conversations that die together, as when a service is restarted."""
        if self._plan.clock() >= self._not_before:
            self._back_off()

    def _back_off(self, asked: float | None = None) -> float:
        """Make none for as long as was asked, and longer after each failure in a row; one that died counts too."""
        now = self._plan.clock()
        if now >= self._not_before:  # else it belongs to the last one: many may die at once
            self._not_before = now + PING_SECONDS * 2 ** min(self._failures, _MOST_DOUBLINGS)
            self._failures += 1
        self._not_before = max(self._not_before, now + (asked or 0.0))
        return self._not_before - now

    def _run(self, work: Coroutine[Any, Any, None]) -> AbandonedTask[None]:
        # Not in the caller's context: what a turn has in it must not live as long as this.
        task = AbandonedTask(work, loop=self._loop, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _is_alive(conversation: WarmConversation) -> bool:
    try:
        await conversation.keep_alive()
    except BingError:
        return False
    return True


def _start_timer(seconds: float, action: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, action, context=Context())


# --- conversations that may go on -------------------------------------------------------------------------------------

MOST_KEPT: Final = 1024  # about a kilobyte each


class LiveConversation(msgspec.Struct, frozen=True):
    """A conversation that may go on.

    Attributes:
        handle: The backend's.
        turns: How many it was sent.
        context: What must be sent again with each turn; "" if the service remembers it.
        since: When it was kept, by the clock.
    """

    handle: ConversationHandle
    turns: int
    context: str
    since: float


class Continuations:
    """The conversations of one client that may go on, each by the digest of what it holds.

    It may be used from several threads, and has no lock: each step is one operation of a dict. A process that was
    forked begins without any, or two processes would go on in one conversation.

    Args:
        most: How many are kept; the one that waits longest goes first.
        seconds: How long one is kept after its last turn.
        clock: The time in seconds.
    """

    def __init__(
        self,
        *,
        most: int = MOST_KEPT,
        seconds: float = CONVERSATION_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._by_key: PerProcess[OrderedDict[bytes, LiveConversation]] = PerProcess(OrderedDict)

    def __len__(self) -> int:
        return len(self._by_key.get())

    def keep(self, key: bytes, handle: ConversationHandle, turns: int, context: str = "") -> None:
        """Remember a conversation that was sent so many turns; of two with one key, the later one."""
        by_key = self._by_key.get()
        by_key.pop(key, None)
        by_key[key] = LiveConversation(handle, turns, context, self._clock())
        with suppress(KeyError):  # another thread was faster
            while len(by_key) > self._most:
                by_key.popitem(last=False)

    def take(self, key: bytes) -> LiveConversation | None:
        """The conversation of this key, which then belongs to the caller alone; None if there is none."""
        live = self._by_key.get().pop(key, None)
        return live if live is not None and self._clock() - live.since < self._seconds else None
