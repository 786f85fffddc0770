"""What is taken out of a JSON text, and put back."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.known_prefix import MARK, KnownPrefix

RUSSIAN = "Луна движет морями. " * 20
LITERAL = json.dumps(RUSSIAN).encode()
BEGINNING = LITERAL[1:-1]


def spelled(data: bytes) -> msgspec.Raw:
    """The literal of the field `text`."""
    literal: msgspec.Raw = msgspec.json.decode(data, type=dict[str, msgspec.Raw])["text"]
    return literal


def knowing(text: str = RUSSIAN) -> KnownPrefix:
    """What has seen a text, all of whose other signs were escaped."""
    known = KnownPrefix()
    data = json.dumps({"text": text}).encode()
    known.remember(data, spelled(data), text)
    return known


def test_each_string_that_begins_alike_is_shortened() -> None:
    """The beginning is taken out wherever a string has it, in whatever order, and nowhere else."""
    data = json.dumps({"card": RUSSIAN + '"', "other": "Луна", "text": RUSSIAN + "!", "list": [RUSSIAN]}).encode()
    short = knowing().shorten(data)
    assert short == data.replace(BEGINNING, MARK)
    assert knowing().shorten(memoryview(data + b"\x1e")[:-1]) == short


def test_a_text_is_put_together_again() -> None:
    """What was taken out stands before what is new; null and other strings are as they are."""
    known = knowing()
    assert known.text_of(msgspec.Raw(b'"' + MARK + b'\\u044b"')) == RUSSIAN + "ы"
    assert known.text_of(msgspec.Raw(b'"\\u044b"')) == "ы"
    assert known.text_of(msgspec.Raw(b"null")) is None


def test_the_next_text_is_shortened_by_all_that_came() -> None:
    """The beginning grows with each string that extends it."""
    known, text = knowing(), RUSSIAN
    for _ in range(50):
        text += "Прилив "
        data = json.dumps({"spoken": text, "text": text}).encode()
        short = known.shorten(data)
        assert short is not None
        assert len(short) < 150
        assert known.text_of(spelled(short)) == text
        known.remember(short, spelled(short), text)


@pytest.mark.parametrize(
    "text",
    [
        "tides " * 1000,  # plain text is decoded as fast as it is found
        RUSSIAN[:100],
    ],
)
def test_only_what_takes_long_to_decode_is_remembered(text: str) -> None:
    """A string without many escapes shortens nothing."""
    assert knowing(text).shorten(json.dumps({"text": text + "!"}).encode()) is None


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"text": RUSSIAN}, ensure_ascii=False).encode(),
        json.dumps({"text": RUSSIAN.replace("движет", "движит") + "!"}).encode(),
        json.dumps({"text": "!" + RUSSIAN}).encode(),
        b'{"text":"!"}',
        b'{"text":' + LITERAL + b',"other":"' + MARK + b'"}',
    ],
)
def test_another_text_is_left_alone(data: bytes) -> None:
    """Nothing is taken out where the string is spelled or goes on in another way, nor of what has the mark itself."""
    assert knowing().shorten(data) is None


def test_so_many_places_are_compared() -> None:
    """A text full of beginnings that differ at their end does not cost a comparison each."""
    data = json.dumps({"list": [RUSSIAN[:-1]] * 1000, "text": RUSSIAN + "!"}).encode()
    assert knowing().shorten(data) is None


def test_what_gave_up_shortens_nothing() -> None:
    """Nor does it want to remember anything."""
    known = knowing()
    known.give_up()
    assert known.size == 0
    assert known.due > 2**60


@given(st.text(st.sampled_from('ы\\"/\n😀a'), max_size=30), st.text(st.sampled_from('ы\\"/\n😀a'), max_size=30))
def test_no_escape_is_cut(first: str, rest: str) -> None:
    """Whatever ends the beginning and follows it, the whole text is what decoding the whole literal gives."""
    known = knowing(RUSSIAN + first)
    data = json.dumps({"a": [RUSSIAN + first + rest], "text": RUSSIAN + first + rest}).encode()
    short = known.shorten(data)
    assert short is not None
    assert known.text_of(spelled(short)) == RUSSIAN + first + rest
