"""The one text of an answer, and the reply that its events add up to."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm import events as ev
from bing_llm.backends.reply import ReplyBuilder
from bing_llm.fold import fold

Delta, Revised = ev.TextDelta, ev.TextRevised

Change: TypeAlias = tuple[bool, str]
"""Whether a text takes the place of the one before, and that text; else it is a piece that is appended."""


def built(*changes: Change) -> ReplyBuilder:
    """A reply after these changes of its text."""
    builder = ReplyBuilder()
    for whole, text in changes:
        if whole:
            builder.replace(text)
        else:
            builder.append(text)
    return builder


@pytest.mark.parametrize(
    ("changes", "events"),
    [
        ([(True, "Ca"), (True, "Cats")], [Delta("Ca"), Delta("ts")]),
        ([(True, "Cats"), (True, "Cats")], [Delta("Cats")]),
        ([(True, "Cats"), (True, "Dogs")], [Delta("Cats"), Revised("Dogs")]),
        ([(True, "Cats"), (True, "Ca")], [Delta("Cats"), Revised("Ca")]),
        ([(False, "Ca"), (False, "ts"), (True, "Cats purr")], [Delta("Ca"), Delta("ts"), Delta(" purr")]),
    ],
)
def test_each_change_of_the_text_is_an_event(changes: list[Change], events: list[ev.Event]) -> None:
    """A text that goes on gives what it adds, another text itself, and the same text nothing."""
    builder = built(*changes)
    assert list(builder.events) == events
    assert builder.text == fold(events).text


@pytest.mark.parametrize(
    ("changes", "revised"),
    [
        ([(True, "Cats")], False),
        ([(True, "Cats"), (True, "Dogs")], True),
        ([(True, "Cats"), (True, "Ca"), (False, "ts purr")], False),
        ([(True, "Cats"), (True, "Ca"), (False, "rs are fast")], True),
        ([(True, "Cats"), (True, "Dogs"), (True, "Cats purr")], False),
        ([(True, "Cats"), (True, "Dogs"), (True, "Cat"), (False, "s")], False),
    ],
)
def test_a_text_is_revised_until_it_extends_what_was_given(changes: list[Change], revised: bool) -> None:  # noqa: FBT001
    """What counts is the text that the first rewrite has overruled."""
    assert built(*changes).so_far.revised is revised


@given(st.lists(st.tuples(st.booleans(), st.text(st.sampled_from("ab"), max_size=3)), max_size=8))
def test_the_reply_is_the_fold_of_its_events(changes: list[Change]) -> None:
    """Whatever comes, others who fold the events have the same text, and know as well whether it was revised."""
    builder = built(*changes)
    folded = fold(builder.events)
    assert (builder.so_far.text, builder.so_far.revised) == (folded.text, folded.revised)


def test_other_events_are_parts_of_the_reply() -> None:
    """And the end of the turn adds the rest."""
    builder = built((True, "Cats"))
    builder.add(ev.SearchStarted("cats"))
    builder.add(ev.TextRevoked("No.", ended=True))
    completed = builder.complete(message_id="a1")
    assert completed.reply == ev.Reply(
        text="Cats",
        searches=(ev.Search("cats"),),
        finish_reason="content_filter",
        revoked=True,
        conversation_ended=True,
        notice="No.",
        message_id="a1",
    )
    assert list(builder.events) == [Delta("Cats"), ev.SearchStarted("cats"), ev.TextRevoked("No.", ended=True)]


@pytest.mark.parametrize(("text", "begins"), [("", True), ("Ca", True), ("Cats pu", True), ("Cats pus", False)])
def test_the_text_may_be_compared_before_it_is_joined(text: str, *, begins: bool) -> None:
    """With what was there before its last pieces, and with all of it."""
    assert built((True, "Cats"), (False, " "), (False, "purr")).begins_with(text) is begins
