"""The journal of a batch: its lines, the index of its rows, and the file that survives a kill."""

from __future__ import annotations

import errno
import json
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.batch.journal import Index, Journal, decode_row, encode_row, is_torn, read_journal
from bing_llm.batch.rows import OUTPUT_FIELDS, Failed, Record, parse_row, render_row, row_key
from bing_llm.errors import ConfigurationError, InvalidRequest
from tests.batch.helpers import answered, failed, ids, kept_in, unreadable

# --- lines ------------------------------------------------------------------------------------------------------------


ROWS = [answered(1), answered("a\nb\u2028c", text=""), failed("x", tag=[1]), unreadable(7)]
FIELDS = st.dictionaries(
    st.sampled_from(["id", "prompt", "tag", *OUTPUT_FIELDS]) | st.text(max_size=3),
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
)


@pytest.mark.parametrize("row", ROWS)
def test_what_is_kept_is_known_again(row: dict[str, Any]) -> None:
    """By its key, and whether it failed."""
    line = encode_row(row)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    found = decode_row(line)
    assert found is not None
    assert (found.key, found.failed) == (row_key(row), "error" in row)


def test_the_lines_are_those_of_earlier_versions() -> None:
    """An output that an earlier version began is continued: its bytes may change in no version."""
    assert b"".join(encode_row(row) for row in (answered("a", tag=1), failed(2), unreadable(7))) == (
        b'{"id":"a","prompt":"The capital of France?","tag":1,"text":"Paris.","citations":[{"number":1,'
        b'"url":"https://a.example/","title":"A, \\"quoted\\""}],"finish_reason":"stop","attempts":2,"seconds":1.5}\n'
        b'{"id":2,"prompt":"The capital of France?","error":{"type":"ServiceError","message":"It broke.",'
        b'"hint":"This is on the service\'s side; try again later."},"attempts":3,"seconds":0.25}\n'
        b'{"line":7,"error":{"type":"InvalidRequest","message":"Line 7 is not a JSON object.",'
        b'"hint":"Change the request; sending it again as it is will fail again."},"attempts":0,"seconds":0.0}\n'
    )


@pytest.mark.parametrize("row", ROWS)
def test_any_beginning_of_a_line_is_torn(row: dict[str, Any]) -> None:
    """A kill may come after any byte; only the whole object, with or without its line end, keeps the row."""
    line = encode_row(row)
    for end in range(len(line) - 1):
        assert decode_row(line[:end]) is None
        assert is_torn(line[:end])
    assert decode_row(line[:-1]) == decode_row(line)


@given(FIELDS)
def test_rows_of_any_input_are_known_again(fields: dict[str, Any]) -> None:
    """Whatever its fields are called and hold, and however it ended."""
    row = parse_row(Record(3, fields))
    output = render_row(row, Failed(InvalidRequest("No.")))
    found = decode_row(encode_row(output))
    assert found is not None
    assert (found.key, found.failed) == (row.key, True)


def test_what_tells_a_row_comes_first() -> None:
    """Whoever made the row: a torn line is known by its beginning."""
    row = answered("a")
    assert encode_row(dict(reversed(list(row.items())))).startswith(b'{"id":"a",')
    assert encode_row(unreadable(7)).startswith(b'{"line":7,')


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"\x00\x01\xff",
        b'{"id": 1, "prompt": "x"}',
        b'{"id":1,"prompt":"x"}',
        b'{"id":1,"text":"x","attempts":1,"seconds":1}',
        b'{"id":1,"text":"x","finish_reason":"stop","attempts":"1","seconds":1}',
        b'{"id":"","text":"x","finish_reason":"stop","attempts":1,"seconds":1}',
        b'{"text":"x","finish_reason":"stop","attempts":1,"seconds":1}',
        b'{"id":1,"error":"x","attempts":1,"seconds":1}',
        b"[" * 100_000,
    ],
)
def test_other_lines_are_neither_rows_nor_torn(line: bytes) -> None:
    """A stranger's file, above all one of prompts, is never taken for an output; only an empty end is nobody's."""
    assert decode_row(line) is None
    assert is_torn(line) == (line == b"")


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_whole_objects_of_others_are_not_torn(fields: dict[str, Any]) -> None:
    """However they are written."""
    for line in (json.dumps(fields).encode(), msgspec.json.encode(fields)):
        assert not is_torn(line)


