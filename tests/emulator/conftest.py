"""A running emulator, and a visitor who talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from bing_llm.emulator import Emulator, Scripted
from tests.emulator.chathub.visitor import Visitor
from tests.emulator.workiq.visitor import WorkIQVisitor


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator that says what it is asked."""
    async with Emulator(Scripted(lambda question: [f"You said: {question.text}"]), token="emulator-token") as running:
        yield running


@pytest.fixture
async def visitor(emulator: Emulator) -> AsyncIterator[Visitor]:
    """Talks to `emulator`."""
    async with aiohttp.ClientSession() as http:
        yield Visitor(emulator, http)


@pytest.fixture
async def workiq(emulator: Emulator) -> AsyncIterator[WorkIQVisitor]:
    """Talks to the Work IQ of `emulator`."""
    async with aiohttp.ClientSession() as http:
        yield WorkIQVisitor(emulator, http)
