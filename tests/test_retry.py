"""Attempts, waits and deadlines of one operation."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from bing_llm import errors
from bing_llm._retry import Attempts, retried
from bing_llm.errors import BingError, ConnectionFailed, ServiceError, SessionExpired, Throttled, TimedOut
from bing_llm.limits import Deadline, Retries
from tests.fakes import Pause, Time

PERMANENT = [
    errors.ConfigurationError("x"),
    errors.InvalidRequest("x"),
    errors.PromptTooLong("x"),
    errors.ContentFiltered("x"),
    errors.UploadFailed("x"),
    errors.Unauthorized("x"),
    errors.CaptchaRequired("x"),
    errors.Throttled("x"),
    errors.SessionExpired("x"),
    errors.ConversationEnded("x"),
    errors.ConversationBusy("x"),
    errors.TurnLimitReached("x"),
    errors.ProtocolError("x"),
]


class Operation:
    """Fails with these errors, one a call, then succeeds."""

    def __init__(self, *failures: BaseException, takes: float = 0.0, time: Time | None = None) -> None:
        self._failures = list(failures)
        self._takes = takes
        self._time = time or Time()
        self.calls = 0

    async def __call__(self) -> str:
        """One call; it takes its time in any case."""
        self.calls += 1
        self._time.now += self._takes
        if self._failures:
            raise self._failures.pop(0)
        return "done"


def attempts_of(time: Time, retries: Retries | None = None, *, seconds: float = 900.0) -> Attempts:
    """Attempts within so many seconds."""
    return Attempts(retries or time.retries(), Deadline(seconds, time.clock, "[turn 0af1]"))


async def test_what_succeeds_is_called_once() -> None:
    """Without a failure there is one call and no wait."""
    time, operation = Time(), Operation()
    assert await retried(operation, attempts_of(time)) == "done"
    assert (operation.calls, time.waits) == (1, [])


async def test_the_wait_doubles_up_to_the_longest() -> None:
    """The wait after attempt n is `first_wait * 2**(n - 1)`, at most `max_wait`."""
    time = Time()
    operation = Operation(*(ServiceError("x") for _ in range(6)))
    await retried(operation, attempts_of(time, time.retries(attempts=7, max_wait=3.0)))
    assert time.waits == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


async def test_jitter_takes_a_part_of_the_wait() -> None:
    """Each wait is a part of the longest allowed one, from nothing to all of it."""
    time, drawn = Time(), iter([0.0, 0.5, 1.0])
    retries = time.retries(first_wait=4.0, jitter=lambda: next(drawn))
    await retried(Operation(*(ServiceError("x") for _ in range(3))), attempts_of(time, retries))
    assert time.waits == [0.0, 4.0, 16.0]


def test_jitter_is_random_unless_it_is_injected() -> None:
    """Without an injected jitter each wait is drawn by `random.random`."""
    attempts = Attempts(Retries(), Deadline(1.0, Time().clock))
    assert attempts._jitter is random.random


async def test_without_injected_sleep_asyncio_sleeps() -> None:
    """`Retries()` as it is waits with `asyncio.sleep`."""
    time = Time()
    operation = Operation(ServiceError("x"))
    assert await retried(operation, attempts_of(time, Retries(first_wait=0.0))) == "done"
    assert operation.calls == 2


async def test_a_thousand_attempts_are_no_overflow() -> None:
    """However many attempts are allowed, the wait stays at its longest."""
    time = Time()
    operation = Operation(*(ServiceError("x") for _ in range(1100)))
    await retried(operation, attempts_of(time, time.retries(attempts=1200, max_wait=0.25)))
    assert set(time.waits) == {0.25}


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_attempts_are_counted_with_the_first(attempts: int) -> None:
    """So many attempts are made, no more; then the last error is raised."""
    time = Time()
    failures = [ServiceError(str(number)) for number in range(attempts + 1)]
    operation = Operation(*failures)
    with pytest.raises(ServiceError) as caught:
        await retried(operation, attempts_of(time, time.retries(attempts=attempts)))
    assert caught.value is failures[attempts - 1]
    assert (operation.calls, len(time.waits)) == (attempts, attempts - 1)


async def test_the_error_is_raised_as_it_was() -> None:
    """The very error of the operation comes out, with its cause, and nothing of tenacity around it."""
    failure, cause = ConnectionFailed("x"), OSError("refused")

    async def fail() -> None:
        raise failure from cause

    time = Time()
    with pytest.raises(ConnectionFailed) as caught:
        await retried(fail, attempts_of(time))
    assert caught.value is failure
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("failure", PERMANENT, ids=lambda failure: type(failure).__name__)
async def test_what_another_attempt_cannot_mend_is_raised_at_once(failure: BingError) -> None:
    """Errors that are not transient end the first attempt, without a wait."""
    time, operation = Time(), Operation(failure)
    with pytest.raises(type(failure)) as caught:
        await retried(operation, attempts_of(time))
    assert caught.value is failure
    assert (operation.calls, time.waits) == (1, [])


async def test_a_failure_before_the_first_attempt_uses_none_up() -> None:
    """All attempts are left when an error is reported before one began."""
    time = Time()
    attempts = attempts_of(time, time.retries(attempts=1))
    await attempts.failed(ServiceError("early"))
    with pytest.raises(ServiceError, match="late"):
        await attempts.failed(ServiceError("late"))
    assert time.waits == []


async def test_other_exceptions_pass_through() -> None:
    """What is no error of ours is a bug: it is raised as it is, after one call."""
    time, operation = Time(), Operation(LookupError("a bug"))
    with pytest.raises(LookupError, match="a bug"):
        await retried(operation, attempts_of(time))
    assert operation.calls == 1


async def test_the_caller_says_what_is_worth_another_attempt() -> None:
    """`may_retry` takes the place of `is_transient`."""
    time, operation = Time(), Operation(SessionExpired("x"), ServiceError("x"))
    attempts = Attempts(time.retries(), Deadline(900.0, time.clock), lambda exc: isinstance(exc, SessionExpired))
    with pytest.raises(ServiceError):
        await retried(operation, attempts)
    assert operation.calls == 2


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (120.0, 120.0), (0.0, 0.0), (-3.0, 0.0)])
async def test_retry_after_is_honoured(asked: float, waited: float) -> None:
    """The service's own wait is kept to the second: no jitter, and no `max_wait` cuts it."""
    time = Time()
    retries = time.retries(max_wait=30.0, jitter=lambda: 0.0)
    await retried(Operation(Throttled("x", retry_after=asked)), attempts_of(time, retries))
    assert time.waits == [waited]


