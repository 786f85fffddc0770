"""LangChain's retries, which never send a turn again that the service may charge for."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.client import BingClient
from bing_llm.emulator import Emulator, Fault, FaultPoint, HttpAnswer, Silence
from bing_llm.emulator.fault_plan import FaultKind
from bing_llm.errors import TimedOut
from bing_llm.limits import Timeouts
from langchain_bing import ChatBing

SLOW = Timeouts(silence=0.3, answer=0.3)
"""Limits that are over at once, in seconds: the service never answers, so no machine is too slow for them."""


def model_of(emulator: Emulator, **more: Any) -> ChatBing:
    """A model of the emulator's Work IQ that soon gives up."""
    client = BingClient(
        backend="workiq", endpoint=emulator.workiq_url, token=emulator.token, time_zone="UTC", timeouts=SLOW, **more
    )
    return ChatBing(client=client)


def slow(point: FaultPoint) -> FaultKind | None:
    """No turn is answered."""
    return Silence() if point.step == "request" else None


def asked(emulator: Emulator) -> int:
    """How many turns were sent."""
    return [request.kind for request in emulator.requests].count("chat")


@pytest.mark.parametrize(
    "options", [{}, {"retry_if_exception_type": (TimedOut,)}, {"retry_if_exception_type": lambda _exc: True}]
)
def test_a_slow_answer_is_asked_once(options: dict[str, Any], bing_emulator: Emulator) -> None:
    """Whatever the caller wants to retry."""
    bing_emulator.faults = slow
    retried = model_of(bing_emulator).with_retry(stop_after_attempt=3, wait_exponential_jitter=False, **options)
    with pytest.raises(TimedOut):
        retried.invoke("Hi?")
    assert asked(bing_emulator) == 1


def test_what_was_refused_is_asked_again(bing_emulator: Emulator) -> None:
    """A refusal costs nothing."""
    bing_emulator.faults = [Fault(HttpAnswer(429), "request")]
    assert model_of(bing_emulator).with_retry(wait_exponential_jitter=False).invoke("Hi?").text
    assert asked(bing_emulator) == 2


async def test_each_input_of_a_batch_is_judged_alone(bing_emulator: Emulator) -> None:
    """One that was refused is asked again, and one that may be charged is not."""
    refused = iter((HttpAnswer(429), Silence(), HttpAnswer(429), HttpAnswer(429)))
    bing_emulator.faults = lambda point: next(refused, None) if point.step == "request" else None
    retried = model_of(bing_emulator).with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    config: Any = {"max_concurrency": 1}
    first, second = await retried.abatch(["Hi?", "Hi?"], config, return_exceptions=True)
    assert isinstance(first, TimedOut)
    assert second.text
    assert asked(bing_emulator) == 5


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_asks_each_input_once(count: int, bing_emulator: Emulator) -> None:
    """Without answers, each input is sent once."""
    bing_emulator.faults = slow
    model = model_of(bing_emulator)
    for runnable in (model, model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)):
        bing_emulator.clear()
        bing_emulator.faults = slow
        given = runnable.batch(["Hi?"] * count, return_exceptions=True)
        assert [type(each).__name__ for each in given] == ["TimedOut"] * count
        assert asked(bing_emulator) == count
