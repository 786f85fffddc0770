"""When to search, and what is found."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from bing_llm.emulator.obedience.searching import answer_from_pages, found_pages, needs_search, query_of


@pytest.mark.parametrize(
    "question",
    [
        "What is the latest news?",
        "Weather in Paris today",
        "What is new in Python?",
        "Who is the current CEO of Contoso?",
        "Who is the president of France?",
        "What is the price of gold?",
        "Какая сегодня погода?",
        "Search the web for cakes",
    ],
)
def test_current_things_need_a_search(question: str) -> None:
    """News, weather, prices, offices and whatever is of today are searched for."""
    assert needs_search(question)


@pytest.mark.parametrize(
    "question", ["What is Python?", "Write a story about space.", "Explain the current of a river", "Hello"]
)
def test_other_things_do_not(question: str) -> None:
    """Other questions are answered without a search."""
    assert not needs_search(question)


@pytest.mark.parametrize(
    ("question", "query"),
    [
        ("Please tell me, what is the weather in Paris today?", "weather in Paris today"),
        ("latest   news", "latest news"),
        ("Tell me about the latest news.", "latest news"),
        ("What is?", "What is?"),
        ("x" * 200, "x" * 80),
    ],
)
def test_the_query_is_the_question_without_manners(question: str, query: str) -> None:
    """Politeness and question marks are left out, and the query is short."""
    assert query_of(question) == query


@pytest.mark.parametrize("query", ["weather in Paris", "погода", "???", ""])
def test_pages_are_on_reserved_hosts(query: str) -> None:
    """There are always three pages, on three hosts that belong to nobody."""
    pages = found_pages(query)
    hosts = [urlsplit(page.url).hostname for page in pages]
    assert hosts == ["www.example.com", "www.example.org", "www.example.net"]
    assert all(page.title and page.snippets for page in pages)


def test_the_answer_cites_what_was_found() -> None:
    """The answer names the query and has markers of pages that are there."""
    text = answer_from_pages("cakes")
    assert "cakes" in text
    assert "[^1^]" in text
    assert "[^2^]" in text
