"""How far a batch is, while it runs: a bar and a line or two below it, in a terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bing_llm._escaping import one_line
from bing_llm.batch.progress import Tally

__all__ = ["BatchProgress", "Speed"]

_WINDOW_S = 300.0
"""How far back the speed looks: over some answers of a slow service, and not over the pauses of hours ago."""

_STEP_S = 1.0
_DRAWINGS_A_SECOND = 4.0


class Speed:
    """How fast a run has been of late. Pure.

    Args:
        clock: The time in seconds, from any origin.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen = deque([(clock(), 0, 0)])

    def see(self, turns: int, rows: int) -> tuple[float, float]:
        """Turns and rows a second, given how many there were in this run so far."""
        now = self._clock()
        while len(self._seen) > 1 and now - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()
        began, turns_then, rows_then = self._seen[0]
        if now - self._seen[-1][0] >= _STEP_S:
            self._seen.append((now, turns, rows))
        seconds = now - began
        return ((turns - turns_then) / seconds, (rows - rows_then) / seconds) if seconds > 0 else (0.0, 0.0)


class BatchProgress:
    """Draws a tally again and again, by a thread of its own, until its `with` block ends; then it is gone.

    Not `rich.progress.Progress`: its speed counts the rows that an earlier run had done.

    Args:
        tally: What to draw.
        console: The terminal.
        clock: The time in seconds, from any origin.
    """

    def __init__(self, tally: Tally, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tally = tally
        self._speed = Speed(clock)
        self._live = Live(
            console=console,
            get_renderable=self.__rich__,
            refresh_per_second=_DRAWINGS_A_SECOND,
            transient=True,
            redirect_stdout=False,  # which may be the output, and is another file than this terminal then
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def __rich__(self) -> RenderableType:
        tally = self._tally
        turns_a_second, rows_a_second = self._speed.see(tally.turns, tally.answered + tally.failed)
        parts = [f"{turns_a_second * 60:,.1f} turns a minute", f"{tally.failed:,} failed"]
        if tally.total is not None and rows_a_second > 0:
            parts.append(f"{_duration(max(0, tally.total - tally.done) / rows_a_second)} left")
        lines: list[RenderableType] = [_bar(tally.done, tally.total), Text(", ".join(parts), style="dim")]
        if tally.waiting:
            lines.append(Text(one_line(tally.waiting), style="yellow"))
        return Group(*lines)


def _bar(done: int, total: int | None) -> Table:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1)
    line.add_column(no_wrap=True)
    if total is None:
        line.add_row(ProgressBar(total=None), f"{done:,} done")
    else:
        percent = min(100, 100 * done // total) if total else 100
        line.add_row(ProgressBar(total=max(1, total), completed=done), f"{done:,}/{total:,} {percent:3} %")
    return line


def _duration(seconds: float) -> timedelta:
    return timedelta(seconds=round(seconds))
