"""Where the service is."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.backends.workiq.endpoints import PUBLIC_BASE, Endpoints, resolve
from bing_llm.errors import ConfigurationError


def test_without_an_endpoint_it_is_the_public_service() -> None:
    """Work IQ's own host is the default, which is generally available."""
    assert resolve(None) == Endpoints(PUBLIC_BASE)
    assert resolve(None).host == "workiq.svc.cloud.microsoft"


@pytest.mark.parametrize(
    ("base", "host", "create"),
    [
        ("https://graph.microsoft.com/beta/copilot", "graph.microsoft.com", "/beta/copilot/conversations"),
        ("HTTPS://Graph.Microsoft.com/beta/copilot/", "graph.microsoft.com", "/beta/copilot/conversations"),
        ("https://workiq.svc.cloud.microsoft/rest/beta", "workiq.svc.cloud.microsoft", "/rest/beta/conversations"),
        ("http://127.0.0.1:8765/rest", "127.0.0.1", "/rest/conversations"),
        ("http://[::1]:80", "::1", "/conversations"),
    ],
)
def test_every_url_follows_from_a_base_url(base: str, host: str, create: str) -> None:
    """The base may be Work IQ's, its beta, Graph's, or an emulator's; its host is told in lower case."""
    place = resolve(base)
    assert place.host == host
    assert place.create.endswith(create)
    assert place.turn("a1").endswith(f"{create}/a1/chatOverStream")
    assert place.turn("a1", over_stream=False).endswith(f"{create}/a1/chat")


def test_an_id_leads_nowhere_else() -> None:
    """An id is one step of the path, whatever it holds."""
    assert resolve(None).turn("../a?b#c/d").endswith("/conversations/..%2Fa%3Fb%23c%2Fd/chatOverStream")


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("workiq.svc.cloud.microsoft/rest", "is not a URL with scheme http or https"),
        ("wss://workiq.svc.cloud.microsoft/rest", "is not a URL with scheme http or https"),
        (("https://a.example", "wss://b.example"), "'a tuple' is not a URL"),
        ("https://bob:hunter2@example.com/rest", "credentials as token="),
        ("https://example.com/rest?token=hunter2", "credentials as token="),
        ("http://example.com/rest", "is not encrypted and not on this machine"),
    ],
)
def test_what_cannot_be_an_endpoint_is_refused(endpoint: Any, words: str) -> None:
    """A token goes over https alone, or stays on this machine; the text holds no secret."""
    with pytest.raises(ConfigurationError) as caught:
        resolve(endpoint)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_plain_http_may_be_allowed() -> None:
    """Whoever says so reaches another machine without encryption."""
    assert resolve("http://example.com/rest", allow_insecure=True).base == "http://example.com/rest"
