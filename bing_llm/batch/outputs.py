"""Where the rows of a batch go: a file, which a later run goes on with, or stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from bing_llm.batch.formats import format_of, needed
from bing_llm.batch.index import Claim, Index
from bing_llm.batch.journal import Journal
from bing_llm.batch.kept import as_line
from bing_llm.batch.tables import Table, check_ours, to_journal, to_table
from bing_llm.errors import ConfigurationError

__all__ = ["Output", "open_output"]


class Output(Protocol):
    """Keeps the rows of a batch, each once.

    Attributes:
        earlier: Rows of earlier runs that were found.
        earlier_failed: Of them, those with an error.
    """

    earlier: int
    earlier_failed: int

    def claim(self, key: str, number: int) -> Claim:
        """The row with this number in the input has this key: "new", "done" by an earlier run, or seen "again".

        Raises:
            OSError: There is no room to remember it.
        """

    def append(self, key: str, row: Mapping[str, Any]) -> bool:
        """Keep a claimed row; False, and nothing is written, where a row with its key is kept already.

        Raises:
            OSError: It could not be kept; all earlier rows are.
        """

    def finish(self, *, ordered: bool) -> None:
        """All rows are there: bring them into the order of the input if asked to, and into the format of the file.

        Raises:
            OSError: That could not be written; all rows are kept as they were.
            ConfigurationError: The rows fit into no table; all are kept in the journal.
        """

    def close(self) -> None:
        """Give the file back, whatever happened; twice is fine."""


def open_output(target: str | os.PathLike[str], *, retry_failed: bool = False) -> Output:
    """The output at a path, whose extension gives its format, or stdout (`-`, JSONL).

    JSONL is written as it comes. Beside a table, CSV or Parquet, is a journal of that name with `.journal.jsonl` until
    `finish`. A later run with the same output goes on with what is there; what is no output of a batch is never
    touched.

    Args:
        target: The path.
        retry_failed: Take failed rows of earlier runs out, so that they are asked again.

    Raises:
        ConfigurationError: Another run writes it, it is no output of a batch, it is of no known format, or it cannot
            be written.
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

    def claim(self, key: str, number: int) -> Claim:
        return self._index.claim(key, number)

    def append(self, key: str, row: Mapping[str, Any]) -> bool:
        if self._index.holds(key):
            return False
        sys.stdout.buffer.write(as_line(row))
        sys.stdout.buffer.flush()
        self._index.put(key, 0)
        return True

    def finish(self, *, ordered: bool) -> None:
        """Nothing is left to do; what is written cannot be sorted."""

    def close(self) -> None:
        self._index.close()


class _File:
    """JSONL, which is its own journal; or a table, which is made of one."""

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

    def claim(self, key: str, number: int) -> Claim:
        return self._index.claim(key, number)

    def append(self, key: str, row: Mapping[str, Any]) -> bool:
        return self._journal.append(key, row)

    def finish(self, *, ordered: bool) -> None:
        self._journal.sync()
        if ordered:
            self._journal.sort()
        if self._table is not None:
            self._journal.close()
            to_table(self._journal_path, self._path, self._table)
            self._journal_path.unlink()  # a run that is killed before this has both, and goes on with the journal

    def close(self) -> None:
        self._opened.close()


def _prepare(path: Path, journal: Path, table: Table) -> None:
    if table == "parquet":
        needed("pyarrow.parquet")
    if path.exists():
        check_ours(path, table)
        if not journal.exists():
            to_journal(path, journal, table)


@contextmanager
def _locked(journal: Path) -> Iterator[None]:
    """Keep other runs out; the lock of a killed one is gone with it."""
    filelock = needed("filelock")
    lock = filelock.FileLock(f"{journal}.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise ConfigurationError(
            f"Another run is writing {str(journal)!r}.", hint="Wait for its end, or choose another output."
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # before the release: afterwards it may be another run's
            os.unlink(lock.lock_file)  # noqa: PTH108 - lock_file is a str
        lock.release()


@contextmanager
def _usable(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, NotImplementedError) as exc:  # the last: filelock's, where a file system has no locks
        why = getattr(exc, "strerror", None) or exc
        raise ConfigurationError(f"{name!r} cannot be written: {why}.", hint="Choose another output.") from exc
