"""Which token a client asks with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bing_llm.backends.workiq.access import access
from bing_llm.backends.workiq.login import login
from bing_llm.errors import ConfigurationError
from tests.backends.workiq import azure

BASE = "http://127.0.0.1:8765/rest"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody has signed in."""
    for name in ("XDG_CONFIG_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))


def token_of(token: Any = None, endpoint: Any = BASE) -> Any:
    """The one that is used."""
    return access(token, endpoint, allow_insecure=False)


def sign_in() -> None:
    """Have somebody signed in."""
    login("app-1", None, scope="a-scope", tell=lambda _address, _code: None)


def test_the_argument_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the environment, then the login that was kept."""
    azure.install(monkeypatch)
    sign_in()
    assert token_of().get_token("a-scope").token == "a-token"
    monkeypatch.setenv("WORKIQ_TOKEN", "from-the-environment")
    assert token_of() == "from-the-environment"
    assert token_of("given") == "given"

    async def give() -> str:
        return "made"

    assert token_of(give) is give


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_the_text_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    """All ways are named: the argument, the environment, the login."""
    monkeypatch.setenv("WORKIQ_TOKEN", "")
    with pytest.raises(ConfigurationError, match="has no token") as caught:
        token_of(token)
    assert [word for word in ("token=", "WORKIQ_TOKEN", "bing-llm login") if word not in caught.value.hint] == []


@pytest.mark.parametrize("token", [7, b"bytes", object(), "two words", "line\nbreak"])
def test_what_cannot_be_a_token_is_refused(token: Any) -> None:
    """When the client is made, and without being shown."""
    with pytest.raises(ConfigurationError, match="token") as caught:
        token_of(token)
    assert "two words" not in str(caught.value)


def test_the_endpoint_is_checked_first() -> None:
    """A token is for a host, so that must be one."""
    with pytest.raises(ConfigurationError, match="not a URL"):
        token_of("x", "workiq.example.com")
    with pytest.raises(ConfigurationError, match="not encrypted"):
        token_of("x", "http://workiq.example.com")
    assert access("x", "http://workiq.example.com", allow_insecure=True) == "x"
    assert token_of("opaque", None) == "opaque"
