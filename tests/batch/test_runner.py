"""One run of a batch, with a service that is a function."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bing_llm.batch import Tally, arun, run
from bing_llm.batch.outputs import open_output
from bing_llm.batch.rows import Answered, Failed, Row, render_row
from bing_llm.batch.runner import Batch
from bing_llm.client import BingClient
from bing_llm.errors import (
    BatchStopped,
    BingError,
    ConfigurationError,
    ContentFiltered,
    Throttled,
    Unauthorized,
)
from bing_llm.events import Reply
from tests.fakes import FakeBackend, answer, client_of


class FakeEngine:
    """Asks one row after the other; what it says is a function of the row."""

    def __init__(self, say: Callable[[Row], Reply | BingError | None]) -> None:
        self.say = say
        self.stopped: BingError | None = None
        self.waiting = ""
        self.turns = 0
        self.asked: list[str | int] = []
        self.is_stopping = False

    async def answers(self, rows: AsyncIterator[Row]) -> AsyncGenerator[dict[str, Any], None]:
        """Like `Engine.answers`; None stands for a row that was not asked."""
        async for row in rows:
            self.asked.append(row.id)
            self.turns += 1
            match said := self.say(row):
                case Reply():
                    yield render_row(row, Answered(said, 1, 0.5))
                case BingError():
                    yield render_row(row, Failed(said, 2, 0.5))
            if self.is_stopping or self.stopped is not None:
                return

    def stop(self) -> None:
        """Like `Engine.stop`."""
        self.is_stopping = True


def echo(row: Row) -> Reply:
    """An answer that names its row."""
    return Reply(text=f"Re: {row.prompt}")


class Folder:
    """An input, an output, and a batch between them."""

    def __init__(self, path: Path, client: BingClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.input = path / "in.jsonl"
        self.output = path / "out.jsonl"
        self.client = client
        self.engine = FakeEngine(echo)
        monkeypatch.setattr(Batch, "_engine_of", lambda _batch, _worker, _retries: self.engine)

    def write(self, *rows: dict[str, Any] | str) -> None:
        """The lines of the input."""
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        self.input.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def read(self) -> list[dict[str, Any]]:
        """The rows of the output."""
        return [json.loads(line) for line in self.output.read_text(encoding="utf-8").splitlines()]

    def batch(self, **options: Any) -> Batch:
        """A run from the one to the other."""
        return Batch(self.input, self.output, client=self.client, **options)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A new one."""
    return Folder(tmp_path, client_of(FakeBackend()), monkeypatch)


def questions(count: int, start: int = 1) -> list[dict[str, Any]]:
    """Rows with ids of their own."""
    return [{"id": f"q{number}", "prompt": f"What is {number}?"} for number in range(start, start + count)]


async def test_each_row_is_answered(folder: Folder) -> None:
    """The output has the rows of the input, each with its answer, and the summary counts them."""
    folder.write(*questions(3))
    summary = await folder.batch().run()
    assert [(row["id"], row["text"]) for row in folder.read()] == [
        (f"q{number}", f"Re: What is {number}?") for number in (1, 2, 3)
    ]
    assert (summary.complete, summary.answered, summary.failed, summary.turns) == (True, 3, 0, 3)


async def test_what_is_done_is_not_asked_again(folder: Folder) -> None:
    """A second run asks only the rows that the output does not have."""
    folder.write(*questions(3))
    await folder.batch().run()
    folder.write(*questions(5))
    summary = await folder.batch().run()
    assert folder.engine.asked == ["q1", "q2", "q3", "q4", "q5"]
    assert (summary.earlier, summary.answered) == (3, 2)
    assert [row["id"] for row in folder.read()] == ["q1", "q2", "q3", "q4", "q5"]


