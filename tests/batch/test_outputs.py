"""Where rows go: a file, which a later run continues, or stdout; tables and back."""

from __future__ import annotations

import csv
import io
import os
import signal
import sys
import tempfile
import tracemalloc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bing_llm.batch import outputs, parquet_rows
from bing_llm.batch.journal import encode_row
from bing_llm.batch.outputs import Output, check_is_output, open_output, restore_journal, write_table
from bing_llm.batch.rows import Answered, Failed, Record, parse_row, render_row, row_key
from bing_llm.errors import ConfigurationError, ServiceError
from bing_llm.events import Reply
from tests.batch.helpers import answered, failed, ids, kept_in, unreadable
from tests.children import run_python

# --- files and stdout -------------------------------------------------------------------------------------------------


EXTENSIONS = [".jsonl", ".csv", ".parquet"]
TABLES = EXTENSIONS[1:]


def fill(output: Output, rows: Iterable[dict[str, Any]]) -> None:
    """Claim all rows, append those that are new."""
    for number, row in enumerate(rows, 1):
        if output.claim([(row_key(row), number)]) == ["new"]:
            output.append(row)


def run(path: Path, rows: Iterable[dict[str, Any]], *, ordered: bool = False, retry_failed: bool = False) -> None:
    """One run of a batch, to its end."""
    output = open_output(path, retry_failed=retry_failed)
    try:
        fill(output, rows)
        output.finish(ordered=ordered)
    finally:
        output.close()


