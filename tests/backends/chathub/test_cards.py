"""What the shapeless parts of a message hold."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.chathub import cards
from bing_llm.backends.chathub.frames import WireMessage
from bing_llm.events import Citation, SearchResult

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just('[1]: https://example.org "x"'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["body", "text", "targetLink", "displayData", "content", "web_results", "url", "snippets"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


MOST = 1000
"""More citations than any of these has."""


def raw(value: Any) -> msgspec.Raw:
    """A shapeless field."""
    return msgspec.Raw(json.dumps(value).encode())


def with_card(*texts: str) -> WireMessage:
    """A message whose card has these blocks of text, after one that has none."""
    image = {"type": "Image", "id": "entity-image-top", "url": "https://example.org/cat.png"}
    blocks = [{"type": "TextBlock", "text": text, "wrap": True} for text in texts]
    return WireMessage(adaptive_cards=raw([{"type": "AdaptiveCard", "body": [image, *blocks]}]))


def test_citations_are_the_definitions_at_the_head_of_a_card() -> None:
    """Each definition is a citation with its own number, in the order of definition, uncited ones included."""
    message = with_card(
        '[2]: https://two.example "Two, \\"quoted\\""\n[1]: http://one.example/a(b) ""\n[3]: https://three.example\n\n'
        "Cats purr [^1^][2].",
        "Learn more: [1. two.example](https://two.example)",
    )
    assert cards.citations_of(message, MOST) == (
        Citation(2, "https://two.example", 'Two, \\"quoted\\"'),
        Citation(1, "http://one.example/a(b)"),
        Citation(3, "https://three.example"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "Cats purr.",
        "Cats purr.\n[1]: https://example.org",
        '[1]: javascript:alert(1) "Click"',
        '[1]: data:text/html,x "Click"',
        "[one]: https://example.org",
        "[1] https://example.org",
        "[1]:https://example.org",
        "",
    ],
)
def test_other_text_defines_no_citation(text: str) -> None:
    """A line below the head, in another form or without a web address is not a citation."""
    assert cards.citations_of(with_card(text), MOST) == ()


def test_a_link_that_is_not_of_the_web_does_not_end_the_head() -> None:
    """A dropped definition leaves the others with their numbers."""
    message = with_card('[1]: javascript:alert(1) "x"\n[2]: HTTPS://two.example "Two"')
    assert cards.citations_of(message, MOST) == (Citation(2, "HTTPS://two.example", "Two"),)


def test_citations_of_the_m365_hub_are_references() -> None:
    """References are numbered in their order; those without a web address are dropped, and keep their number."""
    references = {
        "turn1search1": {"targetLink": "https://one.example", "displayData": {"content": '{"title":"One"}'}},
        "turn1search2": {"targetLink": "javascript:alert(1)", "displayData": {"content": '{"title":"Two"}'}},
        "turn1search3": {"targetLink": "https://three.example", "displayData": {"content": "no JSON"}},
        "turn1search4": {"targetLink": "https://four.example", "displayData": {"content": "[]"}},
        "turn1search5": {"targetLink": "https://five.example", "displayData": "none"},
        "turn1search6": "none",
        "turn1search7": {"targetLink": "https://seven.example", "isCitedInResponse": False},
    }
    assert cards.citations_of(WireMessage(references=raw(references)), MOST) == (
        Citation(1, "https://one.example", "One"),
        Citation(3, "https://three.example"),
        Citation(4, "https://four.example"),
        Citation(5, "https://five.example"),
        Citation(7, "https://seven.example"),
    )


def test_definitions_go_before_references() -> None:
    """A card that defines citations is asked first; one that does not leaves it to the references."""
    references = raw({"a": {"targetLink": "https://reference.example"}})
    both = with_card("[1]: https://card.example")
    both.references = references
    assert cards.citations_of(both, MOST) == (Citation(1, "https://card.example"),)
    plain = with_card("Cats purr.")
    plain.references = references
    assert cards.citations_of(plain, MOST) == (Citation(1, "https://reference.example"),)


def test_suggestions_are_the_texts_of_suggested_responses() -> None:
    """Each suggestion that has a text gives it, in order."""
    message = WireMessage(
        suggested_responses=raw([{"text": "Why?"}, {"text": ""}, {"text": 7}, "How?", {"text": "Who?"}])
    )
    assert cards.suggestions_of(message) == ("Why?", "Who?")


@pytest.mark.parametrize(
    ("message", "query"),
    [
        (WireMessage(hidden_text="cats", invocation='search_web(query="dogs")', text="`birds`"), "cats"),
        (WireMessage(invocation='search_web(query="say "dogs"")', text="`birds`"), 'say "dogs"'),
        (WireMessage(invocation="other()", text="Searching the web for: `birds`"), "birds"),
        (WireMessage(text="birds"), "birds"),
        (WireMessage(), ""),
    ],
)
def test_a_query_is_found_where_the_service_puts_it(message: WireMessage, query: str) -> None:
    """The query is the hidden text, else in the invocation, else between backticks, else the text."""
    assert cards.search_query_of(message) == query


def test_results_are_read_from_every_list_of_results() -> None:
    """Every `*_results` list gives its pages; entries without a web address, and other fields, give none."""
    payload = {
        "web_search_results": [
            {"title": "One", "url": "https://one.example", "snippets": ["a", 7, "b"]},
            {"title": "Two", "url": "javascript:alert(1)", "snippets": []},
            {"title": "Three"},
            "four",
        ],
        "recipe_search_results": [{"url": "https://five.example", "snippets": "none"}],
        "news_search_results": None,
        "question_answering_results_count": [{"url": "https://six.example"}],
    }
    assert cards.search_results_of(WireMessage(text=json.dumps(payload))) == (
        SearchResult("One", "https://one.example", ("a", "b")),
        SearchResult("", "https://five.example"),
    )


@pytest.mark.parametrize("text", [None, "", "Web search returned no relevant result", "[]", "7"])
def test_a_search_may_have_no_results(text: str | None) -> None:
    """A text that is not such JSON gives no pages."""
    assert cards.search_results_of(WireMessage(text=text)) == ()


@given(JSON)
def test_decoration_never_fails(value: Any) -> None:
    """A part of another shape gives nothing, never an error."""
    message = WireMessage(
        text=json.dumps(value),
        adaptive_cards=raw([{"body": value}]),
        references=raw({"a": value}),
        suggested_responses=raw(value),
    )
    for found in (
        cards.citations_of(message, MOST),
        cards.citations_of(WireMessage(adaptive_cards=raw(value), references=raw(value)), MOST),
        cards.suggestions_of(message),
        cards.search_results_of(message),
    ):
        assert isinstance(found, tuple)


def test_a_part_that_does_not_parse_gives_nothing() -> None:
    """JSON that is valid only while it is skipped does not lose an answer."""
    broken = msgspec.Raw(b"1e999")
    message = WireMessage(adaptive_cards=broken, references=broken, suggested_responses=broken)
    assert cards.citations_of(message, MOST) == ()
    assert cards.suggestions_of(message) == ()


def test_so_many_citations_are_read() -> None:
    """No more than were asked for, of cards and of references."""
    message = with_card("[1]: https://a.example\r\n[2]: https://b.example", "[3]: https://c.example")
    references = WireMessage(references=raw({str(number): {"targetLink": "https://a.example"} for number in range(3)}))
    for each in (message, references):
        assert [len(cards.citations_of(each, most)) for most in (1, 2, 9)] == [1, 2, 3]
