"""Access tokens: where they come from, what is checked before one is sent, and when to get another.

Credentials are recognised by the methods of azure-identity's, so that package is not needed for one of your own. It is
the extra `workiq`, and only `login` and `saved_login` import it.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import re
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias

import msgspec

from bing_llm._secrets import refuse_to_pickle
from bing_llm.backends.workiq.challenge import Challenge
from bing_llm.errors import BingError, ConfigurationError, ConnectionFailed, Unauthorized


class AzureCredential(Protocol):
    """A credential of azure-identity, or another with its method; that of `azure.identity.aio` is a coroutine.

    One that also takes the keywords `claims` (JSON) and `enable_cae`, as azure-core defines them, can answer a
    challenge of conditional access.
    """

    def get_token(self, *scopes: str) -> Any:
        """A token for these scopes, with `token` and `expires_on` (seconds since 1970)."""


Token: TypeAlias = str | Callable[[], str | Awaitable[str]] | AzureCredential
"""A token, a function that gives one (a coroutine function too), or a credential of azure-identity."""

WORKIQ_SCOPE = "api://workiq.svc.cloud.microsoft/.default"

_EARLY_S = 300.0  # a token is replaced 5 minutes before its end: a turn takes up to some minutes
_LATE_S = 300.0  # and refused 5 minutes after it: clocks differ

_PERMISSION = "WorkIQAgent.Ask"


class _Host(NamedTuple):
    """What a host of Microsoft's takes: the scope to ask for, and the audiences of a token for it."""

    scope: str
    audiences: frozenset[str]
    permission: str | None  # None for Graph: any wider permission holds the ones it needs


def _graph(host: str) -> _Host:
    audiences = frozenset({f"https://{host}", "00000003-0000-0000-c000-000000000000"})
    return _Host(f"https://{host}/.default", audiences, None)


_HOSTS = {
    "workiq.svc.cloud.microsoft": _Host(
        WORKIQ_SCOPE,
        frozenset({"api://workiq.svc.cloud.microsoft", "fdcc1f02-fc51-4226-8753-f668596af7f7"}),
        _PERMISSION,
    ),
    # The clouds where the service is offered (docs/protocol/workiq.md, section 0).
    **{host: _graph(host) for host in ("graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us")},
}

_SENDABLE = re.compile(r"[\x21-\x7e]+")  # what may follow `Bearer ` in a header
_JWT_PARTS = 3

_HOW = (
    "Set WORKIQ_TOKEN, or run `bing-llm login`; in Python, pass token= as a str, a function that gives one, or "
    "a credential of azure-identity."
)
_PLAIN = (
    "On Linux install libsecret and PyGObject; or allow a plain file that only you can read (bing-llm login "
    "--plain-cache)."
)
_RENEWS = "Get a new one; in Python, a function or a credential of azure-identity as token= renews it by itself."


def scope_of(host: str) -> str:
    """The scope of a token for this host; Work IQ's for a host that is not Microsoft's."""
    known = _HOSTS.get(host)
    return WORKIQ_SCOPE if known is None else known.scope


def is_graph(host: str) -> bool:
    """Whether this is a host of Microsoft Graph."""
    return host in _HOSTS and host != "workiq.svc.cloud.microsoft"


def check_token(token: object, *, host: str, now: float | None = None) -> None:
    """Refuse what cannot be a token, or is seen not to be one for this host. The text never holds the token.

    Only a JWT can be read, and only Microsoft's hosts are known to want what is checked: its audience, whom it speaks
    for, when it ends.

    Args:
        token: What the user passed as `token=`.
        host: The host of the endpoint.
        now: The time, in seconds since 1970; None for the present.

    Raises:
        ConfigurationError: It is not one.
    """
    if token is None or token == "":
        raise ConfigurationError("The workiq backend has no token.", hint=_HOW)
    if not isinstance(token, str):
        if not (callable(token) or callable(getattr(token, "get_token", None))):
            raise ConfigurationError(f"token is a {type(token).__name__}.", hint=_HOW)
        return
    _check(token, host, time.time() if now is None else now)


