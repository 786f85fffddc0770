"""How far a batch is."""

from __future__ import annotations

from itertools import chain, repeat
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console

from bing_llm.batch.engine import Engine
from bing_llm.batch.progress import Tally
from bing_llm.cli.batch_progress import BatchProgress, Speed
from tests.cli.screen import Screen


def drawn(tally: Tally, *, seconds: float = 60.0, width: int = 60) -> list[str]:
    """What a person sees that many seconds after the beginning."""
    screen = Screen(width)
    console = Console(file=screen, force_terminal=True, width=width)  # type: ignore[arg-type]
    console.print(BatchProgress(tally, console, clock=chain([0.0], repeat(seconds)).__next__))
    return screen.lines


@pytest.fixture
def tally() -> Tally:
    """A run of a minute that an earlier one had half done."""
    tally = Tally()
    tally.total, tally.earlier = 2000, 1000
    tally.answered, tally.failed = 188, 12
    tally.watch(cast("Engine", SimpleNamespace(turns=230, waiting="")))
    return tally


def test_it_shows_how_far_it_is(tally: Tally) -> None:
    """Rows that were done before count as done, and neither for the rate nor for the time that is left."""
    bar, line = drawn(tally)
    assert bar.endswith("1,200/2,000  60 %")
    assert line == "230.0 turns a minute, 12 failed, 0:04:00 left"


def test_it_shows_why_it_waits(tally: Tally) -> None:
    """The reason stands below, on one line and without control characters."""
    tally.watch(cast("Engine", SimpleNamespace(turns=230, waiting="The service throttles:\n\x1b[2Jlater.")))
    assert drawn(tally)[2:] == ["The service throttles: \\u001b[2Jlater."]


def test_without_a_total_there_is_no_end(tally: Tally) -> None:
    """Of a pipe nobody knows how many rows will come."""
    tally.total = None
    bar, line = drawn(tally)
    assert bar.endswith(" 1,200 done")
    assert line == "230.0 turns a minute, 12 failed"


@pytest.mark.parametrize(("total", "percent"), [(0, "0/0 100 %"), (7, "9/7 100 %")])
def test_a_total_may_be_nothing_or_wrong(total: int, percent: str) -> None:
    """An input without rows is done at once; one that grew while it was read is not over 100 %."""
    tally = Tally()
    tally.total, tally.answered = total, 9 if total else 0
    assert drawn(tally, seconds=0.0)[0].endswith(percent)


@pytest.mark.parametrize("width", [20, 40, 200])
def test_any_width_does(tally: Tally, width: int) -> None:
    """In a narrow window the bar gives way to the numbers, and the lines are wrapped."""
    lines = drawn(tally, width=width)
    assert all(len(line) <= width for line in lines)
    assert "1,200/2,000" in lines[0]


def test_at_its_end_it_is_gone(tally: Tally) -> None:
    """What is written next stands where it stood, and the cursor is back."""
    screen = Screen(60)
    console = Console(file=screen, force_terminal=True, width=60)  # type: ignore[arg-type]
    with BatchProgress(tally, console):
        assert "1,200/2,000" in screen.lines[0]
    console.print("The end.")
    assert screen.lines == ["The end."]
    assert screen.cursor_shown


def test_the_speed_is_that_of_the_last_minutes() -> None:
    """A pause of an hour is forgotten five minutes after its end."""
    hour = 3600
    speed = Speed(iter((0.0, 0.0, *map(float, range(hour, hour + 401)))).__next__)
    assert speed.see(0, 0) == (0.0, 0.0)
    seen = [speed.see(4 * second, 2 * second) for second in range(401)]
    assert seen[0] == (0.0, 0.0)
    assert seen[-1] == (4.0, 2.0)


def test_the_speed_keeps_few_samples() -> None:
    """However often it is asked, it remembers at most one a second."""
    speed = Speed(iter(tick / 10 for tick in range(10_001)).__next__)
    for tick in range(10_000):
        speed.see(tick, tick)
    assert len(speed._seen) <= 302
