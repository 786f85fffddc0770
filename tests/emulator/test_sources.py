"""How an answer cites."""

from __future__ import annotations

from bing_llm.emulator.sources import Sources
from bing_llm.events import Citation, SearchResult

PAGES = (
    SearchResult("One", "https://one.example/a", ()),
    SearchResult("Two", "https://two.example/b", ()),
)


def sources() -> Sources:
    """Two pages that a search found."""
    made = Sources()
    made.found(PAGES)
    return made


def test_pages_are_numbered_in_their_order() -> None:
    """What searches found is cited by its place, over all searches."""
    made = sources()
    made.found((SearchResult("Three", "https://three.example/", ()),))
    assert [(citation.number, citation.title) for citation in made.citations] == [(1, "One"), (2, "Two"), (3, "Three")]


def test_given_definitions_replace_the_pages() -> None:
    """Citations that a brain gives count instead of the pages."""
    made = sources()
    made.define((Citation(7, "https://seven.example/", "Seven"),))
    assert made.citations == (Citation(7, "https://seven.example/", "Seven"),)


def test_the_card_defines_and_marks() -> None:
    """The card begins with definitions and an empty line; its markers have count and number (section e)."""
    assert sources().card_text("B [^2^], a [^1^], b again [^2^].") == (
        '[1]: https://one.example/a "One"\n[2]: https://two.example/b "Two"\n\n'
        "B [^1^][2], a [^2^][1], b again [^1^][2]."
    )


def test_a_text_without_sources_is_its_card() -> None:
    """Without sources the card has the text as it is, markers included."""
    assert Sources().card_text("So [^1^].") == "So [^1^]."


def test_an_unknown_marker_stays() -> None:
    """A marker without definition is text."""
    assert sources().card_text("X [^9^]").endswith("\n\nX [^9^]")


def test_titles_stay_on_their_line() -> None:
    """A line break in a title does not break its definition."""
    made = Sources()
    made.define((Citation(1, "https://one.example/", "One\nmore"),))
    assert made.card_text("x").startswith('[1]: https://one.example/ "One more"\n\n')


def test_links_and_attributions_follow_the_text() -> None:
    """Links and attributions name what is cited, in the order of the text."""
    text = "B [^2^], a [^1^]."
    assert sources().learn_more(text) == (
        "Learn more: [1. two.example](https://two.example/b) [2. one.example](https://one.example/a)"
    )
    assert [source["seeMoreUrl"] for source in sources().attributions(text)] == [PAGES[1].url, PAGES[0].url]
    assert sources().learn_more("Nothing.") == ""
    assert sources().attributions("Nothing.") == []


def test_sources_are_used_when_cited_or_given() -> None:
    """Pages count when the text cites one; definitions always do."""
    made = sources()
    assert made.used_by("x [^1^]")
    assert not made.used_by("x [^3^]")
    made.define((Citation(1, "https://one.example/"),))
    assert made.used_by("x")
