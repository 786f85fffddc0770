"""`bing-llm batch`: what it asks of a batch, what it says on stderr, and its exit codes."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from bing_llm import errors
from bing_llm.batch.engine import Engine
from bing_llm.batch.progress import Summary, Tally
from bing_llm.cli import batch as module
from bing_llm.cli.batch import BatchProgress, Speed, summary_table
from bing_llm.emulator import Emulator, Scripted
from tests.cli.conftest import Command
from tests.cli.screen import Screen
from tests.cli.test_process import run

ANSWERED = {"attempts": 1, "finish_reason": "stop"}
FAILED = {"attempts": 5, "error": {"type": "ServiceError"}}

ENDING = "bing-llm: No further row is begun, and the open ones are ended. Ctrl-C again stops at once.\n"
INCOMPLETE = "It is not complete. What is done is kept, and the same command goes on with it.\n"


class FakeBatch:
    """A batch of which a test says what it comes to.

    Attributes:
        asked: What it was made with.
        rows: What it counts.
    """

    asked: tuple[Any, ...] = ()
    rows: tuple[dict[str, Any], ...] = (ANSWERED,)

    def __init__(self, *args: Any, **options: Any) -> None:
        type(self).asked = (*args, options)
        self.tally = Tally()
        self.presses = 0

    async def run(self) -> Summary:
        """Count the rows, and end."""
        for row in self.rows:
            self.tally.add(row)
        self.tally.watch(cast("Engine", SimpleNamespace(turns=len(self.rows), waiting="")))
        return await self.end()

    async def end(self) -> Summary:
        """In this way, if a test says nothing else."""
        return self.tally.summary(60.0, complete=True)

    def stop(self) -> bool:
        """Whether it is the first time."""
        self.presses += 1
        return self.presses == 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeBatch]:
    """The batch of the command."""

    class Fake(FakeBatch):
        pass

    monkeypatch.setattr(module, "Batch", Fake)
    return Fake


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the command; it has an input of one row."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"id": "x", "prompt": "Hi"}\n')
    return tmp_path


async def pressed(batch: FakeBatch, *, times: int) -> Summary:
    """Press Ctrl-C so often; the open turns end after the first."""
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return batch.tally.summary(60.0, complete=False)


def stopped(cause: BaseException) -> Callable[[FakeBatch], Any]:
    """An end by a fault."""

    async def end(batch: FakeBatch) -> Summary:
        error = errors.BatchStopped("The batch stopped.")
        error.summary = batch.tally.summary(60.0, complete=False)
        raise error from cause

    return end


# --- its options ------------------------------------------------------------------------------------------------------


def test_the_options_reach_the_batch(command: Command, fake: type[FakeBatch]) -> None:
    """Each by its name, and the patience in seconds; the client is made by whoever asks."""
    done = command(
        *("batch", "in.csv", "out.parquet", "--concurrency", "7", "--rate", "20.5", "--ordered", "--retry-failed"),
        *("--patience", "2", "--ray", "local", "--workers", "3"),
        *("--backend", "chathub", "--endpoint", "http://127.0.0.1:1", "--model", "bing-precise", "--no-search"),
    )
    source, target, options = fake.asked
    client = options.pop("client")()
    assert (done.code, source, target) == (0, "in.csv", "out.parquet")
    assert options == {
        "concurrency": 7,
        "rate": 20.5,
        "ordered": True,
        "retry_failed": True,
        "patience": 120.0,
        "ray": "local",
        "workers": 3,
    }
    assert (client.backend_name, client.model, client.service.search) == ("chathub", "bing-precise", False)


def test_without_options_it_is_four_at_once_and_an_hour_of_patience(command: Command, fake: type[FakeBatch]) -> None:
    """The defaults are those of `bing_llm.batch.run`."""
    command("batch", "a.jsonl", "b.jsonl")
    options = fake.asked[-1]
    del options["client"]
    assert options == {
        "concurrency": 4,
        "rate": None,
        "ordered": False,
        "retry_failed": False,
        "patience": 3600.0,
        "ray": None,
        "workers": None,
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rows.jsonl"], "OUTPUT"),
        (["rows.jsonl", "b.jsonl", "--concurrency", "0"], "--concurrency"),
        (["rows.jsonl", "b.jsonl", "--rate", "0"], "rate"),
        (["rows.jsonl", "b.jsonl", "--patience", "0"], "patience"),
        (["rows.jsonl", "b.jsonl", "--workers", "2"], "ray"),
        (["rows.jsonl", "-", "--ordered"], "stdout"),
        (["rows.jsonl", "-", "--retry-failed"], "stdout"),
        (["rows.jsonl", "rows.jsonl"], "both the input and the output"),
        (["rows.jsonl", "./rows.jsonl"], "both the input and the output"),
        (["none.jsonl", "b.jsonl"], "none.jsonl"),
        (["rows.txt", "b.jsonl"], "rows.txt"),
        (["rows.jsonl", "b.txt"], "b.txt"),
    ],
)
def test_what_cannot_work_is_a_usage_error(
    command: Command, service: Emulator, folder: Path, arguments: list[str], says: str
) -> None:
    """One line on stderr, the exit code is 2, nothing is sent and no file is made."""
    (folder / "rows.txt").write_text("Hi\n")
    done = command("batch", *arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert "Traceback" not in done.err
    assert service.requests == []
    assert {path.name for path in folder.iterdir()} == {"rows.jsonl", "rows.txt"}


def test_without_a_service_it_says_what_is_needed(command: Command, folder: Path) -> None:
    """The message is that of the other commands, and no output is begun."""
    done = command("batch", "rows.jsonl", "b.jsonl")
    assert (done.code, done.out) == (2, "")
    assert "BING_LLM_BACKEND" in done.err
    assert not (folder / "b.jsonl").exists()


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [("filelock", ["b.jsonl"]), ("aiolimiter", ["b.jsonl", "--rate", "60"]), ("pyarrow.parquet", ["b.parquet"])],
)
@pytest.mark.usefixtures("folder")
def test_without_its_extra_it_says_what_to_install(
    command: Command, service: Emulator, monkeypatch: pytest.MonkeyPatch, missing: str, arguments: list[str]
) -> None:
    """One line with the command to type, exit code 2, and nothing is sent."""
    monkeypatch.setitem(sys.modules, missing, None)
    done = command("batch", "rows.jsonl", *arguments)
    assert (done.code, done.out) == (2, "")
    assert 'pip install "bing-llm[batch]"' in done.err
    assert done.err.count("\n") == 1
    assert service.requests == []


# --- how it ends ----------------------------------------------------------------------------------------------------


def test_the_summary_is_on_stderr(command: Command, fake: type[FakeBatch]) -> None:
    """It has the outcome of the rows and the path of the output; without a terminal nothing else is printed."""
    done = command("batch", "a.jsonl", "b.jsonl")
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        "answered           1\n"
        "failed             0\n"
        "turns begun        1  1.0 a minute\n"
        "time         0:01:00\n"
        "The output is b.jsonl.\n"
    )
    assert fake.asked


def test_rows_that_failed_are_an_exit_code(command: Command, fake: type[FakeBatch]) -> None:
    """1, also where others have answers; the kind of the error is in the table."""
    fake.rows = (ANSWERED, FAILED)
    done = command("batch", "a.jsonl", "b.jsonl")
    assert done.code == 1
    assert "  ServiceError        1\n" in done.err


def test_ctrl_c_ends_the_open_turns_first(
    command: Command, fake: type[FakeBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, the rest of the turns is waited for, and the exit code is 130, with the summary."""
    monkeypatch.setattr(fake, "end", lambda batch: pressed(batch, times=1))
    done = command("batch", "a.jsonl", "b.jsonl")
    assert (done.code, done.out) == (130, "")
    assert done.err.startswith(ENDING + "answered           1\n")
    assert done.err.endswith(INCOMPLETE)


