"""JSONL: one JSON object a line, and the limits of JSON that hold for the rows of every format."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from io import BufferedIOBase
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from bing_llm.batch.files import MAX_ROW
from bing_llm.batch.rows import Fields, Record
from bing_llm.errors import InvalidRequest

_MAX_VALUES: Final = 500_000  # of one row: in memory each takes many times the size of its text
_MAX_DEPTH: Final = 100  # of one row: encoding it must not run out of stack where decoding it did not
_PIECE: Final = 2**20  # bytes that are read at once to count lines
_BLOCK: Final = 2**16  # bytes that are read at once otherwise: some hundred rows, whose values take little memory
_BOM: Final = b"\xef\xbb\xbf"
_decode: Final = msgspec.json.Decoder().decode
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
            return _count_non_blank(file)

    def blocks(self) -> Generator[Sequence[Record], None, None]:
        """The rows, in order, as many at once as are read at once."""
        with self._path.open("rb") as file:
            yield from read_records(file)


def read_records(file: BufferedIOBase) -> Generator[Sequence[Record], None, None]:
    """The rows of a JSONL file, as many at once as have come. Blank lines count as lines, but not as rows."""
    for number, text, _ in read_blocks(file, MAX_ROW):
        if text is None:
            yield [Record(number, _too_long(f"Line {number}"))]
        else:
            yield _records(number, text.removeprefix(_BOM) if number == 1 else text)


def _records(first: int, text: bytes) -> list[Record]:
    """The rows of whole lines, of which the first has this number."""
    lines = text.split(b"\n")
    rows = _parsed_at_once(text, lines)
    if rows is not None:
        return [*map(Record, count(first), rows, map(len, lines))]
    return [
        Record(number, _parsed(line, "Line", number), len(line))
        for number, line in enumerate(lines, first)
        if line and not line.isspace()
    ]


def json_record(number: int, row: Mapping[str, object]) -> Record:
    """A row of Python objects as if read from JSONL: dates become texts, NaN becomes null, names become texts."""
    place = f"Row {number}"
    try:
        line = msgspec.json.encode(dict(row), enc_hook=_to_builtin)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as exc:
        why = InvalidRequest(f"{place} cannot be written as JSON: {exc}.", hint="Use texts, numbers, lists and dicts.")
        return Record(number, why)
    return Record(number, _too_long(place) if len(line) > MAX_ROW else _parsed(line, "Row", number), len(line))


class Block(NamedTuple):
    """Whole lines of a file.

    Attributes:
        number: Of the first, from 1 on.
        text: The lines, with a line feed between two; None in place of one that is too long.
        ended: Whether the last one has its line feed, which is not in the text.
    """

    number: int
    text: bytes | None
    ended: bool


def read_blocks(file: BufferedIOBase, longest: int) -> Iterator[Block]:
    """The lines of a file, as many at once as have come, up to 64 KiB; a line over `longest` bytes is left out."""
    number, held = 1, 0  # bytes of a line that has begun
    begun: list[bytes] = []  # its pieces, as long as it is not too long
    while piece := file.read1(min(_BLOCK, longest + 1)):
        if held:
            part, feed, piece = piece.partition(b"\n")
            held = _go_on(begun, part, held, longest)
            if not feed:
                continue
            yield _long_line(number, begun, held, longest, ended=True)
            number += 1
        lines, feed, rest = piece.rpartition(b"\n")
        if feed:
            yield Block(number, lines, ended=True)
            number += lines.count(b"\n") + 1
        begun.clear()
        held = _go_on(begun, rest, 0, longest)
    if held:
        yield _long_line(number, begun, held, longest, ended=False)


def _go_on(begun: list[bytes], piece: bytes, held: int, longest: int) -> int:
    """Note a piece of a line of which so many bytes have come; returns how many there are now."""
    held += len(piece)
    if held <= longest:
        begun.append(piece)
    else:
        begun.clear()
    return held


def _long_line(number: int, begun: list[bytes], held: int, longest: int, *, ended: bool) -> Block:
    return Block(number, b"".join(begun) if held <= longest else None, ended)


def read_lines(file: BufferedIOBase, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Each line with its number from 1 on and its line break; None in place of one over `longest` bytes."""
    for first, text, ended in read_blocks(file, longest):
        if text is None:
            yield first, None
            continue
        *lines, last = text.split(b"\n")
        yield from enumerate((line + b"\n" for line in lines), first)
        yield first + len(lines), last + b"\n" if ended else last


def _count_non_blank(file: BinaryIO) -> int:
    """How many lines have something in them. It looks at pieces: a line may be longer than the memory."""
    lines, has_text = 0, False
    for piece in chain([file.read(_PIECE).removeprefix(_BOM)], iter(partial(file.read, _PIECE), b"")):
        ended = piece.count(b"\n")
        is_object = has_text or piece.startswith(b"{")
        if is_object and ended == piece.count(b"\n{") + piece.endswith(b"\n"):  # so is each line: no need to split
            lines += ended
            has_text = not piece.endswith(b"\n")
            continue
        first, *others = piece.split(b"\n")
        has_text = has_text or bool(first.strip())
        for part in others:
            lines += has_text
            has_text = bool(part.strip())
    return lines + has_text


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


def _parsed_at_once(text: bytes, lines: list[bytes]) -> list[Fields] | None:
    """The fields of each of these lines; None where one of them has none, or may be too large or too deep."""
    if len(text) > _MAX_VALUES:
        return None
    try:
        rows = [*map(_decode, lines)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if {*map(type, rows)} != {dict}:
        return None
    # Each line opens an object at least, so one opens at most those that the others do not need.
    if text.count(b"{") + text.count(b"[") >= len(lines) + _MAX_DEPTH and any(map(_opens_many, lines)):
        return None
    return rows


def _opens_many(line: bytes) -> bool:
    return line.count(b"{") + line.count(b"[") > _MAX_DEPTH


def _parsed(line: bytes, unit: str, number: int) -> Fields | InvalidRequest:
    opened = line.count(b"{") + line.count(b"[")
    if len(line) > _MAX_VALUES and opened + line.count(b",") > _MAX_VALUES:
        return InvalidRequest(f"{unit} {number} has over {_MAX_VALUES:,} values.", hint="Write smaller rows.")
    try:
        fields = msgspec.json.decode(line)
    except RecursionError:
        return _too_deep(f"{unit} {number}")
    except (msgspec.MsgspecError, ValueError) as exc:
        return InvalidRequest(f"{unit} {number} is not a JSON object: {exc}.", hint=_HINT)
    if not isinstance(fields, dict):
        kind = type(fields).__name__
        return InvalidRequest(f"{unit} {number} is not a JSON object but of type {kind}.", hint=_HINT)
    return _too_deep(f"{unit} {number}") if opened > _MAX_DEPTH and _is_deep(fields) else fields


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
