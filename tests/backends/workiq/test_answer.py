"""The tags around names in an answer's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.workiq.answer import without_half_tag, without_tags

PARTS = ["<", ">", "/", "Person", "Per", "son", "File", "Event", " ", "a", "<Person>", "</Person>", "<File x='1'>"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Your <Event>Standup</Event>[^1^] with <Person>Ada Kay</Person>.", "Your Standup[^1^] with Ada Kay."),
        ("<File>a.docx</File>", "a.docx"),
        ('<Person id="7">Ada</Person>', "Ada"),
        ("<person>Ada</person> <Persona>x</Persona> <b>", "<person>Ada</person> <Persona>x</Persona> <b>"),
        ("</File>", ""),
        ("1 < 2 > 1 <Person", "1 < 2 > 1 <Person"),
        ("<Person " + "x" * 300 + ">", "<Person " + "x" * 300 + ">"),
    ],
)
def test_the_names_stay(text: str, shown: str) -> None:
    """Only the three tags go; what is between them, and other tags, stay."""
    assert without_tags(text) == shown


@pytest.mark.parametrize("tag", ["<Person>", "</Person>", "<File>", "</Event>", '<Event id="7">', "<File\n>"])
def test_half_a_tag_is_held_back(tag: str) -> None:
    """Each beginning of a tag is held back, and the whole tag is not."""
    for end in range(1, len(tag)):
        assert without_half_tag(f"a {tag[:end]}") == "a "
    assert without_half_tag(f"a {tag}") == f"a {tag}"


@pytest.mark.parametrize("text", ["", "a", "a < b", "<b", "<Persona", "</x", "<Person " + "x" * 200, "<>", "</>", "<!"])
def test_what_cannot_become_a_tag_is_not_held_back(text: str) -> None:
    """A text whose end begins no tag is given whole."""
    assert without_half_tag(text) == text


@given(TEXTS)
def test_what_was_given_is_never_taken_back(text: str) -> None:
    """What may be given of each beginning of a text is a beginning of what may be given of the whole."""
    for end in range(len(text) + 1):
        given_then = without_half_tag(text[:end])
        assert text.startswith(given_then)
        assert without_tags(text).startswith(without_tags(given_then))
