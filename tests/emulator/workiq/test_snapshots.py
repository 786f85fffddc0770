"""From events to snapshots."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm import events as ev
from bing_llm.emulator.workiq.snapshots import Snapshot, SnapshotWriter

PAGES = (ev.SearchResult("One", "https://one.example/"), ev.SearchResult("Two", "https://two.example/"))


def writer(*, documented: bool = False) -> SnapshotWriter:
    """A writer of the second turn."""
    return SnapshotWriter(
        "c1", name="Title", asked="Hello", turns=2, created=0.0, clock=lambda: 60.0, documented=documented
    )


def texts(snapshots: list[Snapshot]) -> list[list[str]]:
    """The texts of the messages of each."""
    return [[message["text"] for message in snapshot["messages"]] for snapshot in snapshots]


def written(*events: ev.Event, documented: bool = False) -> tuple[list[Snapshot], dict[str, Any]]:
    """What these events give, and the answer's message of the final snapshot."""
    made = writer(documented=documented)
    snapshots = [snapshot for event in events for snapshot in made.write(event)]
    return snapshots, made.closing()[-1]["messages"][-1]


def cited(*events: ev.Event, documented: bool = False) -> list[str]:
    """The names of the citations in the end."""
    _, answer = written(*events, documented=documented)
    return [each["providerDisplayName"] for each in answer["attributions"] if each["attributionType"] == "citation"]


def test_text_comes_as_a_whole_each_time() -> None:
    """Each piece gives the whole text so far, in a message that keeps its id to the end."""
    snapshots, answer = written(ev.TextDelta("Hel"), ev.TextDelta("lo"))
    assert texts(snapshots) == [["Hel"], ["Hello"]]
    assert {snapshot["messages"][0]["id"] for snapshot in snapshots} == {answer["id"]}
    assert {(snapshot["displayName"], snapshot["turnCount"]) for snapshot in snapshots} == {
        ("Intermediate Conversation Update", 1)
    }


def test_text_may_be_rewritten() -> None:
    """A revision is a snapshot that does not extend the last one."""
    snapshots, answer = written(ev.TextDelta("Hello"), ev.TextRevised("Goodbye"))
    assert texts(snapshots) == [["Hello"], ["Goodbye"]]
    assert answer["text"] == "Goodbye"


def test_the_same_text_gives_no_snapshot() -> None:
    """Neither empty text nor what is the text already is sent."""
    assert texts(written(ev.TextDelta(""), ev.TextDelta("Hi"), ev.TextRevised("Hi"))[0]) == [["Hi"]]


def test_what_has_no_place_leaves_no_trace() -> None:
    """Searches, progress, pictures, suggestions and quotas are not sent: the service answers in text alone."""
    nothing = (
        ev.SearchStarted("x"),
        ev.SearchResults(PAGES),
        ev.Progress("x"),
        ev.ImageRequested("x"),
        ev.Suggestions(("x",)),
        ev.Quota(1, 2),
    )
    snapshots, answer = written(*nothing)
    assert snapshots == []
    assert answer["attributions"] == []


def test_a_turn_ends_with_an_empty_and_a_final_snapshot() -> None:
    """The final one alone has the title, the count with this turn, and the echo before the answer."""
    made = writer()
    made.write(ev.TextDelta("Hi"))
    empty, final = made.closing()
    assert empty == made.opening()
    assert (final["displayName"], final["turnCount"], final["state"]) == ("Title", 2, "active")
    assert texts([empty, final]) == [[], ["Hello", "Hi"]]


