"""What the tests of batches on Ray share: its settings, and a service that counts what it is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

from bing_llm import events as ev
from bing_llm.emulator import Question
from tests.batch.process import answer_to

SETTINGS = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` it would copy the checkout, and build it again
    "RAY_USAGE_STATS_ENABLED": "0",
}


class Service:
    """What answers, and counts.

    Attributes:
        asked: The prompts that were asked, each as often as it was answered.
        open: How many turns are open.
        most: How many were, at most.
        when: What to do when so many turns have begun.
        begun: When each turn began, in seconds of its loop.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.open = 0
        self.most = 0
        self.when: dict[int, Callable[[], object]] = {}
        self.begun: list[float] = []

    async def answer(self, question: Question) -> AsyncIterator[ev.Event]:
        """One piece of text, after the turns of others had their chance to begin."""
        self.begun.append(asyncio.get_running_loop().time())
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            self.when.pop(len(self.begun), lambda: None)()
            await asyncio.sleep(0.02)
            self.asked[question.text] += 1
            yield ev.TextDelta(answer_to(question.text))
        finally:
            self.open -= 1
