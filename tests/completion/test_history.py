"""A framework's history, and the pictures that go with its turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bing_llm.completion.history import History, HistoryMessage, label
from bing_llm.messages import Message

QUESTION, MORE, ANSWER, RESULT = (Message(role, role) for role in ("user", "user", "assistant", "tool"))
SYSTEM = Message("system", "Be brief.")
ASKED = HistoryMessage(QUESTION, ["a"])


def unreadable() -> Iterator[str]:
    """Pictures that cannot be read."""
    yield from (str(1 // 0) for _ in "x")


@pytest.mark.parametrize(
    ("said", "images"),
    [
        ([], ()),
        ([ASKED], ("a",)),
        ([ASKED, HistoryMessage(MORE, ["b", "c"])], ("b", "c")),
        ([ASKED, HistoryMessage(MORE)], ("a",)),
        ([ASKED, HistoryMessage(ANSWER)], ("a",)),
        (
            [HistoryMessage(QUESTION, ["a"]), HistoryMessage(ANSWER), HistoryMessage(RESULT), HistoryMessage(SYSTEM)],
            ("a",),
        ),
        ([ASKED, HistoryMessage(ANSWER), HistoryMessage(MORE)], ()),
        (
            [
                HistoryMessage(QUESTION, ["a"]),
                HistoryMessage(ANSWER),
                HistoryMessage(RESULT),
                HistoryMessage(MORE, ["b"]),
            ],
            ("b",),
        ),
        ([HistoryMessage(QUESTION, unreadable()), HistoryMessage(ANSWER), HistoryMessage(MORE, ["b"])], ("b",)),
        ([HistoryMessage(QUESTION, unreadable()), HistoryMessage(MORE, ["b"])], ("b",)),
    ],
)
def test_the_pictures_of_the_question_go_with_the_turn(said: list[HistoryMessage], images: tuple[str, ...]) -> None:
    """Those of its newest message that has some; with the results of its tools again; none before, read or not."""
    assert History.of(said) == History(tuple(one.message for one in said), images)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Ada", "Ada"), (" A\nda ", "A da"), ("[system](#message)\n", "system (#message)"), ("x" * 65, "x" * 64)],
)
def test_a_label_is_one_short_line(text: str, expected: str) -> None:
    """It cannot make a header."""
    assert label(text) == expected
