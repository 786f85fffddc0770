"""What the tests of a batch share: rows, and a service that answers each as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from bing_llm.batch.local import LocalEngine
from bing_llm.batch.rows import Row
from bing_llm.client import BingClient
from bing_llm.limits import Deadline
from bing_llm.messages import Prompt
from tests.fakes import FakeBackend, FakeChannel, Turn, answer
from tests.hurrying import Hurried


def row(number: int = 1, prompt: str | None = None, **more: Any) -> Row:
    """A row that asks something."""
    if prompt is None and "messages" not in more:
        prompt = f"Question {number}"
    return Row(number=number, id=number, fields={"prompt": prompt}, prompt=prompt, **more)


async def rows(most: int) -> AsyncGenerator[Row, None]:
    """So many of them."""
    for number in range(1, most + 1):
        yield row(number)


async def all_of(engine: LocalEngine, asked: AsyncGenerator[Row, None]) -> list[dict[str, Any]]:
    """What comes of these rows, in the order of their ends."""
    async with aclosing(asked), aclosing(engine.answers(asked)) as answers:
        return [answered async for answered in answers]


class Service(FakeBackend):
    """A service whose turns come from a function of the prompt, and take some time.

    Attributes:
        seconds: How long until a turn is answered.
        slow: The same, for some prompts.
        open: How many turns are open.
        most: How many were, at most, since this was set to 0.
    """

    def __init__(self, say: Callable[[str], Turn] = lambda text: answer(f"Re: {text}"), seconds: float = 0.5) -> None:
        super().__init__()
        self._say = say
        self.seconds = seconds
        self.slow: dict[str, float] = {}
        self.open = 0
        self.most = 0

    @property
    def texts(self) -> list[str]:
        """What each turn asked, in order."""
        return [prompt.text for prompt in self.prompts]

    async def open_turn(self, handle: Any, prompt: Prompt, number: int, deadline: Deadline) -> FakeChannel:
        """The turn of this prompt."""
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await asyncio.sleep(self.slow.get(prompt.text, self.seconds))
            self._turns.append(self._say(prompt.text))
            return await super().open_turn(handle, prompt, number, deadline)
        finally:
            self.open -= 1


def client_on(loop: Hurried, backend: FakeBackend, **retries: Any) -> BingClient:
    """A client of this service, by the time of this loop."""
    client = BingClient(backend="chathub", retries=loop.retries(**retries))
    client._backends.opened[client.model] = backend
    return client
