"""Formats by extension, the modules of the extra, and files that are replaced as a whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from bing_llm.batch.files import atomic_write, format_of, load_extra
from bing_llm.errors import ConfigurationError

# --- formats and the extra --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("A.JSONL", "jsonl"),
        ("a.b.Csv", "csv"),
        ("folder.csv/a.parquet", "parquet"),
    ],
)
def test_the_last_extension_gives_the_format(name: str, expected: str) -> None:
    """In any case of letters."""
    assert format_of(Path(name)) == expected


@pytest.mark.parametrize("name", ["a.json", "a", "a.jsonl.gz", ".csv", "a.csv/b"])
def test_another_extension_is_refused(name: str) -> None:
    """The error says which are allowed."""
    with pytest.raises(ConfigurationError, match=r"\.jsonl, \.ndjson, \.csv, \.parquet, or - for JSONL"):
        format_of(Path(name))


def test_a_missing_module_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed it reads the command that does."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigurationError, match=r'pyarrow is not installed.*pip install "bing-llm\[batch\]"'):
        load_extra("pyarrow.parquet")


# --- atomic replacement -----------------------------------------------------------------------------------------------


def replaced(path: Path, data: bytes) -> None:
    """Replace the file at `path`."""
    with atomic_write(path) as file:
        file.write(data)


def test_a_file_is_replaced(tmp_path: Path) -> None:
    """When the block ends, with the permissions of the old one and nothing left beside it."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_made(tmp_path: Path) -> None:
    """Where there was none, too."""
    replaced(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def no_space(*_: object, **__: object) -> None:
    """Fail as a full disk does."""
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("owner", "step"), [(os, "fsync"), (Path, "replace"), (Path, "open"), (os, "chmod"), (Path, "unlink")]
)
def test_a_failure_at_any_step_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    """The old file keeps its content."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, no_space)
        with pytest.raises(OSError, match="No space left"):
            replaced(path, b"new")
    assert path.read_bytes() == b"old"
    replaced(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    """And nothing of the new one."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    replacement = atomic_write(path)
    replacement.__enter__().write(b"half")
    stop = KeyboardInterrupt()
    assert not replacement.__exit__(type(stop), stop, None)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_run_has_left_is_overwritten(tmp_path: Path) -> None:
    """And what somebody else put there as a link is not followed."""
    path, other = tmp_path / "a", tmp_path / "other"
    other.write_bytes(b"precious")
    (tmp_path / ".a.bing-llm-new").symlink_to(other)
    replaced(path, b"new")
    assert (path.read_bytes(), other.read_bytes()) == (b"new", b"precious")
    assert sorted(tmp_path.iterdir()) == [path, other]
