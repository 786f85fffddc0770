"""Conversations and messages of Work IQ."""

from __future__ import annotations

from bing_llm.emulator.workiq import shapes
from bing_llm.events import Citation


def test_a_conversation_has_the_documented_fields() -> None:
    """All fields are there; messages may be left out, as in the answer to a creation."""
    made = shapes.conversation("c1", name="Title", turns=2, messages=[], created=0.0)
    assert made == {
        "id": "c1",
        "agentId": None,
        "createdDateTime": "1970-01-01T00:00:00.0000000Z",
        "displayName": "Title",
        "state": "active",
        "turnCount": 2,
        "messages": [],
    }
    assert "messages" not in shapes.conversation("c1", name="", turns=0, messages=None, created=0.0)


def test_a_message_has_the_documented_fields() -> None:
    """A message says of which type it is, and its empty label has every key; the card repeats the text."""
    made = shapes.message("m1", "Hi", created=0.0, with_card=True)
    assert made["@odata.type"] == "#microsoft.graph.copilotConversationResponseMessage"
    assert made["adaptiveCards"][0]["body"][0]["text"] == "Hi"
    assert set(made["sensitivityLabel"].values()) == {None}
    assert shapes.message("m1", "Hi", created=0.0)["adaptiveCards"] == []


def test_a_source_is_a_citation() -> None:
    """The source of a marker is an attribution of type citation."""
    made = shapes.attribution(Citation(1, "https://example.org/", "Plan"))
    assert (made["attributionType"], made["providerDisplayName"]) == ("citation", "Plan")
    assert made["seeMoreWebUrl"] == "https://example.org/"


def test_entities_are_annotations() -> None:
    """Each person, event or file that the text names in a tag is linked once; other tags are not entities."""
    text = "<Person>Ann</Person> and <File>a.docx</File>, <Person>Ann</Person>, <b>x</b>, <File>torn</Person>"
    made = shapes.entity_links(text)
    assert [each["providerDisplayName"] for each in made] == ["Ann", "a.docx"]
    assert {each["attributionType"] for each in made} == {"annotation"}
