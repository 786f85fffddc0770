"""The progress of a batch: `Tally` counts while it runs, `Summary` is its result."""

from __future__ import annotations

from collections import Counter

import msgspec

from bing_llm.batch.engine import Engine
from bing_llm.batch.rows import Fields


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. Rows of earlier runs with the same output count only as `earlier`.

    Attributes:
        complete: Whether the output has every row of the input.
        answered: Rows that have an answer.
        failed: Rows that have an error, including those that could not be read.
        withdrawn: Answered rows whose answer the service withdrew (`finish_reason` is `content_filter`).
        earlier: Rows of the input that earlier runs have done.
        earlier_failed: Failed rows that an earlier run left in the output; `retry_failed` asks them again.
        turns: Turns that were begun, which is what counts against the service's quota, including those of rows that the
            run left undone.
        seconds: How long the run took.
        errors: How many rows failed, by the name of the error.
    """

    complete: bool
    answered: int
    failed: int
    withdrawn: int
    earlier: int
    earlier_failed: int
    turns: int
    seconds: float
    errors: dict[str, int]


class Tally:
    """Counts of a run in progress. They may be read at any time, from any thread.

    Attributes:
        total: Rows of the input; None if that is not known.
        earlier, earlier_failed, answered, failed, withdrawn, errors: As in `Summary`.
        open: Rows that were taken from the input and are not done.
    """

    def __init__(self) -> None:
        self.total: int | None = None
        self.earlier = 0
        self.earlier_failed = 0
        self.answered = 0
        self.failed = 0
        self.withdrawn = 0
        self.open = 0
        self._engine: Engine | None = None
        self.errors: Counter[str] = Counter()

    @property
    def done(self) -> int:
        """Rows in the output, from this run and earlier ones."""
        return self.earlier + self.answered + self.failed

    @property
    def turns(self) -> int:
        """Turns that were begun in this run."""
        return 0 if self._engine is None else self._engine.turns

    @property
    def waiting(self) -> str:
        """Why no turn begins now, for a person; "" while turns begin."""
        return "" if self._engine is None else self._engine.waiting

    def watch(self, engine: Engine) -> None:
        """Show the turns and the waits of this engine."""
        self._engine = engine

    def add(self, row: Fields) -> None:
        """Count one row of the output."""
        if "error" in row:
            self.failed += 1
            self.errors[row["error"]["type"]] += 1
        else:
            self.answered += 1
            self.withdrawn += row["finish_reason"] == "content_filter"

    def summary(self, seconds: float, *, complete: bool) -> Summary:
        """The counts of a run that took that many seconds."""
        return Summary(
            complete=complete,
            answered=self.answered,
            failed=self.failed,
            withdrawn=self.withdrawn,
            earlier=self.earlier,
            earlier_failed=self.earlier_failed,
            turns=self.turns,
            seconds=seconds,
            errors=dict(self.errors),
        )
