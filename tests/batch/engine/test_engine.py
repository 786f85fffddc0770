"""The engine: each row once, as many at once as allowed, and an end that loses nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from random import Random
from typing import Any

import pytest

from bing_llm import errors
from bing_llm.batch.rows import Row
from bing_llm.client import BingClient
from bing_llm.emulator import Cut, Emulator, FaultPoint, HttpAnswer, Question, Scripted
from bing_llm.errors import BingError
from tests.batch.helpers import Service, all_of, client_on, local_engine, row, rows
from tests.fakes import FakeBackend, Pause, Time, Turn, answer, client_of
from tests.hurrying import Hurried, hurried
from tests.stepping import Interruption, stepped


class Run:
    """One engine over one service, in a time that passes at once.

    Attributes:
        loop: The loop; its time is that of the service, of the client and of the engine.
        taken: How many rows were taken.
    """

    def __init__(
        self, service: Service | None = None, *, concurrency: int = 4, attempts: int = 5, **options: Any
    ) -> None:
        self.loop = Hurried()
        self.service = service or Service()
        client = client_on(self.loop, self.service, attempts=attempts)
        self.engine = local_engine(client, concurrency=concurrency, **options)
        self.taken = 0

    async def rows(self, most: int) -> AsyncGenerator[Row, None]:
        """So many, counted."""
        for number in range(1, most + 1):
            self.taken += 1
            yield row(number)

    def of(self, most: int) -> list[dict[str, Any]]:
        """What comes of so many rows."""
        return hurried(all_of(self.engine, self.rows(most)), self.loop)

    def of_rows(self, asked: AsyncGenerator[Row, None], stop_at: float | None = None) -> list[dict[str, Any]]:
        """What comes of these rows, where the engine is stopped at that time."""
        if stop_at is not None:
            self.loop.call_later(stop_at, self.engine.stop)
        return hurried(all_of(self.engine, asked), self.loop)


def ids(answered: list[dict[str, Any]]) -> list[int]:
    """The ids of output rows, in order."""
    return sorted(each["id"] for each in answered)


def in_turn(*ends: BingError | None) -> Callable[[str], Turn]:
    """A service that ends its first turns so, and answers all others."""
    left: Iterator[BingError | None] = iter(ends)
    return lambda text: next(left, None) or answer(f"Re: {text}")


# --- each row once ----------------------------------------------------------------------------------------------------


def test_each_row_is_asked_once() -> None:
    """An output row for each row, with its answer."""
    run = Run()
    answered = run.of(50)
    assert {each["id"]: each["text"] for each in answered} == {n: f"Re: Question {n}" for n in range(1, 51)}
    assert Counter(run.service.texts) == Counter(f"Question {n}" for n in range(1, 51))
    assert run.engine.stopped is None


def test_no_rows_are_a_run_too() -> None:
    """It ends at once."""
    assert Run().of(0) == []


@pytest.mark.parametrize("concurrency", [1, 10, 100])
def test_as_many_rows_are_open_as_allowed(concurrency: int) -> None:
    """So a run takes what its turns take, divided by that number."""
    run = Run(concurrency=concurrency)
    run.of(200)
    assert run.service.most == concurrency
    assert run.loop.now == pytest.approx(200 * 0.5 / concurrency)


def test_answers_come_as_they_end() -> None:
    """A slow row holds no other one up."""
    run = Run(concurrency=2)
    run.service.slow = {"Question 1": 60.0}
    assert [each["id"] for each in run.of(5)] == [2, 3, 4, 5, 1]


def test_rows_are_taken_when_they_can_begin() -> None:
    """Never more than are open: a file of any length takes no memory."""
    run = Run(concurrency=3)

    async def run_them() -> None:
        done = 0
        async for _ in run.engine.answers(run.rows(20)):
            done += 1
            assert run.taken <= done + 3

    hurried(run_them(), run.loop)
    assert run.taken == 20


def test_answers_that_nobody_takes_do_not_pile_up() -> None:
    """While whoever takes them is slow, no further rows are asked than may be open."""
    run = Run(concurrency=3)

    async def run_them() -> None:
        async with aclosing(run.rows(50)) as asked, aclosing(run.engine.answers(asked)) as answers:
            await anext(answers)
            await asyncio.sleep(60)
            assert len(run.service.prompts) == 3

    hurried(run_them(), run.loop)


# --- at the pace of the service ---------------------------------------------------------------------------------------


def test_throttled_rows_are_asked_again() -> None:
    """All have an answer at the end, after the pause that was asked for, and fewer are open at once."""
    run = Run(Service(in_turn(*[errors.Throttled(retry_after=30.0)] * 8)), concurrency=8)
    answered = run.of(20)
    assert ids(answered) == list(range(1, 21))
    assert not any("error" in each for each in answered)
    assert sum(each["attempts"] for each in answered) == len(run.service.prompts) == 28
    assert run.loop.now == pytest.approx(30.5 + 5 * 0.5)


def test_a_person_is_shown_why_nothing_happens() -> None:
    """`waiting` says it during a pause, and nothing else."""
    run = Run(Service(in_turn(errors.Throttled(retry_after=30.0))), concurrency=1)
    reasons: list[str] = []
    for seconds in (0.1, 10.5, 31.0):
        run.loop.call_later(seconds, lambda: reasons.append(run.engine.waiting))
    run.of(2)
    assert reasons == ["", "the service throttles; next turn in 20 s", ""]


def test_attempts_count_for_the_rate() -> None:
    """Each turn is one for the service, whatever it is for."""
    run = Run(Service(in_turn(*[errors.ServiceError()] * 5)), rate=60.0)
    assert sum(each["attempts"] for each in run.of(5)) == 10
    assert run.loop.now == pytest.approx(9.5, abs=0.01)


def test_what_stops_the_run_lets_the_open_turns_end() -> None:
    """The row that met it is left undone, the open ones are answered, and no other is begun."""
    run = Run(Service(in_turn(None, errors.Unauthorized("No."))), concurrency=4)
    assert len(run.of(20)) in {3, 4}
    assert isinstance(run.engine.stopped, errors.Unauthorized)
    assert len(run.service.prompts) <= 5
    assert run.taken <= 6


def test_a_wrong_endpoint_fails_no_row() -> None:
    """The run stops after the attempts and the waits of the client's retries."""
    service = Service(lambda _text: errors.ConnectionFailed("Nobody there."), seconds=0)
    run = Run(service, attempts=3)
    assert run.of(20) == []
    assert isinstance(run.engine.stopped, errors.ConnectionFailed)
    assert run.loop.now == pytest.approx(1.5)
    assert len(run.service.prompts) <= 4 + 4 + 1  # all at once, all again, and one alone


