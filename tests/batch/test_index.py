"""Which rows are known."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.batch.index import Index


@pytest.fixture
def index() -> Iterator[Index]:
    """An empty one."""
    made = Index()
    yield made
    made.close()


def test_a_key_is_new_once(index: Index) -> None:
    """Then this run has it."""
    assert [index.claim("a", 1), index.claim("a", 2), index.claim("b", 3)] == ["new", "again", "new"]


def test_a_row_of_an_earlier_run_is_done_once(index: Index) -> None:
    """A second row of the input with its key is a repetition, as it is in a first run."""
    assert index.add("a", 0)
    assert [index.claim("a", 1), index.claim("a", 2)] == ["done", "again"]


def test_an_output_has_a_key_once(index: Index) -> None:
    """A second row with it is told."""
    assert [index.add("a", 0), index.add("a", 9), index.add("b", 20)] == [True, False, True]


def test_a_cleared_index_knows_nothing(index: Index) -> None:
    """As before the first row."""
    index.add("a", 0)
    index.clear()
    assert index.claim("a", 1) == "new"


def test_places_come_in_the_order_of_the_input(index: Index) -> None:
    """Those that the input has not follow in their own order; a row that was never kept has no place."""
    for key, place in (("gone", 0), ("c", 10), ("also gone", 20)):
        index.add(key, place)
    for number, key in enumerate("abcd", 1):
        index.claim(key, number)
    index.put("d", 30)
    index.put("a", 40)
    assert list(index.places()) == [40, 10, 30, 0, 20]


@given(st.permutations(range(20)))
def test_any_order_of_ends_gives_the_order_of_the_input(ends: list[int]) -> None:
    """Rows end in any order."""
    index = Index()
    for number in range(20):
        index.claim(str(number), number)
    for place, number in enumerate(ends):
        index.put(str(number), place)
    assert [ends[place] for place in index.places()] == list(range(20))
    index.close()


def test_a_full_disk_is_an_os_error(index: Index) -> None:
    """As it is for the output: the batch stops, and what is kept is kept."""
    index._database.execute("COMMIT")
    index._database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(OSError, match="temporary database") as caught:
        list(map(index.claim, map(str, range(10_000)), range(10_000)))
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_closing_twice_is_fine(index: Index) -> None:
    """Whoever closes need not know who did before."""
    index.close()
    index.close()