def broken_off(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """One run of a batch that is killed before its end; what the system takes back it takes back."""
    output = open_output(path)
    fill(output, rows)
    output.close()


def shown(path: Path) -> list[str]:
    """The keys of the rows of a finished output, in its order."""
    if path.suffix == ".jsonl":
        return ids(path)
    journal = path.with_name("shown")
    restore_journal(path, journal, "csv" if path.suffix == ".csv" else "parquet")
    keys = ids(journal)
    journal.unlink()
    return keys


@pytest.fixture(params=EXTENSIONS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An output of each format."""
    return tmp_path / f"out{request.param}"


def test_a_run_leaves_its_output_alone(path: Path) -> None:
    """No journal, no lock, nothing half."""
    run(path, [answered("b"), failed("a"), unreadable(3)])
    assert shown(path) == ["b", "a", "line 3"]
    assert list(path.parent.iterdir()) == [path]


def test_a_run_goes_on_where_one_was_broken_off(path: Path) -> None:
    """Each row is there once."""
    broken_off(path, [answered("a"), failed("b")])
    output = open_output(path)
    assert (output.earlier, output.earlier_failed) == (2, 1)
    assert output.claim([("id a", 1), ("id a", 2), ("id c", 3), ("id c", 4)]) == [
        "done",
        "again",
        "new",
        "again",
    ]
    output.close()
    run(path, [answered("a"), answered("b"), answered("c")])
    assert shown(path) == ["a", "b", "c"]


def test_an_ended_run_can_be_gone_on_with(path: Path) -> None:
    """Its input has more rows now, and it may be broken off again."""
    run(path, [answered("a"), failed("b")])
    broken_off(path, [answered("a"), answered("b"), answered("c")])
    run(path, [answered(own) for own in "abcd"])
    assert shown(path) == ["a", "b", "c", "d"]
    run(path, [answered(own) for own in "abcd"])
    assert shown(path) == ["a", "b", "c", "d"]


def test_the_journal_of_a_run_that_was_broken_off_is_what_counts(path: Path) -> None:
    """It has all that the output of the ended run before it has, and more."""
    run(path, [answered("a")])
    broken_off(path, [answered("a"), answered("b")])
    output = open_output(path)
    assert output.earlier == 2
    output.close()


def test_an_output_may_be_closed_in_another_thread(path: Path) -> None:
    """It is opened in a thread so that the event loop does not wait for the disk."""
    with ThreadPoolExecutor(1) as other:
        output = other.submit(open_output, path).result()
    fill(output, [answered("a")])
    output.finish(ordered=False)
    output.close()
    assert shown(path) == ["a"]
    run(path, [answered("a"), answered("b")])


def test_failed_rows_of_an_ended_run_are_asked_again(path: Path) -> None:
    """All others stay."""
    run(path, [answered("a"), failed("b"), unreadable(3)])
    output = open_output(path, retry_failed=True)
    assert (output.earlier, output.earlier_failed) == (1, 0)
    output.close()
    run(path, [answered("a"), answered("b"), answered("c")], retry_failed=True)
    assert shown(path) == ["a", "b", "c"]


def test_rows_can_be_brought_into_the_order_of_the_input(path: Path) -> None:
    """Over several runs."""
    broken_off(path, [answered(own) for own in "zdb"])
    run(path, [answered(own) for own in "abcd"], ordered=True)
    assert shown(path) == ["a", "b", "c", "d", "z"]


@pytest.mark.parametrize("extension", TABLES)
def test_a_kill_between_the_table_and_its_journal_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    """Both are there: the journal is gone on with, and has all that the table has."""
    path = tmp_path / f"out{extension}"
    run(path, [answered("a")])
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            run(path, [answered("a"), answered("b")])
    assert len(list(tmp_path.iterdir())) >= 2
    run(path, [answered(own) for own in "abc"])
    assert shown(path) == ["a", "b", "c"]


def killed(path: Path, *, missing_ok: bool = False) -> None:
    """Remove a file, unless it is the journal: then the run ends here."""
    if path.name.endswith(".journal.jsonl"):
        raise KeyboardInterrupt
    if path.exists() or not missing_ok:
        os.unlink(path)  # noqa: PTH108 - Path.unlink is what this stands for


@pytest.mark.parametrize("extension", TABLES)
def test_a_kill_while_the_journal_is_made_of_the_table_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    """There is no journal before it is whole."""
    path = tmp_path / f"out{extension}"
    run(path, [answered("a"), answered("b")])
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_space)
        with pytest.raises(ConfigurationError, match="cannot be written: No space left"):
            open_output(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def no_space(*_: object, **__: object) -> None:
    """Fail as a full disk does."""
    raise OSError(28, "No space left on device")


def test_a_table_that_cannot_be_written_leaves_its_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later run makes it."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="No space left"):
            run(path, [answered("b"), answered("a")], ordered=True)
    run(path, [answered("a"), answered("b")], ordered=True)
    assert shown(path) == ["a", "b"]


@pytest.mark.parametrize(
    "data",
    [b"Dear diary,\n", b"id,prompt\n1,Hi\n", b'{"id":1,"prompt":"Hi"}\n', bytes(range(256)), b"PAR1", b"", b"\0" * 99],
)
def test_a_file_of_others_is_not_touched(path: Path, data: bytes) -> None:
    """Whatever it is and is called; only an empty journal can have nothing to lose."""
    path.write_bytes(data)
    if data == b"" and path.suffix == ".jsonl":
        run(path, [])
    else:
        with pytest.raises(ConfigurationError):
            open_output(path, retry_failed=True)
    assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("extension", TABLES)
def test_a_file_of_others_beside_our_journal_is_not_touched(tmp_path: Path, extension: str) -> None:
    """It came while the run was broken off, and the end of the next one would replace it."""
    path = tmp_path / f"out{extension}"
    broken_off(path, [answered("a")])
    path.write_bytes(b"Dear diary,\n")
    with pytest.raises(ConfigurationError):
        open_output(path)
    assert path.read_bytes() == b"Dear diary,\n"


def test_two_runs_do_not_write_one_output(path: Path) -> None:
    """The second is refused, and the first goes on; afterwards there is room again."""
    output = open_output(path)
    with pytest.raises(ConfigurationError, match="Another run is writing"):
        open_output(path)
    fill(output, [answered("a")])
    output.finish(ordered=False)
    output.close()
    run(path, [answered("a"), answered("b")])
    assert shown(path) == ["a", "b"]


def test_a_link_is_the_file_it_leads_to(path: Path) -> None:
    """For the lock, and when it is replaced."""
    real = path.parent / "real"
    real.mkdir()
    path.symlink_to(real / path.name)
    output = open_output(path)
    with pytest.raises(ConfigurationError, match="Another run is writing"):
        open_output(real / path.name)
    fill(output, [answered("b"), answered("a")])
    output.finish(ordered=True)
    output.close()
    assert path.is_symlink()
    assert shown(real / path.name) == ["b", "a"]


KILLED = """
import os, signal, sys
from pathlib import Path
from bing_llm.batch.outputs import open_output
output = open_output(sys.argv[1])
for number in (1, 2):
    output.claim([(f"id {number}", number)])
    output.append({"id": number, "text": "x", "finish_reason": "stop", "attempts": 1, "seconds": 1.0})
output._journal._file.write(b'{"id":3,"te')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_of_a_killed_run_is_gone(path: Path) -> None:
    """And the torn line that it left is dropped."""
    done = run_python("-c", KILLED, path)
    assert done.returncode == -signal.SIGKILL
    run(path, [answered(number) for number in (1, 2, 3)])
    assert shown(path) == ["1", "2", "3"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("out.txt", "has no known format"),
        ("missing/out.jsonl", "There is no folder"),
        ("folder.jsonl", "is not a file"),
        ("a\0.jsonl", r"null (byte|character)"),
        ("x" * 300 + ".jsonl", "cannot be written: File name too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path, target: str, why: str) -> None:
    """Before anything is asked, and nothing is made."""
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(ConfigurationError, match=why):
        open_output(f"{tmp_path}/{target}")
    assert [one.name for one in tmp_path.iterdir()] == ["folder.jsonl"]


def test_a_device_is_refused(tmp_path: Path) -> None:
    """Sorting would replace it."""
    (tmp_path / "out.jsonl").symlink_to("/dev/null")
    with pytest.raises(ConfigurationError, match="no known format"):
        open_output(tmp_path / "out.jsonl")


@pytest.mark.parametrize(("extension", "module"), [(".jsonl", "filelock"), (".parquet", "pyarrow.parquet")])
def test_what_is_not_installed_is_reported_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, module: str
) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=f"{module.partition('.')[0]} is not installed"):
        open_output(tmp_path / f"out{extension}")
    assert list(tmp_path.iterdir()) == []


def test_stdout_has_each_row_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is a line that is flushed; repetitions are known there, too."""
    flushed: list[bytes] = []

    class Buffer(io.BytesIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    buffer = Buffer()
    monkeypatch.setattr(outputs.sys, "stdout", SimpleNamespace(buffer=buffer))  # type: ignore[attr-defined]
    output = open_output("-", retry_failed=True)
    assert (output.earlier, output.earlier_failed) == (0, 0)
    assert output.claim([("id 1", 1), ("id 1", 2)]) == ["new", "again"]
    output.append(answered(1))
    output.append(answered(2))
    assert flushed == [encode_row(answered(1)), encode_row(answered(1)) + encode_row(answered(2))]
    output.finish(ordered=False)
    output.close()
    output.close()


def test_a_stdout_that_is_closed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked."""
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(ConfigurationError, match="stdout is closed"):
        open_output("-")


def test_closing_twice_is_fine(path: Path) -> None:
    """Also after the end."""
    output = open_output(path)
    output.finish(ordered=True)
    output.close()
    output.close()


@pytest.mark.system
def test_memory_does_not_grow_with_the_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while they are kept, nor at the end, nor when they are found again."""
    monkeypatch.setattr("bing_llm.batch.parquet_rows._WRITTEN_AT_ONCE", 50)

    def peak(rows: int) -> int:
        target = path.with_name(f"{rows}{path.suffix}")
        tracemalloc.start()
        try:
            for _ in range(2):
                run(target, (answered(number) for number in range(rows)), ordered=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)  # what is made once for all
    assert min(peak(1_500), peak(1_500)) < 2 * peak(300)  # of two, as other threads are measured too


# --- tables -----------------------------------------------------------------------------------------------------------


Table = Literal["csv", "parquet"]
BOTH: list[Table] = ["csv", "parquet"]
MESSAGES = [{"role": "user", "content": "Hi"}]
ROWS = [
    answered("a", tag="x"),
    answered("b", text='Two\r\nlines, "quoted"\n'),
    failed("c", tag="y"),
    unreadable(4),
    answered("e", text=""),
]


def journal_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A journal of these rows."""
    path = folder / "journal"
    path.write_bytes(b"".join(map(encode_row, rows)))
    return path


def through(folder: Path, rows: list[dict[str, Any]], table: Table) -> list[dict[str, Any]]:
    """The rows after a table was made of them, and a journal of that."""
    path, back = folder / "table", folder / "back"
    write_table(journal_of(folder, rows), path, table)
    check_is_output(path, table)
    restore_journal(path, back, table)
    return kept_in(back)


@pytest.mark.parametrize("table", BOTH)
def test_an_output_comes_back(tmp_path: Path, table: Table) -> None:
    """Answers, also empty ones, errors, and rows that have a line and no id."""
    assert through(tmp_path, ROWS, table) == ROWS


@pytest.mark.parametrize("table", BOTH)
def test_no_rows_are_a_table_too(tmp_path: Path, table: Table) -> None:
    """With the columns that every output has."""
    assert through(tmp_path, [], table) == []


def test_parquet_keeps_all_types(tmp_path: Path) -> None:
    """Nested values and those of several types, too."""
    rows = [
        answered(1, mixed=1, nested=[1, {"a": None}], flag=True, share=0.5, huge=2**70),
        answered(2, mixed="1", nested={}, flag=False, share=2.5, huge=1),
    ]
    assert through(tmp_path, rows, "parquet") == rows


def test_csv_keeps_texts_and_json(tmp_path: Path) -> None:
    """A value that is not text is JSON, and stays so in every later run."""
    rows = [answered(1, tags=["x"], flag=True, share=0.5, none=None)]
    once = through(tmp_path, rows, "csv")
    assert once == [{**answered("1"), "tags": '["x"]', "flag": "true", "share": "0.5"}]
    assert through(tmp_path, once, "csv") == once


def test_columns_come_in_the_order_of_their_first_row(tmp_path: Path) -> None:
    """The id of a row comes first, its outcome last."""
    write_table(journal_of(tmp_path, [failed(1, b=1), answered(2, a=1, b=2)]), tmp_path / "table", "csv")
    with (tmp_path / "table").open(encoding="utf-8", newline="") as file:
        header, first, _ = csv.reader(file)
    expected = ["id", "line", "prompt", "b", "a", "text", "citations", "finish_reason", "attempts", "seconds", "error"]
    assert header == expected
    assert dict(zip(header, first, strict=True)) == {
        **dict.fromkeys(expected, ""),
        "id": "1",
        "prompt": "The capital of France?",
        "b": "1",
        "attempts": "3",
        "seconds": "0.25",
        "error": msgspec.json.encode(failed(1)["error"]).decode(),
    }


def test_parquet_gives_the_output_types_of_its_own(tmp_path: Path) -> None:
    """The same in every file, whatever its rows are."""
    schemas = []
    for rows in (ROWS, [], [failed("x")]):
        write_table(journal_of(tmp_path, rows), tmp_path / "table", "parquet")
        schema = pq.read_schema(tmp_path / "table")
        schemas.append([schema.field(name) for name in ("line", "text", "citations", "attempts", "seconds", "error")])
    assert schemas[0] == schemas[1] == schemas[2]
    spans = "spans: list<element: list<element: int64>>"
    citation = f"number: int64, url: string, title: string, {spans}, sensitivity_label: string"
    assert str(schemas[0][2].type) == f"list<element: struct<{citation}>>"


@settings(max_examples=50)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["prompt", "text", "line", "input_text", "error", "", 'a,"b"\r\n']),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
        ),
        max_size=4,
    ),
    st.sampled_from(BOTH),
)
def test_rows_of_texts_come_back_from_any_table(records: list[dict[str, Any]], table: Table) -> None:
    """Whatever their fields are called, and whatever is in them."""
    outcomes: list[Answered | Failed] = [
        Answered(Reply(text="Yes."), 1, 0.5),
        Failed(ServiceError("It broke."), 2, 1.5),
    ]
    rows = [
        render_row(parse_row(Record(number, {"id": f"r{number}", **fields})), outcomes[number % 2])
        for number, fields in enumerate(records)
    ]
    with tempfile.TemporaryDirectory() as folder:
        assert through(Path(folder), rows, table) == rows


