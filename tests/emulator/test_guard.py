"""Which programs and pages the emulator answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bing_llm.emulator import Emulator
from bing_llm.emulator.guard import ORIGINS, Guard
from bing_llm.errors import ConfigurationError

PATHS = ("/turing/conversation/create", "/sydney/ChatHub", "/images/blob", "/rest/conversations", "/a2a/", "/elsewhere")


def refused(guard: Guard, host: str | None, origin: str | None = None) -> bool:
    """Whether these headers are refused."""
    return bool(guard.refusal(host, origin))


@pytest.mark.parametrize("port", ["", ":8765"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "localhost.", "[::1]"])
def test_names_of_loopback_are_taken(host: str, port: str) -> None:
    """However they are spelled."""
    assert not refused(Guard("127.0.0.1", (), ()), host + port)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.7",
     "evil@localhost", "localhost/", "[::1", "localhost:x", "0.0.0.0", "::", "[2001:db8::1]:80"],  # noqa: S104 - only said
)  # fmt: skip
def test_other_names_are_refused(host: str | None) -> None:
    """A page whose name leads to this machine names itself."""
    assert refused(Guard("127.0.0.1", (), ()), host)


def test_more_names_may_be_allowed() -> None:
    """That of `host`, those of the user, and any address where all are listened on: none can be rebound."""
    assert not refused(Guard("192.0.2.7", (), ()), "192.0.2.7:8765")
    assert not refused(Guard("127.0.0.1", ["emulator"], ()), "Emulator:8765")
    for host in ("0.0.0.0", "::"):  # noqa: S104 - only said
        guard = Guard(host, (), ())
        assert not refused(guard, "192.0.2.7")
        assert not refused(guard, "[2001:db8::1]:80")
        assert refused(guard, "evil.example")


@pytest.mark.parametrize("origin", [None, *ORIGINS, "HTTPS://www.bing.com", "http://localhost:3000"])
def test_origins_of_the_services_and_allowed_ones_are_taken(origin: str | None) -> None:
    """Published clients send those of the services; a program of this machine sends none."""
    assert not refused(Guard("127.0.0.1", (), ["http://localhost:3000/"]), "localhost", origin)


@pytest.mark.parametrize(
    "origin", ["", "null", "https://evil.example", "https://www.bing.com.evil.example", "http://localhost"]
)
def test_other_origins_are_refused(origin: str) -> None:
    """A page of somebody else, or a file."""
    assert refused(Guard("127.0.0.1", (), ()), "localhost", origin)


@pytest.mark.parametrize("wrong", ["localhost", [1], [""]])
def test_what_is_not_a_list_of_names_is_refused(wrong: Any) -> None:
    """A str would be taken letter by letter."""
    with pytest.raises(ConfigurationError, match="must be a list of str"):
        Emulator(allowed_hosts=wrong)
    with pytest.raises(ConfigurationError, match="must be a list of str"):
        Emulator(allowed_origins=wrong)


async def _answered(emulator: Emulator, path: str, *headers: str, method: str = "GET") -> bytes:
    """The status line, over a bare connection, as a browser opens one."""
    host, port = emulator.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"{method} {path} HTTP/1.1", *headers, "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode())
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return status


@pytest.mark.parametrize("path", PATHS)
async def test_each_path_is_guarded(emulator: Emulator, path: str) -> None:
    """Of all services, sockets and paths that there are not; nothing of the request is kept."""
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
    )
    for headers in (
        ["Host: evil.example"],
        ["Host: 127.0.0.1", "Origin: https://evil.example"],
        ["Host: evil.example", "Origin: https://www.bing.com", *upgrade],
    ):
        for method in ("GET", "POST", "OPTIONS"):
            assert b" 403 " in await _answered(emulator, path, *headers, method=method)
    assert emulator.requests == []
    assert b" 403 " not in await _answered(emulator, path, "Host: 127.0.0.1", "Origin: https://www.bing.com")


def test_the_token_is_another_each_time() -> None:
    """Unless it is set: a page may guess a fixed one."""
    assert Emulator().token != Emulator().token
    assert len(Emulator().token) >= 32
    assert Emulator(token="mine").token == "mine"