def test_a_lost_service_stops_the_run() -> None:
    """Rows fail with all their attempts until it is clear that every one would."""
    run = Run(Service(lambda _text: errors.ServiceError("Down.")), attempts=2)
    answered = run.of(1000)
    assert isinstance(run.engine.stopped, errors.ServiceError)
    assert {each["error"]["type"] for each in answered} == {"ServiceError"}
    assert 15 <= len(answered) <= 20
    assert 40 <= len(run.service.prompts) <= 43


def test_a_network_that_comes_back_loses_nothing() -> None:
    """An hour without it fails no row where the patience is longer."""
    run = Run(Service(), patience=7200.0)

    def say(text: str) -> Turn:
        if 2 <= run.loop.now < 3600:
            return errors.ConnectionFailed("No network.")
        return answer(f"Re: {text}")

    run.service._say = say
    answered = run.of(50)
    assert ids(answered) == list(range(1, 51))
    assert not any("error" in each for each in answered)
    assert 3600 <= run.loop.now < 3700


# --- the end ----------------------------------------------------------------------------------------------------------


async def endless() -> AsyncGenerator[Row, None]:
    """A row, and then nothing for ever, as from a terminal."""
    yield row(1)
    await asyncio.get_running_loop().create_future()


def test_to_stop_lets_open_turns_end() -> None:
    """They are answered, and no other is begun."""
    run = Run(concurrency=4)
    assert len(run.of_rows(run.rows(100), stop_at=0.75)) == 8
    assert len(run.service.prompts) == 8
    assert run.loop.now == pytest.approx(1.0)
    assert run.engine.stopped is None


@pytest.mark.parametrize("first", [errors.Throttled(retry_after=600.0), errors.ServiceError(retry_after=600.0)])
def test_to_stop_ends_pauses_and_waits(first: BingError) -> None:
    """Rows that wait for another turn are left undone at once."""
    run = Run(Service(in_turn(first)), concurrency=1)
    assert run.of_rows(run.rows(5), stop_at=3.0) == []
    assert run.loop.now == pytest.approx(3.0)
    assert run.engine.stopped is None


def test_to_stop_ends_the_wait_for_the_rate() -> None:
    """Rows that wait for their minute are left undone at once."""
    run = Run(rate=1.0)
    assert ids(run.of_rows(run.rows(5), stop_at=3.0)) == [1]
    assert run.loop.now == pytest.approx(3.0)


def test_to_stop_ends_the_wait_for_a_row() -> None:
    """A source that says nothing holds nobody up."""
    run = Run()
    assert ids(run.of_rows(endless(), stop_at=3.0)) == [1]
    assert run.loop.now == pytest.approx(3.0)


def test_an_engine_that_was_stopped_takes_no_row() -> None:
    """It may be stopped before it begins."""
    run = Run()
    run.engine.stop()
    assert run.of(5) == []
    assert run.taken == 0


