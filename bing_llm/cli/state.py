"""The folder in which the command line keeps its state: files that only their owner can read.

It may lie where others can write, such as below /tmp. So what another user has put there is refused: a file, or a link
that would lead to a file of the victim's.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_OFF = "logs-off"
_OWNER_ALONE = 0o077  # the rights of all others


class StateUnavailable(Exception):
    """The state cannot be kept; the text says why, in one sentence. The command goes on without."""


def state_folder() -> Path:
    """Where the state is: on Linux in `~/.local/state/bing-llm`, unless `XDG_STATE_HOME` says otherwise.

    Raises:
        StateUnavailable: The user has no home folder, as in some containers.
    """
    import platformdirs  # noqa: PLC0415 - only where something is kept

    try:
        folder = platformdirs.user_state_path("bing-llm", appauthor=False)
    except RuntimeError as exc:  # of later versions
        raise StateUnavailable("there is no home folder.") from exc
    if not folder.is_absolute():
        raise StateUnavailable("there is no home folder.")
    return folder


def private_file(name: str) -> Path:
    """A file of the state folder. Both are created if they do not exist, and only their owner can read them.

    Args:
        name: The name of the file.

    Raises:
        StateUnavailable: It cannot be created, or it is another user's.
    """
    folder = state_folder()
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_private(folder)
        # The mode that a new file has from its first moment on.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o600))
        _make_private(path)
    except OSError as exc:
        raise StateUnavailable(f"{str(exc.filename or path)!r} cannot be used: {exc.strerror or exc}.") from exc
    return path


def existing_file(name: str) -> Path | None:
    """A file of the state folder, to be read; None if there is none.

    Raises:
        StateUnavailable: It is another user's, or it cannot be looked at.
    """
    path = state_folder() / name
    try:
        if not path.exists():
            return None
        _make_private(path.parent)
        _make_private(path)
    except OSError as exc:
        raise StateUnavailable(f"{str(exc.filename or path)!r} cannot be used: {exc.strerror or exc}.") from exc
    return path


def keeps_conversations() -> bool:
    """Whether what users ask is kept: it is, unless `bing-llm logs off` was called."""
    try:
        return not os.path.exists(state_folder() / _OFF)  # noqa: PTH110 - Path.exists raises where the folder is closed
    except StateUnavailable:
        return True  # and whoever keeps them learns why that fails


def keep_conversations(*, on: bool) -> None:
    """Keep what users ask from now on, or not.

    Raises:
        StateUnavailable: That cannot be noted.
    """
    if not on:
        private_file(_OFF)
        return
    path = state_folder() / _OFF
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise StateUnavailable(f"{str(path)!r} cannot be removed: {exc.strerror or exc}.") from exc


def _make_private(path: Path) -> None:
    if os.name == "nt":  # the profile of a user is the user's own
        return
    user = os.geteuid()
    link, found = path.lstat(), path.stat()
    # root may make links for others, as /tmp itself is on some systems
    if found.st_uid != user or link.st_uid not in {user, 0}:
        raise StateUnavailable(f"{str(path)!r} belongs to another user.")
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise StateUnavailable(f"{str(path)!r} is not a file.")
    if found.st_mode & _OWNER_ALONE:
        path.chmod(stat.S_IMODE(found.st_mode) & ~_OWNER_ALONE)
