"""Access tokens: what is refused before it is sent, and how often a new one is asked for."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bing_llm import errors
from bing_llm.backends.workiq.auth import WORKIQ_SCOPE, TokenSource, check_token, scope_of
from bing_llm.backends.workiq.challenge import Challenge
from bing_llm.errors import BingError, ConfigurationError
from tests.backends.workiq import azure

WORKIQ, GRAPH, ELSEWHERE = "workiq.svc.cloud.microsoft", "graph.microsoft.com", "127.0.0.1"
APP_ID = "fdcc1f02-fc51-4226-8753-f668596af7f7"
NOW = 1_000_000.0
GOOD = {"aud": APP_ID, "scp": "openid WorkIQAgent.Ask", "exp": NOW + 3600}


def jwt(**claims: Any) -> str:
    """A token that tells this of itself."""
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "hunter2"])


def source(token: Any, host: str = WORKIQ, clock: Callable[[], float] = lambda: NOW) -> TokenSource:
    """A source with a clock of the test's."""
    return TokenSource(token, host=host, clock=clock)


class Credential:
    """A credential that gives tokens which end after an hour, numbered, by the clock `now`."""

    def __init__(self) -> None:
        self.now = NOW
        self.scopes: list[str] = []
        self.threads: set[int] = set()

    def clock(self) -> float:
        """The time."""
        return self.now

    def get_token(self, *scopes: str) -> azure.AccessToken:
        """The next one."""
        self.scopes += scopes
        self.threads.add(threading.get_ident())
        return azure.AccessToken(f"token-{len(self.scopes)}", int(self.now) + 3600)


class AsyncCredential(Credential):
    """The same as a coroutine."""

    async def get_token(self, *scopes: str) -> azure.AccessToken:  # type: ignore[override]
        """The next one."""
        await asyncio.sleep(0)
        return super().get_token(*scopes)


async def failure(call: Awaitable[object]) -> BingError:
    """The error that a call raises; its text shows no token."""
    with pytest.raises(BingError) as caught:
        await call
    assert "hunter2" not in f"{caught.value} {caught.value!r}"
    return caught.value


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "has no token"),
        ("", "has no token"),
        (7, "token is a int"),
        (object(), "token is a object"),
        (" \n", "holds a blank"),
        ("Bearer hunter2", "without 'Bearer'"),
        ("hunter2\r\nX-Evil: 1", "a line break"),
        ("hunter2\u00fc", "not ASCII"),
        (jwt(**{**GOOD, "aud": "https://graph.microsoft.com"}), "for another audience (https://graph.microsoft.com)"),
        (jwt(**{**GOOD, "aud": None}), "for another audience (none)"),
        (jwt(**{**GOOD, "idtyp": "app"}), "speaks for an app alone"),
        (jwt(aud=APP_ID, roles=["WorkIQAgent.Ask"]), "speaks for an app alone"),
        (jwt(**{**GOOD, "scp": "User.Read"}), "lacks the permission WorkIQAgent.Ask"),
        (jwt(**{**GOOD, "exp": NOW - 301}), "has expired"),
    ],
)
def test_what_cannot_be_a_token_is_refused(token: Any, words: str) -> None:
    """Before anything is sent, with what to do, and without the token."""
    for make in (lambda: check_token(token, host=WORKIQ, now=NOW), lambda: source(token)):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert words in str(caught.value)
        assert caught.value.hint
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("token", "host"),
    [
        (jwt(**GOOD), WORKIQ),
        (f" {jwt(**GOOD)}\n", WORKIQ),
        (jwt(**{**GOOD, "aud": "api://workiq.svc.cloud.microsoft/"}), WORKIQ),
        (jwt(**{**GOOD, "exp": NOW - 200}), WORKIQ),
        (jwt(**{**GOOD, "exp": "soon"}), WORKIQ),
        (jwt(aud="https://graph.microsoft.com", scp="Mail.ReadWrite"), GRAPH),
        (jwt(aud="00000003-0000-0000-c000-000000000000", scp="Mail.Read"), "graph.microsoft.us"),
        ("an-opaque-token", WORKIQ),
        ("not.a.jwt", WORKIQ),
        ("a.W10.c", WORKIQ),
        ("one.two.three.four.five", WORKIQ),
        (jwt(aud="something-else", roles=["x"]), ELSEWHERE),
    ],
)
async def test_what_may_be_a_token_is_sent_as_it_is(token: str, host: str) -> None:
    """What is no JWT tells nothing, and a host that is not Microsoft's may want anything."""
    assert await source(token, host).bearer() == token.strip()