class TokenSource:
    """Gives the bearer token of each request. It may be used on several event loops.

    Args:
        token: As `BingClient(token=...)`. A function or a credential that is not async runs in a thread, since it may
            ask the network or the user.
        host: The host of the endpoint.
        clock: The time, in seconds since 1970.

    Raises:
        ConfigurationError: The token cannot be one for this host.
    """

    def __init__(self, token: Token | None, *, host: str, clock: Callable[[], float] = time.time) -> None:
        check_token(token, host=host, now=clock())
        self._token = token.strip() if isinstance(token, str) else token
        self._host = host
        self._clock = clock
        self._kept: tuple[str, float] | None = None  # and when to replace it
        self._seen: tuple[str, ...] = (self._token,) if isinstance(self._token, str) else ()
        self._was_challenged = False  # then tokens are asked for with `enable_cae`, which have a cache of their own
        # One call at a time: a credential may ask the user. A lock belongs to one loop.
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The last tokens that were given."""
        return self._seen

    async def bearer(self, challenge: Challenge | None = None) -> str:
        """The token to send now.

        Args:
            challenge: What the service wanted of a token that it refused, and that was forgotten. A text or a function
                cannot answer it.

        Raises:
            ConfigurationError: What came is not a token, or not one for this host.
            Unauthorized: The function or the credential failed.
            ConnectionFailed: The credential could not reach its authority.
        """
        if isinstance(self._token, str):
            _check(self._token, self._host, self._clock())
            return self._token
        lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock:
            if self._kept is None or self._kept[1] <= self._clock():
                await self._renew(challenge)
            assert self._kept is not None  # noqa: S101 - for the type checker
            return self._kept[0]

    def forget(self, token: str) -> None:
        """The service refused this token: the next one is asked for afresh. One that came since is kept."""
        if self._kept is not None and self._kept[0] == token:
            self._kept = None

    async def _renew(self, challenge: Challenge | None) -> None:
        self._was_challenged = self._was_challenged or challenge is not None
        options: dict[str, object] = {"enable_cae": True} if self._was_challenged else {}
        if challenge is not None:
            options["claims"] = challenge.claims
        try:
            token, ends = await _obtained(self._token, scope_of(self._host), options)
        except Unauthorized as exc:
            if challenge is None:
                raise
            raise Unauthorized(f"{needs_sign_in(challenge)} {exc.message}", hint=exc.hint) from exc
        claims = _check(token, self._host, self._clock())
        if ends is None:
            ends = _number(claims.get("exp"))
        # Nothing says when it ends: it is asked for each time, and whoever gives it may keep it.
        self._kept = (token, self._clock() if ends is None else ends - _EARLY_S)
        self._seen = (*self._seen[-1:], token)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(host={self._host!r})"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)


# --- where a token comes from -----------------------------------------------------------------------------------------


async def _obtained(source: Any, scope: str, options: Mapping[str, object]) -> tuple[str, float | None]:
    """A token, and when it ends in seconds since 1970, None where nobody says.

    Args:
        source: A function or a credential.
        scope: What the token is for.
        options: What a credential is also asked for, each if it takes this keyword.
    """
    get_token = getattr(source, "get_token", None)
    failure: BingError
    try:
        if get_token is None:
            return _text(await _called(source)), None
        given = await _called(partial(get_token, **_taken(get_token, options)), scope)
        return _text(given.token), _number(given.expires_on)
    except BingError:
        raise
    except Exception as exc:  # noqa: BLE001 - a function of the user's, which may fail in any way
        failure, cause = failure_of(exc, type(source).__name__ if get_token else "token="), exc
    raise failure from cause


def _taken(function: Callable[..., Any], options: Mapping[str, object]) -> dict[str, object]:
    """Those of the options that the function takes as keywords."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return dict(options)
    names = {each.name for each in parameters if each.kind in {each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD}}
    return {name: value for name, value in options.items() if name in names}


