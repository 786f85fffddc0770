"""Secrets in data and in text."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import ClassVar
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from bing_llm import BingClient
from bing_llm._secrets import Redactor, SecretStruct
from bing_llm.backends.chathub.request import ChatHubConversation
from bing_llm.backends.response import Response
from bing_llm.backends.workiq.auth import TokenSource
from bing_llm.errors import Throttled
from bing_llm.services import ChatHub, WorkIQ


class Safe(SecretStruct, frozen=True):
    """A number that may be seen and a word that may not."""

    SHOWN: ClassVar[tuple[str, ...]] = ("number",)

    number: int
    word: str


def test_only_what_is_named_is_shown() -> None:
    """Neither repr nor rich shows a field that is not named."""
    assert repr(Safe(1, "hunter2")) == "Safe(number=1, ...)"
    assert pretty_repr(Safe(1, "hunter2")) == "Safe(number=1)"


@pytest.mark.parametrize(
    "holder",
    [
        Safe(1, "hunter2"),
        Response(200, {"x-sydney-conversationsignature": "hunter2"}, b"hunter2"),
        ChatHubConversation("id", "client", "hunter2", "hunter2"),
        ChatHub(cookies="_U=hunter2", proxy="http://hunter2@127.0.0.1:1"),
        WorkIQ(token="hunter2", proxy="http://hunter2@127.0.0.1:1", time_zone="UTC"),
        TokenSource("hunter2", host="127.0.0.1"),
        BingClient(backend="chathub", cookies="_U=hunter2"),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_secrets_are_neither_shown_nor_pickled(holder: object) -> None:
    """What holds a secret shows none and refuses to be pickled, naming itself and not the secret."""
    assert "hunter2" not in repr(holder) + pretty_repr(holder)
    with pytest.raises(TypeError, match=f"A {type(holder).__name__} holds cookies") as caught:
        pickle.dumps(holder)
    assert "hunter2" not in str(caught.value)


# --- in text ----------------------------------------------------------------------------------------------------------

SIGNATURE = "n8+Zm/4t8Qq=="


def _in_each(encode: Callable[[str], str]) -> str:
    return "".join(map(encode, SIGNATURE))


@pytest.mark.parametrize(
    "text",
    [
        SIGNATURE,
        quote(SIGNATURE, safe=""),
        SIGNATURE.replace("+", "%2b").replace("/", "%2F").replace("=", "%3d"),
        SIGNATURE.replace("/", "%2f").replace("+", "\\u002B").replace("=", "&#61;"),
        SIGNATURE.replace("/", "\\/"),
        quote(quote(SIGNATURE, safe=""), safe=""),
        json.dumps(json.dumps(SIGNATURE.replace("/", "\\/"))).strip('"\\'),
        _in_each(lambda sign: f"%{ord(sign):02x}"),
        _in_each(lambda sign: f"\\u{ord(sign):04X}"),
        _in_each(lambda sign: f"\\x{ord(sign):02x}"),
        _in_each(lambda sign: f"&#x{ord(sign):X};"),
        _in_each(lambda sign: f"%26%23{ord(sign)}%3B"),
    ],
)
def test_a_secret_is_masked_in_each_of_its_forms(text: str) -> None:
    """A secret becomes `***` wherever it stands and however it is spelled: encodings may be mixed, or in each other."""
    assert Redactor(SIGNATURE)(f"a {text} b {text}") == "a *** b ***"


def test_a_secret_that_is_encoded_is_known_decoded() -> None:
    """A cookie may be percent-encoded, and a service may say what it means; the rest of the text stays as it was."""
    redact = Redactor("a%2Fb%2Bc%3Dd")
    assert redact("%41 a/b+c=d \\u0041") == "%41 *** \\u0041"
    assert redact("&lt; a%252Fb%252Bc%253Dd &#62;") == "&lt; *** &#62;"


@given(st.text(alphabet="ab%25u\\0046&#;xX"), st.text(alphabet="ab%25u\\0046&#;xX"))
def test_what_surrounds_a_secret_stays(before: str, after: str) -> None:
    """Only the secret is masked, whatever looks like an escape beside it."""
    text = Redactor("secret-value")(f"{before} secret-value {after}")
    assert text == f"{before} *** {after}"


def test_a_secret_inside_another_leaves_nothing_standing() -> None:
    """Where one secret is a part of another, the longer one goes first."""
    assert Redactor("secret", "secret-and-more")("secret-and-more, secret") == "***, ***"


def test_short_secrets_do_not_blank_ordinary_words() -> None:
    """What is shorter than six characters stays, since it would hide half of every text."""
    assert Redactor("", "chat", "12345")("a chat of 12345") == "a chat of 12345"
    assert Redactor("123456")("a chat of 123456") == "a chat of ***"


def test_without_secrets_a_text_stays_as_it_is() -> None:
    """No secret, no mask."""
    assert Redactor()("nothing to hide") == "nothing to hide"


@given(st.text(min_size=6), st.text(), st.text())
def test_no_secret_is_left_in_any_text(secret: str, before: str, after: str) -> None:
    """Whatever stands around it, the secret itself is gone, unless it is made of the mask's own stars."""
    redacted = Redactor(secret)(f"{before}{secret}{after}")
    assert secret not in redacted or "*" in secret


def test_errors_leave_without_secrets() -> None:
    """An error of ours that leaves the block has the service's words without the secrets; its text and type stay."""
    with pytest.raises(Throttled) as caught, Redactor(SIGNATURE).errors():
        raise Throttled(f"No: {SIGNATURE}", value=SIGNATURE, service_message=f"for {SIGNATURE}", partial_text="Hi")
    error = caught.value
    assert (error.message, error.args, error.value, error.service_message) == (
        "No: ***",
        ("No: ***",),
        "***",
        "for ***",
    )
    assert error.partial_text == "Hi"
    with pytest.raises(Throttled) as caught, Redactor(SIGNATURE).errors():
        raise Throttled("No")
    assert (caught.value.value, caught.value.service_message) == (None, None)
