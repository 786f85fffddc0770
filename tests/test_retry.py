"""Attempts, waits and deadlines of one operation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

import pytest

from bing_llm import errors
from bing_llm._retry import Attempts, retried
from bing_llm.errors import (
    UNMETERED,
    BingError,
    ConnectionFailed,
    FailedAttempt,
    Metering,
    ServiceError,
    SessionExpired,
    Throttled,
    TimedOut,
)
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


Perform: TypeAlias = Callable[..., Coroutine[Any, Any, str]]


async def by_itself(
    operation: Callable[[], Awaitable[str]], time: Time, retries: Retries | None = None, *, seconds: float = 900.0
) -> str:
    """Like a call, which `retried` repeats."""
    return await retried(operation, retries or time.retries(), deadline_of(time, seconds), UNMETERED)


async def step_by_step(
    operation: Callable[[], Awaitable[str]], time: Time, retries: Retries | None = None, *, seconds: float = 900.0
) -> str:
    """Like a turn, whose caller makes each attempt and reports what failed."""
    attempts = Attempts(retries or time.retries(), deadline_of(time, seconds), UNMETERED)
    while True:
        try:
            return await operation()
        except BingError as exc:
            failure = exc
        await attempts.failed(failure, FailedAttempt("own", sent=False))


@pytest.fixture(params=[by_itself, step_by_step])
def perform(request: pytest.FixtureRequest) -> Perform:
    """Each way in which an operation is tried again."""
    way: Perform = request.param
    return way


def deadline_of(time: Time, seconds: float) -> Deadline:
    """So many seconds from now."""
    return Deadline(seconds, time.clock, "[turn 0af1]")


async def test_what_succeeds_is_called_once(perform: Perform) -> None:
    """Without a failure there is one call and no wait."""
    time, operation = Time(), Operation()
    assert await perform(operation, time) == "done"
    assert (operation.calls, time.waits) == (1, [])


async def test_the_wait_doubles_up_to_the_longest(perform: Perform) -> None:
    """The wait after attempt n is `first_wait * 2**(n - 1)`, at most `max_wait`."""
    time = Time()
    operation = Operation(*(ServiceError("x") for _ in range(6)))
    await perform(operation, time, time.retries(attempts=7, max_wait=3.0))
    assert time.waits == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


async def test_jitter_takes_a_part_of_the_wait(perform: Perform) -> None:
    """Each wait is a part of the longest allowed one, from nothing to all of it."""
    time, drawn = Time(), iter([0.0, 0.5, 1.0])
    retries = time.retries(first_wait=4.0, jitter=lambda: next(drawn))
    await perform(Operation(*(ServiceError("x") for _ in range(3))), time, retries)
    assert time.waits == [0.0, 4.0, 16.0]


async def test_jitter_is_random_unless_it_is_injected(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an injected jitter each wait is drawn by `random.random`."""
    monkeypatch.setattr("random.random", lambda: 0.25)
    time = Time()
    await perform(Operation(ServiceError("x")), time, Retries(sleep=time.sleep, clock=time.clock, first_wait=4.0))
    assert time.waits == [1.0]


async def test_without_injected_sleep_asyncio_sleeps(perform: Perform) -> None:
    """`Retries()` as it is waits with `asyncio.sleep`."""
    time = Time()
    operation = Operation(ServiceError("x"))
    assert await perform(operation, time, Retries(first_wait=0.0)) == "done"
    assert operation.calls == 2


async def test_a_thousand_attempts_do_not_overflow(perform: Perform) -> None:
    """However many attempts are allowed, the wait stays at its longest."""
    time = Time()
    operation = Operation(*(ServiceError("x") for _ in range(1100)))
    await perform(operation, time, time.retries(attempts=1200, max_wait=0.25))
    assert set(time.waits) == {0.25}


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_attempts_are_counted_with_the_first(perform: Perform, attempts: int) -> None:
    """So many attempts are made, no more; then the last error is raised."""
    time = Time()
    failures = [ServiceError(str(number)) for number in range(attempts + 1)]
    operation = Operation(*failures)
    with pytest.raises(ServiceError) as caught:
        await perform(operation, time, time.retries(attempts=attempts))
    assert caught.value is failures[attempts - 1]
    assert (operation.calls, len(time.waits)) == (attempts, attempts - 1)


