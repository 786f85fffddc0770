"""Where the service is: every URL follows from one base URL (docs/protocol/workiq.md, sections 0 and 1)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from bing_llm._urls import checked_url

__all__ = ["PUBLIC_BASE", "Endpoints", "resolve"]

PUBLIC_BASE = "https://workiq.svc.cloud.microsoft/rest"

_ALLOWED = (
    f"Allowed: one http(s) base URL, such as '{PUBLIC_BASE}' or, for the preview on Microsoft Graph, "
    "'https://graph.microsoft.com/beta/copilot'."
)


class Endpoints(msgspec.Struct, frozen=True):
    """The URLs of one service; `host` is what tokens are checked for."""

    base: str

    @property
    def host(self) -> str:
        """The host, in lower case."""
        return urlsplit(self.base).hostname or ""

    @property
    def create(self) -> str:
        """Where a conversation is created."""
        return f"{self.base}/conversations"

    def turn(self, conversation_id: str, *, over_stream: bool = True) -> str:
        """Where a turn of this conversation is asked for; the id cannot lead elsewhere."""
        return f"{self.create}/{quote(conversation_id, safe='')}/{'chatOverStream' if over_stream else 'chat'}"


def resolve(endpoint: Any, *, allow_insecure: bool = False) -> Endpoints:
    """The URLs that follow from a base URL; None for Work IQ's.

    Raises:
        ConfigurationError: No URL, or plain http to another machine without `allow_insecure`.
    """
    if endpoint is None:
        return Endpoints(PUBLIC_BASE)
    base = checked_url(
        endpoint, ("http", "https"), allow_insecure=allow_insecure, allowed=_ALLOWED, credentials="token="
    )
    return Endpoints(base.rstrip("/"))
