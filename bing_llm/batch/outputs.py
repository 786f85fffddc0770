"""Where the rows of a batch go: a file, which a later run continues, or stdout.

JSONL is its own journal. A table (CSV or Parquet) is written from a journal when all rows are there, and a later run
restores the journal from it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol, TypeAlias

from bing_llm.batch import csv_rows, parquet_rows
from bing_llm.batch.files import atomic_write, format_of, load_extra
from bing_llm.batch.journal import Claim, Index, Journal, decode_row, encode_row, read_journal
from bing_llm.batch.rows import OUTPUT_FIELDS, Fields
from bing_llm.errors import ConfigurationError

Table: TypeAlias = Literal["csv", "parquet"]

_FIRST: Final = ("id", "line")
_LAST: Final = tuple(name for name in OUTPUT_FIELDS if name not in _FIRST)
_MAX_COLUMNS: Final = 10_000  # a table has a cell of every row for each of them


class Output(Protocol):
    """Keeps the rows of a batch, each once.

    Attributes:
        earlier: How many rows of earlier runs were found.
        earlier_failed: How many of them have an error.
    """

    earlier: int
    earlier_failed: int

    def claim(self, rows: Sequence[tuple[str, int]]) -> list[Claim]:
        """Claim rows of the input, each its key and its number: it is new, done by an earlier run, or comes again.

        Raises:
            OSError: There is no room to remember it.
        """

    def append(self, row: Fields) -> None:
        """Write a claimed row, once.

        Raises:
            OSError: It could not be written; all earlier rows are kept.
        """

    def finish(self, *, ordered: bool) -> None:
        """Complete the output, which has all rows: sort them as the input is, if asked to, and write the table.

        Raises:
            OSError: That could not be written; all rows are kept as they were.
            ConfigurationError: The rows do not fit into a table; all are kept in the journal.
        """

    def close(self) -> None:
        """Release the file. It may be called twice."""


def open_output(target: str | os.PathLike[str], *, retry_failed: bool = False) -> Output:
    """The output at a path, whose extension gives its format, or stdout (`-`, JSONL).

    JSONL is written as it comes. Beside a table, CSV or Parquet, is a journal of that name with `.journal.jsonl` until
    `finish`. A later run with the same output continues it. A file that is not the output of a batch is never touched.

    Args:
        target: The path.
        retry_failed: Remove failed rows of earlier runs, so that they are asked again.

    Raises:
        ConfigurationError: Another run writes it, it is not the output of a batch, its format is unknown, or it
            cannot be written.
    """
    name = os.fspath(target)
    if name == "-":
        return _Stdout()
    with _usable(name):
        path = Path(os.path.realpath(name))
        format_ = format_of(path)
        if not path.parent.is_dir():
            raise ConfigurationError(f"There is no folder {str(path.parent)!r}.", hint="Make it, or choose another.")
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"{name!r} is not a file.", hint="Use - to write JSONL to stdout.")
        return _File(path, None if format_ == "jsonl" else format_, retry_failed=retry_failed)


class _Stdout:
    earlier = 0
    earlier_failed = 0

    def __init__(self) -> None:
        if sys.stdout is None:
            raise ConfigurationError("stdout is closed.", hint="Name a file for the output.")
        self._index = Index()

    def claim(self, rows: Sequence[tuple[str, int]]) -> list[Claim]:
        return self._index.claim(rows)

    def append(self, row: Fields) -> None:
        sys.stdout.buffer.write(encode_row(row))
        sys.stdout.buffer.flush()

    def finish(self, *, ordered: bool) -> None:
        """Nothing is left to do; what is written cannot be sorted."""

    def close(self) -> None:
        self._index.close()


class _File:
    """JSONL, which is its own journal, or a table and its journal."""

    def __init__(self, path: Path, table: Table | None, *, retry_failed: bool) -> None:
        self._path = path
        self._table = table
        self._journal_path = path if table is None else path.with_name(f"{path.name}.journal.jsonl")
        with ExitStack() as stack:
            stack.enter_context(_locked(self._journal_path))
            if table is not None:
                _prepare(path, self._journal_path, table)
            self._index = Index()
            stack.callback(self._index.close)
            self._journal = Journal(self._journal_path, self._index, retry_failed=retry_failed)
            stack.callback(self._journal.close)
            self._opened = stack.pop_all()
        self.earlier = self._journal.earlier
        self.earlier_failed = self._journal.earlier_failed

    def claim(self, rows: Sequence[tuple[str, int]]) -> list[Claim]:
        return self._index.claim(rows)

    def append(self, row: Fields) -> None:
        self._journal.append(row)

    def finish(self, *, ordered: bool) -> None:
        self._journal.sync()
        if ordered:
            self._journal.sort()
        if self._table is not None:
            self._journal.close()
            write_table(self._journal_path, self._path, self._table)
            self._journal_path.unlink()  # a run that is killed before this has both, and continues the journal

    def close(self) -> None:
        self._opened.close()


def _prepare(path: Path, journal: Path, table: Table) -> None:
    if table == "parquet":
        load_extra("pyarrow.parquet")
    if path.exists():
        check_is_output(path, table)
        if not journal.exists():
            restore_journal(path, journal, table)


@contextmanager
def _locked(journal: Path) -> Iterator[None]:
    """Keep other runs out. The lock of a killed run ends with its process."""
    filelock = load_extra("filelock")
    lock = filelock.FileLock(f"{journal}.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        _check_takes_files(lock.lock_file)
        raise ConfigurationError(
            f"Another run is writing {str(journal)!r}.", hint="Wait for its end, or choose another output."
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # before the release: afterwards it may be another run's
            os.unlink(lock.lock_file)  # noqa: PTH108 - lock_file is a str
        lock.release()


def _check_takes_files(lock_file: str) -> None:
    """Refuse a place such as /proc, where no file can be made: filelock takes that for a lock that is held."""
    try:
        Path(lock_file).touch()
    except PermissionError:  # Windows says so of a file that is locked
        return
    except FileNotFoundError:
        folder = str(Path(lock_file).parent)
        raise ConfigurationError(f"No file can be made in {folder!r}.", hint="Choose another output.") from None


@contextmanager
def _usable(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, NotImplementedError) as exc:  # the last: filelock's, if a file system has no locks
        why = getattr(exc, "strerror", None) or exc
        raise ConfigurationError(f"{name!r} cannot be written: {why}.", hint="Choose another output.") from exc


class _TableFormat(Protocol):
    """What the module of a table's format does."""

    def column_names(self, path: Path) -> list[str]:
        """The names of the columns."""

    def write_table(self, file: BinaryIO, columns: Mapping[str, set[str]], rows: Iterable[Fields]) -> None:
        """Write the rows of an output, whose columns have values of these kinds."""

    def read_table(self, path: Path) -> Iterator[tuple[str, Fields | None]]:
        """The place and the fields of each row; None for a row that is not one of an output."""


