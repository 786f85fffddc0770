"""The responses that are kept."""

from __future__ import annotations

import pytest

from bing_llm.serve.errors import ApiError
from bing_llm.serve.responses import InputItem
from bing_llm.serve.store import ResponseStore, Stored

ITEMS = (InputItem(role="user", content="Hello"),)


def holds(store: ResponseStore, response_id: str) -> bool:
    """Whether the response is there."""
    try:
        store.get(response_id)
    except ApiError:
        return False
    return True


def test_what_is_kept_is_found() -> None:
    """By its id, as often as it is asked for: a conversation may fork."""
    store = ResponseStore()
    store.put("resp_1", Stored(ITEMS, 10))
    assert store.get("resp_1").items == store.get("resp_1").items == ITEMS


def test_what_is_not_there_is_an_error() -> None:
    """OpenAI's."""
    with pytest.raises(ApiError) as caught:
        ResponseStore().get("resp_1")
    error = caught.value
    assert (error.status, error.code, error.param) == (400, "previous_response_not_found", "previous_response_id")


def test_the_number_is_bounded() -> None:
    """What was used last goes last."""
    store = ResponseStore(most=2)
    for name in ("a", "b"):
        store.put(name, Stored(ITEMS, 1))
    assert holds(store, "a")
    store.put("c", Stored(ITEMS, 1))
    assert [holds(store, name) for name in "abc"] == [True, False, True]


def test_the_bytes_are_bounded() -> None:
    """One that is too large alone is not kept at all."""
    store = ResponseStore(most_bytes=100)
    store.put("a", Stored(ITEMS, 60))
    store.put("b", Stored(ITEMS, 60))
    assert [holds(store, name) for name in "ab"] == [False, True]
    store.put("c", Stored(ITEMS, 101))
    assert [holds(store, name) for name in "abc"] == [False, False, False]
    store.put("d", Stored(ITEMS, 100))
    assert holds(store, "d")
