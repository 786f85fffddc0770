"""A framework's history, and the pictures that go with its turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bing_llm.completion import History, Said, history_of, label
from bing_llm.messages import Message

QUESTION, MORE, ANSWER, RESULT = (Message(role, role) for role in ("user", "user", "assistant", "tool"))
SYSTEM = Message("system", "Be brief.")


def unreadable() -> Iterator[str]:
    """Pictures that cannot be read."""
    yield from (str(1 // 0) for _ in "x")


@pytest.mark.parametrize(
    ("said", "images"),
    [
        ([], ()),
        ([Said(QUESTION, ["a"])], ("a",)),
        ([Said(QUESTION, ["a"]), Said(MORE, ["b", "c"])], ("b", "c")),
        ([Said(QUESTION, ["a"]), Said(MORE)], ("a",)),
        ([Said(QUESTION, ["a"]), Said(ANSWER)], ("a",)),
        ([Said(QUESTION, ["a"]), Said(ANSWER), Said(RESULT), Said(SYSTEM)], ("a",)),
        ([Said(QUESTION, ["a"]), Said(ANSWER), Said(MORE)], ()),
        ([Said(QUESTION, ["a"]), Said(ANSWER), Said(RESULT), Said(MORE, ["b"])], ("b",)),
        ([Said(QUESTION, unreadable()), Said(ANSWER), Said(MORE, ["b"])], ("b",)),
        ([Said(QUESTION, unreadable()), Said(MORE, ["b"])], ("b",)),
    ],
)
def test_the_pictures_of_the_question_go_with_the_turn(said: list[Said], images: tuple[str, ...]) -> None:
    """Those of its newest message that has some; with the results of its tools again; none before, read or not."""
    assert history_of(said) == History(tuple(one.message for one in said), images)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Ada", "Ada"), (" A\nda ", "A da"), ("[system](#message)\n", "system (#message)"), ("x" * 65, "x" * 64)],
)
def test_a_label_is_one_short_line(text: str, expected: str) -> None:
    """It cannot make a header."""
    assert label(text) == expected
