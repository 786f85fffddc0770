"""How what is sent is cut, held and repeated."""

from __future__ import annotations

from bing_llm.emulator.faults import Duplicate, Merge, Split
from bing_llm.emulator.wire import Delivery, new_id, timestamp


def test_messages_go_out_as_they_are() -> None:
    """Without a fault a message is one piece, and nothing is held back."""
    delivery: Delivery[str] = Delivery()
    assert delivery.pieces("abc") == ["abc"]
    assert (delivery.rest(), delivery.pause) == ([], 0.0)


def test_messages_are_split() -> None:
    """Each comes in pieces of one size; the last may be shorter."""
    delivery: Delivery[bytes] = Delivery()
    delivery.change(Split(2, pause=0.5))
    assert delivery.pieces(b"abc") == [b"ab", b"c"]
    assert delivery.pause == 0.5


def test_messages_are_merged() -> None:
    """All come at the end, as one."""
    delivery: Delivery[str] = Delivery()
    delivery.change(Merge())
    assert delivery.pieces("ab") + delivery.pieces("c") == []
    assert delivery.rest() == ["abc"]
    assert delivery.rest() == []


def test_messages_are_doubled() -> None:
    """Each comes twice; with other faults too."""
    delivery: Delivery[str] = Delivery()
    delivery.change(Duplicate())
    assert delivery.pieces("ab") == ["ab", "ab"]
    delivery.change(Merge())
    delivery.change(Split(3))
    assert delivery.pieces("cd") == []
    assert delivery.rest() == ["cdc", "d"]


def test_times_have_seven_digits() -> None:
    """Times are written as .NET writes them (recordings 02 and 05)."""
    assert timestamp(1_700_000_000.25) == "2023-11-14T22:13:20.2500000+00:00"
    assert timestamp(0, "Z") == "1970-01-01T00:00:00.0000000Z"


def test_ids_differ() -> None:
    """Each new id is another one."""
    assert new_id() != new_id()
