"""Checks of what callers pass, before anything is sent: types by the declared fields, text, and connection settings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bing_llm.errors import ConfigurationError, InvalidRequest

_SCOPE = re.compile(r"[A-Za-z0-9._~-]{1,64}")  # the name of a network interface, after "%"


def check_type(value: object, expected: Any, name: str) -> None:
    """Refuse a value that is not of a declared type; msgspec declares types but does not check them when one is made.

    Args:
        value: The value.
        expected: The type.
        name: The name of the value, for the message.

    Raises:
        ConfigurationError: It is of another type, or has text that is not Unicode; the text never shows the value.
    """
    try:
        msgspec.convert(value, expected)
        msgspec.json.encode(value, enc_hook=str)
    except msgspec.ValidationError as exc:
        raise ConfigurationError(f"{name} has a value of another type: {exc}.") from exc
    except UnicodeEncodeError as exc:
        raise ConfigurationError(f"{name} holds half of a surrogate pair, which is not text.") from exc
    if isinstance(value, msgspec.Struct):  # which was converted as it is
        for field in msgspec.structs.fields(value):
            check_type(getattr(value, field.name), field.type, f"{field.name} of {name}")


def check_text(value: object, name: str) -> None:
    """Refuse what is not text, or text that cannot be sent.

    Raises:
        InvalidRequest: It is not a str, or holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} is a {type(value).__name__}; it must be a str.")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequest(
            f"{name} holds half of a surrogate pair at character {exc.start}, which is not text."
        ) from exc


def cookie_header(cookies: Any) -> str | None:
    """The Cookie header of a header string or a mapping; None for none.

    Raises:
        ConfigurationError: A line break or another control character, or a name that cannot be one. The text never
            holds a cookie's value.
    """
    if cookies is None:
        return None
    if isinstance(cookies, Mapping):
        cookies = "; ".join(_pair(name, value) for name, value in cookies.items())
    if not isinstance(cookies, str):
        msg = (
            f"cookies is a {type(cookies).__name__}; allowed: a Cookie header string, or a mapping of names to values."
        )
        hint = "Of a list that a browser's extension wrote, pass {each['name']: each['value'] for each in cookies}."
        raise ConfigurationError(msg, hint=hint)
    header = cookies.strip(" ")
    if not header.isprintable() or not header.isascii():
        msg = "The cookies hold a line break, a control character or a character that is not ASCII."
        raise ConfigurationError(
            msg, hint="Pass one line, as the browser's Cookie header shows it: 'name=value; name=value'."
        )
    if header and "=" not in header:
        msg = "The cookies hold no name=value pair."
        raise ConfigurationError(msg, hint="A Cookie header looks like '_U=...; MUID=...'.")
    return header or None


def check_address(address: str | None) -> None:
    """Refuse what is not an IP address: it goes into a header.

    Raises:
        ConfigurationError: It is not one.
    """
    try:
        if address:
            parsed = ipaddress.ip_address(str(address))
            scope = parsed.scope_id if isinstance(parsed, ipaddress.IPv6Address) else None
            if scope is not None and not _SCOPE.fullmatch(scope):  # which `ipaddress` takes as it is, line breaks too
                raise ValueError(scope)  # noqa: TRY301 - refused as all others are
    except ValueError as exc:
        msg = f"ip_address is {address!r}, which is not an IPv4 or IPv6 address."
        raise ConfigurationError(msg, hint="Pass one such as '192.0.2.7', or None to send none.") from exc


def check_proxy(proxy: str | None) -> None:
    """Refuse what aiohttp fails on with errors of its own. The text never holds the proxy: it may have a password.

    Raises:
        ConfigurationError: It is not the URL of an HTTP proxy.
    """
    if proxy is None:
        return
    try:
        parts = urlsplit(proxy)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number
        fits = False
    if not fits:
        msg = "The proxy is not a URL with scheme http or https and a host."
        raise ConfigurationError(msg, hint="Allowed: the URL of an HTTP proxy, such as 'http://127.0.0.1:3128'.")


def _pair(name: object, value: object) -> str:
    if not isinstance(name, str) or not isinstance(value, str):
        msg = "The cookies mapping holds something that is not a str."
        raise ConfigurationError(msg, hint="Pass names and values as str.")
    if not name or any(sign in name for sign in "=;, \t") or ";" in value:
        msg = (
            "The cookies mapping holds a name with '=', ';', ',' or a blank in it, an empty name, or a value with ';'."
        )
        raise ConfigurationError(msg)
    return f"{name}={value}"
