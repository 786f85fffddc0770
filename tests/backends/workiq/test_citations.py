"""The citations of an answer: markers and what came with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bing_llm.backends.markers import find_markers
from bing_llm.backends.workiq.citations import Cited, Footnotes, Sources, annotations_in, cite, label_of, mark, title_of
from bing_llm.events import Citation
from tests.counting import steps

PLACE = "https://contoso.sharepoint.com/sites/x/Shared%20Documents"
TYPE = "#microsoft.graph.copilotConversationReference"
ANNOTATION = {"attributionType": "annotation", "attributionSource": "model", "providerDisplayName": "Ada"}


def attribution(url: Any, title: Any = "Plan.docx", kind: str = "citation") -> dict[str, Any]:
    """An attribution as the samples have it."""
    return {
        "attributionType": kind,
        "attributionSource": "grounding",
        "providerDisplayName": title,
        "seeMoreWebUrl": url,
        "imageWebUrl": "",
        "imageWidth": 0,
    }


def reference(url: str, *, cited: bool = True, **fields: Any) -> dict[str, Any]:
    """A reference as live answers have it."""
    return {"@odata.type": TYPE, "targetLink": url, "isCitedInResponse": cited, **fields}


def read(text: str, attributions: object = None, references: object = None, most: int = 1000) -> Cited:
    """The citations of a text with these sources."""
    return cite(find_markers(text), Sources(attributions, references), most)


# --- live answers -----------------------------------------------------------------------------------------------------


def test_a_citation_is_the_link_of_its_marker() -> None:
    """Numbers come from the text, whatever the order of the map; each number is one citation with all its places."""
    text = f"Up[2]({PLACE}/B.docx#k2), down[1]({PLACE}/A.docx#k1), up again[2]({PLACE}/B.docx#k2)."
    references = {"k2": reference(f"{PLACE}/B.docx"), "k1": reference(f"{PLACE}/A.docx#k1")}
    cited = read(text, [], references)
    first, second = cited.citations
    assert (first.number, first.url, first.title) == (1, f"{PLACE}/A.docx#k1", "A.docx")
    assert (second.number, second.url, second.title) == (2, f"{PLACE}/B.docx#k2", "B.docx")
    assert [[text[start:end] for start, end in each.spans] for each in cited.citations] == [
        [f"[1]({PLACE}/A.docx#k1)"],
        [f"[2]({PLACE}/B.docx#k2)"] * 2,
    ]
    assert cited.uncited == {}


@given(st.permutations(range(1, 6)), st.permutations(range(1, 6)), st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_the_order_of_the_map_says_nothing(order: list[int], cited_keys: list[int], marked: list[int]) -> None:
    """The same text with the same references gives the same citations."""
    key_of = dict(enumerate(cited_keys, 1))
    text = " ".join(f"Fact[{number}]({PLACE}/{number}.docx#k{key_of[number]})" for number in marked)
    references = {f"k{key_of[number]}": reference(f"{PLACE}/{number}.docx") for number in order}
    cited = read(text, None, references)
    assert [each.number for each in cited.citations] == sorted(set(marked))
    assert [each.title for each in cited.citations] == [f"{number}.docx" for number in sorted(set(marked))]
    assert sorted(cited.uncited) == sorted(f"k{key_of[number]}" for number in set(order) - set(marked))
    spans = sorted(span for each in cited.citations for span in each.spans)
    assert [text[start:end].partition("]")[0] for start, end in spans] == [f"[{number}" for number in marked]


def test_a_link_without_references_is_a_citation() -> None:
    """The bare form is one too."""
    (citation,) = read("Ask [1](https://www.office.com/search?q=Ada+Kay).").citations
    assert (citation.url, citation.title) == ("https://www.office.com/search?q=Ada+Kay", "Ada Kay")


def test_a_marker_counts_whatever_the_reference_says() -> None:
    """An entry that is not cited is a citation if a marker stands in the text; else it is kept apart."""
    references = {
        "k1": reference("https://a.example/a", cited=False),
        "k2": reference("https://a.example/b", cited=True, x=1),
        "k3": reference("javascript:x", cited=False, sensitivityLabel={"displayName": None, "priority": None}),
    }
    cited = read("A.[1](https://a.example/a#k1)", None, references)
    assert [each.number for each in cited.citations] == [1]
    assert cited.uncited == {
        "k2": {"targetLink": "https://a.example/b", "isCitedInResponse": True, "x": 1},
        "k3": {"targetLink": "", "isCitedInResponse": False},
    }


def test_a_source_keeps_its_own_label() -> None:
    """It is found by the key, or else by the URL; one whose fields are all null is none."""
    secret = {"sensitivityLabelId": "s", "displayName": "Secret", "priority": 3, "color": None}
    references = {
        "k1": reference("https://a.example/a", sensitivityLabel=secret),
        "x": reference("https://a.example/b", sensitivityLabel=secret),
        "k3": reference("https://a.example/c", sensitivityLabel={"displayName": None}),
    }
    text = "".join(f"[{n}](https://a.example/{name}#k{n})" for n, name in enumerate("abc", 1))
    shown = {"sensitivityLabelId": "s", "displayName": "Secret", "priority": 3}
    assert [each.sensitivity_label for each in read(text, None, references).citations] == [shown, shown, None]


def test_attributions_give_titles() -> None:
    """Where both forms are there, the markers are the citations."""
    text = "A[1](https://a.example/a.docx#k) B[2](https://a.example/b.docx 'The B') C[^1^]"
    cited = read(text, [attribution("https://a.example/a.docx", "The A"), attribution("https://c.example")])
    assert [(each.number, each.title, len(each.spans)) for each in cited.citations] == [
        (1, "The A", 1),
        (2, "The B", 1),
    ]


@pytest.mark.parametrize(
    ("url", "title"),
    [
        (f"{PLACE}/Q3-Reforecast.xlsx?web=1#k", "Q3-Reforecast.xlsx"),
        (f"{PLACE}/Q3%20plan%20(2).docx", "Q3 plan (2).docx"),
        (f"{PLACE}/Pl%C3%A4ne.docx/", "Pläne.docx"),
        ("https://teams.microsoft.com/l/meeting/details?eventId=AAMk#k", "Meeting"),
        ("https://teams.microsoft.com/l/meetings", "meetings"),
        ("https://www.office.com/search?q=Ada%20Kay&x=1", "Ada Kay"),
        ("https://www.office.com/search", "search"),
        ("https://a.example", "a.example"),
        ("https://a.example/%1B%5B31m%E2%80%AEx", "[31m x"),
    ],
)
def test_a_title_is_read_from_the_url(url: str, title: str) -> None:
    """Live answers have no titles; what cannot be printed is left out."""
    assert title_of(url) == title


@pytest.mark.parametrize(
    "sources", [None, 7, "x", [], [7, None], {"k": 7, "l": None}, {"k": {}}, [{}], {"k": {"targetLink": 7}}]
)
def test_what_has_another_shape_gives_nothing(sources: object) -> None:
    """Never an error."""
    assert [each.number for each in read("A[1](https://a.example#k)", sources, sources).citations] == [1]
    assert read("A[^1^]", sources, None).citations == ()


# --- the form of the documents ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributions", "citations"),
    [
        (
            [ANNOTATION, attribution("https://a.example"), attribution("https://b.example", "B", "Citation")],
            (Citation(1, "https://a.example", "Plan.docx", ((5, 10),)), Citation(2, "https://b.example", "B")),
        ),
        (
            [attribution("javascript:x"), attribution(None, None), attribution("HTTP://c.example")],
            (
                Citation(1, "", "Plan.docx", ((5, 10),)),
                Citation(2, "", ""),
                Citation(3, "HTTP://c.example", "Plan.docx"),
            ),
        ),
    ],
)
def test_marker_n_is_the_nth_attribution(attributions: object, citations: tuple[Citation, ...]) -> None:
    """Attributions of type citation count, in order and none left out."""
    assert read("Rain.[^1^]", attributions).citations == citations


def test_references_without_markers_are_not_citations() -> None:
    """Their order says nothing, so nothing says which number one would have."""
    cited = read("Rain.[^1^]", None, {"k": reference("https://a.example")})
    assert (cited.citations, list(cited.uncited)) == ((), ["k"])


def test_annotations_are_kept_as_they_came() -> None:
    """Attributions of other types, known or to come, are annotations."""
    other = attribution("https://x.example", kind="unknownFutureValue")
    assert annotations_in([ANNOTATION, attribution("https://a.example"), other]) == [ANNOTATION, other]


def test_links_of_annotations_are_harmless() -> None:
    """A URL that is not a link of a web page is empty; the rest of the annotation stays."""
    hostile = {**ANNOTATION, "seeMoreWebUrl": "javascript:alert(1)", "imageWebUrl": "data:x", "imageFavIcon": 7}
    assert annotations_in([hostile]) == [{**hostile, "seeMoreWebUrl": "", "imageWebUrl": "", "imageFavIcon": ""}]


def test_so_many_citations_are_read() -> None:
    """No more than were asked for."""
    attributions = [attribution("https://a.example")] * 5
    references = {f"k{n}": reference("https://a.example") for n in range(5)}
    text = "".join(f"[{n}](https://a.example)" for n in range(1, 6))
    for most, expected in ((1, 1), (5, 5), (9, 5)):
        assert len(read("", attributions, None, most).citations) == expected
        assert len(read("", None, references, most).uncited) == expected
        assert len(read(text, None, None, most).citations) == expected


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ({"displayName": None, "priority": None}, {}),
        ({"@odata.type": "x", "displayName": None}, {}),
        ({"displayName": "Secret", "priority": 0, "color": None}, {"displayName": "Secret", "priority": 0}),
        (None, {}),
        ("x", {}),
    ],
)
def test_a_label_is_what_it_says(label: object, shown: dict[str, Any]) -> None:
    """Fields without a value are left out; one without any is none."""
    assert label_of(label) == shown


# --- the form in the text ---------------------------------------------------------------------------------------------

PARTS = [
    f"[1]({PLACE}/A%20(1).docx#k1)",
    "[12](https://b.example)",
    "`",
    "```\n",
    "\n",
    "\n\n",
    "a ",
    "[",
    "](",
    "!",
    "    ",
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=8).map("".join)


@given(TEXTS)
def test_footnotes_stand_for_the_links(text: str) -> None:
    """The text has `[^N^]` in the place of each marker, and the rest of it is as it was."""
    links = find_markers(text).links
    marked = mark(text, "footnote", final=True)
    assert [(link.number, link.url) for link in marked.markers.links] == [(link.number, link.url) for link in links]
    back, at = "", 0
    for link, original in zip(marked.markers.links, links, strict=True):
        assert marked.text[link.start : link.end] == f"[^{link.number}^]"
        back += marked.text[at : link.start] + text[original.start : original.end]
        at = link.end
    assert back + marked.text[at:] == text


CUT = [
    "[1](https://x/a\r",
    "[2](https://x/b\n",
    "[3](https://x/c 'T\\",
    "[4](<https://x/d\\",
    "[5](<https://x/[6](e>",
    "[[7]](https://x/f#k)",
    "[8](https://x/g)",
]
SIGNS = [*"`~[]()\r\n#>- 1x\\<!='*.\t", "](", "```", "\r\n", "    "]
SPECIAL = st.lists(st.sampled_from([*SIGNS, *CUT]), max_size=16).map("".join)


def check_growth(text: str, form: Any) -> None:
    """Give a text character by character: each time what was given, and more."""
    given = ""
    for end in range(len(text) + 1):
        grown = mark(text[:end], form, final=False).text
        assert grown.startswith(given)
        given = grown
    assert mark(text, form, final=True).text.startswith(given)


@pytest.mark.parametrize("form", ["keep", "footnote"])
@given(text=TEXTS | SPECIAL)
@settings(max_examples=300)
def test_what_was_given_is_never_taken_back(form: Any, text: str) -> None:
    """What is given of each beginning of a text is a beginning of what is given of each longer one."""
    check_growth(text, form)


@pytest.mark.parametrize("form", ["keep", "footnote"])
@pytest.mark.parametrize(
    "text",
    [
        "See [8](https://x/g).\n```python\nx = 1\n```\nDone.",
        "See [8](https://x/g).\n\n~~~\nx",
        "A [1](https://x/a\r\n [2](https://x/b)",
        "A [1](https://x/a\r``` [8](https://x/g)",
        "A [1](https://x/a\r1. * [8](https://x/g)",
        "Use `a\n# Head [8](https://x/g) `b`",
        "Use `a [8](https://x/g)\n --- b`",
        "Use `a [8](https://x/g)\n```py`",
        "Use `a [8](https://x/g)\n\xa0b`",
        '[1](https://x/a "[<\\<',
        "[1](<https://x/a\\>b>)",
        "[5](<https://x/[6](((e>) [8](https://x/g)",
    ],
)
def test_a_line_that_is_cut_may_become_anything(form: Any, text: str) -> None:
    """A fence, a heading, a rule, a list, or the rest of a paragraph; half a line ending, and half an escape."""
    check_growth(text, form)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("See [8](https://x/g).\n``", "See [^8^].\n``"),
        ("See [8](https://x/g).\n```py", "See [^8^].\n```py"),
        ("Use `a\n# Head [8](https://x/g) b", "Use `a\n# Head [^8^] b"),
        ("Use `a [8](https://x/g) b", "Use `a "),
        ("1. a [8](https://x/g)\n2", "1. a [^8^]\n2"),
    ],
)
def test_no_more_is_held_back_than_markers(text: str, given: str) -> None:
    """The beginning of a fence or a heading reads the same in any case."""
    assert mark(text, "footnote", final=False).text == given


def test_a_number_in_two_pairs_of_brackets_is_a_marker() -> None:
    """It is one link, with all its brackets."""
    text = "Up [[1]](https://x/a.docx#k), [[2](https://x/b)] [[3]] [[4](x)"
    cited = read(text, None, {"k": reference("https://x/a.docx")})
    places = [text[start:end] for each in cited.citations for start, end in each.spans]
    assert places == ["[[1]](https://x/a.docx#k)", "[2](https://x/b)"]
    assert cited.uncited == {}
    assert mark(text, "footnote", final=True).text == "Up [^1^], [[^2^]] [[3]] [[4](x)"


@given(st.lists(TEXTS, max_size=6), st.data())
def test_snapshots_are_read_on_from_what_is_settled(parts: list[str], data: st.DataObject) -> None:
    """The text of each snapshot is that of the same text alone, also after a rewrite."""
    footnotes = Footnotes()
    text = "".join(parts)
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    for end in (*ends, len(text)):
        assert footnotes.text(text[:end], final=False) == mark(text[:end], "footnote", final=False).text
    assert footnotes.text(text, final=True) == mark(text, "footnote", final=True).text
    other = f"x{text}"
    assert footnotes.text(other, final=True) == mark(other, "footnote", final=True).text


CITED = f"Rain.[1]({PLACE}/A.docx#k1) And `code` too, with [2](https://b.example)."


@pytest.mark.parametrize(
    ("before", "part"),
    [
        ("", f"{CITED}\n\n"),
        ("", f"{CITED} "),
        ("", f"{CITED}\n"),
        ("", CITED.replace(" ", "")),
        ("", "[1](https://a.example)"),
        ("", "!\\"),
        (f"{CITED} Its `code ", "goes on and on "),
        (f"{CITED} A [5]({'https://a.example/' * 300}", "and/so/on/"),  # no marker is so long
        ("", f"- {CITED}\n\n"),
        ("", f"1. {CITED}\n"),
        ("", f"> {CITED}\n"),
        (f"{CITED}\n```\n", "code of [1](https://a.example)\n"),
        ("# ", CITED),
    ],
)
def test_the_work_of_snapshots_grows_with_what_is_new(before: str, part: str) -> None:
    """Eight times the text is about eight times the work, in blocks of any kind, though each snapshot holds all."""

    def work(parts: int) -> int:
        footnotes = Footnotes()
        texts = [before + part * count for count in range(1, parts + 1)]
        return steps(lambda: [footnotes.text(text, final=False) for text in texts])

    assert work(8 * 20) <= 8 * 1.5 * work(20)


@pytest.mark.parametrize(
    "text",
    [
        "===\n    [a![[8](https://x/g)",
        "a![1](https://x/g)!![2](https://x/h) \\[3](https://x/i)",
        "- `a\n  b` [1](https://x/g)",
    ],
)
def test_a_text_is_read_on_at_any_place(text: str) -> None:
    """A snapshot for each sign gives what the text alone does."""
    footnotes = Footnotes()
    for end in range(len(text) + 1):
        assert footnotes.text(text[:end], final=False) == mark(text[:end], "footnote", final=False).text
    assert footnotes.text(text, final=True) == mark(text, "footnote", final=True).text