# --- the index --------------------------------------------------------------------------------------------------------


@pytest.fixture
def index() -> Iterator[Index]:
    """An empty one."""
    made = Index()
    yield made
    made.close()


def claim(index: Index, key: str, number: int) -> str:
    """Claim one row."""
    (claimed,) = index.claim([(key, number)])
    return claimed


def add(index: Index, key: str, place: int) -> bool:
    """Add one row of an earlier run; whether it is new."""
    return index.add([(key, place)]) is None


def test_a_key_is_new_once(index: Index) -> None:
    """Then this run has it."""
    assert [claim(index, "a", 1), claim(index, "a", 2), claim(index, "b", 3)] == ["new", "again", "new"]


def test_a_row_of_an_earlier_run_is_done_once(index: Index) -> None:
    """A second row of the input with its key is a repetition, as it is in a first run."""
    assert add(index, "a", 0)
    assert [claim(index, "a", 1), claim(index, "a", 2)] == ["done", "again"]


def test_an_output_has_a_key_once(index: Index) -> None:
    """A second row with it is reported."""
    assert [add(index, "a", 0), add(index, "a", 9), add(index, "b", 20)] == [True, False, True]


def test_rows_are_claimed_in_blocks(index: Index) -> None:
    """A block may hold all kinds of rows, and a key twice; each is claimed as if it came alone."""
    assert index.add([("a", 0), ("b", 9)]) is None
    assert index.claim([("a", 1), ("c", 2), ("a", 3), ("c", 4), ("b", 5)]) == ["done", "new", "again", "again", "done"]
    assert index.claim([("c", 6), ("d", 7)]) == ["again", "new"]
    assert index.claim([]) == []
    index.put("c", 20)
    assert list(index.places()) == [0, 20, 9]


def test_the_first_repetition_of_a_block_is_found(index: Index) -> None:
    """Of an output, the line is named; it may repeat one of the same block or of an earlier one."""
    assert index.add([("a", 0), ("b", 9), ("a", 20), ("b", 30)]) == 2
    assert index.add([("c", 40), ("b", 50)]) == 1
    assert index.add([]) is None


@given(st.permutations([10, 20, 30]))
def test_sorted_means_in_the_order_of_the_input(places: list[int]) -> None:
    """Then nothing is written again."""
    index = Index()
    index.add([(str(number), place) for number, place in enumerate(places)])
    index.claim([(str(number), number) for number in range(3)])
    assert index.is_sorted() == (places == [10, 20, 30])
    index.close()


def test_a_cleared_index_knows_nothing(index: Index) -> None:
    """A cleared index is as before the first row."""
    add(index, "a", 0)
    index.clear()
    assert claim(index, "a", 1) == "new"


def test_places_come_in_the_order_of_the_input(index: Index) -> None:
    """Those that the input has not follow in their own order; a row that was never kept has no place."""
    for key, place in (("gone", 0), ("c", 10), ("also gone", 20)):
        add(index, key, place)
    for number, key in enumerate("abcd", 1):
        claim(index, key, number)
    index.put("d", 30)
    index.put("a", 40)
    assert list(index.places()) == [40, 10, 30, 0, 20]


@given(st.permutations(range(20)))
def test_any_order_of_ends_gives_the_order_of_the_input(ends: list[int]) -> None:
    """Rows end in any order."""
    index = Index()
    for number in range(20):
        claim(index, str(number), number)
    for place, number in enumerate(ends):
        index.put(str(number), place)
    assert [ends[place] for place in index.places()] == list(range(20))
    index.close()


def test_a_full_disk_is_an_os_error(index: Index) -> None:
    """A full disk stops the batch, as it does for the output, and the kept rows stay."""
    index._database.execute("COMMIT")
    index._database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(OSError, match="temporary database") as caught:
        index.claim([(str(number), number) for number in range(10_000)])
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_closing_twice_is_fine(index: Index) -> None:
    """Whoever closes need not know who did before."""
    index.close()
    index.close()


