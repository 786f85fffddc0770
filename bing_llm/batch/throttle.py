"""How fast a batch asks a service: an adaptive throttle (AIMD) decides, and a limiter makes each turn wait for it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from bing_llm import errors
from bing_llm.errors import UNMETERED, BingError, ConfigurationError, FailedAttempt, Metering, next_step, stops_batch
from bing_llm.limits import Retries

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

Action: TypeAlias = Literal["stop", "wait", "retry", "fail"]

_FIRST_PAUSE = 15.0  # seconds; a minute's quota is partly free again by then
_LONGEST_PAUSE = 900.0  # seconds; four turns an hour cost a daily quota nothing, and soon notice that it is back
_MOST_DOUBLINGS = 30  # no pause is that long; further ones would only overflow

_FEWEST_LOST = 20  # rows: that many failures in a row are not an accident


def classify_error(error: BingError, metering: Metering = UNMETERED) -> Action:
    """What to do about a turn that ended with this error, by the policy in `bing_llm.errors`.

    ========  ================================================================================================
    `stop`    the whole batch cannot go on as it is; the row is left undone
    `wait`    the service takes no turn now; the row is asked again, which costs none of its own attempts
    `retry`   ask the row again while it has attempts left; then it has failed
    `fail`    the row has failed: another attempt would meet the same
    ========  ================================================================================================
    """
    if stops_batch(error):
        return "stop"
    if isinstance(error, errors.Throttled | errors.ConnectionFailed):
        return "wait"
    # Text that had come does not matter: nothing of a row is written before its answer is whole.
    step = next_step(error, FailedAttempt("new", error.sent), metering)
    return "fail" if step == "raise" else "retry"


class AdaptiveThrottle:
    """How many turns may be open, when the next one may begin, and when to give up. It waits for nothing itself.

    The window is additive-increase, multiplicative-decrease. It begins at `concurrency`. `Throttled` halves it, once
    for all turns that were open then: those that began earlier are not news. Each success adds a part of one, so that
    a window full of them adds one.

    While the service takes no turn, none begins: for as long as it asked, else for a pause that doubles from round to
    round. After a second round of the same trouble, turns begin one at a time until one succeeds.

    Args:
        concurrency: How many turns may be open at most.
        patience: How long to go on without a success, in seconds from the first trouble on.
        retries: `attempts` is how often to try a service that has never answered and cannot be reached;
            `first_wait` and `max_wait` are the pauses while it cannot be reached.
        clock: The time in seconds.

    Attributes:
        stopped: Why no further turn makes sense; None while it does.
    """

    def __init__(self, concurrency: int, *, patience: float, retries: Retries, clock: Callable[[], float]) -> None:
        self.stopped: BingError | None = None
        self._concurrency = concurrency
        self._patience = patience
        self._retries = retries
        self._clock = clock
        self._window = float(concurrency)
        self._open = 0
        self._has_answered = False
        self._faults = 0
        self._lost_at = max(_FEWEST_LOST, 2 * concurrency) * retries.attempts
        # the trouble
        self._since: float | None = None
        self._rounds = 0
        self._counted_at = -math.inf
        self._resumes_at = -math.inf
        self._reason = ""

    @property
    def waiting(self) -> str:
        """Why no turn begins now, for a person; "" while turns begin."""
        seconds = self.pause()
        return f"{self._reason}; next turn in {math.ceil(seconds)} s" if seconds > 0 else ""

    def pause(self) -> float:
        """Seconds until a turn may begin; 0 for now."""
        return max(0.0, self._resumes_at - self._clock())

    def may_begin(self) -> bool:
        """Whether a turn may begin now."""
        limit = int(self._window) if self._rounds <= 1 else 1
        return self.stopped is None and self.pause() <= 0 and self._open < limit

    def begin(self) -> float:
        """Begin a turn. Pass what this returns to `end`, once, however the turn ends."""
        self._open += 1
        return self._clock()

    def end(self, permit: float, error: BingError | None, metering: Metering = UNMETERED) -> None:
        """A turn of a service with this metering has ended, with an answer or with this error."""
        self._open -= 1
        if error is None:
            self._recover()
            self._window = min(self._concurrency, self._window + 1 / self._window)
            return
        action = classify_error(error, metering)
        if action == "stop":
            self.stopped = error
        elif action == "wait" or error.retry_after:
            self._back_off(permit, error)
        if isinstance(error, errors.ServiceFault) and action != "wait":
            self._count_fault(error, self._retries.attempts if action == "fail" else 1)
        elif isinstance(error, errors.RequestError | errors.ConversationError):
            self._recover()  # the service has read the request

    def _recover(self) -> None:
        self._has_answered = True
        self._faults = 0
        self._since = None
        self._rounds = 0

    def _back_off(self, permit: float, error: BingError) -> None:
        now = self._clock()
        if self._since is None:
            self._since = now
        is_news = permit > self._counted_at
        if is_news:
            self._counted_at = now
            self._rounds += 1
            if isinstance(error, errors.Throttled):
                self._window = max(1.0, self._window / 2)
        elif not error.retry_after:
            return
        left = self._since + self._patience - now
        # A wait of 0, as for a date that is past, does not count: turn after turn would be sent without a pause.
        pause = error.retry_after or min(self._next_pause(error), left)
        if left <= 0 or pause > left or self._never_answered(error):
            self.stopped = error
            return
        self._resumes_at = max(self._resumes_at, now + pause)
        self._reason = _reason(error)

    def _next_pause(self, error: BingError) -> float:
        first, longest = _FIRST_PAUSE, _LONGEST_PAUSE
        if isinstance(error, errors.ConnectionFailed):
            first, longest = self._retries.first_wait, self._retries.max_wait
        return min(longest, first * 2.0 ** min(self._rounds - 1, _MOST_DOUBLINGS))

    def _never_answered(self, error: BingError) -> bool:
        """Whether the endpoint is probably a wrong one, for which it is useless to wait."""
        cannot = isinstance(error, errors.ConnectionFailed) and not self._has_answered
        return cannot and self._rounds >= self._retries.attempts

    def _count_fault(self, error: BingError, attempts: int) -> None:
        """Stop when turn after turn fails: further rows would only fail as well."""
        self._faults += attempts
        if self._faults >= self._lost_at:
            self.stopped = error


class Limiter:
    """Every turn of a batch, further attempts included, begins and ends here. First come, first served.

    Args:
        concurrency: How many turns may be open at most; fewer while the service throttles.
        rate: How many turns a minute may begin, spread evenly; None for no limit.
        patience: How long to wait for a service that takes no turn, in seconds since its last answer.
        retries: As for `AdaptiveThrottle`; the limiter uses its `sleep` and `clock` too. None for the defaults.

    Attributes:
        stopped: The error of a turn that closed it; None while it is open, and after `close`.
        closed: Whether no further turn may begin.
        turns: How many have begun.

    Raises:
        ConfigurationError: There is a rate, and aiolimiter is not installed.
    """

    def __init__(
        self,
        concurrency: int,
        *,
        rate: float | None = None,
        patience: float = 3600.0,
        retries: Retries | None = None,
    ) -> None:
        retries = retries or Retries()
        clock = retries.clock or time.monotonic
        self.stopped: BingError | None = None
        self.closed = False
        self.turns = 0
        self._throttle = AdaptiveThrottle(concurrency, patience=patience, retries=retries, clock=clock)
        self._rate = None if rate is None else _rate_limiter(rate)
        self._sleep = retries.sleep or asyncio.sleep
        self._first = asyncio.Lock()
        self._changed = asyncio.Event()
        self._waits: set[asyncio.Future[None]] = set()

    @property
    def waiting(self) -> str:
        """Why no turn begins now, for a person; "" while turns begin."""
        return "" if self.closed else self._throttle.waiting

    async def acquire(self) -> float | None:
        """Wait until a turn may begin. A call that is cancelled holds nothing.

        Returns:
            A permit, which `release` takes; None if the run is over and no turn may begin any more.
        """
        async with self._first:  # only the first in the queue waits for anything else
            while await self._opens():
                if self._rate is not None:
                    await self._until_closed(self._rate.acquire())
                if not self.closed and self._throttle.may_begin():  # else the state changed during the wait
                    self.turns += 1
                    return self._throttle.begin()
        return None

    def release(self, permit: float, error: BingError | None, metering: Metering = UNMETERED) -> None:
        """A turn has ended, with an answer or with this error. Call it once for each permit, however the turn ended."""
        self._throttle.end(permit, error, metering)
        self._changed.set()
        if self._throttle.stopped is not None and not self.closed:
            self.stopped = self._throttle.stopped
            self.close()

    def close(self) -> None:
        """Let no further turn begin: everyone who waits, or comes later, gets None."""
        self.closed = True
        self._changed.set()
        for wait in self._waits:
            wait.cancel()

    async def sleep(self, seconds: float) -> None:
        """Sleep that long, or until the limiter is closed."""
        if not self.closed:
            await self._until_closed(self._sleep(seconds))

    async def _opens(self) -> bool:
        while not self.closed and not self._throttle.may_begin():
            seconds = self._throttle.pause()
            if seconds > 0:
                await self.sleep(seconds)
            else:
                self._changed.clear()
                await self._changed.wait()
        return not self.closed

    async def _until_closed(self, work: Awaitable[None]) -> None:
        wait = asyncio.ensure_future(work)
        self._waits.add(wait)
        try:
            await asyncio.wait([wait])
        finally:
            self._waits.discard(wait)
            wait.cancel()
        if not wait.cancelled():
            wait.result()


def _reason(error: BingError) -> str:
    if isinstance(error, errors.Throttled):
        return "the service throttles"
    if isinstance(error, errors.ConnectionFailed):
        return "the service cannot be reached"
    return "the service asked to wait"


def _rate_limiter(rate: float) -> AsyncLimiter:
    try:
        from aiolimiter import AsyncLimiter  # noqa: PLC0415 - of an extra
    except ImportError as exc:
        msg = "A rate needs aiolimiter, which is not installed."
        raise ConfigurationError(msg, hint='Run `pip install "bing-llm[batch]"`, or leave the rate out.') from exc
    per_second = rate / 60
    # At once begin at most as many as a second allows, or one.
    return AsyncLimiter(max(1.0, per_second), max(1.0, 1 / per_second))
