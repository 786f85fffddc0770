"""The rows of a batch on their way through a cluster: what comes out is what went in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import json

from bing_llm.batch.cluster_rows import answers_of, answers_table, rows_of, working_folder, write_rows
from bing_llm.batch.rows import Record, Row, parse_row
from bing_llm.errors import BatchStopped, ConfigurationError

RECORDS: list[dict[str, Any]] = [
    {"prompt": "Hello", "id": "a", "label": 1},
    {"prompt": "Hé\n\u2028", "label": "one", "context": "Be short.", "model": "bing-precise"},
    {"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello"}], "label": None},
    {"prompt": "Big", "n": 2**63, "nested": {"deep": [1, [2.5, True, {}]]}, "id": 7},
]
"""Fields whose types no two rows agree on."""


async def given(*records: dict[str, Any]) -> AsyncIterator[Row]:
    """The rows of these records."""
    for number, record in enumerate(records, 1):
        row = parse_row(Record(number, record))
        assert isinstance(row, Row)
        yield row


def tables(folder: Path) -> list[Any]:
    """What the files there hold, in order."""
    return [json.read_json(file) for file in sorted(folder.iterdir())]


async def test_rows_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Their number, their id and all their fields stay, whatever types those have."""
    assert await write_rows(given(*RECORDS), tmp_path) == len(RECORDS)
    (table,) = tables(tmp_path)
    assert rows_of(table) == [row async for row in given(*RECORDS)]


async def test_many_rows_are_in_several_files_of_one_schema(tmp_path: Path) -> None:
    """No file holds more than what may be in memory, and all have the same columns."""
    assert await write_rows(given(*RECORDS * 600), tmp_path) == 2400
    found = tables(tmp_path)
    assert [table.num_rows for table in found] == [1000, 1000, 400]
    assert all(table.schema.equals(found[0].schema) for table in found)
    assert [row.number for table in found for row in rows_of(table)] == list(range(1, 2401))


async def test_no_rows_are_no_files(tmp_path: Path) -> None:
    """Nothing is written where nothing is to be asked."""
    assert await write_rows(given(), tmp_path) == 0
    assert not tables(tmp_path)


async def test_rows_that_cannot_be_written_stop_the_batch(tmp_path: Path) -> None:
    """Nothing was asked; the reason is that of the system."""
    with pytest.raises(BatchStopped, match="cannot be written") as caught:
        await write_rows(given(*RECORDS), tmp_path / "missing")
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("rows", [[], [{"id": 1, "text": "Hé", "citations": []}, {"id": "b", "error": {"type": "T"}}]])
def test_answers_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    """With the worker that gave them; a table of none has the same columns."""
    table = answers_table("w0", rows)
    assert table.schema.equals(answers_table("w1", [{}]).schema)
    assert answers_of(table) == [("w0", row) for row in rows]


@pytest.mark.parametrize("is_temporary", [False, True])
def test_the_working_folder_is_there_while_it_is_needed(tmp_path: Path, is_temporary: bool) -> None:  # noqa: FBT001 - of a parameter
    """It is empty at the beginning, and gone at the end, with what is in it."""
    with working_folder(None if is_temporary else tmp_path / "rows") as folder:
        assert not [*folder.iterdir()]
        asyncio.run(write_rows(given(*RECORDS), folder))
        assert len([*folder.iterdir()]) == 1
    assert not folder.exists()


def test_what_a_killed_run_has_left_is_removed(tmp_path: Path) -> None:
    """Its rows are not asked again: those that are to be asked are written anew."""
    asyncio.run(write_rows(given(*RECORDS), tmp_path))
    with working_folder(tmp_path) as folder:
        assert not [*folder.iterdir()]


@pytest.mark.parametrize("kind", ["file", "folder", "no parent"])
def test_what_is_not_ours_stays(tmp_path: Path, kind: str) -> None:
    """Where something else is in the way, or there is no place, nothing is asked."""
    place = tmp_path / "rows"
    if kind == "file":
        place.write_text("mine")
    elif kind == "folder":
        place.mkdir()
        (place / "mine").touch()
    else:
        place = place / "deep"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match="working folder"), working_folder(place):
        pass
    assert sorted(tmp_path.rglob("*")) == before
