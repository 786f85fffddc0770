"""How the rows of a batch are asked: many at once, each until it has an answer or has failed."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from bing_llm._retry import Attempts
from bing_llm.batch.rows import Answered, Failed, Fields, Outcome, Row, render_row
from bing_llm.batch.throttle import Limiter, classify_error
from bing_llm.client import BingClient
from bing_llm.completion.prompt import build_prompt
from bing_llm.errors import BingError, ConfigurationError, FailedAttempt, Metering, RequestError
from bing_llm.events import Reply
from bing_llm.limits import Deadline, Retries
from bing_llm.messages import Prompt

_Task: TypeAlias = "asyncio.Task[Fields | None]"

_ABANDONED = BingError("The turn was abandoned before its end.")


class Turn(NamedTuple):
    """What a row asks, ready to be sent.

    Attributes:
        ask: Asks the row once. It may be called again. It raises a BingError if the turn fails.
        metering: Of the service that is asked.
    """

    ask: Callable[[], Awaitable[Reply]]
    metering: Metering


class Worker(Protocol):
    """Asks rows: over a client of this process, or on the machines of a cluster."""

    async def open(self) -> Retries:
        """Get ready, once, before the first row is prepared.

        Returns:
            How often each row is tried, and how long to wait between its attempts.

        Raises:
            ConfigurationError: It cannot work; nothing was asked.
            BatchStopped: The machines that should ask cannot.
        """

    async def prepare(self, row: Row) -> Turn | BingError:
        """Check a row, and send nothing.

        Returns:
            Its turn; or the error with which it fails without one.

        Raises:
            ConfigurationError: The client was closed.
            BatchStopped: The machines that should ask are gone.
        """


class LocalWorker:
    """Asks rows over one client of this process.

    Args:
        client: The client; it stays open.
    """

    def __init__(self, client: BingClient) -> None:
        self._client = client

    async def open(self) -> Retries:
        """The retries of the client; nothing needs to be made ready."""
        return self._client.retries

    async def prepare(self, row: Row) -> Turn | BingError:
        """Check a row against the client. Nothing is sent."""
        return prepare_turn(self._client, row)


def prepare_turn(client: BingClient, row: Row) -> Turn | BingError:
    """The turn of a row over a client, or the error with which the row fails without one.

    Raises:
        ConfigurationError: The client was closed.
    """
    try:
        one_attempt = msgspec.structs.replace(client.retries, attempts=1)  # retries never nest
        client = client.with_options(model=row.model, retries=one_attempt)
    except ConfigurationError as exc:  # the row's own model is unknown
        return exc
    try:
        if row.messages is None:
            prompt = Prompt(row.prompt or "", row.context)
        else:
            prompt = build_prompt(row.messages, limit=client.prompt_limit)
        client.stream(prompt.text, context=prompt.context)  # checks them, and sends nothing
    except RequestError as exc:
        return exc
    metering = client.retries.applied_to(client.backend.metering)
    return Turn(partial(client.ask, prompt.text, context=prompt.context), metering)


async def ask_row(worker: Worker, row: Row, limiter: Limiter, retries: Retries) -> Outcome | None:
    """Ask a row: as often as the retries say, and again after each turn that the service did not take.

    Returns:
        Its outcome; None if the run was over before there was one.

    Raises:
        ConfigurationError: The client was closed.
        BatchStopped: The machines that should ask are gone.
    """
    turn = await worker.prepare(row)
    if isinstance(turn, BingError):
        return Failed(turn)
    clock = retries.clock or time.monotonic
    # Without an end: each turn has one, and the limiter knows for how long to be patient.
    deadline = Deadline(math.inf, clock, f"[row {row.number}]")
    attempts = Attempts(retries, deadline, turn.metering)
    turns = 0
    while (permit := await limiter.acquire()) is not None:
        turns += 1
        began = clock()
        error: BingError | None = _ABANDONED
        try:
            reply = await turn.ask()
            error = None
        except BingError as exc:
            error = exc
        finally:
            seconds = clock() - began
            limiter.release(permit, error, turn.metering)
        if error is None:
            return Answered(reply, turns, seconds)
        match classify_error(error, turn.metering):
            case "stop":
                return None
            case "wait":
                continue
            case "retry" | "fail":
                try:
                    await attempts.failed(error, FailedAttempt("new", error.sent))
                except BingError as exc:
                    return Failed(exc, turns, seconds)
    return None


class Engine:
    """Asks the rows of one run.

    Args:
        worker: Asks them; it stays open.
        concurrency: How many rows may be open at once.
        rate: How many turns a minute may begin; None for no limit.
        patience: How long to wait for a service that takes no turn, in seconds since its last answer.
        retries: As for `Limiter`.

    Raises:
        ConfigurationError: There is a rate, and aiolimiter is not installed.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        concurrency: int,
        rate: float | None = None,
        patience: float = 3600.0,
        retries: Retries | None = None,
    ) -> None:
        self._worker = worker
        self._limiter = Limiter(concurrency, rate=rate, patience=patience, retries=retries)
        self._room = asyncio.Semaphore(concurrency)
        self._ended: asyncio.Queue[_Task] = asyncio.Queue()
        self._tasks: set[_Task] = set()
        self._feeder: _Task | None = None

    @property
    def stopped(self) -> BingError | None:
        """Why it takes no more rows though there may be some; None while it does, and after `stop`."""
        return self._limiter.stopped

    @property
    def turns(self) -> int:
        """Turns that were begun, including those of rows without an outcome."""
        return self._limiter.turns

    @property
    def waiting(self) -> str:
        """Why no turn begins now, for a person; "" while turns begin."""
        return self._limiter.waiting

    def stop(self) -> None:
        """Begin no further turn. `answers` ends when the open ones have ended; rows not asked give nothing."""
        self._limiter.close()
        if self._feeder is not None:
            self._feeder.cancel()  # it may wait for a row for ever

    async def answers(self, rows: AsyncIterator[Row]) -> AsyncGenerator[Fields, None]:
        """The output row of each row that was asked, in the order in which they end. It may be called once.

        A row is taken only when it may begin soon. Closing the generator stops all that runs at once. If something
        other than a turn fails, the open turns end first.

        Args:
            rows: The rows to ask; the iterator stays open.
        """
        failure: BaseException | None = None
        self._feeder = self._start(self._feed(rows))
        try:
            while self._tasks:
                task = await self._ended.get()
                self._tasks.discard(task)
                if task.cancelled():
                    continue
                failure = failure or task.exception()
                if failure is not None or self._limiter.closed:
                    self.stop()
                if task.exception() is None and (row := task.result()) is not None:
                    yield row
                self._room.release()  # not before: so answers that nobody takes do not pile up
        finally:
            await _cancel_all(self._tasks)
        if failure is not None:
            raise failure

    async def _feed(self, rows: AsyncIterator[Row]) -> None:
        retries: Retries | None = None
        while not self._limiter.closed:
            await self._room.acquire()
            try:
                row = await anext(rows)
            except StopAsyncIteration:
                return
            if retries is None:  # not before there is a row: a cluster takes seconds to start
                # A wait between two attempts ends when the limiter is closed.
                retries = msgspec.structs.replace(await self._worker.open(), sleep=self._limiter.sleep)
            self._start(self._answer(row, retries))

    async def _answer(self, row: Row, retries: Retries) -> Fields | None:
        outcome = await ask_row(self._worker, row, self._limiter, retries)
        return None if outcome is None else render_row(row, outcome)

    def _start(self, work: Coroutine[Any, Any, Fields | None]) -> _Task:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended.put_nowait)
        return task


async def _cancel_all(tasks: set[_Task]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
