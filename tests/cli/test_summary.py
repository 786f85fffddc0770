"""The lines below an answer."""

from __future__ import annotations

from bing_llm.cli.summary import quota_line, source_lines, suggestion_lines
from bing_llm.events import Citation, Quota, Reply


def test_citations_have_the_numbers_of_the_text() -> None:
    """A citation is listed under the marker that the text has for it."""
    reply = Reply(citations=(Citation(2, "https://b.example", "B"), Citation(1, "https://a.example")))
    assert source_lines(reply) == ["[^2^] B https://b.example", "[^1^] https://a.example"]
    assert source_lines(reply, "[{}]")[0] == "[2] B https://b.example"


def test_a_source_without_an_address_is_listed_by_its_title() -> None:
    """Nothing stands behind it, not even a blank."""
    assert source_lines(Reply(citations=(Citation(1, "", "Plan.docx"),))) == ["[^1^] Plan.docx"]


def test_pictures_are_listed() -> None:
    """Pictures that were made, and those that were only asked for, are shown."""
    reply = Reply(images=("https://i.example/1",), image_prompts=("a cat",))
    assert source_lines(reply) == ["image: https://i.example/1", "image wanted: a cat"]


def test_suggestions_are_numbered() -> None:
    """Suggestions are numbered from 1, each on one line."""
    assert suggestion_lines(Reply(suggestions=("Why?", "How\nso?"))) == ["1> Why?", "2> How so?"]


def test_what_the_service_sent_is_escaped() -> None:
    """Titles, URLs, prompts and suggestions cannot steer the terminal or forge a line."""
    evil = "\x1b[2J\n\u202ex"
    reply = Reply(citations=(Citation(1, evil, evil),), images=(evil,), image_prompts=(evil,), suggestions=(evil,))
    for line in [*source_lines(reply), *suggestion_lines(reply)]:
        assert line.isprintable()


def test_quota_is_used_of_limit() -> None:
    """The quota reads as a sentence."""
    assert quota_line(Quota(3, 30)) == "3 of 30 turns"
