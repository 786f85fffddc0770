"""Texts for questions that need no skill."""

# ruff: noqa: RUF001 - questions in Russian

from __future__ import annotations

import pytest

from bing_llm.emulator.obedience.prose import plain_answer, said_again, suggestions_for, topic_of


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Hello!", ["Hello!"]),
        ("Write a story about a red fox.", ["## A short story about a red fox", "\n- ", "**never**"]),
        ("Give me a list of ideas about dinner", ["\n1. ", "dinner"]),
        ("Write some code in JavaScript", ["```javascript\nconsole.log"]),
        ("Write a script", ['```python\nprint("Hello, world!")\n```']),
        ("Why is the sky blue?", ["“Why is the sky blue?”", "emulator"]),
        ("Напиши короткий рассказ о космосе.", ["## Короткий рассказ", "«Напиши короткий рассказ о космосе.»"]),
        ("Напиши пример кода на Python, который выводит 'Hello, world!'", ['print("Hello, world!")', "Он выводит"]),
        ("Что такое Python?", ["«Что такое Python?»"]),
        ("Привет", ["Привет!"]),
        ("Составь список дел", ["\n1. "]),
    ],
)
def test_an_answer_is_of_the_wanted_kind(question: str, parts: list[str]) -> None:
    """Greetings, stories, lists and code are answered by such, in Russian where the question is Russian."""
    answer = plain_answer(question)
    assert all(part in answer for part in parts), answer


def test_a_long_question_is_shortened() -> None:
    """An answer quotes at most 200 characters of its question."""
    assert "x" * 199 + "…" in plain_answer("x" * 1000)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Say hello", "hello"),
        ("Please repeat after me: one two.", "one two."),
        ("Reply with only the word OK.", "OK"),
        ('Say exactly "a b".', "a b"),
        ("Скажи привет", "привет"),
        ("Say ?", "?"),
        ("I say hello", None),
        ("What do you say?", None),
    ],
)
def test_words_are_said_again(question: str, text: str | None) -> None:
    """Who wants to hear something word for word hears it, without quotation marks and the full stop of one word."""
    assert said_again(question) == text


def test_three_suggestions() -> None:
    """There are always three; the first names the subject where there is one."""
    assert suggestions_for("Who was Ada Lovelace?")[0] == "Tell me more about Ada Lovelace."
    assert suggestions_for("Why?")[0] == "Tell me more."
    assert suggestions_for("Что такое Python?")[0] == "Расскажи подробнее."
    assert {len(suggestions_for(question)) for question in ("Why?", "Who was Ada Lovelace?", "Что?")} == {3}


def test_a_topic_is_short() -> None:
    """The topic is the subject, or else the question in quotation marks, of at most 60 characters."""
    assert topic_of("Tell me about cats.") == "cats"
    assert topic_of("Why?") == "“Why?”"
    assert topic_of("about " + "x" * 100) == "x" * 59 + "…"
