"""How a turn goes on whose connection ended before its task did: what is asked next, and after which wait.

Without I/O. See docs/protocol/a2a.md, section 2 ("Tasks").
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, assert_never

import msgspec

Outcome: TypeAlias = Literal["runs", "nothing", "refused"]
"""What a connection brought: the task as it runs; nothing, as it failed or the service was busy; or a refusal, which
another attempt would meet again."""

_WAITS: Final = (0.0, 0.5, 2.0)
"""Seconds before each attempt in a row: a connection that broke is often back within seconds."""

_MOST_SUBSCRIPTIONS: Final = 20  # that brought something, of one turn: a service may break each connection

_FIRST_POLL: Final = 0.5
_LONGEST_POLL: Final = 3.0
"""Seconds between two polls, each twice the one before. A poll costs nothing, and nobody should wait much longer than
an agent works: 10 to 60 s, at times minutes."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call that goes on with a task.

    Attributes:
        method: What is called. A subscription comes first, as it streams; without one, the task is polled.
        failures: How many of these calls in a row brought nothing.
        results: How many of these calls brought the task, which still ran.
    """

    method: Literal["SubscribeToTask", "GetTask"] = "SubscribeToTask"
    failures: int = 0
    results: int = 0

    @property
    def polls(self) -> bool:
        """Whether the task is known to run, and is asked for again."""
        return self.method == "GetTask" and self.results > 0 and not self.failures

    def wait(self, remaining: float) -> float:
        """Seconds to wait before the call: near the end of the turn, polls come closer together.

        Args:
            remaining: Seconds that the turn has left.
        """
        if not self.polls:
            return _WAITS[self.failures]
        seconds = min(_FIRST_POLL * 2.0 ** min(self.results - 1, 10), _LONGEST_POLL)
        return max(min(seconds, remaining / 2), _FIRST_POLL)

    def after(self, outcome: Outcome) -> Step | None:
        """The call that follows this one; None if nothing else can be tried."""
        match outcome:
            case "runs":
                going_on = Step(method=self.method, results=self.results + 1)
                is_over = self.method == "SubscribeToTask" and going_on.results == _MOST_SUBSCRIPTIONS
            case "nothing":
                going_on = msgspec.structs.replace(self, failures=self.failures + 1)
                is_over = going_on.failures == len(_WAITS)
            case "refused":
                going_on, is_over = self, True
            case _:
                assert_never(outcome)
        if not is_over:
            return going_on
        return Step(method="GetTask") if self.method == "SubscribeToTask" else None
