"""Events and replies as frozen values and as JSON."""

from __future__ import annotations

import json
import re
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm import events as ev
from bing_llm.errors import ProtocolError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.lists(st.text(), max_size=3).map(tuple)
COUNTS = st.integers(-(2**63), 2**64 - 1)
QUOTAS = st.builds(ev.Quota, COUNTS, COUNTS)
RESULTS = st.lists(st.builds(ev.SearchResult, st.text(), st.text(), TEXTS), max_size=3).map(tuple)
REPLIES = st.builds(
    ev.Reply,
    text=st.text(),
    citations=st.lists(st.builds(ev.Citation, COUNTS, st.text(), st.text()), max_size=3).map(tuple),
    searches=st.lists(st.builds(ev.Search, st.text(), RESULTS), max_size=3).map(tuple),
    images=TEXTS,
    image_prompts=TEXTS,
    suggestions=TEXTS,
    quota=st.none() | QUOTAS,
    finish_reason=st.sampled_from(typing.get_args(ev.FinishReason)),
    conversation_id=st.text(),
    message_id=st.text(),
    revoked=st.booleans(),
    revised=st.booleans(),
    conversation_ended=st.booleans(),
    notice=st.text(),
    metadata=st.dictionaries(st.text(), JSON, max_size=3),
)
BY_KIND: dict[type[ev.Event], st.SearchStrategy[Any]] = {
    ev.TextDelta: st.builds(ev.TextDelta, st.text()),
    ev.TextRevised: st.builds(ev.TextRevised, st.text()),
    ev.Restarted: st.builds(ev.Restarted, st.text()),
    ev.TextRevoked: st.builds(ev.TextRevoked, st.text(), st.booleans()),
    ev.SearchStarted: st.builds(ev.SearchStarted, st.text()),
    ev.SearchResults: st.builds(ev.SearchResults, RESULTS),
    ev.Progress: st.builds(ev.Progress, st.text()),
    ev.ImageRequested: st.builds(ev.ImageRequested, st.text()),
    ev.ImageCreated: st.builds(ev.ImageCreated, st.text()),
    ev.Suggestions: st.builds(ev.Suggestions, TEXTS),
    ev.Quota: QUOTAS,
    ev.Unknown: st.builds(ev.Unknown, JSON),
    ev.TurnCompleted: st.builds(ev.TurnCompleted, REPLIES),
}
EVENTS: st.SearchStrategy[Any] = st.one_of(*BY_KIND.values())


def test_the_union_holds_every_event() -> None:
    """`Event` is closed: each event class is a member, and the strategies above make each of them."""
    assert list(typing.get_args(ev.Event)) == list(BY_KIND)
    assert set(ev._Event.__subclasses__()) == set(BY_KIND)


def test_all_names_what_the_module_defines() -> None:
    """`__all__` is in order, and holds every class that is not private."""
    assert ev.__all__ == sorted(ev.__all__)
    classes = {name for name, value in vars(ev).items() if getattr(value, "__module__", "") == ev.__name__}
    assert {name for name in classes if name[0] != "_"} <= set(ev.__all__)


@given(EVENTS)
def test_an_event_comes_back_from_its_json(event: ev.Event) -> None:
    """What `event_to_json` writes, `event_from_json` reads, from text and from bytes, and it is one line."""
    text = ev.event_to_json(event)
    assert "\n" not in text
    assert "\r" not in text
    assert ev.event_from_json(text) == event
    assert ev.event_from_json(text.encode()) == event


@given(REPLIES)
def test_a_reply_comes_back_from_its_json(reply: ev.Reply) -> None:
    """What `to_json` writes, `from_json` reads, and it is one line."""
    text = reply.to_json()
    assert "\n" not in text
    assert ev.Reply.from_json(text) == ev.Reply.from_json(text.encode()) == reply


@pytest.mark.parametrize("kind", BY_KIND)
def test_the_json_of_an_event_names_its_type(kind: type[ev.Event]) -> None:
    """`type` is the class name in snake_case; the other names are the fields of the class."""
    values: dict[str, Any] = dict.fromkeys(("text", "cause", "notice", "query", "prompt", "url", "raw"), "a")
    values |= {"results": (), "texts": (), "used": 1, "limit": 2, "ended": True, "reply": ev.Reply()}
    known = kind.__struct_fields__
    written = json.loads(ev.event_to_json(kind(**{name: values[name] for name in known})))
    assert written.pop("type") == re.sub(r"\B([A-Z])", r"_\1", kind.__name__).lower()
    assert tuple(written) == known


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nope",
        "[]",
        "{}",
        '{"type":"nope"}',
        '{"type":"text_delta"}',
        '{"type":"quota","used":"1","limit":2}',
        "[" * 100_000,
    ],
)
def test_other_json_is_refused(text: str) -> None:
    """Text that is not the JSON of an event raises ProtocolError, whose cause is the parser's own error."""
    with pytest.raises(ProtocolError, match="not the JSON of an event") as caught:
        ev.event_from_json(text)
    assert caught.value.__cause__ is not None
    assert "event_to_json" in caught.value.hint


@pytest.mark.parametrize("text", [b"\xff", "\ud800", '{"text":1}', '{"finish_reason":"nope"}'])
def test_other_json_is_not_a_reply(text: str | bytes) -> None:
    """Text that is not the JSON of a reply raises ProtocolError."""
    with pytest.raises(ProtocolError, match="not the JSON of a reply"):
        ev.Reply.from_json(text)


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_any_text_gives_an_event_or_a_protocol_error(text: str | bytes) -> None:
    """Reading JSON raises nothing but ProtocolError."""
    for read in (ev.event_from_json, ev.Reply.from_json):
        try:
            value = read(text)
        except ProtocolError:
            continue
        assert isinstance(value, (ev.Reply, *BY_KIND))


@given(EVENTS)
def test_events_are_frozen(event: Any) -> None:
    """Whoever gets an event cannot change it for others."""
    for name in event.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(event, name, None)


@pytest.mark.parametrize(("used", "limit", "spent"), [(0, 5, False), (4, 5, False), (5, 5, True), (6, 5, True)])
def test_a_quota_is_spent_when_all_turns_are_used(used: int, limit: int, spent: bool) -> None:  # noqa: FBT001
    """The last allowed turn spends the quota."""
    assert ev.Quota(used, limit).spent is spent


def test_a_reply_is_empty_by_default() -> None:
    """A reply without anything is a plain stop with no text; replies do not share their metadata."""
    reply = ev.Reply()
    assert (reply.text, reply.finish_reason, reply.quota, reply.citations) == ("", "stop", None, ())
    assert (reply.revoked, reply.revised, reply.conversation_ended) == (False, False, False)
    assert reply.metadata is not ev.Reply().metadata


def test_json_that_is_nested_too_deep_is_refused() -> None:
    """What no JSON writer can write is a ProtocolError, not an error of Python."""
    raw: Any = 1
    for _ in range(100_000):
        raw = [raw]
    with pytest.raises(ProtocolError, match="nested too deep"):
        ev.event_to_json(ev.Unknown(raw))
    with pytest.raises(ProtocolError, match="nested too deep"):
        ev.Reply(metadata={"raw": raw}).to_json()