async def test_the_error_is_raised_as_it_was(perform: Perform) -> None:
    """The very error of the operation comes out, with its cause, and nothing of tenacity around it."""
    failure, cause = ConnectionFailed("x"), OSError("refused")

    async def fail() -> None:
        raise failure from cause

    time = Time()
    with pytest.raises(ConnectionFailed) as caught:
        await perform(fail, time)
    assert caught.value is failure
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("failure", PERMANENT, ids=lambda failure: type(failure).__name__)
async def test_what_another_attempt_cannot_mend_is_raised_at_once(perform: Perform, failure: BingError) -> None:
    """Errors that are not transient end the first attempt, without a wait."""
    time, operation = Time(), Operation(failure)
    with pytest.raises(type(failure)) as caught:
        await perform(operation, time)
    assert caught.value is failure
    assert (operation.calls, time.waits) == (1, [])


async def test_other_exceptions_pass_through(perform: Perform) -> None:
    """An exception that is not our error is a bug: it is raised unchanged, after one call."""
    time, operation = Time(), Operation(LookupError("a bug"))
    with pytest.raises(LookupError, match="a bug"):
        await perform(operation, time)
    assert operation.calls == 1


async def test_where_an_attempt_took_place_decides() -> None:
    """One in a used conversation is not counted, the next are, and one of the caller's own conversation is the last."""
    time = Time()
    attempts = Attempts(time.retries(attempts=3), deadline_of(time, 900.0), UNMETERED)
    await attempts.failed(SessionExpired("x"), FailedAttempt("used", sent=True))
    await attempts.failed(SessionExpired("x"), FailedAttempt("new", sent=True))
    assert time.waits == [0.5]
    with pytest.raises(SessionExpired, match="y"):
        await attempts.failed(SessionExpired("y"), FailedAttempt("own", sent=True))
    await attempts.failed(SessionExpired("x"), FailedAttempt("new", sent=True))
    with pytest.raises(SessionExpired, match="z"):
        await attempts.failed(SessionExpired("z"), FailedAttempt("new", sent=True))
    assert time.waits == [0.5, 1.0]


async def test_a_service_may_say_that_throttling_passes() -> None:
    """Then a quota without a time is waited for by back-off, as a fault is."""
    time, operation = Time(), Operation(Throttled("x"))
    metering = Metering(throttling_passes=True)
    assert await retried(operation, time.retries(), deadline_of(time, 900.0), metering) == "done"
    assert time.waits == [0.5]


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (120.0, 120.0), (0.0, 0.0), (-3.0, 0.0)])
async def test_retry_after_is_honoured(perform: Perform, asked: float, waited: float) -> None:
    """The service's own wait is kept to the second: no jitter, and no `max_wait` cuts it."""
    time = Time()
    retries = time.retries(max_wait=30.0, jitter=lambda: 0.0)
    await perform(Operation(Throttled("x", retry_after=asked)), time, retries)
    assert time.waits == [waited]


@pytest.mark.parametrize("asked", [10.0, 3600.0])
async def test_retry_after_beyond_the_deadline_raises_at_once(perform: Perform, asked: float) -> None:
    """Nobody waits for an attempt that could not be made any more."""
    time, operation = Time(), Operation(Throttled("x", retry_after=asked))
    with pytest.raises(Throttled):
        await perform(operation, time, seconds=10.0)
    assert (operation.calls, time.waits) == (1, [])


async def test_the_deadline_bounds_all_attempts(perform: Perform) -> None:
    """When the next wait would reach the deadline, the error is raised, however many attempts are left."""
    time = Time()
    operation = Operation(*(TimedOut("x") for _ in range(100)), takes=3.0, time=time)
    with pytest.raises(TimedOut):
        await perform(operation, time, time.retries(attempts=100, first_wait=1.0), seconds=10.0)
    assert operation.calls == 3  # at 0, 4 and 9 seconds; the next wait of 4 would end at 16
    assert time.now <= 10.0 + 3.0


async def test_each_retry_is_logged_once(perform: Perform, caplog: pytest.LogCaptureFixture) -> None:
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
        await perform(Operation(*failures), time, time.retries(attempts=2))
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "bing_llm._retry",
            "INFO",
            "[turn 0af1] attempt 1 of 2 failed (ServiceError: The creation failed.); next in 0.5 seconds",
        )
    ]


async def test_a_wait_can_be_cancelled(perform: Perform) -> None:
    """Cancellation during a wait comes out as what it is, and no further attempt is made."""
    wait = Pause()
    operation = Operation(ServiceError("x"))
    task = asyncio.create_task(perform(operation, Time(wait)))
    await wait.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert operation.calls == 1
