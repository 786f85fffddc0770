"""Certificates, proxies and cookies."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import socket
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from bing_llm.backends.http import Http, Socket
from bing_llm.errors import (
    BingError,
    ConfigurationError,
    ConnectionFailed,
    Unauthorized,
    is_transient,
    stops_batch,
)
from tests.backends.connecting import (
    CALLS,
    TOKEN,
    failure,
    fetch,
    greet,
    open_socket,
)
from tests.backends.serving import GRACE_S, Request, Server, reply, upgraded


def shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Serve one connection up to the TLS handshake, in a thread: asyncio's server logs a failed one as an error."""
    accepted, _ = listener.accept()
    accepted.settimeout(GRACE_S)
    with accepted, suppress(OSError):
        context.wrap_socket(accepted, server_side=True).close()


@pytest.mark.parametrize(("call", "scheme"), [(fetch, "https"), (open_socket, "wss")])
async def test_an_unknown_certificate_is_refused(
    call: Callable[..., Coroutine[Any, Any, object]], scheme: str, server_tls: ssl.SSLContext
) -> None:
    """By default a server must show a certificate of a public authority; the error says what was wrong."""
    http = Http()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GRACE_S)
        serving = asyncio.ensure_future(asyncio.to_thread(shake_hands, listener, server_tls))
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/a{TOKEN}"
        error = await failure(ConnectionFailed, call(http, url))
        await serving
    assert "certificate verify failed" in error.message
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert error.permanent
    assert "ssl_context=" in error.hint
    await http.aclose()


async def test_a_context_decides_what_is_trusted(authority: trustme.CA, server_tls: ssl.SSLContext) -> None:
    """With `ssl_context` its authorities count, for calls and sockets; leaving a socket does not wait for TLS."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    http = Http(ssl_context=context)
    async with Server(reply(), upgraded(greet), upgraded(greet), tls=server_tls) as server:
        assert (await fetch(http, server.url())).status == 200
        for leave in (Socket.hang_up, Socket.abort):
            opened = await open_socket(http, server.url("/a", "ws"))
            assert await opened.read() == [b"hello"]
            leave(opened)
        await http.aclose()
        await server.idle()


async def test_all_connections_share_one_session_and_one_context(
    authority: trustme.CA, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many calls and sockets are opened at once: loading the authorities anew takes milliseconds each time."""
    made: list[object] = []
    new_context, new_session = ssl.create_default_context, aiohttp.ClientSession

    def context(**_: object) -> ssl.SSLContext:
        made.append(trusting := new_context())
        authority.configure_trust(trusting)
        return trusting

    def session(**settings: Any) -> aiohttp.ClientSession:
        made.append(opened := new_session(**settings))
        return opened

    monkeypatch.setattr(ssl, "create_default_context", context)
    monkeypatch.setattr(aiohttp, "ClientSession", session)
    http = Http()
    async with Server(*[upgraded(greet)] * 6, tls=server_tls) as server:
        sockets = await asyncio.gather(*(open_socket(http, server.url("/a", "ws")) for _ in range(6)))
        for opened in sockets:
            opened.abort()
        assert sorted(type(each).__name__ for each in made) == ["ClientSession", "SSLContext"]
        await http.aclose()
        await server.idle()


PROXY_AUTH = "Basic Ym9iOmh1bnRlcjI="  # bob:hunter2


async def test_a_proxy_carries_calls_and_sockets() -> None:
    """With `proxy` every request goes to the proxy, with its whole URL and the proxy's own credentials."""
    async with Server(reply(), upgraded(greet)) as server:
        http = Http(proxy=f"http://bob:hunter2@127.0.0.1:{server.port}")
        assert (await fetch(http, "http://service.example/a")).status == 200
        opened = await open_socket(http, "ws://service.example/b")
        opened.hang_up()
        assert [request.target for request in server.requests] == ["http://service.example/a", "ws://service.example/b"]
        assert {request.headers["proxy-authorization"] for request in server.requests} == {PROXY_AUTH}
        await http.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_dead_proxy_is_a_failed_connection(
    call: Callable[..., Coroutine[Any, Any, object]], unused_port: int
) -> None:
    """A proxy that cannot be reached is the same as a service that cannot; its password does not show."""
    http = Http(proxy=f"http://bob:hunter2@127.0.0.1:{unused_port}")
    error = await failure(ConnectionFailed, call(http, f"https://service.example/a{TOKEN}"))
    assert error.message.startswith("There was no connection to https://service.example/a ")
    await http.aclose()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "kind", "passes"),
    [(407, Unauthorized, False), (403, ConnectionFailed, False), (502, ConnectionFailed, True)],
)
async def test_a_refusal_of_the_proxy_is_its_own(
    call: Callable[..., Coroutine[Any, Any, object]], status: int, kind: type[BingError], *, passes: bool
) -> None:
    """A proxy that does not open the tunnel is not an answer of the service; its password does not show.

    Wrong credentials and a forbidden host stay so: the request is not sent again.
    """
    async with Server(reply(status=status)) as server:
        http = Http(proxy=f"http://bob:hunter2@127.0.0.1:{server.port}")
        error = await failure(kind, call(http, f"https://service.example/a{TOKEN}"))
        assert "The proxy refused the connection to https://service.example/a for the" in error.message
        assert f"(HTTP {status})" in error.message
        assert (is_transient(error), stops_batch(error)) == (passes, not passes)
        await http.aclose()