_TABLES: Final[dict[Table, _TableFormat]] = {"csv": csv_rows, "parquet": parquet_rows}


def write_table(journal: Path, path: Path, table: Table) -> None:
    """Write the table of a journal in place of what is at `path`.

    In CSV, a value that is not text is JSON, and null is nothing. In Parquet, a column of nested values or of several
    types is JSON, and the fields of the output have types of their own.

    Raises:
        OSError: It cannot be written; `path` is as it was.
        ConfigurationError: The rows have over 10,000 different fields, too many for a table.
    """
    columns = _columns(read_journal(journal))
    with atomic_write(path) as file:
        _TABLES[table].write_table(file, columns, read_journal(journal))


def restore_journal(path: Path, journal: Path, table: Table) -> None:
    """Write the journal of a table that `write_table` wrote.

    Raises:
        ConfigurationError: Something else wrote it; the journal was not written.
        OSError: The journal cannot be written.
    """
    with atomic_write(journal) as file:
        for place, fields in _TABLES[table].read_table(path):
            line = None if fields is None else _restored_line(fields)
            if line is None:
                raise _refused(path, f"{place} is not a row of an output")
            file.write(line)


def check_is_output(path: Path, table: Table) -> None:
    """Refuse a table that does not have the columns of an output.

    Raises:
        ConfigurationError: It does not, or it is not such a table.
    """
    if not {*_FIRST, *_LAST} <= set(_TABLES[table].column_names(path)):
        raise _refused(path, "it does not have the columns of an output")


def _columns(rows: Iterable[Fields]) -> dict[str, set[str]]:
    """All columns in their order, each with the kinds of its values."""
    kinds: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            found = kinds.setdefault(name, set())
            if value is not None:
                found.add(parquet_rows.kind_of(value))
        if len(kinds) > _MAX_COLUMNS:
            raise ConfigurationError(
                f"The rows have over {_MAX_COLUMNS:,} different fields, too many for a table.",
                hint="The journal beside the output has all answers; it is JSONL.",
            )
    own = {name: found for name, found in kinds.items() if name not in {*_FIRST, *_LAST}}
    return {"id": kinds.get("id", set()), "line": set(), **own, **{name: set() for name in _LAST}}


def _restored_line(fields: Fields) -> bytes | None:
    """The line of the journal for a row of a table; None if it is not a row of an output."""
    if "id" not in fields and "line" not in fields:
        return None
    if "error" not in fields:  # in a table, empty and missing values are the same
        fields = {**fields, "text": fields.get("text", ""), "citations": fields.get("citations", [])}
    order = (*_FIRST, *(name for name in fields if name not in {*_FIRST, *_LAST}), *_LAST)
    try:
        line = encode_row({name: fields[name] for name in order if name in fields})
    except (TypeError, ValueError):
        return None
    return line if decode_row(line) else None


def _refused(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"{str(path)!r} was not touched: {why}.", hint="Choose another output.")