async def _called(function: Callable[..., Any], *args: object) -> Any:
    """What it gives; one that is not async runs in a thread."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
        return await function(*args)
    given = await asyncio.to_thread(function, *args)
    return await given if inspect.isawaitable(given) else given


def _text(token: object) -> str:
    if not isinstance(token, str):
        raise ConfigurationError(f"What gives the token gave a {type(token).__name__}; it must give a str.")
    return token.strip()


def needs_sign_in(challenge: Challenge) -> str:
    """What a challenge means, as a sentence."""
    return f"Conditional access wants {challenge.meaning}."


def failure_of(exc: Exception, name: str) -> BingError:
    """What it means that `name`, which was to give a token, raised this. Only azure-identity's words are repeated."""
    azure = sys.modules.get("azure.core.exceptions")
    if azure is None:
        return Unauthorized(f"{name} gave no token ({type(exc).__name__}).", hint=_HOW)
    for each in (exc, exc.__cause__):  # credentials that are not async raise their own error from it
        if isinstance(each, azure.ServiceRequestError | azure.ServiceResponseError):
            return ConnectionFailed(f"The authority that gives tokens could not be reached ({type(each).__name__}).")
    if not isinstance(exc, azure.ClientAuthenticationError):
        return Unauthorized(f"{name} gave no token ({type(exc).__name__}).", hint=_HOW)
    said = str(exc).partition("\n")[0]
    if "encryption is impossible" in said:
        msg = "The tokens cannot be encrypted here: this system has no key store, or none in this session."
        return ConfigurationError(msg, hint=_PLAIN)
    return Unauthorized(f"{name} gave no token: {said}", hint=_hint_for(said, type(exc).__name__))


def _hint_for(said: str, kind: str) -> str:
    if kind == "AuthenticationRequiredError":
        return "Run `bing-llm login` again."
    if "AADSTS65001" in said:
        return "Nobody has consented to this app yet: an administrator grants it the permission to ask Work IQ."
    if "AADSTS50011" in said:
        return "The app registration lacks this redirect URI: add http://localhost to its public client."
    return "Sign in again, and check the app registration: its client id, its tenant, its permissions."


# --- the claims of a token --------------------------------------------------------------------------------------------


def _check(token: str, host: str, now: float) -> dict[str, object]:
    """The claims of a token, empty if it is not a JWT.

    Raises:
        ConfigurationError: It cannot be sent, or the host would refuse it.
    """
    token = token.strip()
    if not _SENDABLE.fullmatch(token):
        msg = "The token is empty, or holds a blank, a line break or a character that is not ASCII."
        raise ConfigurationError(msg, hint="Pass the access token alone, without 'Bearer' before it.")
    known = _HOSTS.get(host)
    claims = _claims(token)
    if known is not None and claims:
        _check_claims(claims, known, host, now)
    return claims


def _claims(token: str) -> dict[str, object]:
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return {}
    payload = parts[1]
    try:
        decoded = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, msgspec.DecodeError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _check_claims(claims: dict[str, object], known: _Host, host: str, now: float) -> None:
    audience = str(claims.get("aud") or "").rstrip("/")
    if audience.lower() not in known.audiences:
        msg = f"The token is for another audience ({audience[:100] or 'none'}) than {host}."
        raise ConfigurationError(msg, hint=f"Get one for the scope {known.scope}.")
    permissions = str(claims.get("scp") or "").split()
    if claims.get("idtyp") == "app" or not permissions:
        msg = (
            f"The token speaks for an app alone (a client secret or a managed identity), and {host} serves users only."
        )
        hint = "Sign a user in: `bing-llm login`, or DeviceCodeCredential, InteractiveBrowserCredential or "
        raise ConfigurationError(msg, hint=f"{hint}OnBehalfOfCredential of azure-identity.")
    if known.permission is not None and known.permission not in permissions:
        msg = f"The token lacks the permission {known.permission}, which {host} wants."
        raise ConfigurationError(msg, hint="Have an administrator grant it to the app, and get a new token.")
    ends = _number(claims.get("exp"))
    if ends is not None and ends + _LATE_S < now:
        raise ConfigurationError("The token has expired.", hint=_RENEWS)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
