"""The folds: text that need not be recalled, and the reply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm import events as ev
from bing_llm.fold import Extension, Fold, fold

# Two letters: rewrites that extend each other again are common.
TEXT = st.text("ab", max_size=5)
TEXT_EVENTS = st.lists(st.builds(ev.TextDelta, TEXT) | st.builds(ev.TextRevised, TEXT), max_size=12)


@given(TEXT_EVENTS)
def test_an_extension_never_recalls(events: list[ev.TextDelta | ev.TextRevised]) -> None:
    """After every event what was given is a prefix of the whole text, or the fold is not settled."""
    extension, given_out, whole = Extension(), "", ""
    for event in events:
        given_out += extension.push(event)
        whole = event.text if isinstance(event, ev.TextRevised) else whole + event.text
        assert extension.text == whole
        assert extension.settled == (given_out == whole)
        assert extension.settled or not whole.startswith(given_out)


def test_an_extension_waits_after_a_rewrite() -> None:
    """Nothing is given until the whole text extends again what was given; then all that was missed."""
    extension = Extension()
    events: list[ev.TextDelta | ev.TextRevised] = [
        ev.TextDelta("one "),
        ev.TextRevised("on"),
        ev.TextDelta("e"),
        ev.TextDelta(" two"),
        ev.TextDelta(" three"),
    ]
    assert [extension.push(event) for event in events] == ["one ", "", "", "two", " three"]
    assert extension.settled


def test_an_extension_may_end_unsettled() -> None:
    """A rewrite that is never extended leaves the fold unsettled, with the new text as the whole."""
    extension = Extension()
    assert [extension.push(event) for event in (ev.TextDelta("one"), ev.TextRevised("two"), ev.TextDelta("!"))] == [
        "one",
        "",
        "",
    ]
    assert not extension.settled
    assert extension.text == "two!"


def test_a_fold_collects_every_kind_of_event() -> None:
    """Without `TurnCompleted` the reply holds what had come."""
    pages = (ev.SearchResult("Title", "https://example.org"),)
    reply = fold(
        [
            ev.Quota(1, 5),
            ev.Progress("Looking..."),
            ev.SearchStarted("cats"),
            ev.SearchResults(pages),
            ev.ImageRequested("a cat"),
            ev.ImageCreated("https://example.org/cat.png"),
            ev.TextDelta("Cats "),
            ev.TextDelta("purr."),
            ev.Suggestions(("Why?",)),
            ev.Suggestions(("How?",)),
            ev.Unknown({"type": 9}),
            ev.Quota(2, 5),
        ]
    )
    assert reply == ev.Reply(
        text="Cats purr.",
        searches=(ev.Search("cats", pages),),
        images=("https://example.org/cat.png",),
        image_prompts=("a cat",),
        suggestions=("How?",),
        quota=ev.Quota(2, 5),
    )


def test_the_completed_reply_wins() -> None:
    """The reply of `TurnCompleted` is the result, whatever came before."""
    final = ev.Reply(text="final", conversation_id="c1")
    assert fold([ev.TextDelta("draft"), ev.TurnCompleted(final)]) is final


def test_add_gives_only_extensions() -> None:
    """`add` answers with the text that may be given out; events without text give none."""
    turn = Fold()
    events: list[ev.Event] = [
        ev.Quota(1, 5),
        ev.TextDelta("ab"),
        ev.TextRevised("a"),
        ev.TextDelta("bc"),
        ev.TurnCompleted(ev.Reply()),
    ]
    assert [turn.add(event) for event in events] == ["", "ab", "", "c", ""]
    assert turn.text == "abc"


def test_a_rewrite_that_is_not_extended_is_reported() -> None:
    """`revised` says that the text given out is not the start of the final one."""
    assert fold([ev.TextDelta("one"), ev.TextRevised("two")]).revised
    assert not fold([ev.TextDelta("one"), ev.TextRevised("two"), ev.TextRevised("one, two")]).revised


def test_a_restart_forgets_what_came_before() -> None:
    """After `Restarted` the fold is as if nothing had come."""
    before: list[ev.Event] = [
        ev.Quota(1, 5),
        ev.SearchStarted("cats"),
        ev.SearchResults(()),
        ev.ImageRequested("a cat"),
        ev.ImageCreated("https://example.org/cat.png"),
        ev.Suggestions(("Why?",)),
    ]
    after: list[ev.Event] = [
        ev.SearchStarted("dogs"),
        ev.SearchResults((ev.SearchResult("", "https://example.org"),)),
        ev.TextDelta("Dogs"),
    ]
    assert fold([*before, ev.Restarted("it broke"), *after]) == fold(after)


def test_revoked_text_is_kept() -> None:
    """Moderation after text keeps the text and says what was withdrawn, and why."""
    reply = fold([ev.TextDelta("Well,"), ev.TextRevoked("Sorry.")])
    assert (reply.text, reply.revoked, reply.notice, reply.finish_reason) == ("Well,", True, "Sorry.", "content_filter")
    assert not reply.conversation_ended


@pytest.mark.parametrize("ended_first", [True, False])
def test_an_ended_conversation_stays_ended(ended_first: bool) -> None:  # noqa: FBT001
    """An apology does not undo that the conversation is over, whichever came first; the first notice is kept."""
    reply = fold([ev.TextDelta("Well,"), ev.TextRevoked("one", ended_first), ev.TextRevoked("two", not ended_first)])
    assert (reply.conversation_ended, reply.notice) == (True, "one")


def test_a_notice_fills_an_empty_one() -> None:
    """A revocation without words takes the words of the next one."""
    assert fold([ev.TextRevoked(""), ev.TextRevoked("Sorry.")]).notice == "Sorry."


ONE, TWO = ((ev.SearchResult(name, f"https://{name}.example"),) for name in ("one", "two"))


@pytest.mark.parametrize(
    ("events", "searches"),
    [
        (
            [ev.SearchStarted("1"), ev.SearchResults(ONE), ev.SearchStarted("2"), ev.SearchResults(TWO)],
            [("1", ONE), ("2", TWO)],
        ),
        (
            [ev.SearchStarted("1"), ev.SearchStarted("2"), ev.SearchResults(ONE), ev.SearchResults(TWO)],
            [("1", ONE), ("2", TWO)],
        ),
        (
            [ev.SearchStarted("1"), ev.SearchResults(()), ev.SearchStarted("2"), ev.SearchResults(TWO)],
            [("1", ()), ("2", TWO)],
        ),
        ([ev.SearchStarted("1"), ev.SearchStarted("2")], [("1", ()), ("2", ())]),
        ([ev.SearchResults(ONE), ev.SearchResults(TWO)], [("", ONE), ("", TWO)]),
    ],
)
def test_results_belong_to_the_first_search_without(
    events: list[ev.Event], searches: list[tuple[str, tuple[ev.SearchResult, ...]]]
) -> None:
    """Results go to the earliest search that has had none, and to a search without a query where there is none."""
    assert [(search.query, search.results) for search in fold(events).searches] == searches
