"""A file is replaced as a whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bing_llm.batch.replacing import replacing


def replaced(path: Path, data: bytes) -> None:
    """Replace the file at `path`."""
    with replacing(path) as file:
        file.write(data)


def test_a_file_is_replaced(tmp_path: Path) -> None:
    """When the block ends, with the permissions of the old one and nothing left beside it."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with replacing(path) as file:
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
    """As it was."""
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
    replacement = replacing(path)
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
