"""Answers of Work IQ that come later than somebody waits for them: each is asked, and paid for, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bing_llm.client import BingClient
from bing_llm.emulator import Emulator, Fault, FaultPoint, Late
from bing_llm.emulator.fault_plan import FaultKind
from bing_llm.errors import TimedOut
from bing_llm.limits import Retries, Timeouts
from bing_llm.sync_client import SyncBingClient
from langchain_bing import ChatBing
from llama_index.llms.bing import Bing

LIMIT_S = 0.2
"""How long the client waits, in seconds. The service takes as much longer as live answers take than ChatHub's limit."""

LATE = Late(3 * LIMIT_S)


def late(point: FaultPoint) -> FaultKind | None:
    """Each answer is late."""
    return LATE if point.service != "chathub" and point.step == "request" else None


def settings_of(emulator: Emulator, **more: Any) -> dict[str, Any]:
    """What makes a client that does not wait long enough."""
    return {
        "backend": "workiq",
        "endpoint": emulator.workiq_url,
        "token": emulator.token,
        "time_zone": "UTC",
        "timeouts": Timeouts(silence=LIMIT_S, answer=LIMIT_S),
        "retries": Retries(first_wait=0.0),
        **more,
    }


def ask(settings: dict[str, Any]) -> None:
    """Ask by a client."""
    with SyncBingClient(**settings) as client:
        client.ask("Why?")


def invoke(settings: dict[str, Any]) -> None:
    """Ask by LangChain's model."""
    with ChatBing(client=BingClient(**settings)) as model:
        model.invoke("Why?")


def complete(settings: dict[str, Any]) -> None:
    """Ask by LlamaIndex's LLM."""
    with Bing(client=BingClient(**settings)) as llm:
        llm.complete("Why?")


@pytest.mark.parametrize("agent", [None, "P_researcher.emulator"])
@pytest.mark.parametrize("way", [ask, invoke, complete])
def test_a_slow_answer_is_asked_once(
    way: Callable[[dict[str, Any]], None], agent: str | None, bing_emulator: Emulator
) -> None:
    """By the client and by both adapters, over REST and A2A, though five attempts are allowed."""
    bing_emulator.faults = late
    with pytest.raises(TimedOut) as caught:
        way(settings_of(bing_emulator, agent=agent))
    assert caught.value.may_be_charged
    assert [request.kind for request in bing_emulator.requests] == ["creation" if agent is None else "card", "chat"]


async def test_who_waits_gets_it(bing_emulator: Emulator) -> None:
    """With the service's own limits it is an answer like any other."""
    bing_emulator.faults = [Fault(LATE, "request")]
    async with BingClient(**settings_of(bing_emulator, timeouts=None)) as client:
        assert (await client.ask("Why?")).text
    assert [request.kind for request in bing_emulator.requests] == ["creation", "chat"]


async def test_who_says_so_asks_again(bing_emulator: Emulator) -> None:
    """It is asked as often as the retries say, and in a new conversation each time."""
    bing_emulator.faults = late
    retries = Retries(attempts=3, first_wait=0.0, resend_metered=True)
    async with BingClient(**settings_of(bing_emulator, retries=retries)) as client:
        with pytest.raises(TimedOut):
            await client.ask("Why?")
    assert [request.kind for request in bing_emulator.requests] == ["creation", "chat"] * 3
