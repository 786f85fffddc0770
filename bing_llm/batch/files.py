"""Helpers for all files of a batch: formats by extension, the longest row, and atomic replacement."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Final, Literal, TypeAlias

from bing_llm.errors import ConfigurationError

Format: TypeAlias = Literal["jsonl", "csv", "parquet"]

MAX_ROW: Final = 16 * 2**20
"""The longest row of the input, in bytes (CSV: characters). A file without line breaks must not fill the memory."""

MAX_LINE: Final = 512 * 2**20
"""The longest line of the output, in bytes: the largest row and the longest answer, at JSON's six bytes a character."""

_FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def format_of(path: Path) -> Format:
    """The format of a file, by the extension of its path; upper or lower case does not matter.

    Raises:
        ConfigurationError: The extension is unknown.
    """
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise ConfigurationError(
            f"{str(path)!r} has no known format.", hint=f"Use the extension {', '.join(_FORMATS)}, or - for JSONL."
        )
    return found


def load_extra(module: str) -> ModuleType:
    """Import a module of the extra `batch`.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        name = module.partition(".")[0]
        raise ConfigurationError(f"{name} is not installed.", hint='Run pip install "bing-llm[batch]".') from exc


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A new file that replaces `path` when the block ends without an error. Otherwise `path` stays as it was.

    The caller holds the lock of `path`, so the unfinished file of a killed run can be overwritten.
    """
    new = path.with_name(f".{path.name}.bing-llm-new")
    new.unlink(missing_ok=True)
    try:
        with new.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(path, new)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
