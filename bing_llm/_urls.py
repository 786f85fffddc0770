"""What can be said of a URL: its public part, and whether it stays here, may be an endpoint, or is a harmless link."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from bing_llm.errors import ConfigurationError

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_IN_NO_URL = frozenset(' "<>\\`')  # what ends a URL where it is shown in HTML or Markdown; browsers take "\\" for "/"


def public_url(url: str) -> str:
    """The URL without what may be secret in it: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if the port is not a number: a password with "/" ends the host too early
        host = parts.netloc.rpartition("@")[2]
        if host or "@" not in url:
            return urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        pass
    return "(not a URL)"


def web_url(url: str) -> str:
    """The URL where it may be shown as a link of a web page, else "".

    That is http or https with a host, and without a user (`https://bing.com@evil.example` leads to the latter), blanks,
    quotes, angle brackets, backslashes, and characters that are not seen: controls, and those that turn the direction
    of writing. So no `javascript:`, `data:` or `file:` link is given on.
    """
    if not url.isprintable() or not _IN_NO_URL.isdisjoint(url):
        return ""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if the port is not a number
    except ValueError:
        return ""
    return url if parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc else ""


def origin(url: str) -> str:
    """Scheme, host and port of a URL, as "https://example.org:8443": without a port that its scheme implies.

    Two URLs have the same origin if these texts are equal. "" for what is not such a URL.
    """
    parts = _split(url)
    if parts is None or not (parts.scheme in _PORTS and parts.hostname):
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def is_loopback(host: str) -> bool:
    """Whether this host name can only mean this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def checked_url(
    url: object, schemes: tuple[str, str], *, allow_insecure: bool, allowed: str, credentials: str = "cookies="
) -> str:
    """The URL of an endpoint, with its scheme in lower case and no "?" or "#" left at its end.

    Args:
        url: What the user said.
        schemes: The plain one, and the encrypted one.
        allow_insecure: Whether the plain one may lead to another machine.
        allowed: What is allowed, as a sentence.
        credentials: The argument that takes what must not be in a URL.

    Raises:
        ConfigurationError: It is not a URL, holds what may be secret, or is plain and leads to another machine.
    """
    shown = public_url(url) if isinstance(url, str) else f"a {type(url).__name__}"
    parts = _split(url)
    if parts is None or not parts.hostname or parts.scheme not in schemes:
        msg = f"The endpoint {shown!r} is not a URL with scheme {schemes[0]} or {schemes[1]} and a host."
        raise ConfigurationError(msg, hint=allowed)
    if parts.username is not None or parts.query or parts.fragment:
        msg = f"The endpoint {shown!r} has a user, a query or a fragment, which cannot be kept secret there."
        raise ConfigurationError(msg, hint=f"Pass the URL without them, and credentials as {credentials}.")
    if parts.scheme == schemes[0] and not is_loopback(parts.hostname) and not allow_insecure:
        msg = f"The endpoint {shown!r} is not encrypted and not on this machine."
        raise ConfigurationError(msg, hint=f"Use {schemes[1]}; in Python, allow_insecure=True allows it.")
    return urlunsplit(parts)


def _split(url: object) -> SplitResult | None:
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if the port is not a number
    except ValueError:
        return None
    return parts


def local_url(url: str) -> str:
    """The URL by which this machine reaches a server: not every system connects to the address that means all."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
