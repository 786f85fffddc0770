"""One row: what is asked for it, how often, and what it comes to."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from bing_llm import errors
from bing_llm.batch.engine import LocalWorker, ask_row
from bing_llm.batch.rows import Answered, Failed, Outcome, Row
from bing_llm.batch.throttle import Limiter, classify_error
from bing_llm.client import BingClient
from bing_llm.errors import BingError, Metering
from bing_llm.limits import Deadline
from bing_llm.messages import Message, Prompt
from tests.batch.helpers import row
from tests.batch.throttle.test_adaptive import ACTIONS
from tests.fakes import FakeBackend, FakeChannel, Pause, Time, Turn, answer, client_of

ONE = row(1, "Hello")
RETRIED = [kind for kind, action in ACTIONS.items() if action == "retry"]
FAILING = [kind for kind, action in ACTIONS.items() if action == "fail"]
STOPPING = [kind for kind, action in ACTIONS.items() if action == "stop"]


class OpenLimiter(Limiter):
    """Lets every turn begin, until it is closed, and records how it ended.

    Attributes:
        ends: How each turn ended.
        inside: How many are open.
    """

    def __init__(self, most: int = 1000) -> None:
        super().__init__(1)
        self._most = most
        self.ends: list[BingError | None] = []
        self.inside = 0

    async def acquire(self) -> float | None:
        """Give a permit, like `Limiter.acquire`."""
        if self._most == len(self.ends):
            return None
        self.inside += 1
        return 1.0

    def release(self, permit: float, error: BingError | None, metering: Metering = errors.UNMETERED) -> None:
        """Take a permit back, like `Limiter.release`."""
        del metering
        assert permit == 1.0
        self.inside -= 1
        self.ends.append(error)


class Asked:
    """One service and its limiter."""

    def __init__(self, *turns: Turn, most: int = 1000, attempts: int = 5, prompt_limit: int = 4000) -> None:
        self.time = Time()
        self.backend = FakeBackend(*turns, prompt_limit=prompt_limit)
        self.client: BingClient = client_of(self.backend, self.time, attempts=attempts)
        self.limiter = OpenLimiter(most)

    async def outcome(self, asked: Row = ONE) -> Outcome | None:
        """What comes of the row."""
        return await ask_row(LocalWorker(self.client), asked, self.limiter, self.client.retries)


# --- what is asked ----------------------------------------------------------------------------------------------------


async def test_a_prompt_is_asked_with_its_context() -> None:
    """Both go as they are, in a conversation of their own."""
    asked = Asked(answer("Hi."))
    outcome = await asked.outcome(row(1, "Hello", context="Be short."))
    assert isinstance(outcome, Answered)
    assert outcome.reply.text == "Hi."
    assert [(prompt.text, prompt.context) for prompt in asked.backend.prompts] == [("Hello", "Be short.")]


async def test_messages_are_asked_as_the_adapters_ask_them() -> None:
    """The last message is the prompt, and those before it are its context."""
    asked = Asked(answer("Hi."))
    await asked.outcome(row(messages=(Message("system", "Be short."), Message("user", "Hello"))))
    (prompt,) = asked.backend.prompts
    assert prompt.text == "Hello"
    assert "Be short." in (prompt.context or "")


async def test_messages_that_are_too_long_for_a_prompt_move_to_the_context() -> None:
    """The limit is that of the model that is asked."""
    asked = Asked(answer("Hi."), prompt_limit=100)
    await asked.outcome(row(messages=(Message("user", "Hello " * 50),)))
    (prompt,) = asked.backend.prompts
    assert prompt.text == "Answer the last message of the context."


async def test_a_row_may_name_its_model() -> None:
    """It is asked of that model, and other rows are not."""
    asked = Asked(answer("Hi."))
    other = asked.client._backends.opened["bing-precise"] = FakeBackend(answer("Precisely."))
    outcome = await asked.outcome(row(1, "Hello", model="bing-precise"))
    assert isinstance(outcome, Answered)
    assert outcome.reply.text == "Precisely."
    assert len(other.prompts) == 1
    assert asked.backend.prompts == []


# --- rows that nobody needs to be asked about -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (row(1, "Hello", model="gpt-none"), errors.ConfigurationError),
        (row(1, "x" * 4001), errors.PromptTooLong),
        (row(1, ""), errors.InvalidRequest),
        (row(1, "Half of a pair: \ud800"), errors.InvalidRequest),
        (row(messages=(Message("user", ""),)), errors.InvalidRequest),
    ],
)
async def test_what_cannot_be_sent_is_not_sent(bad: Row, kind: type[BingError]) -> None:
    """Such a row has failed without a turn, and the limiter has not seen it."""
    asked = Asked()
    outcome = await asked.outcome(bad)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, kind)
    assert (outcome.attempts, outcome.seconds) == (0, 0.0)
    assert asked.limiter.ends == []
    assert asked.backend.calls == []


async def test_a_client_that_was_closed_fails_no_row() -> None:
    """The row is not at fault: the error comes out."""
    async with BingClient(backend="emulator") as client:
        pass
    with pytest.raises(errors.ConfigurationError, match="closed"):
        await ask_row(LocalWorker(client), ONE, OpenLimiter(), client.retries)


# --- attempts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RETRIED)
async def test_what_passes_is_tried_again(kind: type[BingError]) -> None:
    """After the waits of the client's retries; each attempt goes through the limiter."""
    asked = Asked(kind(), kind(), answer("Hi."))
    outcome = await asked.outcome()
    assert isinstance(outcome, Answered)
    assert outcome.attempts == 3
    assert asked.time.waits == [0.5, 1.0]
    assert [type(end) for end in asked.limiter.ends] == [kind, kind, type(None)]