async def test_what_failed_is_asked_again_where_one_says_so(folder: Folder) -> None:
    """A failed row counts as done; with `retry_failed` it is dropped and asked anew."""
    folder.write(*questions(3))
    folder.engine.say = lambda row: ContentFiltered("No.") if row.id == "q2" else echo(row)
    first = await folder.batch().run()
    assert (first.answered, first.failed, first.errors) == (2, 1, {"ContentFiltered": 1})
    folder.engine.say = echo
    second = await folder.batch().run()
    assert (second.earlier, second.earlier_failed, second.answered) == (3, 1, 0)
    third = await folder.batch(retry_failed=True, ordered=True).run()
    assert (third.earlier, third.earlier_failed, third.answered) == (2, 0, 1)
    assert [row["id"] for row in folder.read()] == ["q1", "q2", "q3"]
    assert not any("error" in row for row in folder.read())


async def test_a_row_that_cannot_be_asked_is_reported(folder: Folder) -> None:
    """It is in the output with its line and its error, and does not stop the run; a second run does not repeat it."""
    folder.write({"prompt": "One?"}, "{oops", {"id": "x"}, {"prompt": "Four?"})
    summary = await folder.batch().run()
    assert folder.engine.asked == [1, 4]
    assert (summary.complete, summary.answered, summary.failed, summary.turns) == (True, 2, 2, 2)
    by_key = {row.get("id", row.get("line")): row for row in folder.read()}
    assert "line 2" in by_key[2]["error"]["message"].lower()
    assert "neither a prompt nor messages" in by_key["x"]["error"]["message"]
    again = await folder.batch().run()
    assert (again.earlier, again.answered, again.failed) == (4, 0, 0)
    assert len(folder.read()) == 4


async def test_an_id_that_comes_twice_is_asked_once(folder: Folder) -> None:
    """The later row is reported by its line, in every run; the output has each id once."""
    folder.write({"id": 7, "prompt": "One?"}, {"id": "7", "prompt": "Two?"})
    for _ in range(2):
        await folder.batch().run()
        first, second = folder.read()
        assert (first["id"], first["text"]) == (7, "Re: One?")
        assert (second["line"], second["input_id"]) == (2, "7")
        assert "same id" in second["error"]["message"]
    assert folder.engine.asked == [7]


async def test_stop_ends_after_what_is_open(folder: Folder) -> None:
    """The first stop is news, the second is not; what is done is kept, and the summary says that rows are left."""
    folder.write(*questions(5))

    def stop_at_two(tally: Tally) -> None:
        if tally.done == 2:
            assert batch.stop()

    batch = folder.batch(progress=stop_at_two)
    summary = await batch.run()
    assert not batch.stop()
    assert (summary.complete, summary.answered) == (False, 2)
    assert len(folder.read()) == 2


async def test_stop_ends_the_reading_ahead(folder: Folder) -> None:
    """No thread is left that reads rows which nobody takes."""
    folder.write(*questions(1000))

    def stop(_: Tally) -> None:
        batch.stop()

    batch = folder.batch(progress=stop)
    assert not (await batch.run()).complete
    for thread in threading.enumerate():
        if thread.name == "bing-llm-batch-reader":
            await asyncio.to_thread(thread.join, 5.0)
            assert not thread.is_alive()


async def test_what_stops_the_engine_stops_the_batch(folder: Folder) -> None:
    """The error has the reason as its cause, its hint and the counts; the next run goes on."""
    folder.write(*questions(3))
    reason = Unauthorized("The token has expired.")

    def refuse(row: Row) -> Reply | None:
        if row.id == "q1":
            return echo(row)
        folder.engine.stopped = reason
        return None

    folder.engine.say = refuse
    with pytest.raises(BatchStopped, match=r"token has expired.* Run it again") as caught:
        await folder.batch().run()
    assert caught.value.__cause__ is reason
    assert (caught.value.summary.complete, caught.value.summary.answered) == (False, 1)
    folder.engine = FakeEngine(echo)
    assert (await folder.batch().run()).answered == 2
    assert len(folder.read()) == 3


