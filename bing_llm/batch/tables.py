"""An output as a table: CSV or Parquet, made of a journal at the end, and made a journal again by a later run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from bing_llm.batch import csv_rows, parquet_rows
from bing_llm.batch.journal import rows_of
from bing_llm.batch.kept import MAX_LINE, as_line, kept
from bing_llm.batch.replacing import replacing
from bing_llm.batch.rows import OUTPUT_FIELDS
from bing_llm.errors import ConfigurationError

__all__ = ["Table", "check_ours", "to_journal", "to_table"]

Table: TypeAlias = Literal["csv", "parquet"]

_FIRST: Final = ("id", "line")
_LAST: Final = tuple(name for name in OUTPUT_FIELDS if name not in _FIRST)
_MAX_COLUMNS: Final = 10_000  # a table has a cell of every row for each of them


def to_table(journal: Path, path: Path, table: Table) -> None:
    """Make the table of a journal; it takes the place of what is at `path`.

    CSV has what is no text as JSON, and nothing for null. So has Parquet a column of nested values, or of several
    types; the fields of the output have types of their own there.

    Raises:
        OSError: It cannot be written; `path` is as it was.
        ConfigurationError: The rows have over 10,000 different fields, which no table holds.
    """
    kinds = _columns(rows_of(journal))
    with replacing(path) as file:
        if table == "csv":
            csv_rows.write(file, tuple(kinds), ([_cell(row.get(name)) for name in kinds] for row in rows_of(journal)))
        else:
            parquet_rows.write(file, kinds, rows_of(journal))


def to_journal(path: Path, journal: Path, table: Table) -> None:
    """Make the journal of a table that `to_table` made.

    Raises:
        ConfigurationError: It did not; nothing was written.
        OSError: The journal cannot be written.
    """
    with replacing(journal) as file:
        for place, fields in _READ[table](path):
            line = None if fields is None else _line(fields)
            if line is None:
                raise _refused(path, f"{place} is no row of an output")
            file.write(line)


def check_ours(path: Path, table: Table) -> None:
    """Refuse a table that has not the columns of an output.

    Raises:
        ConfigurationError: It has not, or it is no such table.
    """
    names = _csv_names(path) if table == "csv" else parquet_rows.read_names(path)
    if not {*_FIRST, *_LAST} <= set(names):
        raise _refused(path, "it has not the columns of an output")


def _columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """All columns in their order, each with the kinds of its values."""
    kinds: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            found = kinds.setdefault(name, set())
            if value is not None:
                found.add(parquet_rows.kind_of(value))
        if len(kinds) > _MAX_COLUMNS:
            raise ConfigurationError(
                f"The rows have over {_MAX_COLUMNS:,} different fields, which no table holds.",
                hint="The journal beside the output has all answers; it is JSONL.",
            )
    own = {name: found for name, found in kinds.items() if name not in {*_FIRST, *_LAST}}
    return {"id": kinds.get("id", set()), "line": set(), **own, **{name: set() for name in _LAST}}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _csv_names(path: Path) -> list[str]:
    with csv_rows.opened(path) as file:
        return csv_rows.read_header(csv_rows.rows(file, MAX_LINE), str(path))


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any] | None]]:
    with csv_rows.opened(path) as file:
        found = csv_rows.rows(file, MAX_LINE)
        header = csv_rows.read_header(found, str(path))
        for number, cells in found:
            is_row = not isinstance(cells, str) and len(cells) == len(header)
            yield f"Line {number}", _typed(dict(zip(header, cells, strict=True))) if is_row else None


def _typed(cells: dict[str, str]) -> dict[str, Any] | None:
    """The fields of a row of CSV: those of the output with their types, all others as text, none that is empty."""
    typed = ("line", "citations", "attempts", "seconds", "error")
    try:
        return {
            name: msgspec.json.decode(cell) if name in typed else cell for name, cell in cells.items() if cell != ""
        }
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any] | None]]:
    for number, fields in enumerate(parquet_rows.read(path), 1):
        yield f"Row {number}", fields


_READ: Final[dict[Table, Callable[[Path], Iterator[tuple[str, dict[str, Any] | None]]]]] = {
    "csv": _csv_rows,
    "parquet": _parquet_rows,
}


def _line(fields: dict[str, Any]) -> bytes | None:
    """The line of a journal for a row of a table; None where it is none."""
    if "id" not in fields and "line" not in fields:
        return None
    if "error" not in fields:  # a table does not tell what is empty from what is missing
        fields = {**fields, "text": fields.get("text", ""), "citations": fields.get("citations", [])}
    order = (*_FIRST, *(name for name in fields if name not in {*_FIRST, *_LAST}), *_LAST)
    try:
        line = as_line({name: fields[name] for name in order if name in fields})
    except (TypeError, ValueError):
        return None
    return line if kept(line) else None


def _refused(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"{str(path)!r} was not touched: {why}.", hint="Choose another output.")