async def test_a_token_that_ends_during_the_wait_is_refused_then() -> None:
    """A str cannot be renewed; the hint says what can."""
    now = NOW
    tokens = source(jwt(**GOOD), clock=lambda: now)
    assert await tokens.bearer()
    now += 4000
    assert "renews it by itself" in (await failure(tokens.bearer())).hint


async def test_what_a_source_gives_is_checked_too() -> None:
    """A credential of an app alone is refused when it gives its token."""
    given: list[Any] = [jwt(aud=APP_ID, roles=["x"]), "two words", 7, None]
    for token, words in zip(given, ["an app alone", "holds a blank", "gave a int", "gave a NoneType"], strict=True):
        error = await failure(source(lambda token=token: token).bearer())
        assert type(error) is ConfigurationError
        assert words in str(error)


def test_the_scope_follows_from_the_host() -> None:
    """Graph's for Graph, in each of its clouds; Work IQ's for all others."""
    assert scope_of(WORKIQ) == scope_of(ELSEWHERE) == WORKIQ_SCOPE == "api://workiq.svc.cloud.microsoft/.default"
    assert scope_of(GRAPH) == "https://graph.microsoft.com/.default"
    assert scope_of("dod-graph.microsoft.us") == "https://dod-graph.microsoft.us/.default"


# --- where it comes from ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Credential, AsyncCredential])
async def test_a_credential_is_asked_once_until_shortly_before_the_end(kind: type[Credential]) -> None:
    """Its token is kept until 5 minutes before it ends; one that is not async runs in a thread."""
    credential = kind()
    tokens = source(credential, GRAPH, credential.clock)
    assert [await tokens.bearer() for _ in range(3)] == ["token-1"] * 3
    credential.now += 3299
    assert await tokens.bearer() == "token-1"
    credential.now += 1
    assert await tokens.bearer() == "token-2"
    assert credential.scopes == ["https://graph.microsoft.com/.default"] * 2
    assert (threading.get_ident() in credential.threads) is (kind is AsyncCredential)


async def test_a_token_that_was_refused_is_forgotten() -> None:
    """The next one is a fresh one; a refusal of an older one changes nothing."""
    credential = Credential()
    tokens = source(credential, clock=credential.clock)
    assert await tokens.bearer() == "token-1"
    tokens.forget("token-1")
    assert await tokens.bearer() == "token-2"
    tokens.forget("token-1")
    assert await tokens.bearer() == "token-2"


@pytest.mark.parametrize("kind", [Credential, AsyncCredential])
async def test_many_turns_at_once_ask_once(kind: type[Credential]) -> None:
    """A credential that asks its user asks one time."""
    credential = kind()
    tokens = source(credential, clock=credential.clock)
    assert set(await asyncio.gather(*(tokens.bearer() for _ in range(5)))) == {"token-1"}


async def test_who_waits_goes_on_after_one_that_was_cancelled() -> None:
    """A turn that is given up does not take the others' token along."""
    may, asked = asyncio.Event(), 0

    async def give() -> str:
        nonlocal asked
        asked += 1
        await may.wait()
        return f"token-{asked}"

    tokens = source(give)
    first, second = (asyncio.ensure_future(tokens.bearer()) for _ in range(2))
    while not asked:  # noqa: ASYNC110 - until the first has asked
        await asyncio.sleep(0)
    first.cancel()
    may.set()
    assert await second == "token-2"


def test_a_source_works_in_one_loop_after_another() -> None:
    """What was kept in one is kept in the next."""
    credential = Credential()
    tokens = source(credential, clock=credential.clock)
    assert [asyncio.run(tokens.bearer()) for _ in range(2)] == ["token-1", "token-1"]


