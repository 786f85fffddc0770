"""Where rows go."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bing_llm.batch import outputs
from bing_llm.batch.kept import as_line
from bing_llm.batch.outputs import Output, open_output
from bing_llm.batch.rows import key_of
from bing_llm.batch.tables import to_journal
from bing_llm.errors import ConfigurationError
from tests.batch.output_rows import answered, failed, ids, unreadable

EXTENSIONS = [".jsonl", ".csv", ".parquet"]
TABLES = EXTENSIONS[1:]


def fill(output: Output, rows: Iterable[dict[str, Any]]) -> None:
    """Claim all rows, append those that are new."""
    for number, row in enumerate(rows, 1):
        if output.claim(key_of(row), number) == "new":
            output.append(key_of(row), row)


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
    to_journal(path, journal, "csv" if path.suffix == ".csv" else "parquet")
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
    assert [output.claim(key, 1) for key in ("id a", "id a", "id c", "id c")] == ["done", "again", "new", "again"]
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
    """It is opened in one where the event loop shall not wait for the disk."""
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
    output.claim(f"id {number}", number)
    output.append(f"id {number}", {"id": number, "text": "x", "finish_reason": "stop", "attempts": 1, "seconds": 1.0})
output._journal._file.write(b'{"id":3,"te')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_of_a_killed_run_is_gone(path: Path) -> None:
    """And the torn line that it left is dropped."""
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL
    run(path, [answered(number) for number in (1, 2, 3)])
    assert shown(path) == ["1", "2", "3"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("out.txt", "is of no known format"),
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
def test_what_is_not_installed_is_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, module: str
) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=f"{module.partition('.')[0]} is not installed"):
        open_output(tmp_path / f"out{extension}")
    assert list(tmp_path.iterdir()) == []


def test_stdout_has_each_row_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a line that is flushed; repetitions are known there, too."""
    flushed: list[bytes] = []

    class Buffer(io.BytesIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    buffer = Buffer()
    monkeypatch.setattr(outputs.sys, "stdout", SimpleNamespace(buffer=buffer))  # type: ignore[attr-defined]
    output = open_output("-", retry_failed=True)
    assert (output.earlier, output.earlier_failed) == (0, 0)
    assert [output.claim("id 1", 1), output.claim("id 1", 2)] == ["new", "again"]
    output.append("id 1", answered(1))
    output.append("id 2", answered(2))
    assert flushed == [as_line(answered(1)), as_line(answered(1)) + as_line(answered(2))]
    output.finish(ordered=False)
    output.close()
    output.close()


def test_a_stdout_that_is_closed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked."""
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(ConfigurationError, match="stdout is closed"):
        open_output("-")


def test_closing_twice_is_fine(path: Path) -> None:
    """Also behind the end."""
    output = open_output(path)
    output.finish(ordered=True)
    output.close()
    output.close()


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
    assert peak(1_500) < 2 * peak(300)