def test_found_pages_are_cited_by_links() -> None:
    """The map of references is that of live answers: in the reverse order, with what the text cites marked."""
    snapshots, answer = written(ev.SearchResults(PAGES), ev.TextDelta("As said[^"), ev.TextDelta("2^]."))
    text, *_ = texts(snapshots)[-1]
    (second, first), references = answer["references"], answer["references"]
    assert text == answer["text"] == f"As said[2]({PAGES[1].url}#{second})."
    assert texts(snapshots)[0] == ["As said"]
    assert [references[key]["isCitedInResponse"] for key in (first, second)] == [False, True]
    assert [references[key]["targetLink"] for key in (first, second)] == [f"{PAGES[0].url}#{first}", PAGES[1].url]
    assert answer["attributions"] == []
    assert "references" not in written(ev.SearchResults(PAGES), ev.TextDelta("As said."))[1]


def test_found_pages_may_be_cited_as_documented() -> None:
    """Where the text cites one page all are attributions: the n-th citation is what marker n means."""
    assert cited(ev.SearchResults(PAGES), ev.TextDelta("As said[^2^]."), documented=True) == ["One", "Two"]
    assert cited(ev.SearchResults(PAGES), ev.TextDelta("As said."), documented=True) == []


def test_text_that_went_out_keeps_its_markers() -> None:
    """Sources that come with the end make attributions, because what was sent is not rewritten."""
    reply = ev.Reply(text="As said[^1^].", citations=(ev.Citation(1, "https://one.example/", "One"),))
    snapshots, answer = written(ev.TextDelta("As said[^1^]."), ev.TurnCompleted(reply))
    assert texts(snapshots)[-1] == [answer["text"]] == ["As said[^1^]."]
    assert [each["providerDisplayName"] for each in answer["attributions"]] == ["One"]


def test_a_reply_brings_citations_in_the_order_of_their_numbers() -> None:
    """The citations of a reply are attributions, after the annotations, which do not count."""
    reply = ev.Reply(
        text="<Person>Ann</Person> said[^1^][^2^].",
        citations=(ev.Citation(2, "https://two.example/", "Two"), ev.Citation(1, "https://one.example/", "One")),
    )
    snapshots, answer = written(ev.TurnCompleted(reply))
    assert texts(snapshots) == [[reply.text]]
    assert [each["providerDisplayName"] for each in answer["attributions"]] == ["Ann", "One", "Two"]
    assert snapshots[0]["messages"][0]["attributions"] == []


def test_metadata_of_a_reply_is_sent_by_its_names() -> None:
    """Label, title and agent of a reply's metadata are those of the conversation."""
    made = writer()
    label = {"displayName": "Confidential", "priority": 3}
    metadata = {"sensitivityLabel": label, "displayName": "Another", "agentId": "a1"}
    made.write(ev.TurnCompleted(ev.Reply(text="Hi", metadata=metadata)))
    final = made.closing()[-1]
    assert (final["displayName"], final["agentId"]) == ("Another", "a1")
    assert final["messages"][-1]["sensitivityLabel"] == label


def test_unknown_events_are_sent_as_they_are() -> None:
    """What a test wrote as JSON is sent as it is: an error, or whatever the service may come to send."""
    raw = {"error": {"code": "x", "message": "y"}}
    assert writer().write(ev.Unknown(raw)) == [raw]


@pytest.mark.parametrize(("notice", "shown"), [("No.", ["Hello", "No."]), ("", ["Hello"])])
def test_a_disengagement_has_no_answer(notice: str, shown: list[str]) -> None:
    """The final snapshot has the state and the notice, where there is one, in place of what was said."""
    made = writer()
    made.write(ev.TextDelta("Half"))
    made.write(ev.TextRevoked(notice))
    final = made.closing()[-1]
    assert final["state"] == "disengagedForRai"
    assert texts([final]) == [shown]


def test_an_answer_may_go_on_in_another_message() -> None:
    """From then on, the whole text comes under a new id."""
    made = writer()
    (before,) = made.write(ev.TextDelta("Hel"))
    made.begin_message()
    (after,) = made.write(ev.TextDelta("lo"))
    assert before["messages"][0]["id"] != after["messages"][0]["id"]
    assert texts([after]) == [["Hello"]]
