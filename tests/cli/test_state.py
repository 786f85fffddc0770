"""The folder with the state of the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bing_llm.cli.state import (
    StateUnavailable,
    existing_file,
    keep_conversations,
    keeps_conversations,
    private_file,
    state_folder,
)

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")


def mode(path: Path) -> int:
    """The rights of a file."""
    return path.stat().st_mode & 0o777


def test_it_is_in_the_users_state_folder(state: Path) -> None:
    """As each system has it; nothing is created by asking."""
    assert state_folder() == state / "bing-llm"
    assert existing_file("a") is None
    assert not state_folder().exists()


@posix
def test_only_the_owner_can_read_it() -> None:
    """Whatever the umask says, and also if it was created otherwise."""
    path = private_file("a")
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    path.chmod(0o664)
    path.parent.chmod(0o755)
    assert private_file("a") == existing_file("a") == path
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


@posix
@pytest.mark.parametrize("name", ["", "a"], ids=["the folder", "the file"])
def test_another_users_link_is_not_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """It would lead to a file of this user's."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "a").write_text("mine")
    link = state_folder() / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim / name)
    real = Path.lstat

    def of_another_user(path: Path) -> os.stat_result:
        found = [*real(path)]
        found[4] = 12345 if path == link else found[4]
        return os.stat_result(found)

    monkeypatch.setattr(Path, "lstat", of_another_user)
    for use in (private_file, existing_file):
        with pytest.raises(StateUnavailable, match="belongs to another user"):
            use("a")
    assert (victim / "a").read_text() == "mine"


@posix
def test_the_users_own_link_is_followed(tmp_path: Path) -> None:
    """Some keep such files elsewhere."""
    state_folder().parent.mkdir(exist_ok=True)
    (tmp_path / "elsewhere").mkdir()
    state_folder().symlink_to(tmp_path / "elsewhere")
    assert private_file("a").resolve() == tmp_path / "elsewhere" / "a"


@posix
def test_what_is_no_file_is_refused() -> None:
    """A pipe would wait for its other end; a folder cannot be written."""
    private_file("a")
    os.mkfifo(state_folder() / "pipe")
    (state_folder() / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(StateUnavailable):
            private_file(name)


def test_a_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The text says which, and why."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(StateUnavailable, match=r"file.* cannot be used: "):
        private_file("a")


@posix
@pytest.mark.parametrize("home", ["", "relative"])
def test_without_a_home_there_is_no_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str) -> None:
    """A folder is not made in whichever folder the command runs in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", home)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert keeps_conversations()
    for use in (private_file, existing_file):
        with pytest.raises(StateUnavailable, match="no home folder"):
            use("a")
    assert not list(tmp_path.iterdir())


def test_keeping_conversations_can_be_switched_off() -> None:
    """It is on until it is switched off, and again after it was switched on."""
    assert keeps_conversations()
    keep_conversations(on=False)
    keep_conversations(on=False)
    assert not keeps_conversations()
    keep_conversations(on=True)
    keep_conversations(on=True)
    assert keeps_conversations()
