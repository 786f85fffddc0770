"""A conversation as Markdown."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin

from bing_llm.cli.session import Exchange
from bing_llm.cli.transcript import render_transcript
from bing_llm.events import Citation, Reply

EVIL = "\x1b[2J\n\u202ex"


def cited(text: str, *citations: Citation) -> Reply:
    """A reply whose markers are found as the service's are."""
    found = [
        Citation(
            each.number,
            each.url,
            each.title,
            tuple(match.span() for match in re.finditer(rf"\[\^{each.number}\^\]|\[{each.number}\]\([^)]*\)", text)),
        )
        for each in citations
    ]
    return Reply(text=text, citations=tuple(found))


def html(markdown: str) -> str:
    """The Markdown as a page shows it."""
    return str(MarkdownIt().use(footnote_plugin).render(markdown))


def test_a_transcript_is_markdown() -> None:
    """Who said what is a heading, and a marker is a footnote."""
    reply = cited("The moon [^1^].\n", Citation(1, "https://a.example", "A"))
    assert render_transcript("Chat with bing-precise", [Exchange("Why tides?", reply)]) == (
        "# Chat with bing-precise\n\n## You\n\nWhy tides?\n\n## Bing\n\nThe moon [^1-1].\n\n"
        "[^1-1]: [A](<https://a.example>)\n"
    )


def test_footnotes_render() -> None:
    """Those of several turns do not meet, and each links what its turn has cited."""
    exchanges = [
        Exchange(
            "one",
            cited("A [^1^][^2^].", Citation(1, "https://a.example/?a=b c>", "A [x] *y* <z>"), Citation(2, "", "B")),
        ),
        Exchange("two", cited("C [^1^], and again [^1^].", Citation(1, "https://c.example"))),
    ]
    page = html(render_transcript("m", exchanges))
    assert page.count('class="footnote-ref"') == 4
    assert page.count('class="footnote-item"') == 3
    assert '<a href="https://a.example/?a=b%20c%3E">A [x] *y* &lt;z&gt;</a>' in page
    assert '<a href="https://c.example">https://c.example</a>' in page
    assert "[^" not in page


def test_what_is_not_marked_is_listed() -> None:
    """Sources that the text links or does not name, and pictures."""
    reply = cited(
        "See [1](https://a.example).", Citation(1, "https://a.example", "A"), Citation(2, "https://b.example")
    )
    reply = Reply(text=reply.text, citations=reply.citations, images=("https://i.example",), image_prompts=("a *cat*",))
    assert render_transcript("m", [Exchange("q", reply)]).endswith(
        "See [1](https://a.example).\n\n- 1: [A](<https://a.example>)\n- 2: <https://b.example>\n"
        "- image: <https://i.example>\n- image wanted: a \\*cat\\*\n"
    )


@pytest.mark.parametrize("text", ["Look:\n```py\nx = 1", "```", "~~~~\na\n~~~", "````md\n```\n"])
def test_a_listing_that_was_cut_off_is_closed(text: str) -> None:
    """Else the rest of the conversation would be in it."""
    page = html(render_transcript("m", [Exchange(text, Reply(text=text)), Exchange("two", Reply(text="end"))]))
    assert page.count("<h2>You</h2>") == page.count("<h2>Bing</h2>") == 2


def test_a_listing_that_is_complete_stays() -> None:
    """Nothing is added to it."""
    text = "a\n\n```py\nx = 1\n```"
    assert f"\n\n{text}\n" in render_transcript("m", [Exchange("q", Reply(text=text))])


def test_a_withdrawn_answer_says_so() -> None:
    """An answer that the service withdrew carries its notice."""
    reply = Reply(text="x", revoked=True, notice="Sorry.")
    assert render_transcript("m", [Exchange("q", reply)]).endswith("x\n\n(The service withdrew this answer. Sorry.)\n")


def test_no_control_character_gets_into_it() -> None:
    """Whoever wrote what."""
    reply = Reply(
        text=f"{EVIL}[^1^]",
        citations=(Citation(1, EVIL, EVIL, ((len(EVIL), len(EVIL) + 5),)), Citation(2, EVIL, EVIL)),
        images=(EVIL,),
        image_prompts=(EVIL,),
        revoked=True,
        notice=EVIL,
    )
    assert render_transcript(EVIL, [Exchange(EVIL, reply)]).replace("\n", "").isprintable()
