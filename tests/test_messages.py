"""Prompts, and histories as one text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.images import Image
from bing_llm.messages import Message, Prompt, convert

PARTS = st.recursive(
    st.none() | st.text() | st.integers() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "url"]), inner, max_size=4)
        | st.builds(Message, inner, inner)
    ),
    max_leaves=12,
)


def test_convert_writes_a_header_for_each_message() -> None:
    """Each message is its role as a header, its content and an empty line, exactly."""
    messages: list[Message | dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        Message("user", "Hello"),
        {"role": "assistant", "content": "Hi\nthere"},
    ]
    assert convert(messages) == (
        "[system](#message)\nBe brief.\n\n[user](#message)\nHello\n\n[assistant](#message)\nHi\nthere\n\n"
    )


def test_convert_takes_any_iterable() -> None:
    """No messages are the empty text, and a generator does as well as a list."""
    assert convert([]) == ""
    assert convert({"role": role, "content": role} for role in "ab") == "[a](#message)\na\n\n[b](#message)\nb\n\n"


@pytest.mark.parametrize(
    ("content", "written"),
    [
        ("text", "text"),
        ("", ""),
        (None, ""),
        ([], ""),
        (["one", "two"], "one\ntwo"),
        (("one", "two"), "one\ntwo"),
        ([{"type": "text", "text": "one"}, {"text": "two"}], "one\ntwo"),
        ([{"type": "image_url", "image_url": {"url": "https://example.org"}}, "one"], "one"),
        (["", {"type": "text", "text": ""}], "\n"),
    ],
)
def test_convert_reads_every_kind_of_content(content: Any, written: str) -> None:
    """The table in the docstring of `convert`, row by row."""
    assert convert([{"role": "user", "content": content}]) == f"[user](#message)\n{written}\n\n"


def test_a_message_without_content_is_empty() -> None:
    """A mapping that has no content at all is written as the empty text."""
    assert convert([{"role": "user"}]) == "[user](#message)\n\n\n"


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"content": "a"}, "has no role"),
        ({"role": None, "content": "a"}, "has no role"),
        ({"role": 7, "content": "a"}, "has a role of type int"),
        ({"role": "user", "content": 7}, "has content of type int"),
        ({"role": "user", "content": b"a"}, "has content of type bytes"),
        ({"role": "user", "content": {"text": "a"}}, "has content of type dict"),
        ({"role": "user", "content": [7]}, "has a part of type int"),
        ({"role": "user", "content": [{"type": "text"}]}, "has a text part whose text is a NoneType"),
        ({"role": "user", "content": [{"type": "text", "text": 7}]}, "has a text part whose text is a int"),
        ("user", "is a str"),
        (None, "is a NoneType"),
    ],
)
def test_convert_names_the_message_that_it_cannot_read(message: Any, complaint: str) -> None:
    """Anything else is a TypeError that names the index of the message and what was found."""
    with pytest.raises(TypeError, match=f"^Message 1 {complaint}"):
        convert([{"role": "user", "content": "fine"}, message])


@given(PARTS | st.lists(PARTS, max_size=4))
def test_convert_raises_nothing_but_type_errors(messages: Any) -> None:
    """Whatever is passed, the answer is a text or a TypeError, which names the first message that cannot be read."""
    try:
        written = convert(messages)
    except TypeError as exc:
        if isinstance(messages, list):
            bad = int(str(exc).removeprefix("Message ").partition(" ")[0])
            assert convert(messages[:bad]) is not None
            with pytest.raises(TypeError, match=r"^Message 0 "):
                convert(messages[bad:])
        return
    assert isinstance(written, str)


TEXT_PARTS = st.text() | st.builds(lambda text: {"type": "text", "text": text}, st.text())


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text() | st.lists(TEXT_PARTS, max_size=3))))
def test_convert_keeps_every_text(history: list[tuple[str, Any]]) -> None:
    """Each message is written once, in its place, with each character of its text parts."""
    written = convert([{"role": role, "content": content} for role, content in history])
    for role, content in history:
        parts = [content] if isinstance(content, str) else content
        text = "\n".join(part if isinstance(part, str) else part["text"] for part in parts)
        head = f"[{role}](#message)\n{text}\n\n"
        assert written.startswith(head)
        written = written.removeprefix(head)
    assert not written


@pytest.mark.parametrize(("context", "characters"), [(None, 5), ("", 5), ("earlier", 12)])
def test_a_prompt_counts_text_and_context(context: str | None, characters: int) -> None:
    """`characters` is the length of text and context; pictures do not count."""
    assert Prompt("Hello", context, (Image(url="https://example.org/cat.png"),)).characters == characters