def test_a_second_ctrl_c_stops_at_once(
    command: Command, fake: type[FakeBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is waited for any more; what was counted so far is shown."""
    monkeypatch.setattr(fake, "end", lambda batch: pressed(batch, times=2))
    done = command("batch", "a.jsonl", "b.jsonl")
    assert (done.code, done.out) == (130, "")
    assert done.err.startswith(ENDING + "answered ")
    assert done.err.count(ENDING) == 1
    assert done.err.endswith(INCOMPLETE)


def test_ctrl_c_when_all_is_done_is_too_late(
    command: Command, fake: type[FakeBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the open turns were the last ones, the output is complete, and so is the exit code."""

    async def end(batch: FakeBatch) -> Summary:
        await pressed(batch, times=1)
        return batch.tally.summary(60.0, complete=True)

    monkeypatch.setattr(fake, "end", end)
    assert command("batch", "a.jsonl", "b.jsonl").code == 0


def test_a_stop_is_printed_with_the_summary(
    command: Command, fake: type[FakeBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table, that it can be gone on with, and last the reason in one line; the exit code is 1."""
    monkeypatch.setattr(fake, "end", stopped(errors.Unauthorized("No.")))
    done = command("batch", "a.jsonl", "b.jsonl")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("answered           1\n")
    assert done.err.endswith(f"{INCOMPLETE}bing-llm: The batch stopped. {errors.BatchStopped.default_hint}\n")


@pytest.mark.parametrize("why", [OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe")])
def test_a_lost_stdout_is_reported_once(
    command: Command, fake: type[FakeBatch], monkeypatch: pytest.MonkeyPatch, why: OSError
) -> None:
    """Also if its reader left, who does not have all rows: the exit code is 1, and a line says so.

    What is left of the output goes nowhere, or Python would complain about it again when it exits.
    """
    discarded: list[bool] = []
    monkeypatch.setattr(module, "discard_stdout", lambda: discarded.append(True))
    monkeypatch.setattr(fake, "end", stopped(why))
    done = command("batch", "a.jsonl", "-")
    assert (done.code, discarded) == (1, [True])
    assert done.err.endswith(
        "bing-llm: The batch stopped. No later run can continue stdout; name a file for an output that can be "
        "continued.\n"
    )


# --- in a terminal --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "terminals", "draws"),
    [
        ("a.jsonl", "b.jsonl", {"stdin", "stdout", "stderr"}, True),
        ("a.jsonl", "b.jsonl", {"stdin", "stdout"}, False),
        ("-", "b.jsonl", {"stdin", "stderr"}, False),
        ("-", "b.jsonl", {"stderr"}, True),
        ("a.jsonl", "-", {"stdout", "stderr"}, False),
        ("a.jsonl", "-", {"stderr"}, True),
    ],
)
def test_progress_is_drawn_where_a_person_looks_and_nothing_else_is(
    fake: type[FakeBatch],
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    target: str,
    terminals: set[str],
    *,
    draws: bool,
) -> None:
    """On stderr, if that is a terminal, unless rows are typed or shown in it."""
    screen = Screen(80)
    streams = {"stdin": io.StringIO(), "stdout": io.StringIO(), "stderr": screen}
    for name, stream in streams.items():
        monkeypatch.setattr(stream, "isatty", lambda name=name: name in terminals, raising=False)
        monkeypatch.setattr(sys, name, stream)
    seen: list[list[str]] = []

    async def end(batch: FakeBatch) -> Summary:
        seen.append(screen.lines)
        return batch.tally.summary(60.0, complete=True)

    monkeypatch.setattr(fake, "end", end)
    monkeypatch.setenv("TERM", "xterm")
    assert module.batch(source, target) == 0
    assert ("turns a minute" in "".join(seen[0])) is draws
    assert screen.lines[0] == "answered           1"


# --- the whole of it ------------------------------------------------------------------------------------------------


def test_rows_are_asked(command: Command, service: Emulator, folder: Path) -> None:
    """Each row has its answer or its error, and a second run asks the failed rows again only with `--retry-failed`."""
    service.brain = Scripted({"Hi": ["Hello."], "Ho": [errors.ContentFiltered()]})
    with (folder / "rows.jsonl").open("a") as rows:
        rows.write('{"id": "y", "prompt": "Ho"}\n')
    first = command("batch", "rows.jsonl", "b.jsonl")
    assert (first.code, first.err.splitlines()[-1]) == (1, "The output is b.jsonl.")
    again = command("batch", "rows.jsonl", "b.jsonl")
    assert again.code == 0
    assert "  1 failed: --retry-failed asks again\n" in again.err
    assert sum(request.kind == "chat" for request in service.requests) == 2
    service.brain = Scripted({"Ho": ["Hello again."]})
    assert command("batch", "rows.jsonl", "b.jsonl", "--retry-failed", "--ordered").code == 0
    done = [json.loads(line) for line in (folder / "b.jsonl").read_text().splitlines()]
    assert [(row["id"], row["text"]) for row in done] == [("x", "Hello."), ("y", "Hello again.")]


def test_pipes_take_and_give_rows(service: Emulator) -> None:
    """With - and -, JSONL comes from stdin and goes to stdout, and the summary to stderr."""
    service.brain = Scripted({"one": ["Uno."]})
    done = run("batch", "-", "-", stdin=b'{"id": "x", "prompt": "one"}\n')
    assert (done.returncode, json.loads(done.stdout)["text"]) == (0, "Uno.")
    assert done.stderr.startswith(b"answered           1\n")
    assert b"output" not in done.stderr


# --- the progress -----------------------------------------------------------------------------------------------------


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
def test_the_progress_fits_any_width(tally: Tally, width: int) -> None:
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
    assert speed.update(0, 0) == (0.0, 0.0)
    seen = [speed.update(4 * second, 2 * second) for second in range(401)]
    assert seen[0] == (0.0, 0.0)
    assert seen[-1] == (4.0, 2.0)


def test_the_speed_keeps_few_samples() -> None:
    """However often it is asked, it remembers at most one a second."""
    speed = Speed(iter(tick / 10 for tick in range(10_001)).__next__)
    for tick in range(10_000):
        speed.update(tick, tick)
    assert len(speed._samples) <= 302


# --- the summary ------------------------------------------------------------------------------------------------------


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
def test_the_summary_fits_any_width(width: int) -> None:
    """In a narrow window remarks are folded, and no number or word is lost."""
    lines = shown(FULL, width)
    assert all(len(line) <= width for line in lines)
    words = "".join("".join(line.split()) for line in lines)
    assert all(value in words for value in ("1,900", "2,310", "1:23:20", "66", "500"))