class Giver:
    """An object that is called."""

    async def __call__(self) -> str:
        """Give the token from a coroutine."""
        return "a-token"


async def as_coroutine() -> str:
    """A coroutine function."""
    return "a-token"


def as_awaitable() -> Awaitable[str]:
    """A plain function whose result is to be awaited."""
    return as_coroutine()


@pytest.mark.parametrize("token", [lambda: "a-token", lambda: " a-token\n", as_coroutine, Giver(), as_awaitable])
async def test_a_function_gives_the_token(token: Any) -> None:
    """Plain, as a coroutine function, as an object, or one that gives an awaitable."""
    assert await source(token).bearer() == "a-token"


async def test_a_function_is_asked_as_its_tokens_tell() -> None:
    """A JWT is kept until shortly before its end; what tells of no end is asked for each time."""
    asked = 0
    given = jwt(**GOOD)

    def give() -> str:
        nonlocal asked
        asked += 1
        return given

    tokens = source(give)
    await tokens.bearer()
    await tokens.bearer()
    assert asked == 1
    tokens.forget(given)
    given = "opaque"
    await tokens.bearer()
    await tokens.bearer()
    assert asked == 3


# --- conditional access -----------------------------------------------------------------------------------------------

CHALLENGE = Challenge('{"access_token":{"nbf":{"essential":true,"value":"1780000000"}}}')


class Challenged(Credential):
    """A credential of azure-core's protocol, and what it was asked for besides the scope."""

    def __init__(self) -> None:
        super().__init__()
        self.options: list[dict[str, Any]] = []

    def get_token(
        self, *scopes: str, claims: str | None = None, enable_cae: bool = False, **_more: Any
    ) -> azure.AccessToken:
        """The next one."""
        self.options.append({"claims": claims, "enable_cae": enable_cae})
        return super().get_token(*scopes)


class AsyncChallenged(Challenged):
    """The same as a coroutine."""

    async def get_token(self, *scopes: str, **options: Any) -> azure.AccessToken:  # type: ignore[override]
        """The next one."""
        await asyncio.sleep(0)
        return super().get_token(*scopes, **options)


@pytest.mark.parametrize("kind", [Challenged, AsyncChallenged])
async def test_a_credential_answers_a_challenge(kind: type[Challenged]) -> None:
    """It is asked for the claims once, and for tokens of the same cache from then on."""
    credential = kind()
    tokens = source(credential, clock=credential.clock)
    await tokens.bearer()
    tokens.forget("token-1")
    assert await tokens.bearer(CHALLENGE) == "token-2"
    assert await tokens.bearer() == "token-2"
    credential.now += 3600
    await tokens.bearer()
    assert credential.options == [
        {"claims": None, "enable_cae": False},
        {"claims": CHALLENGE.claims, "enable_cae": True},
        {"claims": None, "enable_cae": True},
    ]


async def test_a_token_that_came_since_answers_the_challenge() -> None:
    """Of many turns that are refused at once, one asks."""
    credential = Challenged()
    tokens = source(credential, clock=credential.clock)
    await tokens.bearer()
    for _ in range(3):
        tokens.forget("token-1")
        assert await tokens.bearer(CHALLENGE) == "token-2"
    assert len(credential.options) == 2


class OnlyClaims(Challenged):
    """A credential of azure-core's older protocol."""

    def get_token(self, *scopes: str, claims: str | None = None) -> azure.AccessToken:  # type: ignore[override]
        """The next one."""
        return super().get_token(*scopes, claims=claims)


async def test_a_credential_is_asked_for_what_it_takes() -> None:
    """One that does not know `enable_cae` is asked for the claims alone."""
    credential = OnlyClaims()
    assert await source(credential, clock=credential.clock).bearer(CHALLENGE) == "token-1"
    assert credential.options == [{"claims": CHALLENGE.claims, "enable_cae": False}]


