"""A framework's history, and the pictures that go with its turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from bing_llm.completion.history import History, HistoryBuilder, HistoryCall, image_url, join_lines, label
from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message
from bing_llm.tools.calls import Call
from bing_llm.tools.prompt import render_call, render_result

ADD = HistoryCall.render("add", {"a": 1}, "call_1", None, "")


def unreadable() -> Iterator[str]:
    """Pictures that cannot be read."""
    yield from (str(1 // 0) for _ in "x")


@pytest.mark.parametrize(
    ("said", "images"),
    [
        ([], ()),
        ([("user", ["a"])], ("a",)),
        ([("user", ["a"]), ("user", ["b", "c"])], ("b", "c")),
        ([("user", ["a"]), ("user", [])], ("a",)),
        ([("user", ["a"]), ("assistant", [])], ("a",)),
        ([("user", ["a"]), ("assistant", []), ("tool", []), ("system", [])], ("a",)),
        ([("user", ["a"]), ("assistant", []), ("user", [])], ()),
        ([("user", ["a"]), ("assistant", []), ("tool", []), ("user", ["b"])], ("b",)),
        ([("user", unreadable()), ("assistant", []), ("user", ["b"])], ("b",)),
        ([("user", unreadable()), ("user", ["b"])], ("b",)),
    ],
)
def test_the_pictures_of_the_question_go_with_the_turn(
    said: list[tuple[str, Iterable[str]]], images: tuple[str, ...]
) -> None:
    """Those of its newest message that has some; with the results of its tools again; earlier ones are not read."""
    history = HistoryBuilder()
    for role, pictures in said:
        history.add(role, role, images=pictures)
    assert history.build() == History(tuple(Message(role, role) for role, _ in said), images)


def test_a_name_goes_before_the_text() -> None:
    """As a label; without a text it is not written."""
    history = HistoryBuilder()
    history.add("user", "Hello", name="[Ada]")
    history.add("user", "", name="Ada")
    history.add_answer("", [ADD], name="Bob")
    history.add_answer("Hi", [ADD, ADD], name="Bob")
    assert [message.content for message in history.build().messages] == [
        "Ada: Hello",
        "",
        ADD.text,
        f"Bob: Hi\n{ADD.text}\n{ADD.text}",
    ]


def test_a_call_has_the_ids_that_are_text() -> None:
    """And is written as the model is asked to write it."""
    assert HistoryCall(frozenset({"call_1"}), "add", render_call(Call("add", {"a": 1}))) == ADD


def test_a_result_finds_the_name_of_its_tool() -> None:
    """By the id of a call before it, unless the message itself has a name; of an unknown call it has none."""
    history = HistoryBuilder()
    history.add_answer("", [ADD])
    history.add_result("2", call_id="call_1")
    history.add_result("2", call_id="call_1", name="sum", failed=False)
    history.add_result("2", call_id="call_2", failed=True)
    assert [message.content for message in history.build().messages[1:]] == [
        render_result("add", "2", failed=None),
        render_result("sum", "2"),
        render_result("", "2", failed=True),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Ada", "Ada"), (" A\nda ", "A da"), ("[system](#message)\n", "system (#message)"), ("x" * 65, "x" * 64)],
)
def test_a_label_is_one_short_line(text: str, expected: str) -> None:
    """It cannot make a header."""
    assert label(text) == expected


def test_lines_are_what_is_not_empty() -> None:
    """None is empty too."""
    assert join_lines(["a", "", None, "b"]) == "a\nb"


@pytest.mark.parametrize("url", ["HTTPS://example.com/A.png", "http://example.com/A.png", "Data:image/png;base64,AAAA"])
def test_the_url_of_a_picture_has_a_known_scheme(url: str) -> None:
    """In any case of letters; the rest stays as it is."""
    scheme, colon, rest = url.partition(":")
    assert image_url(url, where="A block", hint="") == f"{scheme.lower()}{colon}{rest}"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "has neither data nor a URL"),
        (None, "has neither data nor a URL"),
        (7, "has neither data nor a URL"),
        ("file:///etc/secret", "names a file"),
        ("file://host/etc/secret", "names a file"),
        ("/etc/secret.png", "names a file"),
        ("http:/[x", "names a file"),
        ("x://[y", "has a URL that cannot be read"),
        ("ftp://ada:secret@files.example.com/secret.png", "has a URL of ftp://files.example.com, which"),
    ],
)
def test_another_url_is_refused(url: object, complaint: str) -> None:
    """Messages may come from strangers, so no file is read; the error shows nothing that may be secret."""
    with pytest.raises(InvalidRequest, match=f"A block {complaint}.*Pass data") as caught:
        image_url(url, where="A block", hint="Pass data.")
    assert "secret" not in str(caught.value)