@pytest.mark.parametrize("asked", [10.0, 3600.0])
async def test_retry_after_beyond_the_deadline_raises_at_once(asked: float) -> None:
    """Nobody waits for an attempt that could not be made any more."""
    time, operation = Time(), Operation(Throttled("x", retry_after=asked))
    with pytest.raises(Throttled):
        await retried(operation, attempts_of(time, seconds=10.0))
    assert (operation.calls, time.waits) == (1, [])


async def test_the_deadline_bounds_all_attempts() -> None:
    """When the next wait would reach the deadline, the error is raised, however many attempts are left."""
    time = Time()
    operation = Operation(*(TimedOut("x") for _ in range(100)), takes=3.0, time=time)
    with pytest.raises(TimedOut):
        await retried(operation, attempts_of(time, time.retries(attempts=100, first_wait=1.0), seconds=10.0))
    assert operation.calls == 3  # at 0, 4 and 9 seconds; the next wait of 4 would end at 16
    assert time.now <= 10.0 + 3.0


async def test_each_retry_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One INFO line for each wait, with its turn, what failed and how long; none for the failure that is raised."""
    caplog.set_level(logging.DEBUG, "bing_llm")
    time = Time()
    failures = [
        ServiceError(
            "The creation failed.", service_message="service words", partial_text="text", value="InternalError"
        ),
        ServiceError("It failed again."),
    ]
    with pytest.raises(ServiceError):
        await retried(Operation(*failures), attempts_of(time, time.retries(attempts=2)))
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "bing_llm._retry",
            "INFO",
            "[turn 0af1] attempt 1 of 2 failed (ServiceError: The creation failed.); next in 0.5 seconds",
        )
    ]


async def test_a_wait_can_be_cancelled() -> None:
    """Cancellation during a wait comes out as what it is, and no further attempt is made."""
    wait = Pause()
    operation = Operation(ServiceError("x"))
    task = asyncio.create_task(retried(operation, attempts_of(Time(wait))))
    await wait.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert operation.calls == 1
