"""Secrets in data and in text."""

from __future__ import annotations

import pickle
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


@pytest.mark.parametrize("text", [SIGNATURE, quote(SIGNATURE, safe=""), SIGNATURE.replace("/", "\\/")])
def test_a_secret_is_masked_in_each_of_its_forms(text: str) -> None:
    """A secret becomes `***` wherever it stands, as it is, percent-encoded and as JSON may write it."""
    assert Redactor(SIGNATURE)(f"a {text} b {text}") == "a *** b ***"


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
