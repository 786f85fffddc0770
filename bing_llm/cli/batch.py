"""`bing-llm batch`: a file of rows in, the same rows with their answers out.

stderr has the progress while it runs, if that is a terminal, and a summary at the end.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Self, Unpack

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bing_llm._safe_text import one_line
from bing_llm.batch.progress import Summary, Tally
from bing_llm.batch.runner import Batch, Options
from bing_llm.cli.errors import ExitCode, print_error
from bing_llm.cli.loop import Loop
from bing_llm.cli.streams import discard_stdout, is_terminal, new_console, print_to_stderr
from bing_llm.errors import BatchStopped

PIPE = "-"
"""stdin or stdout in place of a file."""

_INCOMPLETE = "It is not complete. What is done is kept, and the same command goes on with it."

_WINDOW_S = 300.0
"""How far back the speed looks: over several answers of a slow service, but not over pauses of hours ago."""

_SAMPLE_S = 1.0
_FRAMES_PER_SECOND = 4.0


def batch(source: str, target: str, **options: Unpack[Options]) -> ExitCode:
    """Ask all rows, and print the progress and the summary to stderr.

    Args:
        source: The path of the input; `-` is stdin.
        target: The path of the output; `-` is stdout.
        **options: See `Options`.

    Raises:
        ConfigurationError: Nothing was asked.
        BatchStopped: Not all rows were asked, or nobody reads stdout any more; what is done is kept.
        KeyboardInterrupt: As BatchStopped, by a second Ctrl-C.
    """
    work = Batch(source, target, **options)
    began = time.monotonic()
    try:
        summary = _run(work, _new_progress(work, source, target))
    except BatchStopped as exc:
        _print_summary(exc.summary, target)
        if target == PIPE:
            discard_stdout()
            exc.hint = "No later run can continue stdout; name a file for an output that can be continued."
        raise
    except KeyboardInterrupt:
        _print_summary(work.tally.summary(time.monotonic() - began, complete=False), target)
        raise
    _print_summary(summary, target)
    if not summary.complete:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if summary.failed else ExitCode.OK


def _run(work: Batch, progress: AbstractContextManager[object]) -> Summary:
    def interrupt() -> bool:
        is_first = work.stop()
        if is_first:
            print_error("No further row is begun, and the open ones are ended. Ctrl-C again stops at once.")
        return is_first

    with Loop() as loop, progress:
        return loop.run(work.run(), interrupt=interrupt)


def _new_progress(work: Batch, source: str, target: str) -> AbstractContextManager[object]:
    """Nothing is drawn if stderr is not a terminal, or if rows are typed or printed in the same one."""
    in_terminal = (source == PIPE and is_terminal(sys.stdin)) or (target == PIPE and is_terminal(sys.stdout))
    if in_terminal or not is_terminal(sys.stderr):
        return nullcontext()
    return BatchProgress(work.tally, new_console(stderr=True))


def _print_summary(summary: Summary, target: str) -> None:
    console = new_console(stderr=True)
    with console.capture() as captured:  # rich would end the process if nobody reads
        console.print(summary_table(summary))
        if target != PIPE and summary.complete:
            console.print(
                f"The output is {one_line(target)}.", soft_wrap=True
            )  # a path stays on one line, to be copied
        elif target != PIPE:
            console.print(_INCOMPLETE)
    print_to_stderr("\n".join(line.rstrip() for line in captured.get().splitlines()))


class Speed:
    """The recent speed of a run. Pure.

    Args:
        clock: The time in seconds, from any origin.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._samples = deque([(clock(), 0, 0)])

    def update(self, turns: int, rows: int) -> tuple[float, float]:
        """Turns and rows a second, given the counts of this run so far."""
        now = self._clock()
        while len(self._samples) > 1 and now - self._samples[1][0] >= _WINDOW_S:
            self._samples.popleft()
        began, turns_then, rows_then = self._samples[0]
        if now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, turns, rows))
        seconds = now - began
        return ((turns - turns_then) / seconds, (rows - rows_then) / seconds) if seconds > 0 else (0.0, 0.0)


class BatchProgress:
    """A bar and a line or two below it, drawn by a thread until the `with` block ends; then they disappear.

    Not `rich.progress.Progress`: its speed would include the rows that an earlier run had done.

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
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,  # it may be the output, and then it is not this terminal
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def __rich__(self) -> RenderableType:
        tally = self._tally
        turns_a_second, rows_a_second = self._speed.update(tally.turns, tally.answered + tally.failed)
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


def summary_table(summary: Summary) -> Table:
    """A table of a name, a number and perhaps a remark: the rows by their outcome, then turns and time."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for name, value, remark in _summary_rows(summary):
        table.add_row(Text(name), Text(value), Text(remark, style="dim"))
    return table


def _summary_rows(summary: Summary) -> list[tuple[str, str, str]]:
    rows = [("answered", f"{summary.answered:,}", "")]
    if summary.withdrawn:
        rows.append(("  withdrawn", f"{summary.withdrawn:,}", "the text is kept"))
    rows.append(("failed", f"{summary.failed:,}", ""))
    rows += [(f"  {kind}", f"{count:,}", "") for kind, count in _most_frequent_first(summary.errors)]
    if summary.earlier:
        rows.append(("done before", f"{summary.earlier:,}", _earlier_remark(summary)))
    minutes = summary.seconds / 60
    return [
        *rows,
        ("turns begun", f"{summary.turns:,}", f"{summary.turns / minutes:,.1f} a minute" if minutes > 0 else ""),
        ("time", str(timedelta(seconds=round(summary.seconds))), ""),
    ]


def _most_frequent_first(errors: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(errors.items(), key=lambda each: (-each[1], each[0]))


def _earlier_remark(summary: Summary) -> str:
    if not summary.earlier_failed:
        return ""
    return f"{summary.earlier_failed:,} failed: --retry-failed asks again"
