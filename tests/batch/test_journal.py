"""The journal: nothing lost, nothing twice, nothing of others destroyed."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bing_llm.batch.index import Index
from bing_llm.batch.journal import Journal, rows_of
from bing_llm.batch.kept import as_line
from bing_llm.batch.rows import key_of
from bing_llm.errors import ConfigurationError
from tests.batch.output_rows import answered, failed, ids, kept_in, unreadable

STRANGERS = {
    "prompts": b'{"id": 1, "prompt": "x"}\n{"id": 2, "prompt": "y"}\n',
    "compact prompts": b'{"id":1,"prompt":"x"}\n',
    "one prompt without its line end": b'{"id":1,"prompt":"x"}',
    "text": b"Dear diary,\n",
    "text without its line end": b"Dear diary,",
    "binary": bytes(range(256)) * 9,
    "nul": b"\0" * 99,
    "an array": b"[1, 2]\n",
    "a blank line": b"\n",
    "ours, then prompts": as_line(answered(1)) + b'{"id":2,"prompt":"x"}\n',
    "ours, then a torn line, then ours": as_line(answered(1))
    + as_line(answered(2))[:20]
    + b"\n"
    + as_line(answered(3)),
    "ours, then a prompt without its line end": as_line(answered(1)) + b'{"id":2,"prompt":"x"}',
    "ours, twice": as_line(answered(1)) + as_line(failed(1)),
    "ours in UTF-16": as_line(answered(1)).decode().encode("utf-16"),
}


@contextmanager
def opened(path: Path, *, retry_failed: bool = False) -> Iterator[tuple[Journal, Index]]:
    """A journal with its index."""
    index = Index()
    try:
        journal = Journal(path, index, retry_failed=retry_failed)
        try:
            yield journal, index
        finally:
            journal.close()
    finally:
        index.close()


def run(path: Path, rows: list[dict[str, Any]], *, retry_failed: bool = False) -> None:
    """One run of a batch: claim all rows, append those that are new."""
    with opened(path, retry_failed=retry_failed) as (journal, index):
        for number, row in enumerate(rows, 1):
            if index.claim(key_of(row), number) == "new":
                journal.append(key_of(row), row)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "out.jsonl"


def test_a_run_goes_on_with_what_is_there(path: Path) -> None:
    """Rows that are there are not asked again."""
    run(path, [answered(1), failed(2)])
    run(path, [answered(1, "another text"), failed(2), answered(3), unreadable(4)])
    assert kept_in(path) == [answered(1), failed(2), answered(3), unreadable(4)]


def test_what_was_found_is_counted(path: Path) -> None:
    """All rows, and those of them that failed."""
    run(path, [answered(1), failed(2), unreadable(3)])
    with opened(path) as (journal, _):
        assert (journal.earlier, journal.earlier_failed) == (3, 2)
    with opened(path, retry_failed=True) as (journal, _):
        assert (journal.earlier, journal.earlier_failed) == (1, 0)


@pytest.mark.parametrize(
    "last", [answered(3, "a \u2028 text \u00e4\U0001f600\nof two lines"), failed(3), unreadable(3)]
)
def test_a_journal_that_was_cut_at_any_byte_is_completed(path: Path, last: dict[str, Any]) -> None:
    """A kill in the middle of a line costs that row at most: each id is there exactly once after the next run."""
    rows = [answered(1), failed(2), last]
    before = b"".join(as_line(row) for row in rows[:2])
    line = as_line(last)
    for end in range(len(line) + 1):
        path.write_bytes(before + line[:end])
        run(path, [*rows, answered(4)])
        assert kept_in(path) == [*rows, answered(4)]


def test_a_first_line_that_was_cut_at_any_byte_is_completed(path: Path) -> None:
    """Also where there is no other line that tells whose the file is."""
    line = as_line(answered("first"))
    for end in range(len(line) + 1):
        path.write_bytes(line[:end])
        run(path, [answered("first")])
        assert kept_in(path) == [answered("first")]


def test_a_torn_line_is_dropped_before_failed_rows(path: Path) -> None:
    """Both in one start."""
    path.write_bytes(as_line(failed(1)) + as_line(answered(2)) + as_line(answered(3))[:-9])
    run(path, [answered(1), answered(2), answered(3)], retry_failed=True)
    assert kept_in(path) == [answered(2), answered(1), answered(3)]


@pytest.mark.parametrize("retry_failed", [False, True])
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_what_is_no_output_of_ours_is_not_touched(path: Path, stranger: bytes, *, retry_failed: bool) -> None:
    """It is refused with the line that shows it."""
    path.write_bytes(stranger)
    with pytest.raises(ConfigurationError, match=r"Line \d of .* the file was not touched"):
        run(path, [answered(1)], retry_failed=retry_failed)
    assert path.read_bytes() == stranger
    assert list(path.parent.iterdir()) == [path]


def test_a_line_that_is_too_long_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file of others must not be in memory whole to be known."""
    monkeypatch.setattr("bing_llm.batch.journal.MAX_LINE", 999)
    path.write_bytes(as_line(answered(1)) + as_line(answered(2, "x" * 999)))
    with pytest.raises(ConfigurationError, match="Line 2"):
        run(path, [])


