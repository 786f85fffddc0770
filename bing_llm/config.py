"""Which backend, with which settings: arguments first, then the environment."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from bing_llm._secrets import SecretStruct
from bing_llm.errors import ConfigurationError
from bing_llm.limits import Limits, Timeouts

__all__ = [
    "BACKENDS",
    "NOT_CONFIGURED",
    "ConnectionSettings",
    "Cookies",
    "Endpoint",
    "check_address",
    "check_proxy",
    "cookie_header",
    "pick_backend",
]

Cookies: TypeAlias = str | Mapping[str, str]
Endpoint: TypeAlias = str | tuple[str, str]

BACKENDS = ("chathub", "emulator", "workiq")

NOT_CONFIGURED = """\
No backend is chosen. Pass --backend (backend= in code) or set BING_LLM_BACKEND:
  emulator  a local server with the real protocol; needs nothing. Try it first.
  chathub   Bing Chat's protocol; needs BING_LLM_ENDPOINT, maybe BING_COOKIES.
  workiq    Microsoft 365 Copilot, with a work account; needs a token: WORKIQ_TOKEN or bing-llm login.
Nothing was sent. Bing's own public host was retired by March 2025."""


class ConnectionSettings(SecretStruct, frozen=True, kw_only=True):
    """How to reach a service. Secrets are left out of the repr.

    Attributes:
        endpoint: One base URL, or the pair of creation and socket URL; None for the public hosts.
        cookies: A Cookie header; None for none.
        token: An access token, or what gives one; None for none.
        ip_address: Sent as `x-forwarded-for`; None for none.
        proxy: URL of an HTTP proxy; None for none.
        trust_env: Whether to take proxies from the environment, as aiohttp does.
        ssl_context: How to verify TLS; None for certifi's certificates.
        allow_insecure: Whether plain http to another machine is allowed.
        timeouts: The time limits of each step.
        limits: How much is taken of what the service sends.
    """

    endpoint: Endpoint | None = None
    cookies: str | None = None
    token: Any = None
    ip_address: str | None = None
    proxy: str | None = None
    trust_env: bool = False
    ssl_context: ssl.SSLContext | None = None
    allow_insecure: bool = False
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()


def pick_backend(backend: str | None, *, has_endpoint: bool, configured: bool, for_workiq: bool = False) -> str:
    """The backend to use: the argument, else `BING_LLM_BACKEND`, else what something points to.

    A token and the model `copilot` point to `workiq`, an endpoint or cookies to `chathub`, and `WORKIQ_TOKEN` to
    `workiq` where nothing else points anywhere. An endpoint argument wins over `BING_LLM_BACKEND=emulator`, which is
    for a server of its own.

    Args:
        backend: What the caller said, None for nothing.
        has_endpoint: Whether the caller named an endpoint.
        configured: Whether the environment names an endpoint, or cookies are given, which only a ChatHub takes.
        for_workiq: Whether the caller gave a token, or the name of Work IQ's model.

    Raises:
        ConfigurationError: Nothing says which, the name is unknown, or the caller named an endpoint for the emulator.
            The emulator is never chosen in silence.
    """
    name = backend or os.environ.get("BING_LLM_BACKEND") or None
    if name == "emulator" and has_endpoint:
        if backend:
            msg = "The emulator backend starts a server of its own, and takes no endpoint."
            raise ConfigurationError(msg, hint="Leave endpoint out; or use chathub for an emulator that runs already.")
        name = None
    if name is None and for_workiq:
        name = "workiq"
    if name is None and (has_endpoint or configured):
        name = "chathub"
    if name is None and os.environ.get("WORKIQ_TOKEN"):
        name = "workiq"
    if name is None:
        raise ConfigurationError(NOT_CONFIGURED, hint="")  # the message says what to do
    if name not in BACKENDS:
        msg = f"The backend {name!r} is not known to this version; allowed: {', '.join(BACKENDS)}."
        raise ConfigurationError(msg)
    return name


def cookie_header(cookies: Any) -> str | None:
    """The Cookie header of a header string or a mapping (`Cookies`); from `BING_COOKIES` where None.

    Raises:
        ConfigurationError: A line break or another control character, or a name that cannot be one. The text never
            holds a cookie's value.
    """
    if cookies is None:
        cookies = os.environ.get("BING_COOKIES") or None
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
    """Refuse what is no IP address: it goes into a header.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        if address:
            ipaddress.ip_address(str(address))
    except ValueError as exc:
        msg = f"ip_address is {address!r}, which is no IPv4 or IPv6 address."
        raise ConfigurationError(msg, hint="Pass one such as '192.0.2.7', or None to send none.") from exc


def check_proxy(proxy: str | None) -> None:
    """Refuse what aiohttp fails on with errors of its own. The text never holds the proxy: it may have a password.

    Raises:
        ConfigurationError: It is no URL of an HTTP proxy.
    """
    if proxy is None:
        return
    try:
        parts = urlsplit(proxy)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
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