@pytest.mark.parametrize("kind", [Credential, AsyncCredential])
async def test_a_credential_without_keywords_is_asked_as_before(kind: type[Credential]) -> None:
    """It may have a new token all the same."""
    credential = kind()
    tokens = source(credential, clock=credential.clock)
    await tokens.bearer()
    tokens.forget("token-1")
    assert await tokens.bearer(CHALLENGE) == "token-2"


async def test_a_credential_that_cannot_answer_says_what_is_wanted() -> None:
    """The challenge's meaning, and not its text."""
    credential = Challenged()

    def refuse(*_scopes: str, **_options: Any) -> azure.AccessToken:
        raise ValueError("x")

    credential.get_token = refuse  # type: ignore[method-assign]
    error = await failure(source(credential).bearer(CHALLENGE))
    assert type(error) is errors.Unauthorized
    assert "a new sign-in; one after 2026-05-28 20:26 UTC" in error.message
    assert "essential" not in str(error)


# --- what fails -------------------------------------------------------------------------------------------------------


def raising(exc: Exception) -> Any:
    """A credential that fails."""
    credential = Credential()

    def get_token(*_scopes: str) -> azure.AccessToken:
        raise exc

    credential.get_token = get_token  # type: ignore[method-assign]
    return credential


async def test_a_function_that_fails_is_not_quoted() -> None:
    """The error names the kind of failure alone, and has it as its cause."""

    def give() -> str:
        raise RuntimeError("hunter2")

    error = await failure(source(give).bearer())
    assert type(error) is errors.Unauthorized
    assert error.message == "token= gave no token (RuntimeError)."
    assert isinstance(error.__cause__, RuntimeError)


async def test_a_failure_of_ours_stays_what_it_is() -> None:
    """A function may raise this package's errors itself."""

    def give() -> str:
        raise errors.ConnectionFailed("No network.")

    assert type(await failure(source(give).bearer())) is errors.ConnectionFailed


@pytest.mark.parametrize(
    ("exc", "kind", "words"),
    [
        (azure.ClientAuthenticationError("AADSTS65001: no consent.\nTrace"), errors.Unauthorized, "consented"),
        (azure.ClientAuthenticationError("AADSTS50011: mismatch"), errors.Unauthorized, "http://localhost"),
        (azure.ClientAuthenticationError("Other"), errors.Unauthorized, "gave no token: Other Sign in again"),
        (azure.AuthenticationRequiredError("Sign in"), errors.Unauthorized, "bing-llm login"),
        (azure.ClientAuthenticationError("Cache encryption is impossible"), ConfigurationError, "--plain-cache"),
        (azure.wrapped(azure.ServiceRequestError("Down")), errors.ConnectionFailed, "reached (ServiceRequestError)"),
        (azure.ServiceRequestError("Down"), errors.ConnectionFailed, "could not be reached (ServiceRequestError)"),
        (azure.ServiceResponseError("Down"), errors.ConnectionFailed, "could not be reached (ServiceResponseError)"),
        (KeyError("hunter2"), errors.Unauthorized, "Credential gave no token (KeyError)."),
    ],
)
async def test_a_failing_credential_says_why(
    monkeypatch: pytest.MonkeyPatch, exc: Exception, kind: type[BingError], words: str
) -> None:
    """Entra ID's own words and what to do about them; an authority that is out of reach may be tried again."""
    azure.install(monkeypatch)
    error = await failure(source(raising(exc)).bearer())
    assert type(error) is kind
    assert words in str(error)
    assert "Trace" not in str(error)
    assert error.__cause__ is exc
    assert errors.is_transient(error) is (kind is errors.ConnectionFailed)


# --- secrets ----------------------------------------------------------------------------------------------------------


async def test_a_source_shows_no_token() -> None:
    """Neither its repr nor its pickle; its secrets are the last two."""
    given = iter(["hunter2-one", "hunter2-two", "hunter2-three"])
    tokens = source(lambda: next(given))
    for _ in range(3):
        await tokens.bearer()
    assert repr(tokens) == "TokenSource(host='workiq.svc.cloud.microsoft')"
    assert tokens.secrets == ("hunter2-two", "hunter2-three")
    assert source("hunter2-four").secrets == ("hunter2-four",)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(tokens)
