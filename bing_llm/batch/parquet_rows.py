"""Parquet, by pyarrow, which is imported when it is needed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from bing_llm.batch.files import load_extra
from bing_llm.batch.jsonl import json_record
from bing_llm.batch.rows import Fields, Record, one_by_one
from bing_llm.errors import ConfigurationError, InvalidRequest

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet as pq

_READ_AT_ONCE: Final = 32  # rows: each may take megabytes
_WRITTEN_AT_ONCE: Final = 4096  # rows of a row group, which is in memory while it is written
_MAX_WRITTEN: Final = 16 * 2**20  # characters of texts of one
_EXACT: Final = 2**53  # up to here each whole number is a float
_LONGEST: Final = 2**63
_JSON: Final = {b"bing_llm": b"json"}
"""Marks a column whose values are of several types, or nested: each is its JSON text."""
_LABEL: Final = "sensitivity_label"
"""The field of a citation that is JSON text too: the service names what is in it."""


class ParquetSource:
    """The rows of a Parquet file that has a column `prompt` or `messages`."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        if not {"prompt", "messages"} & set(column_names(path)):
            raise ConfigurationError(
                f"{self.name!r} has neither a column prompt nor messages.", hint="Name one of its columns so."
            )

    def count(self) -> int | None:
        """How many rows the file has."""
        with _opened(self._path) as file:
            return int(file.metadata.num_rows)

    def records(self) -> Iterator[Record]:
        """The rows, in order, each with its number from 1 on."""
        number = 0
        with _opened(self._path) as file:
            for batch in _batches(file, self.name):
                for row in _rows(batch):
                    number += 1
                    if isinstance(row, str):
                        yield Record(number, _unreadable(f"Row {number}", row))
                    else:
                        yield json_record(number, row)

    def blocks(self) -> Generator[Sequence[Record], None, None]:
        """The same, one by one."""
        return one_by_one(self.records())


def column_names(path: Path) -> list[str]:
    """The names of the columns.

    Raises:
        ConfigurationError: The file is not Parquet, or has two columns of one name.
    """
    with _opened(path) as file:
        names: list[str] = file.schema_arrow.names
    if len(set(names)) < len(names):
        raise ConfigurationError(f"{str(path)!r} has two columns of one name.", hint="Give each a name of its own.")
    return names


def read_table(path: Path) -> Iterator[tuple[str, Fields]]:
    """The place and the fields of each row of an output that `write_table` wrote; null is left out.

    Raises:
        OSError: A row cannot be read.
    """
    number = 0
    with _opened(path) as file:
        json_columns = {field.name for field in file.schema_arrow if field.metadata == _JSON}
        for batch in _batches(file, str(path)):
            for row in batch.to_pylist():
                number += 1
                yield (
                    f"Row {number}",
                    {
                        name: msgspec.json.decode(value) if name in json_columns else _read_value(value)
                        for name, value in row.items()
                        if value is not None
                    },
                )


def _read_value(value: object) -> object:
    """The value of a column that is not JSON; the citations are the only list of objects."""
    if not isinstance(value, list):
        return value
    return [_read_citation(each) if isinstance(each, dict) else each for each in value]


def _read_citation(citation: Fields) -> Fields:
    found = {name: value for name, value in citation.items() if value is not None}
    return {**found, _LABEL: msgspec.json.decode(found[_LABEL])} if _LABEL in found else found


def _written_citation(citation: Fields) -> Fields:
    if _LABEL not in citation:
        return citation
    return {**citation, _LABEL: msgspec.json.encode(citation[_LABEL]).decode()}


def kind_of(value: object) -> str:
    """The type of a value, as far as the type of its column depends on it."""
    match value:
        case bool():
            return "bool"
        case int():
            return "int" if -_EXACT <= value <= _EXACT else "long" if -_LONGEST <= value < _LONGEST else "json"
        case float():
            return "float"
        case str():
            return "text"
        case _:
            return "json"


