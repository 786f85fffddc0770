"""What a text says in short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.obedience.extracts import best_sentence, keywords, summary, title

TEXT = """file_path: data/boats.txt
page: 3

Boats need care. My mooring is number 12 at the north quay.
The permit of my boat is valid until May!"""


def test_the_sentence_that_shares_most_words_answers() -> None:
    """In any form of its words; the first one where none shares any."""
    assert best_sentence(TEXT, "Where are the moorings?") == "My mooring is number 12 at the north quay."
    assert best_sentence(TEXT, "How long is my permit valid?") == "The permit of my boat is valid until May!"
    assert best_sentence(TEXT, "Who?") == "Boats need care."
    assert best_sentence(TEXT, "Which page is it?") == "page: 3"
    assert best_sentence("", "Who?") == ""


def test_keywords_are_the_words_that_are_said_most() -> None:
    """Without those that say nothing, and without metadata."""
    assert keywords("A quay. The quay of Rome, Rome, Rome with and about it.", 5) == ["Rome", "quay"]
    assert keywords(TEXT, 2) == ["Boats", "need"]
    assert keywords("", 3) == []


def test_the_first_sentences_are_a_summary_and_a_title() -> None:
    """Metadata counts only where there is nothing else."""
    assert summary(TEXT) == "Boats need care. My mooring is number 12 at the north quay."
    assert title(TEXT) == "Boats need care"
    assert title("page: 3") == "page: 3"
    assert title("word " * 50) == f"{('word ' * 12)[:-1]}…"
    assert (summary(""), title("")) == ("", "")


@given(st.text(alphabet="aB1 .!?:_-\n…"))
def test_any_text_is_taken(text: str) -> None:
    """No text makes it fail, and nothing is long."""
    assert all(len(found) <= 400 for found in (best_sentence(text, text), summary(text), title(text)))
    assert len(keywords(text, 2)) <= 2
