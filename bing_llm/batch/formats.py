"""The file formats of a batch, by the extension of a path, and how large one row may be."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Final, Literal, TypeAlias

from bing_llm.errors import ConfigurationError

__all__ = ["MAX_ROW", "Format", "format_of", "needed"]

Format: TypeAlias = Literal["jsonl", "csv", "parquet"]

MAX_ROW: Final = 16 * 2**20
"""Bytes of one row of the input, in CSV characters: a file without line breaks must not be read into memory whole."""

_FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def format_of(path: Path) -> Format:
    """The format of a file, by the extension of its path in any case.

    Raises:
        ConfigurationError: It has another extension.
    """
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise ConfigurationError(
            f"{str(path)!r} is of no known format.", hint=f"Use the extension {', '.join(_FORMATS)}, or - for JSONL."
        )
    return found


def needed(module: str) -> ModuleType:
    """A module of the extra `batch`.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        name = module.partition(".")[0]
        raise ConfigurationError(f"{name} is not installed.", hint='Run pip install "bing-llm[batch]".') from exc