# --- the file ---------------------------------------------------------------------------------------------------------


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
    "ours, then prompts": encode_row(answered(1)) + b'{"id":2,"prompt":"x"}\n',
    "ours, then a torn line, then ours": encode_row(answered(1))
    + encode_row(answered(2))[:20]
    + b"\n"
    + encode_row(answered(3)),
    "ours, then a prompt without its line end": encode_row(answered(1)) + b'{"id":2,"prompt":"x"}',
    "ours, twice": encode_row(answered(1)) + encode_row(failed(1)),
    "ours in UTF-16": encode_row(answered(1)).decode().encode("utf-16"),
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
            if claim(index, row_key(row), number) == "new":
                journal.append(row)


@pytest.mark.parametrize("tail", [b"\0" * 5000, b'{"id":"x","te\0\0\0', b'\0\0\0xt"}\n', b"\0" * 4096 + b"\n"])
def test_blocks_of_nuls_after_whole_lines_are_cut(tmp_path: Path, tail: bytes) -> None:
    """A loss of power leaves them where the last blocks were not written; the whole lines before them are kept."""
    path = tmp_path / "out.jsonl"
    whole = encode_row(answered(1)) + encode_row(answered(2))
    path.write_bytes(whole + tail)
    run(path, [answered(1), answered(2), answered(3)])
    assert path.read_bytes() == whole + encode_row(answered(3))


@pytest.mark.parametrize("content", [b"\0" * 99, b"\0\n", encode_row(answered(1)) + b"\0\n" + encode_row(answered(2))])
def test_other_nuls_are_not_ours(tmp_path: Path, content: bytes) -> None:
    """A file that begins with them may be anything, and a line in the middle would be lost in silence."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not a row of an output"):
        run(path, [answered(3)])
    assert path.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no such locks")
@pytest.mark.parametrize("exists", [False, True])
def test_a_file_is_written_by_one_run_whatever_its_names(tmp_path: Path, *, exists: bool) -> None:
    """Two runs through hard links of one output are told by the file, not by its path; after the first, it is free."""
    path, link = tmp_path / "out.jsonl", tmp_path / "link.jsonl"
    if exists:
        run(path, [answered(1), failed(2)])
    with opened(path, retry_failed=True) as (journal, index):
        os.link(path, link)
        with pytest.raises(ConfigurationError, match=r"Another run is writing .*link"), opened(link):
            pass
        assert claim(index, "id 3", 3) == "new"
        journal.append(answered(3))
    run(link, [answered(4)])
    assert ids(path) == [*(["1"] if exists else []), "3", "4"]


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
    before = b"".join(encode_row(row) for row in rows[:2])
    line = encode_row(last)
    for end in range(len(line) + 1):
        path.write_bytes(before + line[:end])
        run(path, [*rows, answered(4)])
        assert kept_in(path) == [*rows, answered(4)]


def test_a_first_line_that_was_cut_at_any_byte_is_completed(path: Path) -> None:
    """Also if no other line shows whose file it is."""
    line = encode_row(answered("first"))
    for end in range(len(line) + 1):
        path.write_bytes(line[:end])
        run(path, [answered("first")])
        assert kept_in(path) == [answered("first")]


def test_a_torn_line_is_dropped_before_failed_rows(path: Path) -> None:
    """Both in one start."""
    path.write_bytes(encode_row(failed(1)) + encode_row(answered(2)) + encode_row(answered(3))[:-9])
    run(path, [answered(1), answered(2), answered(3)], retry_failed=True)
    assert kept_in(path) == [answered(2), answered(1), answered(3)]


@pytest.mark.parametrize("retry_failed", [False, True])
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_what_is_not_an_output_of_ours_is_not_touched(path: Path, stranger: bytes, *, retry_failed: bool) -> None:
    """It is refused with the line that shows it."""
    path.write_bytes(stranger)
    with pytest.raises(ConfigurationError, match=r"Line \d of .* the file was not touched"):
        run(path, [answered(1)], retry_failed=retry_failed)
    assert path.read_bytes() == stranger
    assert list(path.parent.iterdir()) == [path]


def test_a_line_that_is_too_long_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file of others must not be in memory whole to be known."""
    monkeypatch.setattr("bing_llm.batch.journal.MAX_LINE", 999)
    path.write_bytes(encode_row(answered(1)) + encode_row(answered(2, "x" * 999)))
    with pytest.raises(ConfigurationError, match="Line 2"):
        run(path, [])


