"""What is said of a URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm._urls import checked_url, is_loopback, origin, public_url, web_url
from bing_llm.errors import ConfigurationError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/a/b?token=hunter2", "https://example.com/a/b"),
        ("wss://example.com:8443/hub#hunter2", "wss://example.com:8443/hub"),
        ("https://bob:hunter2@example.com:8443/a", "https://example.com:8443/a"),
        ("https://hunter2@[::1]:80/a@b", "https://[::1]:80/a@b"),
        ("127.0.0.1:8765", "127.0.0.1:8765"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    """User, password, query and fragment are left out; scheme, host, port and path stay."""
    assert public_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "bob:hunter2@example.com",
        "http:/bob:hunter2@example.com",
        "http//bob:hunter2@example.com",
        "https://bob:hunter2/@example.com",
        "https://[hunter2",
        "https://example.com:hunter2/",
    ],
)
def test_what_cannot_be_taken_apart_is_not_shown(url: str) -> None:
    """Where it is not clear which part is the password, none is shown."""
    assert public_url(url) == "(not a URL)"


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    """No text makes it fail, and a query never shows."""
    assert SECRET not in public_url(f"https://example.com/{text}?{SECRET}")
    assert isinstance(public_url(text), str)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_this_machine_is_known(host: str) -> None:
    """The loopback addresses and `localhost` mean this machine."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "0.0.0.1", "::", "127.1"]
)
def test_every_other_host_is_another_machine(host: str) -> None:
    """What only looks like this machine, and what means every address, does not count."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (7, "'a int' is not a URL with scheme ws or wss and a host. Allowed: that."),
        ("https://example.com", "is not a URL with scheme ws or wss and a host. Allowed: that."),
        ("wss://bob:hunter2@example.com", "credentials as token=."),
        ("ws://example.com", "Use wss; in Python, allow_insecure=True allows it."),
    ],
)
def test_an_endpoint_is_checked_by_what_its_caller_allows(url: object, words: str) -> None:
    """The caller's schemes, its words for what is allowed, and its argument for credentials are in the error."""
    with pytest.raises(ConfigurationError) as caught:
        checked_url(url, ("ws", "wss"), allow_insecure=False, allowed="Allowed: that.", credentials="token=")
    assert str(caught.value).endswith(words)
    assert SECRET not in str(caught.value)


def test_an_endpoint_is_tidied_up() -> None:
    """Its scheme is in lower case, and nothing empty stands at its end."""
    assert checked_url("WSS://a.example/b?#", ("ws", "wss"), allow_insecure=False, allowed="") == "wss://a.example/b"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTP://example.com:8080/a(b)?c=d,e;f&g={h}#i@j",
        "https://[::1]/",
        "https://bücher.example/ä",
        "https://example.com/?to=javascript:alert(1)",
    ],
)
def test_a_web_page_is_a_link(url: str) -> None:
    """An http(s) URL with a host is given on as it is."""
    assert web_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "JavaScript://example.com/%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://example.com",
        "//example.com",
        "example.com",
        "https:",
        "https:///path",
        "https://bing.com@evil.example/",
        "https://bob:hunter2@example.com/",
        "https://evil.example\\@bing.com/",
        "https://example.com:port/",
        "https://[half",
        "https://example.com/a b",
        "https://example.com/\x1b[2J",
        "https://example.com/\u202egnp.exe",
        "https://exa\u200bmple.com/",
        "https://example.com/\n",
        " https://example.com/",
        "https://example.com/><b>",
        'https://example.com/"x',
        "https://example.com/\ud800",
    ],
)
def test_what_may_do_harm_is_not_a_link(url: str) -> None:
    """Another scheme, a user before the host, and characters that hide or end a URL are not given on."""
    assert web_url(url) == ""


@given(st.text())
def test_any_text_is_a_link_or_none(text: str) -> None:
    """No text makes it fail."""
    for url in (text, f"https://{text}", f"https://example.com/{text}"):
        assert web_url(url) in {"", url}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.org:443/x?y", "https://example.org"),
        ("http://example.org:80", "http://example.org"),
        ("wss://example.org:443/x", "wss://example.org"),
        ("https://example.org:8443/", "https://example.org:8443"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("https://user:secret@example.org/", "https://example.org"),
        ("https://example.org:x/", ""),
        ("javascript:alert(1)", ""),
        ("/x", ""),
    ],
)
def test_an_origin_has_one_spelling(url: str, expected: str) -> None:
    """Scheme, host and port, so that two URLs can be compared."""
    assert origin(url) == expected
