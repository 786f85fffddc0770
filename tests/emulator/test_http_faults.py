"""How faults hit HTTP calls."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from bing_llm.emulator import Cut, Emulator, Fault, HttpAnswer, Silence, Split
from bing_llm.emulator.fault_plan import Step
from tests.emulator.chathub.visitor import Visitor
from tests.emulator.workiq.visitor import WorkIQVisitor

CREATION = "/turing/conversation/create"
SOCKET = "/sydney/ChatHub"


@pytest.mark.parametrize(("step", "path"), [("creation", CREATION), ("upgrade", SOCKET)])
async def test_a_call_gets_another_answer(emulator: Emulator, visitor: Visitor, step: Step, path: str) -> None:
    """Status, body and headers are those of the fault; a redirect leads to another path."""
    emulator.faults = [Fault(HttpAnswer(429, "<p>no", retry_after=7), step), Fault(HttpAnswer(302), step)]
    async with visitor.http.get(visitor.url(path)) as answer:
        assert (answer.status, await answer.text(), answer.content_type) == (429, "<p>no", "text/html")
        assert answer.headers["Retry-After"] == "7"
    async with visitor.http.get(visitor.url(path), allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")


async def test_a_turn_of_work_iq_gets_another_answer(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """In place of a turn, which then has not taken place."""
    emulator.faults = [Fault(HttpAnswer(502), "request")]
    assert (await workiq.chat()).status == 502
    assert (await workiq.chat()).status == 200


async def test_a_call_is_cut(emulator: Emulator, visitor: Visitor) -> None:
    """The connection breaks without an answer."""
    emulator.faults = [Fault(Cut(), "creation")] * 2  # aiohttp asks twice
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await visitor.create()
    assert (await visitor.create()).id


@pytest.mark.parametrize("pause", [0.0, 0.001])
async def test_a_body_comes_in_pieces(emulator: Emulator, visitor: Visitor, pause: float) -> None:
    """The usual answer, byte by byte, headers included."""
    emulator.faults = [Fault(Split(50, pause), "creation")]
    created = await visitor.create()
    assert created.id
    assert created.token


@pytest.mark.parametrize("fault", [Silence(), Split(1, pause=3600.0)])
async def test_a_slow_call_ends_with_the_emulator(fault: Silence | Split) -> None:
    """Closing the emulator ends a call that would wait for long, at once."""
    async with Emulator(faults=[Fault(fault, "creation")]) as emulator, aiohttp.ClientSession() as http:
        asking = asyncio.create_task(Visitor(emulator, http).create())
        while not emulator._state.held:
            await asyncio.wait({asking}, timeout=0)
        await asyncio.wait_for(emulator.aclose(), 4)  # less than any time limit of the server
        await asyncio.wait({asking})
        assert isinstance(asking.exception(), aiohttp.ClientError)
        assert not emulator._state.held
