"""The attempts of one operation: the one module that imports tenacity.

A turn is opened again step by step, while its caller pulls events, so nothing can be decorated: `Attempts` drives
tenacity's own iterator by hand. One `Attempts` is one budget; retries never nest.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from bing_llm._escaping import log_line
from bing_llm.errors import BingError, is_transient
from bing_llm.limits import Deadline, Retries

if TYPE_CHECKING:
    from tenacity import AttemptManager, RetryCallState

__all__ = ["Attempts", "retried"]

_log = logging.getLogger(__name__)

_LONGEST_WORDS = 1000  # characters of an error in a line of the log: a service's own words have any number

T = TypeVar("T")


class Attempts:
    """The attempts of one operation, within one number and one deadline.

    Use: `await begin()` once, then attempt; after each failure `await failed(exc)`, which waits until the next attempt
    may be made, or raises the error itself.

    Args:
        retries: How many, and how long to wait between them.
        deadline: No attempt begins after it.
        may_retry: Which errors are worth another attempt.
    """

    def __init__(
        self, retries: Retries, deadline: Deadline, may_retry: Callable[[BingError], bool] = is_transient
    ) -> None:
        import tenacity  # noqa: PLC0415 - as aiohttp, it is slow to import, and a client that only is made needs none

        self._retries = retries
        self._deadline = deadline
        self._may_retry = may_retry
        self._jitter = retries.jitter or random.random
        self._attempts = aiter(
            tenacity.AsyncRetrying(
                reraise=True,
                sleep=retries.sleep or asyncio.sleep,
                stop=self._must_stop,
                wait=self._wait,
                retry=tenacity.retry_if_exception_type(BingError),
            )
        )
        self._current: AttemptManager | None = None
        self._enough = tenacity.stop_after_attempt(retries.attempts)
        self._longest_wait = tenacity.wait_exponential(multiplier=retries.first_wait, max=retries.max_wait)

    async def begin(self) -> None:
        """Begin the next attempt, after the wait that the last failure asks for.

        Raises:
            BingError: The last failure, when no further attempt is allowed.
        """
        self._current = await anext(self._attempts)

    async def failed(self, exc: BingError) -> None:
        """Record that the attempt failed with this error, and begin the next one.

        Raises:
            BingError: This error, when no further attempt is allowed.
        """
        if self._current is not None:
            with self._current:
                raise exc
        await self.begin()

    def _must_stop(self, state: RetryCallState) -> bool:
        exc = _error_of(state)
        out_of_time = state.upcoming_sleep >= self._deadline.remaining()
        stop = out_of_time or not self._may_retry(exc) or self._enough(state)
        if not stop:
            _log.info(
                "%s attempt %d of %d failed (%s: %s); next in %.1f seconds",
                self._deadline.label,
                state.attempt_number,
                self._retries.attempts,
                type(exc).__name__,
                log_line(exc.message[:_LONGEST_WORDS]),
                state.upcoming_sleep,
            )
        return stop

    def _wait(self, state: RetryCallState) -> float:
        asked = _error_of(state).retry_after
        if asked is not None:
            return max(0.0, asked)
        return self._longest_wait(state) * self._jitter()


async def retried(operation: Callable[[], Awaitable[T]], attempts: Attempts) -> T:
    """Run an operation until it succeeds or its attempts are used up.

    Raises:
        BingError: The error of the last attempt.
    """
    await attempts.begin()
    while True:
        try:
            return await operation()
        except BingError as exc:
            failure = exc
        await attempts.failed(failure)


def _error_of(state: RetryCallState) -> BingError:
    exc = None if state.outcome is None else state.outcome.exception()
    return exc if isinstance(exc, BingError) else BingError(str(exc))