def test_a_row_longer_than_csv_reads_by_itself_comes_back(tmp_path: Path) -> None:
    """An answer or what was carried through may be of any length; the limit of the process stays."""
    limit = csv.field_size_limit()
    rows = [answered("a", text="x" * (limit + 1))]
    assert through(tmp_path, rows, "csv") == rows
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("table", BOTH)
def test_a_table_of_others_is_refused(tmp_path: Path, table: Table) -> None:
    """It has not the columns of an output."""
    path = tmp_path / "table"
    write_table(journal_of(tmp_path, ROWS), path, table)
    if table == "csv":
        path.write_bytes(path.read_bytes().replace(b"finish_reason", b"reason"))
    else:
        pq.write_table(pq.read_table(path).drop_columns(["finish_reason"]), path)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="was not touched: it does not have the columns of an output"):
        check_is_output(path, table)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "row",
    [
        "1,,Hi,Yes.,[],stop,1",
        "1,,Hi,Yes.,[],stop,one,0.5,",
        "1,,Hi,Yes.,[],,1,0.5,",
        "1,,Hi,Yes.,[,stop,1,0.5,",
        ",,Hi,Yes.,[],stop,1,0.5,",
        "1,,Hi,Yes.,[],stop,1,0.5,broken",
        '1,,Hi,"Yes."x,[],stop,1,0.5,',
        "1,,Hi,Yes.\udcff,[],stop,1,0.5,",
    ],
)
def test_a_row_of_others_is_refused(tmp_path: Path, row: str) -> None:
    """With its line; neither the table is touched nor a journal made."""
    path, journal = tmp_path / "table", tmp_path / "journal"
    header = "id,line,prompt,text,citations,finish_reason,attempts,seconds,error\n"
    path.write_text(f"{header}1,,Hi,Yes.,[],stop,1,0.5,\n{row}\n", encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigurationError, match="was not touched: Line 3 is not a row of an output"):
        restore_journal(path, journal, "csv")
    assert list(tmp_path.iterdir()) == [path]


