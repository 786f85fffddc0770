"""Rows: what a record asks, and what the output says of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bing_llm.batch.rows import (
    OUTPUT_FIELDS,
    Answered,
    BadRow,
    Failed,
    Record,
    Row,
    bad_row,
    parse_row,
    render_row,
    row_key,
)
from bing_llm.errors import InvalidRequest, Throttled
from bing_llm.events import Citation, Reply
from bing_llm.messages import Message

NAMES = st.sampled_from(["id", "prompt", "messages", "context", "model", *OUTPUT_FIELDS]) | st.text(max_size=3)
VALUES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.dictionaries(st.text(), st.text()))
)
ANSWER = Answered(Reply(text="Paris."), attempts=1, seconds=2.0)
FAILURE = Failed(Throttled("Too many.", hint="Wait."), attempts=2, seconds=0.5)


def row(**fields: Any) -> Row:
    """A record in place 3, which must ask something."""
    found = parse_row(Record(3, fields))
    assert isinstance(found, Row)
    return found


def refused(**fields: Any) -> BadRow:
    """A record in place 3, which must ask nothing."""
    found = parse_row(Record(3, fields))
    assert isinstance(found, BadRow)
    return found


def test_a_record_may_ask_with_a_prompt() -> None:
    """With context and a model; all its fields stay with it."""
    found = row(id="a", prompt="Hi", context="Be brief.", model="other", tag=[1])
    assert (found.number, found.id, found.prompt, found.messages) == (3, "a", "Hi", None)
    assert (found.context, found.model) == ("Be brief.", "other")
    assert found.fields == {"id": "a", "prompt": "Hi", "context": "Be brief.", "model": "other", "tag": [1]}


@pytest.mark.parametrize(
    "messages", [[{"role": "user", "content": "Hi"}], '[{"role":"user","content":[{"type":"text","text":"Hi"}]}]']
)
def test_a_record_may_ask_with_messages(messages: Any) -> None:
    """Also as the text of JSON, since the cells of a table are texts."""
    found = row(messages=messages)
    assert (found.prompt, found.messages) == (None, (Message("user", "Hi"),))


def test_what_is_empty_is_missing() -> None:
    """CSV knows no other way to leave a cell out."""
    found = row(id="", prompt="Hi", messages="", context="", model="")
    assert (found.id, found.messages, found.context, found.model) == (3, None, None, None)
    assert refused(prompt="", messages=None).error.message == "Row 3: There is neither a prompt nor messages."


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "neither a prompt nor messages"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, "both a prompt and messages"),
        ({"context": "a", "messages": [{"role": "user", "content": "a"}]}, "both context and messages"),
        ({"prompt": 5}, "prompt is of type int"),
        ({"prompt": "a", "context": ["b"]}, "context is of type list"),
        ({"prompt": "a", "model": True}, "model is of type bool"),
        ({"messages": []}, "messages is not a list of messages"),
        ({"messages": {"role": "user"}}, "messages is not a list of messages"),
        ({"messages": "hello"}, "messages is a text that is not JSON"),
        ({"messages": "[" * 100_000}, "messages is a text that is not JSON"),
        ({"messages": '"hello"'}, "messages is not a list of messages"),
        ({"messages": ["hello"]}, "Message 0 is a str"),
        ({"messages": [{"content": "hello"}]}, "Message 0 has no role"),
        (
            {"messages": [{"role": "user", "content": ["Who?", {"type": "image_url"}]}]},
            "Message 0 has a part that is not text",
        ),
        ({"prompt": "a", "id": 1.5}, "id is of type float"),
        ({"prompt": "a", "id": True}, "id is of type bool"),
        ({"prompt": "a", "id": ["b"]}, "id is of type list"),
        ({"prompt": "a", "id": "b\0"}, "id has a NUL in it"),
    ],
)
def test_a_record_that_asks_nothing_is_an_error_of_its_own(fields: dict[str, Any], why: str) -> None:
    """The error names its place, and says what to write."""
    error = refused(**fields).error
    assert error.message.startswith("Row 3: ")
    assert why in error.message
    assert error.hint != InvalidRequest.default_hint


def test_a_record_that_asks_nothing_keeps_its_id() -> None:
    """A reader of the output finds it by that; a value that cannot be an id does not count."""
    assert (refused(id="a").id, refused(id="a").key) == ("a", "id a")
    assert (refused(id=1.5).id, refused(id=1.5).key) == (None, "line 3")
    assert (refused(id="a\0").id, refused(id="a\0").key) == (None, "line 3")


def test_a_record_that_could_not_be_read_keeps_its_error() -> None:
    """It names the place itself."""
    why = InvalidRequest("Line 3 is not a JSON object.")
    assert parse_row(Record(3, why)) == BadRow(number=3, fields={}, error=why)


def test_ids_that_are_written_alike_are_the_same() -> None:
    """A table makes texts of numbers; a place cannot pass for an id, but a line can."""
    assert row(id=7, prompt="a").key == row(id="7", prompt="a").key == "id 7"
    assert row(prompt="a").key == row(id=3, prompt="a").key == "id 3"
    assert bad_row(3, {}, InvalidRequest("No.")).key == "line 3"


def test_an_answer_is_written_after_its_row() -> None:
    """The answer is plain values, which JSON has."""
    reply = Reply(text="Paris.", citations=(Citation(1, "https://a.example/", "A"),), finish_reason="length")
    output = render_row(row(prompt="Hi", tag=None), Answered(reply, attempts=2, seconds=1.23456))
    assert list(output.items()) == [
        ("id", 3),
        ("prompt", "Hi"),
        ("tag", None),
        ("text", "Paris."),
        ("citations", [{"number": 1, "url": "https://a.example/", "title": "A"}]),
        ("finish_reason", "length"),
        ("attempts", 2),
        ("seconds", 1.235),
    ]


def test_a_failure_is_written_after_its_row() -> None:
    """By the name of its error, its message and its hint; there is no text then."""
    output = render_row(row(id="a", prompt="Hi"), FAILURE)
    assert output == {
        "id": "a",
        "prompt": "Hi",
        "error": {"type": "Throttled", "message": "Too many.", "hint": "Wait."},
        "attempts": 2,
        "seconds": 0.5,
    }


def test_a_row_without_an_id_is_written_with_its_line() -> None:
    """An id that is none, or another row's, is kept beside."""
    why = InvalidRequest("It is there twice.")
    bad = bad_row(9, {"id": "a", "prompt": "Hi"}, why)
    output = render_row(bad, Failed(bad.error))
    assert output["line"] == 9
    assert "id" not in output
    assert (output["input_id"], output["attempts"], output["seconds"]) == ("a", 0, 0.0)


