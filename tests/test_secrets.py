"""Data that holds secrets."""

from __future__ import annotations

import pickle
from typing import ClassVar

import pytest
from rich.pretty import pretty_repr

from bing_llm import BingClient
from bing_llm._secrets import SecretStruct
from bing_llm.backends.chathub.creation import ChatHubConversation
from bing_llm.backends.response import Response
from bing_llm.backends.workiq.auth import TokenSource
from bing_llm.config import ConnectionSettings


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
        ConnectionSettings(cookies="_U=hunter2", proxy="http://hunter2@127.0.0.1:1", token="hunter2"),
        TokenSource("hunter2", host="127.0.0.1"),
        BingClient(backend="emulator", cookies="_U=hunter2"),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_secrets_are_neither_shown_nor_pickled(holder: object) -> None:
    """What holds a secret shows none and refuses to be pickled, naming itself and not the secret."""
    assert "hunter2" not in repr(holder) + pretty_repr(holder)
    with pytest.raises(TypeError, match=f"A {type(holder).__name__} holds cookies") as caught:
        pickle.dumps(holder)
    assert "hunter2" not in str(caught.value)
