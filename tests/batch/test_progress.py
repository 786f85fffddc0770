"""What a batch has come to so far."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from bing_llm.batch.engine import Engine
from bing_llm.batch.progress import Summary, Tally
from tests.batch.helpers import answered, failed, unreadable


def test_a_new_tally_counts_nothing() -> None:
    """And does not know how many rows there are."""
    tally = Tally()
    assert (tally.total, tally.done, tally.open, tally.turns, tally.waiting) == (None, 0, 0, 0, "")


def test_rows_are_counted_by_what_came_of_them() -> None:
    """A withdrawn answer is one; a row that could not be read has failed."""
    tally = Tally()
    withdrawn = {**answered(2), "finish_reason": "content_filter"}
    for row in (answered(1), withdrawn, failed(3), failed(4), unreadable(5)):
        tally.add(row)
    assert (tally.answered, tally.withdrawn, tally.failed, tally.done) == (2, 1, 3, 5)
    assert tally.errors == {"ServiceError": 2, "InvalidRequest": 1}


def test_turns_and_waits_are_those_of_the_engine() -> None:
    """Which knows also of turns whose rows have come to no end."""
    tally = Tally()
    tally.watch(cast("Engine", SimpleNamespace(turns=7, waiting="the service throttles")))
    assert (tally.turns, tally.waiting) == (7, "the service throttles")


def test_rows_of_earlier_runs_are_done() -> None:
    """They do not count as answers of this run."""
    tally = Tally()
    tally.earlier = 7
    tally.add(answered(1))
    assert (tally.done, tally.answered) == (8, 1)


def test_a_summary_keeps_the_counts_as_they_were() -> None:
    """Whatever is counted afterwards."""
    tally = Tally()
    tally.earlier, tally.earlier_failed = 4, 1
    engine = SimpleNamespace(turns=3, waiting="")
    tally.watch(cast("Engine", engine))
    tally.add(failed(1))
    summary = tally.summary(2.5, complete=False)
    tally.add(failed(2))
    engine.turns = 6
    assert summary == Summary(
        complete=False,
        answered=0,
        failed=1,
        withdrawn=0,
        earlier=4,
        earlier_failed=1,
        turns=3,
        seconds=2.5,
        errors={"ServiceError": 1},
    )