@pytest.mark.parametrize("kind", RETRIED)
async def test_attempts_are_those_of_the_client_and_never_nest(kind: type[BingError]) -> None:
    """With four the service sees four turns; then the row has failed with the last error."""
    asked = Asked(*(kind(str(number)) for number in range(20)), attempts=4)
    outcome = await asked.outcome()
    assert isinstance(outcome, Failed)
    assert (type(outcome.error), outcome.error.message) == (kind, "3")
    assert outcome.attempts == len(asked.backend.prompts) == len(asked.limiter.ends) == 4


async def test_an_answer_that_broke_off_is_asked_for_again() -> None:
    """Nobody has read its beginning."""
    asked = Asked(answer("Hal")[:1], answer("Hi."))
    outcome = await asked.outcome()
    assert isinstance(outcome, Answered)
    assert (outcome.reply.text, outcome.attempts) == ("Hi.", 2)


async def test_an_attempt_waits_as_long_as_it_was_asked_to() -> None:
    """`Retry-After` stands for the wait of the retries."""
    asked = Asked(errors.ServiceError(retry_after=42.0), answer("Hi."))
    await asked.outcome()
    assert asked.time.waits == [42.0]


@pytest.mark.parametrize("kind", FAILING)
async def test_what_is_of_the_row_fails_it_once(kind: type[BingError]) -> None:
    """Another attempt would meet the same."""
    asked = Asked(kind())
    outcome = await asked.outcome()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, kind)
    assert outcome.attempts == 1


@pytest.mark.parametrize("kind", [errors.Throttled, errors.ConnectionFailed])
async def test_what_is_of_the_service_costs_a_row_none_of_its_attempts(kind: type[BingError]) -> None:
    """The row is asked until the limiter is closed, and has all its attempts after that."""
    asked = Asked(*(kind() for _ in range(10)), errors.ServiceError(), answer("Hi."), attempts=2)
    outcome = await asked.outcome()
    assert isinstance(outcome, Answered)
    assert outcome.attempts == 12
    assert asked.time.waits == [0.5]


@pytest.mark.parametrize("kind", STOPPING)
async def test_what_stops_the_batch_leaves_the_row_undone(kind: type[BingError]) -> None:
    """It has neither an answer nor failed; the limiter knows why."""
    asked = Asked(kind())
    assert await asked.outcome() is None
    assert [type(end) for end in asked.limiter.ends] == [kind]


@pytest.mark.parametrize("kind", [errors.Throttled, errors.ServiceError])
@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_a_closed_limiter_leaves_the_row_undone(turns: int, kind: type[BingError]) -> None:
    """Before its first turn, or between two."""
    asked = Asked(*(kind() for _ in range(turns)), most=turns)
    assert await asked.outcome() is None
    assert len(asked.backend.prompts) == turns


async def test_seconds_are_those_of_the_last_turn() -> None:
    """Waits and earlier attempts do not count."""
    asked = Asked(errors.ServiceError(), answer("Hi."))
    lasting = iter([3.0, 5.0])
    opened = asked.backend.open_turn

    async def slow(handle: Any, prompt: Prompt, number: int, deadline: Deadline) -> FakeChannel:
        asked.time.now += next(lasting)
        return await opened(handle, prompt, number, deadline)

    asked.backend.open_turn = slow  # type: ignore[method-assign]
    outcome = await asked.outcome()
    assert isinstance(outcome, Answered)
    assert (outcome.attempts, outcome.seconds) == (2, 5.0)


# --- ends -------------------------------------------------------------------------------------------------------------


async def test_a_cancelled_turn_gives_its_permit_back() -> None:
    """Its socket is closed, its place is free, and its error says nothing about the service."""
    asked = Asked([pause := Pause()])
    task = asyncio.create_task(asked.outcome())
    await pause.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (end,) = asked.limiter.ends
    assert end is not None
    assert type(end) is BingError
    assert classify_error(end) == "fail"
    assert asked.backend.open_channels == 0


async def test_a_programming_mistake_comes_out() -> None:
    """An error that is not the service's is not swallowed, and the place is free."""
    asked = Asked()  # whose list of turns is empty
    with pytest.raises(IndexError):
        await asked.outcome()
    assert asked.limiter.inside == 0


async def test_a_row_goes_through_a_real_limiter() -> None:
    """One that is throttled waits there, by the client's own time."""
    asked = Asked(errors.Throttled(retry_after=20.0), answer("Hi."))
    outcome = await ask_row(
        LocalWorker(asked.client), ONE, Limiter(1, retries=asked.client.retries), asked.client.retries
    )
    assert isinstance(outcome, Answered)
    assert outcome.attempts == 2
    assert asked.time.waits == [20.0]


@pytest.mark.parametrize(("kind", "turns"), [(errors.TimedOut, 1), (errors.ConnectionLost, 1), (errors.Throttled, 2)])
async def test_a_row_that_may_be_charged_is_asked_once(kind: type[BingError], turns: int) -> None:
    """It has failed; what was refused is asked again."""
    asked = Asked([kind("x")], answer("Hi"))
    asked.backend.metering = Metering(metered=True, throttling_passes=True)
    outcome = await asked.outcome()
    assert isinstance(outcome, Failed if turns == 1 else Answered)
    assert len(asked.limiter.ends) == turns


async def test_a_row_is_asked_again_if_the_retries_say_so() -> None:
    """Though it may be charged twice."""
    asked = Asked([errors.TimedOut("x")], answer("Hi"))
    asked.backend.metering = Metering(metered=True)
    asked.client.retries = msgspec.structs.replace(asked.client.retries, resend_metered=True)
    assert isinstance(await asked.outcome(), Answered)