def test_an_empty_file_is_taken(path: Path) -> None:
    """There is nothing in it to destroy."""
    path.touch()
    run(path, [answered(1)])
    assert ids(path) == ["1"]


def test_line_ends_of_windows_are_read(path: Path) -> None:
    """An editor may have written them."""
    path.write_bytes(as_line(answered(1)).replace(b"\n", b"\r\n") + as_line(answered(2)).replace(b"\n", b"\r\n"))
    run(path, [answered(1), answered(2), answered(3)])
    assert ids(path) == ["1", "2", "3"]


def no_space(*_: object, **__: object) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("owner", "step"), [(os, "fsync"), (Path, "replace"), (os, "chmod")])
def test_a_retry_that_fails_at_any_step_keeps_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str
) -> None:
    """Failed rows are taken out as a whole or not at all."""
    rows = [failed(1), answered(2), failed(3), answered(4)]
    run(path, rows)
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, no_space)
        with pytest.raises(OSError, match="No space left"):
            run(path, rows, retry_failed=True)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_retry_without_room_keeps_the_file(path: Path) -> None:
    """A disk that is full in the middle of the new file takes nothing from the old one."""
    rows = [failed(1), *(answered(number, "x" * 9000) for number in range(2, 9))]
    run(path, rows)
    before = path.read_bytes()
    with files_of_at_most(30_000), pytest.raises(OSError, match="too large"):
        run(path, rows, retry_failed=True)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_failed_rows_are_asked_again(path: Path) -> None:
    """And then they are there once."""
    run(path, [failed(1), answered(2), unreadable(3)])
    run(path, [answered(1), answered(2), answered(3)], retry_failed=True)
    assert kept_in(path) == [answered(2), answered(1), answered(3)]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system lets no file grow over this size: a write takes what fits, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 30, 199])
def test_a_full_disk_keeps_the_whole_lines(path: Path, room: int) -> None:
    """What fits of a row is taken back; with room again the run can go on."""
    first, second = answered(1), answered(2, "x" * 200)
    with opened(path) as (journal, index):
        for number, row in enumerate((first, second), 1):
            index.claim(key_of(row), number)
        journal.append(key_of(first), first)
        with files_of_at_most(len(as_line(first)) + room), pytest.raises(OSError, match=r".*") as caught:
            journal.append(key_of(second), second)
        assert caught.value.errno == errno.EFBIG
        assert kept_in(path) == [first]
        journal.append(key_of(second), second)
        assert kept_in(path) == [first, second]
        assert list(index.places()) == [0, len(as_line(first))]


