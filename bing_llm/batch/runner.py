"""One run of a batch: rows in, the same rows with their outcomes out, each exactly once."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias, TypedDict, Unpack

from bing_llm import sync
from bing_llm.batch.cluster import MakeClient, RayWorkers
from bing_llm.batch.engine import Engine, LocalWorker, Worker
from bing_llm.batch.outputs import Output, open_output
from bing_llm.batch.progress import Summary, Tally
from bing_llm.batch.rows import BadRow, Failed, Fields, Record, Row, bad_row, own_key, parse_row, render_row
from bing_llm.batch.sources import Rows, Source, open_source, prefetch
from bing_llm.client import BingClient
from bing_llm.errors import BatchStopped, BingError, ConfigurationError, InvalidRequest, Throttled
from bing_llm.limits import Retries

Given: TypeAlias = str | os.PathLike[str] | Rows

_TWICE = InvalidRequest("An earlier row has the same id.", hint="Give each row an id of its own, or none at all.")


class Options(TypedDict, total=False):
    """How a batch runs.

    Attributes:
        client: The client that asks; None for a `BingClient()` of the environment. A function that makes one is called
            in each process that asks, and its client is closed at the end. A client that is passed stays open.
        concurrency: How many rows may be open at once, on all machines together. 4: about what a person with a few
            windows would do. While a service throttles, fewer are open.
        rate: How many turns a minute are begun at most, spread evenly; further attempts count. None: no limit.
        ordered: Whether the output is sorted into the order of the input when all rows are done.
        retry_failed: Whether rows that failed in an earlier run are asked again. False: they count as done.
        patience: How long to wait for a service that throttles or cannot be reached, in seconds since its last answer.
            3600; a daily quota needs half a day.
        ray: The address of a Ray cluster whose machines ask (extra `ray`), `local` to start one on this machine, or
            `auto`. None: this process asks.
        workers: How many processes of Ray ask; None: as many as the cluster has processors, at most `concurrency`.
        progress: Called after each row with the counts so far.
    """

    client: BingClient | MakeClient | None
    concurrency: int
    rate: float | None
    ordered: bool
    retry_failed: bool
    patience: float
    ray: str | None
    workers: int | None
    progress: Callable[[Tally], None] | None


class Batch:
    """One run. Arguments as in `arun`.

    Attributes:
        tally: The counts so far.

    Raises:
        ConfigurationError: A value is not allowed.
    """

    def __init__(
        self,
        source: Given,
        output: str | os.PathLike[str],
        *,
        client: BingClient | MakeClient | None = None,
        concurrency: int = 4,
        rate: float | None = None,
        ordered: bool = False,
        retry_failed: bool = False,
        patience: float = 3600.0,
        ray: str | None = None,
        workers: int | None = None,
        progress: Callable[[Tally], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_count("concurrency", concurrency)
        _check_count("workers", 1 if workers is None else workers)
        _check_above_zero("rate", 1.0 if rate is None else rate)
        _check_above_zero("patience", patience)
        if workers is not None and ray is None:
            raise ConfigurationError("workers is only for Ray.", hint="Pass ray= too, or leave workers= out.")
        if ray is not None and isinstance(client, BingClient):
            msg = "A client cannot be sent to other machines."
            raise ConfigurationError(msg, hint="With ray=, pass a function that makes one, or no client.")
        _check_places(source, output, ordered=ordered, retry_failed=retry_failed)
        self.tally = Tally()
        self._source = source
        self._output = output
        self._client = client
        self._concurrency = concurrency
        self._rate = rate
        self._ordered = ordered
        self._retry_failed = retry_failed
        self._patience = patience
        self._ray = ray
        self._workers = workers
        self._progress = progress
        self._clock = clock
        self._engine: Engine | None = None
        self._is_stopping = False
        self._is_read = False

    async def run(self) -> Summary:
        """Ask all rows that the output does not have.

        Raises:
            ConfigurationError: Something cannot work; nothing was asked.
            BatchStopped: Not all rows were asked. What was done is kept.
        """
        began = self._clock()
        source = open_source(self._source)
        self.tally.total = _count(source)
        async with self._new_engine() as engine:
            output = open_output(self._output, retry_failed=self._retry_failed)
            try:
                return await self._run(engine, source, output, began)
            finally:
                output.close()

    def stop(self) -> bool:
        """Begin no further turn; `run` ends when the open ones have ended. Call it on the loop of `run`.

        Returns:
            False if it was called before. A second Ctrl-C, for example, should then cancel `run`.
        """
        if self._is_stopping:
            return False
        self._is_stopping = True
        if self._engine is not None:
            self._engine.stop()
        return True

    async def _run(self, engine: Engine, source: Source, output: Output, began: float) -> Summary:
        self.tally.earlier_failed = output.earlier_failed
        self.tally.watch(engine)
        self._engine = engine
        try:
            complete = await self._ask_all(engine, source, output)
        except BatchStopped as exc:
            exc.summary = self.tally.summary(self._clock() - began, complete=False)
            raise
        return self.tally.summary(self._clock() - began, complete=complete)

    async def _ask_all(self, engine: Engine, source: Source, output: Output) -> bool:
        """Whether the output now has every row of the input; False only after `stop`."""
        async with aclosing(self._todo(source, output)) as rows, aclosing(engine.answers(rows)) as answers:
            async for row in answers:
                self._keep(output, row)
        if self._is_read and not self.tally.open:  # even if the engine stopped at the last rows
            _finish(output, ordered=self._ordered)
            return True
        if engine.stopped is not None:
            raise _stopped(engine.stopped) from engine.stopped
        if not self._is_stopping:
            raise BatchStopped(f"{self.tally.open} rows were asked and have no outcome.")
        return False

    async def _todo(self, source: Source, output: Output) -> AsyncGenerator[Row, None]:
        """The rows to ask."""
        async with aclosing(prefetch(source.blocks())) as blocks:
            while not self._is_stopping:
                try:
                    block = await anext(blocks)
                except StopAsyncIteration:
                    self._is_read = True
                    return
                except OSError as exc:
                    raise BatchStopped(f"{source.name} cannot be read any further: {exc.strerror or exc}.") from exc
                for row in takewhile(lambda _: not self._is_stopping, self._claim(block, output)):
                    self.tally.open += 1
                    yield row

    def _claim(self, records: Sequence[Record], output: Output) -> Iterator[Row]:
        """The rows that should be asked. The errors of those that cannot be asked are written here."""
        # A row with an id of its own is parsed only if it is not done; without one, its key depends on what it is.
        rows = [own_key(record) or parse_row(record) for record in records]
        keys = [row if isinstance(row, str) else row.key for row in rows]
        numbers = [record.number for record in records]
        with _writing():
            claims = output.claim([*zip(keys, numbers, strict=True)])
        done = claims.count("done")
        self.tally.earlier += done
        if done == len(claims):
            return
        for record, row, claim in zip(records, rows, claims, strict=True):
            if claim != "done":
                parsed = parse_row(record) if isinstance(row, str) else row
                if isinstance(parsed, Row) and claim == "new":
                    yield parsed
                else:
                    self._keep_bad(parsed, output, is_new=claim == "new")

    def _keep_bad(self, row: Row | BadRow, output: Output, *, is_new: bool) -> None:
        """Write the error of a row that cannot be asked, unless an earlier run did."""
        if not is_new:
            row = bad_row(row.number, row.fields, _TWICE)
            with _writing():
                (claim,) = output.claim([(row.key, row.number)])
            if claim == "done":
                self.tally.earlier += 1
                return
        if isinstance(row, BadRow):
            self.tally.open += 1
            self._keep(output, render_row(row, Failed(row.error)))

    def _keep(self, output: Output, row: Fields) -> None:
        with _writing():
            output.append(row)
        self.tally.open -= 1
        self.tally.add(row)
        if self._progress is not None:
            self._progress(self.tally)

    @asynccontextmanager
    async def _new_engine(self) -> AsyncGenerator[Engine, None]:
        given = self._client
        if isinstance(given, BingClient):
            yield self._engine_of(LocalWorker(given), given.retries)
        elif self._ray is not None:
            async with RayWorkers(self._ray, given, workers=self._workers, concurrency=self._concurrency) as workers:
                yield self._engine_of(workers, None)
        else:
            async with BingClient() if given is None else given() as client:
                yield self._engine_of(LocalWorker(client), client.retries)

    def _engine_of(self, worker: Worker, retries: Retries | None) -> Engine:
        return Engine(worker, concurrency=self._concurrency, rate=self._rate, patience=self._patience, retries=retries)


async def arun(source: Given, output: str | os.PathLike[str], **options: Unpack[Options]) -> Summary:
    """Ask every row of a file, and write the rows with their answers to another.

    A row has `prompt` (str) or `messages` (a list of mappings with `role` and `content`), and may have an `id` (str or
    int; without one its place in the input stands for it), a `context` for its prompt, and a `model`. All other
    fields are carried through. An output row is the input row with `text`, `citations`, `finish_reason`, `attempts` and
    `seconds` (of the last attempt), or with `error` (its `type`, `message` and `hint`) instead of the first three.

    Rows are written and flushed as they end. The same call with the same output continues an earlier one, however that
    ended. The output is read at the beginning, and sorted or converted at the end, on the thread that runs this: some
    seconds for a hundred thousand rows.

    Args:
        source: A file of JSON lines (`.jsonl`, `.ndjson`), CSV or Parquet, `-` for JSON lines from stdin, or the rows
            themselves, of which a str is a prompt.
        output: Such a file, or `-` for stdout, which no later run can continue. While a CSV or Parquet file is not
            complete, its rows are in `<output>.journal.jsonl`.
        **options: See `Options`.

    Raises:
        ConfigurationError: A value is not allowed, a file cannot be read, or the output is not one of ours; nothing was
            asked.
        BatchStopped: Not all rows were asked: the service was lost, refused the caller or throttled for longer than
            `patience`, or the output cannot be written. What was done is kept; its `summary` has the counts.
    """
    return await Batch(source, output, **options).run()


def run(source: Given, output: str | os.PathLike[str], **options: Unpack[Options]) -> Summary:
    """Ask every row of a file, from synchronous code. The arguments and errors are those of `arun`."""
    return sync.run(arun(source, output, **options))


def _stopped(why: BingError) -> BatchStopped:
    hint = f"{why.hint} {BatchStopped.default_hint}".strip()
    if isinstance(why, Throttled):
        hint += " With more patience it would wait longer."
    return BatchStopped(f"The batch stopped: {why.message}", hint=hint, retry_after=why.retry_after)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise BatchStopped(f"The output cannot be written: {exc.strerror or exc}.") from exc


def _count(source: Source) -> int | None:
    try:
        return source.count()
    except OSError as exc:
        msg = f"{source.name} cannot be read: {exc.strerror or exc}."
        raise ConfigurationError(msg, hint="Choose another input.") from exc


def _finish(output: Output, *, ordered: bool) -> None:
    try:
        output.finish(ordered=ordered)
    except OSError as exc:
        raise BatchStopped(f"The output cannot be completed: {exc.strerror or exc}.") from exc
    except ConfigurationError as exc:  # which would say that nothing was asked
        raise BatchStopped(f"The output cannot be completed: {exc.message}", hint=exc.hint) from exc


def _check_count(name: str, count: object) -> None:
    if not (isinstance(count, int) and count >= 1):
        raise ConfigurationError(f"{name} is {count!r}; it must be a whole number from 1 on.")


def _check_above_zero(name: str, value: object) -> None:
    if not (isinstance(value, int | float) and 0 < value <= sys.float_info.max):
        raise ConfigurationError(f"{name} is {value!r}; it must be a number above 0.")


def _check_places(source: Given, output: str | os.PathLike[str], *, ordered: bool, retry_failed: bool) -> None:
    if os.fspath(output) == "-":
        if ordered or retry_failed:
            name = "ordered" if ordered else "retry_failed"
            raise ConfigurationError(f"{name} needs rows that were written; stdout keeps none.", hint="Name a file.")
    elif isinstance(source, str | os.PathLike) and _is_same_file(Path(source), Path(output)):
        msg = f"{os.fspath(output)!r} is both the input and the output."
        raise ConfigurationError(msg, hint="Name another file for the output.")


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one of them does not exist or cannot be read: opening it will say so
        return False