def write_table(file: BinaryIO, columns: Mapping[str, set[str]], rows: Iterable[Fields]) -> None:
    """Write the rows of an output. A column of nested values, or of several types, becomes JSON.

    Args:
        file: The file.
        columns: The names of all columns in their order, each with the kinds of its values (`kind_of`).
        rows: The rows; a missing value is null.
    """
    parquet = load_extra("pyarrow.parquet")
    schema = _schema(columns)
    with parquet.ParquetWriter(file, schema) as writer:
        for group in _groups(rows):
            writer.write_batch(_batch(schema, group))


def _schema(columns: Mapping[str, set[str]]) -> pa.Schema:
    pa = load_extra("pyarrow")
    text = pa.string()
    spans = pa.list_(pa.list_(pa.int64()))
    citation = pa.struct({"number": pa.int64(), "url": text, "title": text, "spans": spans, _LABEL: text})
    fixed = {
        "line": pa.int64(),
        "text": text,
        "citations": pa.list_(citation),
        "finish_reason": text,
        "attempts": pa.int64(),
        "seconds": pa.float64(),
        "error": pa.struct({"type": text, "message": text, "hint": text}),
    }
    return pa.schema([(name, fixed[name]) if name in fixed else _field(name, kinds) for name, kinds in columns.items()])


def _field(name: str, kinds: set[str]) -> pa.Field:
    pa = load_extra("pyarrow")
    if kinds <= {"text"}:
        return pa.field(name, pa.string())
    if kinds <= {"bool"}:
        return pa.field(name, pa.bool_())
    if kinds <= {"int", "long"}:
        return pa.field(name, pa.int64())
    if kinds <= {"int", "float"}:
        return pa.field(name, pa.float64())
    # Ids that are written alike are the same, so a number may become its text.
    return pa.field(name, pa.string(), metadata=None if name == "id" else _JSON)


def _batch(schema: pa.Schema, rows: list[Fields]) -> pa.RecordBatch:
    pa = load_extra("pyarrow")
    columns = [pa.array([_value(field, row.get(field.name)) for row in rows], field.type) for field in schema]
    return pa.record_batch(columns, schema=schema)


def _value(field: pa.Field, value: object) -> object:
    if value is None:
        return None
    if field.metadata == _JSON:
        return msgspec.json.encode(value).decode()
    if field.name == "citations" and isinstance(value, list):
        return [_written_citation(each) for each in value]
    return str(value) if field.name == "id" and field.type == "string" else value


def _groups(rows: Iterable[Fields]) -> Iterator[list[Fields]]:
    group: list[Fields] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(group) >= _WRITTEN_AT_ONCE or size >= _MAX_WRITTEN:
            yield group
            group, size = [], 0
    if group:
        yield group


def _opened(path: Path) -> pq.ParquetFile:
    parquet = load_extra("pyarrow.parquet")
    path.open("rb").close()  # the error of a missing file is shorter than pyarrow's
    try:
        return parquet.ParquetFile(str(path), buffer_size=2**20, pre_buffer=False)
    except load_extra("pyarrow").ArrowException as exc:
        raise ConfigurationError(f"{str(path)!r} is not a Parquet file: {exc}", hint="Choose another file.") from exc


def _batches(file: pq.ParquetFile, name: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches(batch_size=_READ_AT_ONCE)
    except load_extra("pyarrow").ArrowException as exc:
        raise OSError(f"{name!r} cannot be read to its end: {exc}") from exc


def _rows(batch: pa.RecordBatch) -> Iterator[Fields | str]:
    """Each row of a batch, or what is wrong with it."""
    try:
        yield from batch.to_pylist()
    except _BAD_VALUE:
        for place in range(batch.num_rows):
            yield _row(batch.slice(place, 1))


def _row(batch: pa.RecordBatch) -> Fields | str:
    try:
        row: Fields = batch.to_pylist()[0]
    except _BAD_VALUE as exc:
        return str(exc)
    return row


_BAD_VALUE: Final = (ValueError, OverflowError)  # not UTF-8, a date beyond the year 9999


def _unreadable(place: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{place} cannot be read: {why.rstrip('.')}.", hint="Write its values as texts.")
