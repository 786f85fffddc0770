"""Where the service is: every URL follows from one base URL, or from the pair of creation and socket URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from bing_llm._urls import checked_url
from bing_llm.errors import ConfigurationError

__all__ = ["BUNDLE_VERSION", "PUBLIC_CREATE", "Endpoints", "resolve"]

# The newest value that was seen in a client (docs/protocol/chathub.md, section a).
BUNDLE_VERSION = "1.1816.0"

_CREATE = "/turing/conversation/create"
_SOCKET = "/sydney/ChatHub"
_ALLOWED = (
    "Allowed: an http(s) base URL such as 'http://127.0.0.1:8765'; "
    "in Python also a pair (creation URL, ws(s) socket URL)."
)


class Endpoints(msgspec.Struct, frozen=True):
    """The URLs of one service. `upload`, `blob` and `chats` are beside `create`; `delete` is beside `socket`."""

    create: str
    socket: str
    upload: str
    blob: str
    chats: str
    delete: str

    def socket_for(self, token: str | None) -> str:
        """The socket URL with this token, percent-encoded in full: base64 has `+`, `/` and `=`."""
        return self.socket if not token else f"{self.socket}?sec_access_token={quote(token, safe='')}"


# The public hosts of Bing Chat. They stopped answering by March 2025 (docs/protocol/chathub.md, section k).
PUBLIC_CREATE = f"https://www.bing.com{_CREATE}"
PUBLIC_SOCKET = f"wss://sydney.bing.com{_SOCKET}"


def resolve(endpoint: str | tuple[str, str] | None, *, allow_insecure: bool = False) -> Endpoints:
    """The URLs that follow from `endpoint`; None for the public hosts.

    Raises:
        ConfigurationError: No URL, or plain http or ws to another machine without `allow_insecure`.
    """
    if endpoint is None:
        create, socket = PUBLIC_CREATE, PUBLIC_SOCKET
    elif isinstance(endpoint, str):
        base = _checked(endpoint, ("http", "https"), allow_insecure=allow_insecure).rstrip("/")
        create, socket = base + _CREATE, "ws" + base.removeprefix("http") + _SOCKET
    else:
        first, second = _pair(endpoint)
        create = _checked(first, ("http", "https"), allow_insecure=allow_insecure)
        socket = _checked(second, ("ws", "wss"), allow_insecure=allow_insecure)
    beside_create = create.removesuffix(_CREATE) if create.endswith(_CREATE) else _origin(create)
    beside_socket = socket.removesuffix(_SOCKET) if socket.endswith(_SOCKET) else _origin(socket)
    return Endpoints(
        create=f"{create}?bundleVersion={BUNDLE_VERSION}",
        socket=socket,
        upload=f"{beside_create}/images/kblob",
        blob=f"{beside_create}/images/blob",
        chats=f"{beside_create}/turing/conversation/chats?bundleVersion={BUNDLE_VERSION}",
        delete=f"http{beside_socket.removeprefix('ws')}/sydney/DeleteSingleConversation",
    )


def _pair(endpoint: tuple[str, str]) -> tuple[str, str]:
    try:
        first, second = endpoint
    except (TypeError, ValueError) as exc:
        msg = f"The endpoint is a {type(endpoint).__name__} that is no pair of URLs."
        raise ConfigurationError(msg, hint=_ALLOWED) from exc
    return first, second


def _checked(url: Any, schemes: tuple[str, str], *, allow_insecure: bool) -> str:
    return checked_url(url, schemes, allow_insecure=allow_insecure, allowed=_ALLOWED)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
