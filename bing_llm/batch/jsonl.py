"""JSONL: one JSON object a line, and the limits of JSON that hold for the rows of every format."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bing_llm.batch.files import MAX_ROW
from bing_llm.batch.rows import Fields, Record
from bing_llm.errors import InvalidRequest

_MAX_VALUES: Final = 500_000  # of one row: in memory each takes many times the size of its text
_MAX_DEPTH: Final = 100  # of one row: encoding it must not run out of stack where decoding it did not
_BOM: Final = b"\xef\xbb\xbf"
_HINT: Final = "Write one JSON object a line, in UTF-8."


class JsonlSource:
    """The rows of a JSONL file."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        path.open("rb").close()

    def count(self) -> int | None:
        """How many rows the file has."""
        with self._path.open("rb") as file:
            return sum(1 for _ in _non_blank(file))

    def records(self) -> Iterator[Record]:
        """The rows, in order."""
        with self._path.open("rb") as file:
            yield from read_records(file)


def read_records(file: BinaryIO) -> Iterator[Record]:
    """The rows of a JSONL file. Blank lines count as lines, but not as rows."""
    for number, line in _non_blank(file):
        place = f"Line {number}"
        yield Record(number, _too_long(place) if line is None else _parsed(line, place))


def json_fields(row: Mapping[str, object], place: str) -> Fields | InvalidRequest:
    """A row of Python objects as if read from JSONL: dates become texts, NaN becomes null, names become texts."""
    try:
        line = msgspec.json.encode(dict(row), enc_hook=_to_builtin)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as exc:
        return InvalidRequest(f"{place} cannot be written as JSON: {exc}.", hint="Use texts, numbers, lists and dicts.")
    return _too_long(place) if len(line) > MAX_ROW else _parsed(line, place)


def read_lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Each line with its number from 1 on and its line break; None in place of one over `longest` bytes."""
    for number in count(1):
        line = file.readline(longest + 1)
        if not line:
            return
        if len(line) <= longest or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(longest + 1)
        yield number, None


def _non_blank(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    for number, line in read_lines(file, MAX_ROW):
        found = line.removeprefix(_BOM) if line is not None and number == 1 else line
        if found is None or found.strip():
            yield number, found


def _to_builtin(value: object) -> object:
    """A value of a type that msgspec knows, for one of a subclass: numpy and pandas have their own."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    for base in (str, int, float):
        if isinstance(value, base):
            return base(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"it holds an object of type {type(value).__name__}")


def _too_long(place: str) -> InvalidRequest:
    return InvalidRequest(f"{place} is over {MAX_ROW // 2**20} MiB.", hint="Write shorter rows, one a line.")


def _parsed(line: bytes, place: str) -> Fields | InvalidRequest:
    opened = line.count(b"{") + line.count(b"[")
    if opened + line.count(b",") > _MAX_VALUES:
        return InvalidRequest(f"{place} has over {_MAX_VALUES:,} values.", hint="Write smaller rows.")
    try:
        fields = msgspec.json.decode(line)
    except RecursionError:
        return _too_deep(place)
    except (msgspec.MsgspecError, ValueError) as exc:
        return InvalidRequest(f"{place} is not a JSON object: {exc}.", hint=_HINT)
    if not isinstance(fields, dict):
        return InvalidRequest(f"{place} is not a JSON object but of type {type(fields).__name__}.", hint=_HINT)
    return _too_deep(place) if opened > _MAX_DEPTH and _is_deep(fields) else fields


def _too_deep(place: str) -> InvalidRequest:
    return InvalidRequest(f"{place} is nested over {_MAX_DEPTH} levels deep.", hint="Write flatter rows.")


def _is_deep(fields: Fields) -> bool:
    level: list[Fields | list[Any]] = [fields]
    for _ in range(_MAX_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return False
    return True


def _inside(value: Fields | list[Any]) -> Iterator[Fields | list[Any]]:
    inner = value.values() if isinstance(value, dict) else value
    return (one for one in inner if isinstance(one, dict | list))
