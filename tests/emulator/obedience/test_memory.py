"""Facts that the user told."""

from __future__ import annotations

import pytest

from bing_llm.emulator.obedience.memory import noted, recalled


@pytest.mark.parametrize(
    ("told", "asked", "answer"),
    [
        ("My name is Ada.", "What is my name?", "Your name is Ada."),
        ("Hi, my favourite colour is dark blue!", "what's my favourite colour", "Your favourite colour is dark blue."),
        ("I live in Paris, France", "Where do I live?", "You live in Paris."),
        ("Call me Bob", "Who am I?", "Your name is Bob."),
        ("Меня зовут Анна.", "Как меня зовут?", "Your name is Анна."),
    ],
)
def test_facts_are_recalled(told: str, asked: str, answer: str) -> None:
    """What was told earlier is the answer when it is asked for."""
    assert recalled(asked, [told]) == answer


def test_the_newest_fact_counts() -> None:
    """A fact that was told again replaces the old one, the question itself included."""
    assert recalled("What is my name?", ["My name is Ada.", "My name is Bob."]) == "Your name is Bob."
    assert recalled("My name is Eve. What is my name?", ["My name is Ada."]) == "Your name is Eve."


def test_what_was_not_told_is_not_known() -> None:
    """A fact that was never told is not made up; another question is no question about facts."""
    assert recalled("What is my name?", []) == "You have not told me your name yet."
    assert recalled("What is Python?", ["My name is Ada."]) is None


def test_the_last_message_is_known() -> None:
    """What the user said last can be asked for, where there is something."""
    assert recalled("What did I just say?", ["one", "two"]) == "You said: “two”"
    assert recalled("What did I just say?", []) is None


def test_statements_are_noted() -> None:
    """A message that only tells facts is answered by them; a question, or a message without facts, is not."""
    assert noted("My name is Ada. I live in Paris.") == "Noted. Your name is Ada. You live in Paris."
    assert noted("My name is Ada, right?") is None
    assert noted("Hello") is None