def test_an_empty_file_is_taken(path: Path) -> None:
    """There is nothing in it to destroy."""
    path.touch()
    run(path, [answered(1)])
    assert ids(path) == ["1"]


def test_line_ends_of_windows_are_read(path: Path) -> None:
    """An editor may have written them."""
    path.write_bytes(encode_row(answered(1)).replace(b"\n", b"\r\n") + encode_row(answered(2)).replace(b"\n", b"\r\n"))
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
            claim(index, row_key(row), number)
        journal.append(first)
        with files_of_at_most(len(encode_row(first)) + room), pytest.raises(OSError, match=r".*") as caught:
            journal.append(second)
        assert caught.value.errno == errno.EFBIG
        assert kept_in(path) == [first]
        journal.append(second)
        assert kept_in(path) == [first, second]
        assert list(index.places()) == [0, len(encode_row(first))]


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
    """A row is never written after a torn line; the error is that of the write."""
    first, second = answered(1), answered(2)
    with opened(path) as (journal, index):
        claim(index, "id 1", 1)
        claim(index, "id 2", 2)
        journal.append(first)
        real = journal._file
        failing = Failing(real, takes=20)
        journal._file = failing  # type: ignore[assignment]  # it can what append needs
        with pytest.raises(OSError, match="No space left"):
            journal.append(second)
        with pytest.raises(OSError, match="Input/output error"):
            journal.append(second)
        assert path.read_bytes() == encode_row(first) + encode_row(second)[:20]
        failing.stuck = False
        failing.takes = 10**6
        journal.append(second)
        assert kept_in(path) == [first, second]


def test_a_part_that_stays_is_dropped_by_the_next_run(path: Path) -> None:
    """It is what a kill leaves."""
    with opened(path) as (journal, index):
        claim(index, "id 1", 1)
        journal._file = Failing(journal._file, takes=20)  # type: ignore[assignment]  # it can what append needs
        with pytest.raises(OSError, match="No space left"):
            journal.append(answered(1))
    assert path.stat().st_size == 20
    run(path, [answered(1)])
    assert kept_in(path) == [answered(1)]


def test_each_row_is_one_write(path: Path) -> None:
    """It is in the file when append returns, so that a kill takes no row that was reported."""
    with opened(path) as (journal, index):
        for number in (1, 2):
            claim(index, f"id {number}", number)
            journal.append(answered(number))
            assert len(kept_in(path)) == number


def test_rows_are_sorted_by_the_input(path: Path) -> None:
    """Those of earlier runs among them; what the input has not goes to the end."""
    run(path, [answered("gone"), answered("c"), answered("also gone")])
    with opened(path) as (journal, index):
        for number, own in enumerate("abcd", 1):
            claim(index, f"id {own}", number)
        for own in "dba":
            journal.append(answered(own))
        journal.sort()
    assert ids(path) == ["a", "b", "c", "d", "gone", "also gone"]


def test_a_sort_that_fails_keeps_the_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows stay in their order."""
    with opened(path) as (journal, index):
        for number, own in enumerate("ab", 1):
            claim(index, f"id {own}", number)
        for own in "ba":
            journal.append(answered(own))
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
            claim(index, f"id {own}", number)
        for own in "ba":
            journal.append(answered(own, "x" * ord(own)))
        journal.sort()
    run(path, [answered(own) for own in "cba"])
    assert ids(path) == ["a", "b", "c"]


def test_rows_are_read_in_the_order_of_the_file(path: Path) -> None:
    """The order of the file is the one in which the rows were kept."""
    run(path, [answered(2), failed(1)])
    assert list(read_journal(path)) == [answered(2), failed(1)]
