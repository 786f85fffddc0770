"""The attempts of one operation: the one module that imports tenacity.

What is tried again is decided by `bing_llm.errors.next_step`; how often and after which wait, here. Retries never nest:
one operation has one number of attempts and one deadline.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from bing_llm._safe_text import log_line
from bing_llm.errors import BingError, FailedAttempt, Metering, next_step
from bing_llm.limits import Deadline, Retries

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, AttemptManager, RetryCallState

_log = logging.getLogger(__name__)

_LONGEST_WORDS = 1000  # characters of an error in a line of the log: a service's own words have any number

T = TypeVar("T")


async def retried(operation: Callable[[], Awaitable[T]], retries: Retries, deadline: Deadline, metering: Metering) -> T:
    """Run a call that is not a turn until it succeeds or its attempts are used up.

    Raises:
        BingError: The error of the last attempt.
    """

    def may_retry(exc: BaseException) -> bool:
        return isinstance(exc, BingError) and next_step(exc, _CALL, metering) != "raise"

    async for attempt in _retrying(retries, deadline, may_retry):
        with attempt:
            result = await operation()
    return result


_CALL = FailedAttempt("own", sent=False)  # it names one conversation, or lists them; to repeat it costs nothing


class Attempts:
    """The attempts of one operation whose steps its caller takes: a turn, while its events are pulled.

    Such an operation is not a coroutine that could be called again: between two attempts the caller is given events,
    and may close the turn from another thread. So tenacity's iterator is driven by hand, and only here.

    Args:
        retries: How many, and how long to wait between them.
        deadline: No attempt begins after it.
        metering: What the service says about its turns.
    """

    def __init__(self, retries: Retries, deadline: Deadline, metering: Metering) -> None:
        self.deadline = deadline
        self._metering = retries.applied_to(metering)
        self._retries = retries
        # Made for the first failure: most turns have none, and tenacity is slow to import.
        self._attempts: AsyncIterator[AttemptManager] | None = None
        self._current: AttemptManager | None = None

    async def failed(self, exc: BingError, attempt: FailedAttempt) -> None:
        """Wait until the next attempt may begin after one that failed; not at all if that one is not counted.

        Raises:
            BingError: This error: another attempt would be of no use, must not be made, or none is left.
        """
        exc.metering = self._metering
        step = next_step(exc, attempt, self._metering)
        if step == "raise":
            raise exc
        if step == "replace":
            return
        if self._current is None or self._attempts is None:
            self._attempts = aiter(_retrying(self._retries, self.deadline, lambda exc: isinstance(exc, BingError)))
            self._current = await anext(self._attempts)  # the first, which waits for nothing
        self._current.retry_state.set_exception((type(exc), exc, exc.__traceback__))
        self._current = await anext(self._attempts)


def _retrying(retries: Retries, deadline: Deadline, may_retry: Callable[[BaseException], bool]) -> AsyncRetrying:
    import tenacity  # noqa: PLC0415 - as aiohttp, it is slow to import, and a client that only is made needs none

    longest_wait = tenacity.wait_exponential(multiplier=retries.first_wait, max=retries.max_wait)
    jitter = retries.jitter or random.random

    def wait(state: RetryCallState) -> float:
        asked = _error_of(state).retry_after
        return longest_wait(state) * jitter() if asked is None else max(0.0, asked)

    def stop(state: RetryCallState) -> bool:
        return state.attempt_number >= retries.attempts or state.upcoming_sleep >= deadline.remaining()

    def log(state: RetryCallState) -> None:
        exc = _error_of(state)
        _log.info(
            "%s attempt %d of %d failed (%s: %s); next in %.1f seconds",
            deadline.label,
            state.attempt_number,
            retries.attempts,
            type(exc).__name__,
            log_line(exc.message[:_LONGEST_WORDS]),
            state.upcoming_sleep,
        )

    return tenacity.AsyncRetrying(
        reraise=True,
        sleep=retries.sleep or asyncio.sleep,
        stop=stop,
        wait=wait,
        retry=tenacity.retry_if_exception(may_retry),
        before_sleep=log,
    )


def _error_of(state: RetryCallState) -> BingError:
    exc = None if state.outcome is None else state.outcome.exception()
    return exc if isinstance(exc, BingError) else BingError(str(exc))
