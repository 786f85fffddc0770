"""What can be said of a URL: its public part, and whether it stays on this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit, urlunsplit

__all__ = ["is_loopback", "public_url"]


def public_url(url: str) -> str:
    """The URL without what may be secret in it: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where the port is no number: a password with "/" ends the host too early
        host = parts.netloc.rpartition("@")[2]
        if host or "@" not in url:
            return urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        pass
    return "(not a URL)"


def is_loopback(host: str) -> bool:
    """Whether this host name can only mean this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