@pytest.mark.parametrize("after", [0, 3])
def test_a_source_that_breaks_lets_open_turns_end(after: int) -> None:
    """Their answers come first, and then what the source has raised."""
    run = Run()
    answered: list[dict[str, Any]] = []

    async def breaking() -> AsyncGenerator[Row, None]:
        async for each in rows(after):
            yield each
        raise errors.BatchStopped("The disk is gone.")

    async def run_them() -> None:
        async for each in run.engine.answers(breaking()):
            answered.append(each)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(errors.BatchStopped, match="The disk is gone"):
        hurried(run_them(), run.loop)
    assert ids(answered) == list(range(1, after + 1))


def test_a_programming_mistake_comes_out() -> None:
    """It is not the error of a row; the open turns are answered before."""

    def say(text: str) -> Turn:
        if text == "Question 2":
            raise KeyError(text)
        return answer(text)

    run = Run(Service(say))
    answered: list[dict[str, Any]] = []

    async def run_them() -> None:
        async for each in run.engine.answers(run.rows(50)):
            answered.append(each)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(KeyError, match="Question 2"):
        hurried(run_them(), run.loop)
    assert {1, 3, 4} <= set(ids(answered)) <= {1, 3, 4, 5}


async def test_to_close_the_answers_closes_what_is_open(no_leaked_tasks: None) -> None:
    """Every turn ends at once, with its socket, and nothing waits any more."""
    del no_leaked_tasks
    pauses = [Pause() for _ in range(3)]
    backend = FakeBackend(answer("Hi."), *([pause] for pause in pauses))
    engine = local_engine(client_of(backend), concurrency=3)
    async with aclosing(rows(50)) as asked, aclosing(engine.answers(asked)) as answers:
        await anext(answers)
        for pause in pauses[:2]:
            await pause.reached.wait()
        assert backend.open_channels >= 2
    assert backend.open_channels == 0


@pytest.mark.parametrize("served", [False, True], ids=["waiting", "served"])
def test_a_cancellation_anywhere_comes_out_and_leaves_nothing(*, served: bool) -> None:
    """At every suspension of a run that meets pauses, a rate and faults: no task, no open turn, no row twice."""

    async def cancelled(run: Run, at: int) -> bool:
        answered: list[int] = []

        async def run_them() -> None:
            async with aclosing(run.rows(4)) as asked, aclosing(run.engine.answers(asked)) as answers:
                async for each in answers:
                    answered.append(each["id"])  # noqa: PERF401 - what came before the cancellation counts

        def strike() -> bool:
            return task.cancel()

        interruption = Interruption(at, served=served, strike=strike)
        with stepped(run.loop):
            with interruption:
                task = run.loop.create_task(run_them())
            with suppress(asyncio.CancelledError):
                await task
            interruption.end()
            await asyncio.sleep(0)
        assert task.cancelled() == interruption.struck
        assert not [each for each in interruption.tasks if not each.done()]
        assert run.service.open == run.service.open_channels == 0
        assert max(Counter(answered).values(), default=0) <= 1
        assert interruption.struck or answered
        return interruption.struck

    at = 1
    while True:
        service = Service(in_turn(errors.Throttled(retry_after=5.0), errors.ServiceError()))
        run = Run(service, concurrency=2, rate=60.0)
        if not hurried(cancelled(run, at), run.loop):
            break
        at += 1
    assert at > 20


# --- against the emulator ---------------------------------------------------------------------------------------------


async def test_faults_of_a_real_service_lose_no_row() -> None:
    """Of rows that meet all kinds of faults each has one answer or one error, and each creation is a turn."""
    random = Random(8)  # noqa: S311 - runs must be repeatable
    creations = 0

    def fault(moment: FaultPoint) -> Any:
        nonlocal creations
        creations += moment.step == "creation"
        if random.random() >= 0.1:
            return None
        match moment.step:
            case "creation":
                return random.choice([HttpAnswer(503), errors.Throttled(retry_after=20.0), errors.Throttled()])
            case "upgrade":
                return HttpAnswer(502)
            case "first" | "mid":
                return random.choice([Cut(), errors.ServiceError(), errors.Throttled()])
            case _:
                return None

    def say(question: Question) -> list[str | BingError]:
        return [errors.ContentFiltered()] if question.text == "Question 13" else ["Re: ", question.text]

    emulator = Emulator(Scripted(say), faults=fault)
    async with emulator, BingClient(endpoint=emulator.url, retries=Time().retries(attempts=50)) as client:
        engine = local_engine(client, concurrency=8)
        answered = await all_of(engine, rows(80))
    assert engine.stopped is None
    assert ids(answered) == list(range(1, 81))
    assert all(each["text"] == f"Re: Question {each['id']}" for each in answered if "error" not in each)
    assert [(each["id"], each["error"]["type"]) for each in answered if "error" in each] == [(13, "ContentFiltered")]
    assert sum(each["attempts"] for each in answered) == creations > 80