class Failing:
    """A file whose writes take a part and then fail, and that cannot be cut while `stuck`."""

    def __init__(self, file: Any, takes: int) -> None:
        self.file = file
        self.takes = takes
        self.stuck = True

    def write(self, data: memoryview) -> int:
        """Take a part, then nothing."""
        if not self.takes:
            no_space()
        taken, self.takes = self.takes, 0
        return int(self.file.write(data[:taken]))

    def truncate(self, size: int) -> None:
        """Cut, unless stuck."""
        if self.stuck:
            raise OSError(errno.EIO, "Input/output error")
        self.file.truncate(size)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def test_a_part_that_cannot_be_taken_back_at_once_is_before_the_next_row(path: Path) -> None:
    """A row is never written behind a torn line; the error is that of the write."""
    first, second = answered(1), answered(2)
    with opened(path) as (journal, index):
        index.claim("id 1", 1)
        index.claim("id 2", 2)
        journal.append("id 1", first)
        real = journal._file
        failing = Failing(real, takes=20)
        journal._file = failing  # type: ignore[assignment]  # it can what append needs
        with pytest.raises(OSError, match="No space left"):
            journal.append("id 2", second)
        with pytest.raises(OSError, match="Input/output error"):
            journal.append("id 2", second)
        assert path.read_bytes() == as_line(first) + as_line(second)[:20]
        failing.stuck = False
        failing.takes = 10**6
        journal.append("id 2", second)
        assert kept_in(path) == [first, second]


def test_a_part_that_stays_is_dropped_by_the_next_run(path: Path) -> None:
    """It is what a kill leaves."""
    with opened(path) as (journal, index):
        index.claim("id 1", 1)
        journal._file = Failing(journal._file, takes=20)  # type: ignore[assignment]  # it can what append needs
        with pytest.raises(OSError, match="No space left"):
            journal.append("id 1", answered(1))
    assert path.stat().st_size == 20
    run(path, [answered(1)])
    assert kept_in(path) == [answered(1)]


def test_each_row_is_one_write(path: Path) -> None:
    """It is in the file when append returns, so that a kill takes no row that was reported."""
    with opened(path) as (journal, index):
        for number in (1, 2):
            index.claim(f"id {number}", number)
            journal.append(f"id {number}", answered(number))
            assert len(kept_in(path)) == number


def test_rows_are_sorted_by_the_input(path: Path) -> None:
    """Those of earlier runs among them; what the input has not goes to the end."""
    run(path, [answered("gone"), answered("c"), answered("also gone")])
    with opened(path) as (journal, index):
        for number, own in enumerate("abcd", 1):
            index.claim(f"id {own}", number)
        for own in "dba":
            journal.append(f"id {own}", answered(own))
        journal.sort()
    assert ids(path) == ["a", "b", "c", "d", "gone", "also gone"]


def test_a_sort_that_fails_keeps_the_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they were."""
    with opened(path) as (journal, index):
        for number, own in enumerate("ab", 1):
            index.claim(f"id {own}", number)
        for own in "ba":
            journal.append(f"id {own}", answered(own))
        before = path.read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", no_space)
            with pytest.raises(OSError, match="No space left"):
                journal.sort()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_sorted_journal_can_be_gone_on_with(path: Path) -> None:
    """By the next run, which finds all rows where they are now."""
    with opened(path) as (journal, index):
        for number, own in enumerate("ab", 1):
            index.claim(f"id {own}", number)
        for own in "ba":
            journal.append(f"id {own}", answered(own, "x" * ord(own)))
        journal.sort()
    run(path, [answered(own) for own in "cba"])
    assert ids(path) == ["a", "b", "c"]


def test_rows_are_read_in_the_order_of_the_file(path: Path) -> None:
    """As they were kept."""
    run(path, [answered(2), failed(1)])
    assert list(rows_of(path)) == [answered(2), failed(1)]
