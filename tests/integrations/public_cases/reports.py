"""Public bug reports about chat model adapters, each replayed on ours.

A case is a function that does what the report did. It names the report's link, its situation in one sentence, and the
value that is right; a test calls it and compares.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple


class Report(NamedTuple):
    """One report.

    Attributes:
        link: Where it is.
        situation: What was done, and what went wrong, in one sentence.
        right: The value that is right.
        replay: Does the same with our adapter, and returns what came of it; it may be a coroutine function.
    """

    link: str
    situation: str
    right: object
    replay: Callable[[], Any]

    async def value(self) -> Any:
        """What comes of it here."""
        value = self.replay()
        return await value if inspect.isawaitable(value) else value

    @property
    def id(self) -> str:
        """Its project and its number."""
        return "-".join(self.link.split("/")[-3::2])


class Reports(list[Report]):
    """The reports of a module, in its order."""

    def replay(self, link: str, *, right: object) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        """Add a case: a decorator of the function that replays it, whose docstring is the situation.

        Args:
            link: Where the report is.
            right: The right value.
        """

        def add(function: Callable[[], Any]) -> Callable[[], Any]:
            self.append(Report(link, inspect.getdoc(function) or "", right, function))
            return function

        return add
