"""The markers of citations in a text, against a Markdown parser of others."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bing_llm.backends.markers import find_markers, unfinished_from, with_spans
from bing_llm.events import Citation
from tests.counting import steps

LINKS = [
    "[1](https://a.example/x)",
    "[2](<https://b.example/y z> 'T')",
    '[12](https://c.example/(a)(b).d "q")',
    "[3](https://d.example/a\\)b&amp;c)",
    "[[4]](https://e.example)",
]
SIGNS = [
    "`",
    "``",
    "\n```\n",
    "\n",
    "\n\n",
    "\r\n",
    "    ",
    "\t",
    "- ",
    "> ",
    "1. ",
    "2. ",
    "!",
    "\\",
    "\n~~~\n",
    "\n# ",
]
WORDS = ["a", " ", "(", ")", "- - -", "\n===\n", "\n---\n"]
TEXTS = st.lists(st.sampled_from([*LINKS, *SIGNS, *WORDS]), max_size=9).map("".join)


def numbers(text: str) -> list[int]:
    """The numbers of the links, in their order."""
    return [link.number for link in find_markers(text).links]


def links_of_commonmark(text: str) -> list[tuple[int, object, object]]:
    """The links with a number as their text, as markdown-it reads them."""
    found: list[tuple[int, object, object]] = []
    for block in MarkdownIt("commonmark").parse(text):
        tokens = block.children or []
        for at, token in enumerate(tokens):
            if token.type != "link_open":
                continue
            number = re.fullmatch(r"([1-9][0-9]{0,2})|\[([1-9][0-9]{0,2})\]", tokens[at + 1].content)
            if number is not None:
                found.append((int(number[1] or number[2]), token.attrs["href"], token.attrs.get("title", "")))
    return found


@given(TEXTS)
def test_links_are_those_of_commonmark(text: str) -> None:
    """Numbers, URLs and titles are as another parser of Markdown reads them, whatever stands around them."""
    if re.search(r"a!\[", text):  # this one says that the sentence is over
        return
    assert [(link.number, link.url, link.title) for link in find_markers(text).links] == links_of_commonmark(text)


@given(TEXTS)
def test_a_place_is_that_of_the_marker(text: str) -> None:
    """A place begins with the number in brackets, and ends with the link."""
    for link in find_markers(text).links:
        marker = text[link.start : link.end]
        assert marker.startswith((f"[{link.number}](", f"[[{link.number}]]("))
        assert marker.endswith(")")


@given(TEXTS)
def test_what_is_decided_stays(text: str) -> None:
    """The markers that a beginning of a text has are those of the whole text there, and none is cut."""
    whole = find_markers(text)
    for end in range(len(text)):
        found = find_markers(text[:end], final=False)
        assert found.links == tuple(link for link in whole.links if link.end <= found.decided)
        assert not [link for link in whole.links if link.start < found.decided < link.end]


@given(TEXTS)
def test_half_a_marker_is_found(text: str) -> None:
    """No beginning of a text shows part of a link, and what may be shown only grows."""
    whole = find_markers(text)
    shown = 0
    for end in range(len(text)):
        cut = unfinished_from(text[:end])
        assert cut >= shown
        shown = cut
        assert not [link for link in whole.links if link.start < cut < link.end]


@pytest.mark.parametrize(
    "text",
    [
        "[the plan](https://a.example/x)",
        "![1](https://a.example/x.png)",
        "see ![2](https://a.example/x.png)",
        "[2024](https://a.example/x)",
        "[0](https://a.example)",
        "[1](javascript:alert(1))",
        "[1](https://user@a.example)",
        "[1](#top) [2](/a) [3]()",
        "\\[1](https://a.example)",
        "[1] (https://a.example)",
        "`[1](https://a.example)`",
        "```md\n[1](https://a.example)\n```",
        "    [1](https://a.example)",
        "- a\n\n      [1](https://a.example)",
        "[1](https://a.example/a(b)",
        "[1](https://a.example 'x",
        "[1](https://a.example 'x\n\ny')",
        "[1](<https://a.example)",
        "[1](https://a.example" + "/x" * 3000 + ")",
    ],
)
def test_other_links_stay_text(text: str) -> None:
    """Links with a text, images, code, and what is not a link of a web page are not markers."""
    assert find_markers(text).links == ()


def test_an_exclamation_mark_ends_a_sentence() -> None:
    """After a letter it does not make an image of the marker that follows."""
    assert numbers("We won![1](https://a.example)") == [1]
    assert numbers("We won\\![1](https://a.example)") == [1]


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("https://a.example/Budget%20(1).xlsx#k", "https://a.example/Budget%20(1).xlsx#k"),
        ("<https://a.example/Q3 plan (draft).docx>", "https://a.example/Q3%20plan%20(draft).docx"),
        ("https://a.example/a\\)b", "https://a.example/a)b"),
        ("https://a.example/?a=1&amp;b=2", "https://a.example/?a=1&b=2"),
        ("https://a.example/?a=1&copy=2", "https://a.example/?a=1&copy=2"),
        (' https://a.example/x\n  "a title" ', "https://a.example/x"),
        ("https://a.example/x (a title)", "https://a.example/x"),
    ],
)
def test_a_destination_is_read_as_commonmark_reads_it(target: str, url: str) -> None:
    """Parentheses, angle brackets, escapes, entities and titles."""
    text = f"See [1]({target}), and more)"
    (link,) = find_markers(text).links
    assert (link.url, text[link.start : link.end]) == (url, f"[1]({target})")


@pytest.mark.parametrize(
    "beginning",
    [
        "[",
        "[1",
        "[12]",
        "[[",
        "[[1",
        "[[1]",
        "[[1]]",
        "[[1]](",
        "[1](",
        "[1](https://a\r",
        "[1](<b\\",
        "[1](htt",
        "[1](<https://a b",
        "[1](https://a 'T",
        "[^",
        "[^1",
        "[^1^",
    ],
)
def test_each_beginning_of_a_marker_is_held_back(beginning: str) -> None:
    """What may become a marker is not shown."""
    assert unfinished_from(f"Rain. {beginning}") == len("Rain. ")


@pytest.mark.parametrize("text", ["", "a", "[a", "[1](https://a.example)", "[1](https://a.example) ", "[2024", "a [^x"])
def test_what_cannot_become_a_marker_is_shown(text: str) -> None:
    """Nothing is held back longer than needed."""
    assert unfinished_from(text) == len(text)


def test_places_are_given_to_citations() -> None:
    """Each citation has the places of its own markers; those in code do not count."""
    text = "Rain.[^2^] `[^1^]` Snow.[^1^][^2^]"
    first, second, third = with_spans((Citation(1, "a"), Citation(2, "b"), Citation(3, "c")), text)
    assert [text[start:end] for start, end in first.spans] == ["[^1^]"]
    assert (first.spans, second.spans, third.spans) == (((24, 29),), ((5, 10), (29, 34)), ())


@pytest.mark.parametrize(
    "part",
    [
        "[",
        "(",
        "[1](",
        "[1](<",
        "[1](a '",
        '[1](a "',
        "[1](a (",
        "`",
        "` ``",
        "[1](https://a.example)",
        "> ",
        "- ",
        "\\",
        "[1](()",
        "[1](a\n",
        "```\n",
        "[^1^]",
        "1. a\n ",
        "- \n\n",
        "[1](\\",
        "[[1](",
        "[[1]](https://a.example)",
        "[1](<https://a[2](",
        "[1](https://a\r",
        "[1](https://a '\\",
        "~~",
        "1. ",
        "```x",
        "\n``",
    ],
)
def test_the_work_grows_with_the_text(part: str) -> None:
    """Eight times the text is about eight times the work, for texts that open parts without end."""

    def work(times: int) -> int:
        text = part * times
        return steps(lambda: (find_markers(text), find_markers(text, final=False), unfinished_from(text)))

    assert work(8 * 400) <= 8 * 1.5 * work(400)
