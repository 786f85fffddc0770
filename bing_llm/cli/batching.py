"""`bing-llm batch`: a file of rows in, the same rows with their answers out."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Unpack

from rich.console import Console

from bing_llm._escaping import one_line
from bing_llm.batch.progress import Summary
from bing_llm.batch.runner import Batch, Options
from bing_llm.cli.batch_progress import BatchProgress
from bing_llm.cli.batch_summary import summary_table
from bing_llm.cli.reporting import ExitCode, complain, give_up_stdout, to_stderr
from bing_llm.cli.running import Loop
from bing_llm.cli.settings import is_terminal
from bing_llm.errors import BatchStopped

__all__ = ["batch"]

PIPE = "-"
"""stdin or stdout in place of a file."""

_GO_ON = "It is not complete. What is done is kept, and the same command goes on with it."


def batch(source: str, target: str, **options: Unpack[Options]) -> ExitCode:
    """Ask all rows; stderr is shown how far it is, and what came of it.

    Args:
        source: The path of the input; `-` is stdin.
        target: The path of the output; `-` is stdout.
        **options: See `Options`.

    Raises:
        ConfigurationError: Nothing was asked.
        BatchStopped: Not all rows were; what is done is kept.
        BrokenPipeError: The same, as nobody reads stdout any more.
        KeyboardInterrupt: The same, by a second Ctrl-C.
    """
    work = Batch(source, target, **options)
    began = time.monotonic()
    try:
        summary = _run(work, _progress(work, source, target))
    except BatchStopped as exc:
        _show(exc.summary, target)
        if isinstance(exc.__cause__, BrokenPipeError):
            raise exc.__cause__ from None
        if target == PIPE:
            give_up_stdout()
        raise
    except KeyboardInterrupt:
        _show(work.tally.summary(time.monotonic() - began, complete=False), target)
        raise
    _show(summary, target)
    if not summary.complete:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if summary.failed else ExitCode.OK


def _run(work: Batch, progress: AbstractContextManager[object]) -> Summary:
    def interrupt() -> bool:
        is_first = work.stop()
        if is_first:
            complain("No further row is begun, and the open ones are ended. Ctrl-C again stops at once.")
        return is_first

    with Loop() as loop, progress:
        return loop.run(work.run(), interrupt=interrupt)


def _progress(work: Batch, source: str, target: str) -> AbstractContextManager[object]:
    """Nothing where no person looks at stderr, or where rows are typed or shown in the same terminal."""
    in_terminal = (source == PIPE and is_terminal(sys.stdin)) or (target == PIPE and is_terminal(sys.stdout))
    if in_terminal or not is_terminal(sys.stderr):
        return nullcontext()
    return BatchProgress(work.tally, _console())


def _show(summary: Summary, target: str) -> None:
    console = _console()
    with console.capture() as captured:  # rich itself ends the process where nobody reads
        console.print(summary_table(summary))
        if target != PIPE and summary.complete:
            console.print(f"The output is {one_line(target)}.", soft_wrap=True)  # a path shall be one word to a mouse
        elif target != PIPE:
            console.print(_GO_ON)
    to_stderr("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _console() -> Console:
    """On stderr, for text as it is: no markup, no emoji names, no guesses at what to highlight."""
    return Console(stderr=True, markup=False, emoji=False, highlight=False)