@pytest.mark.parametrize("trust_env", [False, True])
async def test_the_environment_names_a_proxy_if_it_is_trusted(
    monkeypatch: pytest.MonkeyPatch, *, trust_env: bool
) -> None:
    """`http_proxy` counts with `trust_env`, and only then."""
    async with Server(reply(status=404)) as proxy, Server(reply()) as service:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.delenv("no_proxy", raising=False)
        http = Http(trust_env=trust_env)
        assert (await fetch(http, service.url())).status == (404 if trust_env else 200)
        assert (len(proxy.requests), len(service.requests)) == ((1, 0) if trust_env else (0, 1))
        await http.aclose()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer mine"}])
async def test_nothing_but_proxies_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, headers: dict[str, str]
) -> None:
    """A trusted environment has `.netrc` too: its passwords are for programs that ask for them."""
    (tmp_path / "netrc").write_text(
        "machine 127.0.0.1 login bob password hunter2\ndefault login bob password hunter2\n"
    )
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with Server(reply()) as service:
        http = Http(trust_env=True)
        answer = await http.request("GET", service.url(), what="the call", seconds=5, headers=headers)
        assert answer.status == 200
        (request,) = service.requests
        assert request.headers.get("authorization") == headers.get("Authorization")
        await http.aclose()


async def test_a_proxy_of_the_environment_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not an HTTP proxy is named as that, and its password is not shown."""
    monkeypatch.setenv("http_proxy", "socks5://bob:hunter2@127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    http = Http(trust_env=True)
    with pytest.raises(ConfigurationError, match="The proxy is not a URL") as caught:
        await fetch(http, "http://service.example/")
    assert "hunter2" not in str(caught.value)
    await http.aclose()


@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("http://a.example/", "http://plain.example"),
        ("https://a.example/", "http://tls.example"),
        ("ws://a.example/", "http://plain.example"),
        ("wss://a.example/", "http://tls.example"),
        ("wss://b.example/", None),
    ],
)
def test_a_socket_takes_the_proxy_of_http(monkeypatch: pytest.MonkeyPatch, url: str, proxied: str | None) -> None:
    """Nobody sets one for sockets; `NO_PROXY` holds for them too."""
    monkeypatch.setenv("http_proxy", "http://plain.example")
    monkeypatch.setenv("https_proxy", "http://tls.example")
    monkeypatch.setenv("no_proxy", "b.example")
    assert Http(trust_env=True)._route(url)["proxy"] == proxied
    assert Http()._route(url)["proxy"] is None


async def test_no_packing_is_offered() -> None:
    """It has no use, and a packed answer may be gigabytes; one that is packed all the same is read."""
    packed = {"Content-Encoding": "gzip"}
    async with Server(reply(gzip.compress(b"12" * 3), headers=packed), reply(b"12", headers=packed)) as server:
        http = Http()
        assert [(await fetch(http, server.url())).body for _ in range(2)] == [b"121212", b"12"]
        assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}
        await http.aclose()


async def test_the_cookies_that_a_service_sets_are_bounded() -> None:
    """They are sent back as a browser would, and no more of them than a browser keeps, by aiohttp's own doing."""
    numbers = itertools.count()

    async def set_cookies(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cookies = "".join(f"Set-Cookie: name{(no := next(numbers))}=value{no}\r\n" for _ in range(90))
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n{cookies}\r\n".encode())

    async with Server(set_cookies) as server:
        http = Http(proxy=server.url())  # so that the service has a name: of an address, no cookies are kept
        for _ in range(10):
            await fetch(http, "http://service.example/")
        sent = [request.headers.get("cookie", "").count("value") for request in server.requests]
        assert 0 < max(sent) <= 200
        assert 0 < len(http.secrets) <= 100
        await http.aclose()