def test_columns_in_another_order_are_read(tmp_path: Path) -> None:
    """A person may have moved them; a line of the journal still begins with its id."""
    path, journal = tmp_path / "table", tmp_path / "journal"
    header = "error,seconds,attempts,finish_reason,citations,text,prompt,line,id\n"
    path.write_text(f"\ufeff{header},0.5,1,stop,[],Yes.,Hi,,1\n", encoding="utf-8")
    restore_journal(path, journal, "csv")
    assert journal.read_bytes().startswith(b'{"id":"1","prompt":"Hi","text":"Yes.",')


@pytest.mark.parametrize("table", BOTH)
def test_rows_of_too_many_fields_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    """A table has a cell for each field of any row in every row; the journal stays."""
    monkeypatch.setattr(outputs, "_MAX_COLUMNS", 100)
    journal = journal_of(tmp_path, [answered(1, text="", **{f"f{number}": "x" for number in range(101)})])
    with pytest.raises(ConfigurationError, match="over 100 different fields"):
        write_table(journal, tmp_path / "table", table)
    assert list(tmp_path.iterdir()) == [journal]


def test_places_and_labels_of_citations_come_back(tmp_path: Path) -> None:
    """A table that goes on gives the lines that were written, with and without places and labels."""
    source = {"number": 1, "url": "u", "title": ""}
    rows = [
        answered("a"),
        {**answered("b"), "citations": [{**source, "spans": [[0, 2], [4, 6]]}]},
        {**answered("c"), "citations": [{**source, "sensitivity_label": {"displayName": "Secret", "priority": 3}}]},
    ]
    write_table(journal_of(tmp_path, rows), tmp_path / "table.parquet", "parquet")
    restored = [fields["citations"] for _, fields in parquet_rows.read_table(tmp_path / "table.parquet")]
    assert restored == [row["citations"] for row in rows]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no such folder")
def test_a_folder_that_takes_no_files_is_named() -> None:
    """In /proc no file can be made, which is not another run."""
    with pytest.raises(ConfigurationError, match="No file can be made in '/proc'"):
        open_output("/proc/x.jsonl")


def test_rows_have_no_control_characters() -> None:
    """JSON allows most of them in a text, and people look at rows in a terminal; escaped, they mean the same."""
    row = {"id": "a\x9b\u202e", "text": "\x7f\u200f\U000e0041 \u200c", "finish_reason": "stop"}
    line = encode_row(row)
    assert msgspec.json.decode(line) == row
    assert not set("\x9b\u202e\x7f\u200f\U000e0041") & set(line.decode())
