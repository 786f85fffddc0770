"""What the parts of one emulator share."""

from __future__ import annotations

from bing_llm.emulator import Emulator, Received
from bing_llm.emulator.state import REQUESTS_KEPT


def test_only_the_last_requests_are_kept() -> None:
    """The oldest request goes where there are too many, in the list that was given out."""
    emulator = Emulator()
    kept = emulator.requests
    for number in range(REQUESTS_KEPT + 2):
        emulator._state.note(Received(kind="list", path=str(number)))
    assert len(kept) == REQUESTS_KEPT == 1_000
    assert (kept[0].path, kept[-1].path) == ("2", "1001")


def test_the_repr_has_no_token() -> None:
    """The token is left out of the repr."""
    assert "secret" not in repr(Emulator(token="secret")._state)