async def test_a_service_that_throttles_for_too_long_is_reported_with_what_helps(folder: Folder) -> None:
    """The hint names the patience, which is what ended it."""
    folder.write(*questions(1))

    def refuse(_row: Row) -> Reply | None:
        folder.engine.stopped = Throttled("Too many.")
        return None

    folder.engine.say = refuse
    with pytest.raises(BatchStopped, match="more patience"):
        await folder.batch().run()


async def test_what_is_complete_was_not_stopped(folder: Folder) -> None:
    """Where all rows have come to an end, it does not matter that the engine would have taken no more."""
    folder.write(*questions(2))
    ask = folder.engine.answers

    async def then_stopped(rows: AsyncIterator[Row]) -> AsyncGenerator[dict[str, Any], None]:
        async for row in ask(rows):
            yield row
        folder.engine.stopped = Unauthorized("No more.")

    folder.engine.answers = then_stopped  # type: ignore[method-assign]
    assert (await folder.batch().run()).complete


async def test_a_row_without_an_end_is_not_a_success(folder: Folder) -> None:
    """Where an engine ends with rows that gave nothing, and says no reason, the batch does not pass for complete."""
    folder.write(*questions(2))
    folder.engine.say = lambda row: None if row.id == "q1" else echo(row)
    with pytest.raises(BatchStopped, match="1 rows"):
        await folder.batch().run()


