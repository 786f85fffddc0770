"""Results that were kept: `results.json` has the newest tables of each benchmark, and where they were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.measuring import Table

__all__ = ["FILE", "Result", "load", "machine", "save"]

FILE: Final = Path(__file__).with_name("results.json")


class Result(msgspec.Struct, frozen=True):
    """What one benchmark reported.

    Attributes:
        machine: Where it was measured.
        tables: Its tables, in order.
    """

    machine: str
    tables: Sequence[Table]


def machine() -> str:
    """This machine, as far as figures depend on it."""
    cores = f"{os.cpu_count()} cores"
    return f"{platform.system()} {platform.machine()}, {cores}, Python {platform.python_version()}"


def load(file: Path = FILE) -> dict[str, Result]:
    """The results, by the name of the benchmark."""
    return msgspec.json.decode(file.read_bytes(), type=dict[str, Result]) if file.exists() else {}


def save(name: str, tables: Sequence[Table], file: Path = FILE) -> None:
    """Save the tables of a benchmark, replacing those of its last run."""
    results = {**load(file), name: Result(machine(), tables)}
    text = msgspec.json.format(msgspec.json.encode(results, order="sorted"), indent=1)
    file.write_bytes(text + b"\n")
