"""What came of a batch, as a table."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bing_llm.batch.progress import Summary
from bing_llm.cli.batch_summary import summary_table

FULL = Summary(
    complete=True,
    answered=1900,
    failed=66,
    withdrawn=2,
    earlier=500,
    earlier_failed=3,
    turns=2310,
    seconds=5000.4,
    errors={"InvalidRequest": 6, "ServiceError": 60},
)
EMPTY = Summary(
    complete=True, answered=0, failed=0, withdrawn=0, earlier=0, earlier_failed=0, turns=0, seconds=0.0, errors={}
)


def shown(summary: Summary, width: int = 80) -> list[str]:
    """The lines of the table."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(summary_table(summary))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_each_count_has_its_line() -> None:
    """Errors stand below the failed rows, the most frequent first; the rate is that of the turns."""
    assert shown(FULL) == [
        "answered            1,900",
        "  withdrawn             2  the text is kept",
        "failed                 66",
        "  ServiceError         60",
        "  InvalidRequest        6",
        "done before           500  3 failed: --retry-failed asks again",
        "turns begun         2,310  27.7 a minute",
        "time              1:23:20",
    ]


def test_what_there_was_not_has_no_line() -> None:
    """Nothing was withdrawn or done before, and no time passed in which there could be a rate."""
    assert shown(EMPTY) == [
        "answered           0",
        "failed             0",
        "turns begun        0",
        "time         0:00:00",
    ]


@pytest.mark.parametrize("width", [30, 40, 200])
def test_any_width_does(width: int) -> None:
    """In a narrow window remarks are folded, and no number or word is lost."""
    lines = shown(FULL, width)
    assert all(len(line) <= width for line in lines)
    words = "".join("".join(line.split()) for line in lines)
    assert all(value in words for value in ("1,900", "2,310", "1:23:20", "66", "500"))