@pytest.mark.parametrize("step", ["claim", "append"])
async def test_a_full_disk_stops_the_batch(folder: Folder, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """What was written is kept, and the error says what the system said; so where a row cannot be remembered."""
    folder.write(*questions(3))

    def nearly_full(*arguments: Any, **more: Any) -> Any:
        output = open_output(*arguments, **more)
        works = getattr(output, step)

        def full(*arguments: Any) -> Any:
            if "q2" in str(arguments):
                raise OSError(28, "No space left on device")
            return works(*arguments)

        monkeypatch.setattr(output, step, full)
        return output

    monkeypatch.setattr("bing_llm.batch.runner.open_output", nearly_full)
    with pytest.raises(BatchStopped, match="cannot be written: No space left on device") as caught:
        await folder.batch().run()
    # Rows are claimed in blocks: of the block that has no room, none is asked.
    kept = [row["id"] for row in folder.read()]
    assert kept == ["q1"] or (step == "claim" and not kept)
    assert caught.value.summary.answered == len(kept)


async def test_an_input_that_is_gone_is_reported(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there when it was looked at, and cannot be read now: nothing is asked, and no output is made."""
    folder.write(*questions(1))

    def gone(_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("bing_llm.batch.jsonl.JsonlSource.count", gone)
    with pytest.raises(ConfigurationError, match="cannot be read: Input/output error"):
        await folder.batch().run()
    assert not folder.output.exists()


async def test_rows_that_fit_into_no_table_stop_the_batch(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """All were asked: so it is not a usage error, the counts are reported, and the journal has the answers."""
    monkeypatch.setattr("bing_llm.batch.outputs._MAX_COLUMNS", 3)
    folder.write(*questions(2))
    folder.output = folder.output.with_name("out.csv")
    with pytest.raises(BatchStopped, match=r"over 3 different fields.* journal") as caught:
        await folder.batch().run()
    assert caught.value.summary.answered == 2
    assert folder.output.with_name("out.csv.journal.jsonl").exists()


async def test_an_input_that_breaks_off_stops_the_batch(folder: Folder) -> None:
    """An error of the system in the midst of reading is reported; what was read before is answered."""

    def rows() -> Iterator[str]:
        yield "One?"
        raise OSError(5, "Input/output error")

    batch = Batch(rows(), folder.output, client=folder.client)
    with pytest.raises(BatchStopped, match="Input/output error"):
        await batch.run()


async def test_cancelling_keeps_what_is_done(folder: Folder) -> None:
    """A cancelled run leaves whole rows, and lets go of the output."""
    folder.write(*questions(3))
    reached = asyncio.Event()

    async def stuck(rows: AsyncIterator[Row]) -> AsyncGenerator[dict[str, Any], None]:
        async for row in rows:
            yield render_row(row, Answered(echo(row), 1, 0.5))
            reached.set()
            await asyncio.Event().wait()

    ask, folder.engine.answers = folder.engine.answers, stuck  # type: ignore[method-assign]
    task = asyncio.ensure_future(folder.batch().run())
    await asyncio.wait([task, asyncio.ensure_future(reached.wait())], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(folder.read()) == 1
    folder.engine.answers = ask  # type: ignore[method-assign]
    assert (await folder.batch().run()).answered == 2


def test_rows_of_ones_own_are_asked_from_synchronous_code(tmp_path: Path) -> None:
    """`run` takes rows or prompts as they are, and a client, which stays open; progress is reported after each row."""
    backend = FakeBackend(answer("Yes."), answer("No."))
    seen: list[tuple[int | None, int, int]] = []

    def note(tally: Tally) -> None:
        seen.append((tally.total, tally.done, tally.open))

    rows: list[Any] = ["Is it so?", {"prompt": "And that?", "color": "red"}]
    summary = run(rows, tmp_path / "out.jsonl", client=client_of(backend), concurrency=1, progress=note)
    assert (summary.complete, summary.answered, summary.turns) == (True, 2, 2)
    assert [(total, done) for total, done, _ in seen] == [(2, 1), (2, 2)]
    first, second = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert (first["text"], second["text"], second["color"]) == ("Yes.", "No.", "red")
    assert "close" not in backend.calls


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concurrency": 0}, "concurrency is 0"),
        ({"rate": 0}, "rate is 0"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"rate": 10**400}, "rate is 1000"),
        ({"patience": "1h"}, "patience is '1h'"),
        ({"workers": 2}, "workers is only for Ray"),
        ({"ray": "auto"}, "client cannot be sent"),
    ],
)
async def test_options_that_cannot_work_are_refused(folder: Folder, options: dict[str, Any], said: str) -> None:
    """The error names the option; no file is made."""
    with pytest.raises(ConfigurationError, match=said):
        await arun(["Hello?"], folder.output, client=folder.client, **options)
    assert not folder.output.exists()


async def test_stdout_keeps_no_rows(folder: Folder) -> None:
    """What needs rows that were written is refused there."""
    with pytest.raises(ConfigurationError, match="ordered"):
        await arun(["Hello?"], "-", client=folder.client, ordered=True)
    with pytest.raises(ConfigurationError, match="retry_failed"):
        await arun(["Hello?"], "-", client=folder.client, retry_failed=True)


async def test_one_file_cannot_be_both(folder: Folder) -> None:
    """The input is never written over, by whatever path it is named."""
    folder.write(*questions(1))
    before = folder.input.read_bytes()
    link = folder.input.with_name("link.jsonl")
    link.symlink_to(folder.input)
    for output in (folder.input, link):
        with pytest.raises(ConfigurationError, match="both the input and the output"):
            await arun(folder.input, output, client=folder.client)
    assert folder.input.read_bytes() == before


async def test_a_path_that_cannot_be_is_refused(folder: Folder) -> None:
    """It is refused like any other path that cannot be opened."""
    folder.write(*questions(1))
    with pytest.raises(ConfigurationError, match=r"null (byte|character)"):
        await arun(folder.input, "a\0.jsonl", client=folder.client)


async def test_a_client_is_made_where_none_is_given(folder: Folder) -> None:
    """A function that makes one is called once, and what it made is closed at the end."""
    backend = FakeBackend()
    folder.write(*questions(1))
    await Batch(folder.input, folder.output, client=lambda: client_of(backend)).run()
    assert backend.calls.count("close") == 1


async def test_nothing_is_written_where_no_client_can_be_made(tmp_path: Path) -> None:
    """A service that is not configured is reported before any file is made."""
    with pytest.raises(ConfigurationError):
        await arun(["Hello?"], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
