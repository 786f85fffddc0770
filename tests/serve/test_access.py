"""Who may use the front."""

from __future__ import annotations

import pytest

from bing_llm.errors import ConfigurationError
from bing_llm.serve.access import Access
from bing_llm.serve.errors import ApiError

KEY = "a-key-of-the-front"


def refusal(access: Access, authorization: str | None) -> ApiError | None:
    """The error for this header; None if it is taken."""
    try:
        access.check_key(authorization)
    except ApiError as exc:
        return exc
    return None


@pytest.mark.parametrize("sent", [f"Bearer {KEY}", f"bearer {KEY}", f"Bearer  {KEY} "])
def test_the_key_is_taken(sent: str) -> None:
    """As a bearer token, whatever the case of the scheme."""
    assert refusal(Access(KEY, host="127.0.0.1"), sent) is None


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer ", KEY, f"Basic {KEY}", f"Bearer {KEY}x", "Bearer ü"])
def test_anything_else_is_refused(sent: str | None) -> None:
    """With OpenAI's code, which clients do not try again."""
    error = refusal(Access(KEY, host="127.0.0.1"), sent)
    assert error is not None
    assert (error.status, error.code, error.headers) == (401, "invalid_api_key", {"x-should-retry": "false"})
    assert KEY not in error.message


def test_the_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By `hmac.compare_digest`, over digests of one length."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return True

    monkeypatch.setattr("hmac.compare_digest", compare)
    Access(KEY, host="127.0.0.1").check_key("Bearer short")
    ((left, right),) = compared
    assert len(left) == len(right) == 32


def test_no_key_is_needed_on_loopback() -> None:
    """Programs of this machine are taken."""
    access = Access(None, host="127.0.0.1")
    assert refusal(access, None) is None
    access.check_names("localhost:8080", None, "127.0.0.1")
    access.check_names("localhost", None, None)  # a Unix socket


@pytest.mark.parametrize(("host", "names"), [("0.0.0.0", ()), ("192.0.2.7", ()), ("127.0.0.1", ("front.example",))])  # noqa: S104 - only said
def test_beyond_loopback_a_key_is_required(host: str, names: tuple[str, ...]) -> None:
    """Also where only a name says so; with a key it is allowed."""
    with pytest.raises(ConfigurationError, match="it has no key"):
        Access(None, host=host, allowed_hosts=names)
    Access(KEY, host=host, allowed_hosts=names)


@pytest.mark.parametrize("key", ["", "short", "has blanks in the middle", "schlüssel-schlüssel-schlüssel"])
def test_a_weak_key_is_refused(key: str) -> None:
    """One that is short, or cannot be a header; the error does not show it."""
    with pytest.raises(ConfigurationError) as caught:
        Access(key, host="127.0.0.1")
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "origin", "remote"),
    [
        ("evil.example", None, "127.0.0.1"),
        (None, None, "127.0.0.1"),
        ("localhost", "https://evil.example", "127.0.0.1"),
        ("localhost", "null", "127.0.0.1"),
        ("localhost", None, "192.0.2.7"),
    ],
)
def test_pages_and_other_machines_are_refused(host: str | None, origin: str | None, remote: str) -> None:
    """A name that does not mean this machine, a page of somebody else, and without a key another machine."""
    with pytest.raises(ApiError) as caught:
        Access(None, host="127.0.0.1").check_names(host, origin, remote)
    assert (caught.value.status, caught.value.code) == (403, "forbidden")


def test_with_a_key_other_machines_are_taken() -> None:
    """Also by a name and from a page that were allowed."""
    access = Access(KEY, host="127.0.0.1", allowed_hosts=["front.example"], allowed_origins=["https://app.example"])
    access.check_names("front.example", "https://app.example", "192.0.2.7")
    assert access.takes_origin("https://app.example")
    assert not access.takes_origin("https://evil.example")


def test_the_key_is_not_shown() -> None:
    """Tools that print variables see that it is a secret."""
    assert KEY not in repr(vars(Access(KEY, host="127.0.0.1")))
