"""Conversations, messages, sources and errors out of JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.workiq.citations import Sources
from bing_llm.backends.workiq.snapshots import (
    INTERMEDIATE,
    Conversation,
    Fault,
    Message,
    SnapshotDecoder,
    decode_conversation,
    fault_of,
    sensitivity_label_of,
    sources_of,
)
from bing_llm.errors import ProtocolError
from tests.backends.workiq.wire import EMPTY_LABEL, conversation, message

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "messages", "text", "state", "displayName", "error", "code", "innerError", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def shown(value: Any) -> Conversation:
    """The conversation that this value is."""
    return decode_conversation(msgspec.json.encode(value))


def test_a_conversation_of_the_samples_is_read() -> None:
    """What the samples print is read, and what is not known is skipped."""
    read = shown(conversation(message("Hi", "u1"), message("**Hello**"), displayName="Title", turnCount=1, extra=[1]))
    assert (read.id, read.state, read.display_name, read.turn_count, read.agent_id) == (
        "c1",
        "active",
        "Title",
        1,
        None,
    )
    assert [(each.id, each.text) for each in read.messages or () if each] == [("u1", "Hi"), ("m1", "**Hello**")]
    assert (read.is_known, read.is_disengaged, read.is_intermediate, read.fault) == (True, False, False, None)


ABROAD = "Ночь тиха, и море спит. " * 30
FIELDS: dict[str, Any] = {
    "id": st.just(ABROAD) | st.none(),
    "attributions": st.just([{"seeMoreWebUrl": ABROAD}]) | st.just([]),
    "references": st.just({"a": {"targetLink": ABROAD}}) | st.just({}),
    "sensitivityLabel": st.just({"tooltip": ABROAD}) | st.none(),
    "adaptiveCards": st.just([{"body": [{"text": ABROAD}]}]),
}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "!", "!\\", '!"\n', "😀"]),
            st.booleans(),
            st.fixed_dictionaries({}, optional=FIELDS),
            st.sampled_from([{}, {}, {"displayName": ABROAD}, {"error": {"message": ABROAD}}, {"turnCount": ABROAD}]),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_the_same_snapshots_come_however_they_are_spelled(series: list[tuple[str, bool, Any, Any]]) -> None:
    """A decoder that has seen the text before gives what one gives that has seen nothing."""
    decoder, text = SnapshotDecoder(), ABROAD
    for end, is_escaped, fields, more in series:
        text += end
        value = {"messages": [{"text": "Hi"}, None, {"text": text, **fields}], **more}
        data = json.dumps(value, ensure_ascii=is_escaped).encode()
        assert msgspec.json.encode(decoder.decode(data)) == msgspec.json.encode(decode_conversation(data))


@pytest.mark.parametrize(
    ("fields", "disengaged"),
    [
        ({"state": "disengagedForRai"}, True),
        ({"status": "disengagedForRai"}, True),
        ({"state": "active", "status": "disengagedForRai"}, False),
        ({"state": None, "status": "active"}, False),
        ({"state": "unknownFutureValue"}, False),
        ({}, False),
    ],
)
def test_the_state_is_also_called_status(fields: dict[str, Any], *, disengaged: bool) -> None:
    """One printed sample has `status` where the type page has `state`; an unknown value ends nothing."""
    assert shown({"id": "c1", **fields}).is_disengaged is disengaged


@pytest.mark.parametrize(("name", "intermediate"), [(INTERMEDIATE, True), ("Title", False), (None, False)])
def test_the_title_says_whether_the_answer_is_still_written(name: str | None, *, intermediate: bool) -> None:
    """The title of an intermediate conversation is a fixed one."""
    assert shown({"displayName": name}).is_intermediate is intermediate


@pytest.mark.parametrize(
    ("messages", "asked", "texts"),
    [
        (None, "", []),
        ([], "", []),
        ([None], "", []),
        ([message("Hello")], "Hi", ["Hello"]),
        ([message("Hi")], "Hi", []),
        ([message("Hi"), message("Hello")], "Hi", ["Hello"]),
        ([message("hi "), message("Hello")], "Hi", ["Hello"]),
        ([message("Hi"), message("Hi")], "Hi", ["Hi"]),
        ([message("Hi"), message("")], "Hi", []),
        ([message("Hi"), message(None), message("a"), message("b")], "Hi", ["a", "b"]),
    ],
)
def test_the_echo_of_the_prompt_is_not_a_reply(messages: Any, asked: str, texts: list[str]) -> None:
    """The first of several messages is the echo; one alone is, if it has the text of the prompt."""
    assert [each.text for each in shown({"messages": messages}).replies(asked)] == texts


@pytest.mark.parametrize("value", [{}, {"x": 1}, {"id": None, "messages": None}])
def test_an_object_without_known_fields_is_recognised(value: Any) -> None:
    """An object that has nothing of a conversation is not known."""
    assert not shown(value).is_known


@pytest.mark.parametrize(
    "data", ["", "{", "[]", "null", "7", '"x"', '{"messages": {}}', '{"id": 1}', "[" * 5000, b"\xff"]
)
def test_what_is_not_a_conversation_is_refused(data: str | bytes) -> None:
    """Text that is no JSON object, or has another type where a turn needs one, is a ProtocolError."""
    with pytest.raises(ProtocolError):
        decode_conversation(data)


@given(JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    """Any JSON gives a conversation or a ProtocolError, and any error in it a fault."""
    try:
        read = shown(value)
    except ProtocolError:
        return
    assert read.fault is None or isinstance(read.fault, Fault)
    assert all(isinstance(each, Message) for each in read.replies())


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (
            {
                "code": "Forbidden",
                "message": "No licence.",
                "innerError": {"request-id": "r-1", "client-request-id": "r-2", "date": "2026-11-22"},
            },
            Fault(code="Forbidden", message="No licence.", request_id="r-1"),
        ),
        (
            {"code": "x", "innererror": {"message": "inner", "innererror": {"requestId": "r"}}},
            Fault(code="x", message="inner", request_id="r"),
        ),
        ({"code": 7, "message": None, "innerError": []}, Fault()),
        ("said", Fault(message="said")),
        (7, Fault()),
    ],
)
def test_an_error_is_read_as_far_as_it_goes(error: Any, fault: Fault) -> None:
    """The envelope of OData, with errors inside it; anything else says less."""
    assert fault_of(error) == fault
    assert shown({"error": error}).fault == fault


def test_errors_inside_errors_are_bounded() -> None:
    """Only some layers are looked at."""
    error: dict[str, Any] = {"message": "deep"}
    for _ in range(100):
        error = {"innerError": error}
    assert fault_of(error) == Fault()


# --- what an answer rests on ------------------------------------------------------------------------------------------


def read(**fields: Any) -> Message:
    """A message with these fields."""
    return msgspec.json.decode(msgspec.json.encode(message("Hi", **fields)), type=Message)


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (EMPTY_LABEL, {}),
        ({**EMPTY_LABEL, "displayName": "Secret", "priority": 3}, {"displayName": "Secret", "priority": 3}),
        (None, {}),
        ("x", {}),
    ],
)
def test_a_label_is_what_it_says(label: Any, shown: dict[str, Any]) -> None:
    """Fields without a value are left out; samples have labels of nothing else."""
    assert sensitivity_label_of(read(sensitivityLabel=label)) == shown


def test_sources_are_decoded_when_they_are_asked_for() -> None:
    """Both places where they may stand; what is not there is None."""
    references = {"k": {"targetLink": "https://a.example"}}
    assert sources_of(read(references=references)) == Sources([], references)
    assert sources_of(Message()) == Sources()
