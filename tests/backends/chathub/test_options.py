"""Styles, option sets, message types, locales and URLs."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.chathub.options import (
    ALLOWED_MESSAGE_TYPES,
    BASE_OPTION_SETS,
    BUNDLE_VERSION,
    DEFAULT_MODEL,
    MODELS,
    PROMPT_LIMITS,
    Endpoints,
    check_locale,
    resolve,
    resolved_option_sets,
)
from bing_llm.errors import ConfigurationError
from bing_llm.services import ChatHub


def test_the_models_are_the_three_styles() -> None:
    """Each style is a model with its tone and its limit in characters; Balanced is the default."""
    assert {name: (style.tone, style.prompt_limit) for name, style in MODELS.items()} == {
        "bing-creative": ("Creative", 8000),
        "bing-balanced": ("Balanced", 4000),
        "bing-precise": ("Precise", 8000),
    }
    assert DEFAULT_MODEL == ChatHub().model == "bing-balanced"
    assert all(name == style.name for name, style in MODELS.items())
    assert {name: style.prompt_limit for name, style in MODELS.items()} == PROMPT_LIMITS


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({"model": "bing-creative"}, ["h3imaginative", "clgalileo", "gencontentv3"]),
        ({"model": "bing-balanced"}, ["galileo", "saharagenconv5"]),
        ({"model": "bing-precise"}, ["h3precise", "clgalileo", "gencontentv3"]),
        ({"search": False}, ["galileo", "saharagenconv5", "nosearchall"]),
        ({"cookies": "_U=1"}, ["galileo", "saharagenconv5", "autosave"]),
        ({"search": False, "cookies": "_U=1"}, ["galileo", "saharagenconv5", "nosearchall", "autosave"]),
    ],
)
def test_option_sets_follow_from_the_options(options: dict[str, Any], added: list[str]) -> None:
    """The base sets come first, then the style, no search, and what goes with cookies."""
    assert resolved_option_sets(ChatHub(**options)) == [*BASE_OPTION_SETS, *added]


def test_option_sets_can_be_replaced() -> None:
    """Sets that the caller names are sent as they are."""
    service = ChatHub(option_sets=("one", "two"), search=False, cookies="_U=1")
    assert resolved_option_sets(service) == ["one", "two"]
    assert resolved_option_sets(ChatHub(option_sets=())) == []


def test_no_option_set_comes_twice() -> None:
    """Whatever is combined, each name is sent once."""
    for model in MODELS:
        sets = resolved_option_sets(ChatHub(model=model, search=False, cookies="_U=1"))
        assert len(sets) == len(set(sets))


@pytest.mark.parametrize("locale", ["", "en", "en_US", "-US", "en-US\r\nx", "\u00e9-\u00e9"])
def test_a_locale_is_a_language_and_a_region(locale: str) -> None:
    """Another form is refused with two that are right."""
    with pytest.raises(ConfigurationError, match="is not a language and a region, as 'en-US' or 'zh-CN' are"):
        check_locale(locale)
    check_locale("de-at")


def test_results_and_disengagements_are_asked_for() -> None:
    """The allowed message types are a filter: what we read is in it, and nothing twice."""
    read = {"InternalSearchQuery", "InternalSearchResult", "InternalLoaderMessage", "Progress", "GenerateContentQuery"}
    assert read | {"Chat", "Disengaged"} <= set(ALLOWED_MESSAGE_TYPES)
    assert len(set(ALLOWED_MESSAGE_TYPES)) == len(ALLOWED_MESSAGE_TYPES)


VERSION = f"bundleVersion={BUNDLE_VERSION}"


def endpoints(http: str, ws: str, http_beside_ws: str | None = None) -> Endpoints:
    """All URLs of a service with these origins."""
    return Endpoints(
        create=f"{http}/turing/conversation/create?{VERSION}",
        socket=f"{ws}/sydney/ChatHub",
        upload=f"{http}/images/kblob",
        blob=f"{http}/images/blob",
        chats=f"{http}/turing/conversation/chats?{VERSION}",
        delete=f"{http_beside_ws or http}/sydney/DeleteSingleConversation",
    )


def test_without_an_endpoint_it_is_the_public_service() -> None:
    """The public hosts are the default."""
    expected = endpoints("https://www.bing.com", "wss://sydney.bing.com", "https://sydney.bing.com")
    assert resolve(None) == expected


@pytest.mark.parametrize(
    ("base", "http", "ws"),
    [
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765", "ws://127.0.0.1:8765"),
        ("http://127.0.0.1:8765/", "http://127.0.0.1:8765", "ws://127.0.0.1:8765"),
        ("http://localhost", "http://localhost", "ws://localhost"),
        ("http://[::1]:80", "http://[::1]:80", "ws://[::1]:80"),
        ("https://example.com", "https://example.com", "wss://example.com"),
        ("https://example.com/edgesvc/", "https://example.com/edgesvc", "wss://example.com/edgesvc"),
        ("HTTPS://Example.com", "https://Example.com", "wss://Example.com"),
        ("https://example.com?", "https://example.com", "wss://example.com"),
        ("https://example.com/a#", "https://example.com/a", "wss://example.com/a"),
    ],
)
def test_every_url_follows_from_a_base_url(base: str, http: str, ws: str) -> None:
    """One base URL is enough, with a path or without, however it is spelled."""
    assert resolve(base) == endpoints(http, ws)


def test_a_pair_may_name_two_hosts() -> None:
    """Of the pair of creation and socket URL, each brings what lies beside it."""
    pair = ("https://a.example/x/turing/conversation/create", "wss://b.example/y/sydney/ChatHub")
    assert resolve(pair) == endpoints("https://a.example/x", "wss://b.example/y", "https://b.example/y")


def test_a_pair_may_have_other_paths() -> None:
    """URLs with paths of their own are taken as they are; what lies beside them is at the root of their hosts."""
    found = resolve(("https://a.example/make", "wss://b.example:1/m365/Chathub/oid@tid"))
    assert found.create == f"https://a.example/make?{VERSION}"
    assert found.socket == "wss://b.example:1/m365/Chathub/oid@tid"
    assert found.upload == "https://a.example/images/kblob"
    assert found.delete == "https://b.example:1/sydney/DeleteSingleConversation"


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "example.com",
        "127.0.0.1:8765",
        "//example.com",
        "http://",
        "https://:80",
        "ftp://example.com",
        "wss://example.com",
        "http://127.0.0.1:port",
        "http://127.0.0.1:65536",
        "https://[::1",
        "https://bob:hunter2/@example.com",
        "bob:hunter2@example.com",
        8765,
        b"https://example.com",
        ("https://example.com",),
        ("https://example.com", "https://example.com"),
        ("wss://example.com", "https://example.com"),
        ("https://example.com", None),
        ("https://example.com", "wss://example.com", "hunter2"),
    ],
)
def test_what_is_not_a_url_is_refused(endpoint: Any) -> None:
    """What is neither a base URL nor a pair is refused, with what is allowed."""
    with pytest.raises(ConfigurationError, match="Allowed: an http") as caught:
        resolve(endpoint)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://bob:hunter2@example.com",
        "https://hunter2@example.com",
        "https://example.com?token=hunter2",
        "https://example.com/#hunter2",
        ("https://example.com", "wss://example.com/sydney/ChatHub?sec_access_token=hunter2"),
    ],
)
def test_a_url_holds_no_credentials(endpoint: Any) -> None:
    """User, password, query and fragment are refused, and not echoed."""
    with pytest.raises(ConfigurationError, match="has a user, a query or a fragment") as caught:
        resolve(endpoint)
    assert "'https://example.com" in str(caught.value) or "'wss://example.com" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "better"),
    [
        ("http://example.com", "Use https"),
        ("http://10.0.0.1:8765", "Use https"),
        (("https://example.com", "ws://example.com"), "Use wss"),
    ],
)
def test_plain_http_stays_on_this_machine(endpoint: Any, better: str) -> None:
    """What is not encrypted is refused beyond loopback, unless the caller insists."""
    with pytest.raises(ConfigurationError, match=f"is not encrypted and not on this machine. {better}"):
        resolve(endpoint)
    assert resolve(endpoint, allow_insecure=True).socket.startswith("ws://")


def test_the_token_is_percent_encoded() -> None:
    """Base64's `+`, `/` and `=` mean something else in a query, so that none may stay."""
    found = resolve("http://127.0.0.1")
    assert found.socket_for("a+/=").endswith("/sydney/ChatHub?sec_access_token=a%2B%2F%3D")
    assert found.socket_for(None) == found.socket_for("") == found.socket


@given(st.text(min_size=1))
def test_any_token_arrives_as_it_was(token: str) -> None:
    """A server that decodes the query gets the token, and nothing else."""
    query = urlsplit(resolve("http://127.0.0.1").socket_for(token)).query
    assert unquote(query) == f"sec_access_token={token}"
    assert list(parse_qs(query, keep_blank_values=True)) == ["sec_access_token"]
