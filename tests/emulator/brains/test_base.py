"""What a brain is asked."""

from __future__ import annotations

from bing_llm.emulator import Brain, Obedient, Question, Scripted, Upstream


def test_a_question_needs_only_its_text() -> None:
    """Everything but the text has a default: a first turn without context, with search."""
    question = Question(text="Hello")
    assert (question.context, question.history, question.search, question.images, question.number) == (
        "",
        (),
        True,
        (),
        0,
    )


def test_our_brains_are_brains() -> None:
    """Each of the three brains offers what a brain must."""
    brains: list[Brain] = [Obedient(), Scripted([]), Upstream("http://127.0.0.1:1/v1", "m")]
    assert all(callable(brain.answer) for brain in brains)