def test_fields_of_the_input_give_way_to_those_of_the_output() -> None:
    """None is lost, also where the free name is taken."""
    output = render_row(row(prompt="Hi", text="mine", input_text="too", error="none", line=4), ANSWER)
    assert output["text"] == "Paris."
    assert (output["input_input_text"], output["input_text"]) == ("mine", "too")
    assert (output["input_error"], output["input_line"]) == ("none", 4)
    assert "error" not in output


@settings(max_examples=50)
@given(st.dictionaries(NAMES, VALUES), st.sampled_from([ANSWER, FAILURE]))
def test_nothing_of_any_record_is_lost(fields: dict[str, Any], outcome: Answered | Failed) -> None:
    """Any record is a row or a bad one; its output has its key, its fields and what came of it, and survives JSON."""
    found = parse_row(Record(3, fields))
    output = render_row(found, outcome)
    assert row_key(output) == found.key
    assert ("error" in output) == isinstance(outcome, Failed)
    kept = [value for name, value in fields.items() if name != "id"]
    assert all(any(value is one for one in output.values()) for value in kept)
    assert msgspec.json.decode(msgspec.json.encode(output)) == output


def test_a_citation_has_its_places_and_its_label() -> None:
    """They come after what earlier versions wrote; one without them has none."""
    cited = (
        Citation(1, "https://a.example/", "A", ((0, 2), (4, 6))),
        Citation(2, "https://b.example/", sensitivity_label={"displayName": "Secret"}),
    )
    reply = Reply(text="Paris.", citations=cited)
    written = render_row(Row(number=1, id="a", fields={}), Answered(reply, attempts=1, seconds=1.0))
    assert written["citations"] == [
        {"number": 1, "url": "https://a.example/", "title": "A", "spans": [[0, 2], [4, 6]]},
        {"number": 2, "url": "https://b.example/", "title": "", "sensitivity_label": {"displayName": "Secret"}},
    ]
