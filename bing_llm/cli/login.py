"""`bing-llm login` and `bing-llm logout`: sign in to Work IQ by device code, and out again."""

from __future__ import annotations

import os

from bing_llm._safe_text import one_line
from bing_llm.backends.workiq.auth import scope_of
from bing_llm.backends.workiq.challenge import parse_challenge
from bing_llm.backends.workiq.login import login as sign_in
from bing_llm.backends.workiq.login import logout as sign_out
from bing_llm.backends.workiq.options import resolve
from bing_llm.cli.errors import ExitCode
from bing_llm.errors import ConfigurationError

CLIENT_ID = "AZURE_CLIENT_ID"
TENANT_ID = "AZURE_TENANT_ID"
"""The environment variables that azure-identity reads, too."""


def login(
    client_id: str | None = None,
    tenant_id: str | None = None,
    *,
    endpoint: str | None = None,
    plain_cache: bool = False,
    claims: str | None = None,
) -> ExitCode:
    """Sign in, and keep the tokens for later commands and programs of this user.

    Args:
        client_id: The client id of one's own app registration; None takes `AZURE_CLIENT_ID`.
        tenant_id: The tenant; None takes `AZURE_TENANT_ID`, else any work account's.
        endpoint: The base URL of the service; None takes `BING_LLM_ENDPOINT`, else Work IQ's.
        plain_cache: Whether a file that is not encrypted may hold the tokens, where the system has no key store.
        claims: The challenge of conditional access, as the service wrote it; None takes the one that a command or a
            program with this login has met.

    Raises:
        BingError: No client id, no azure-identity, or the sign-in failed.
    """
    client_id = client_id or os.environ.get(CLIENT_ID)
    if not client_id:
        msg = "There is no client id to sign in with."
        hint = f"Register an app in your tenant (a public client), and pass --client-id or set {CLIENT_ID}."
        raise ConfigurationError(msg, hint=hint)
    challenge = None if claims is None else parse_challenge(claims)
    if claims is not None and challenge is None:
        msg = "The claims are neither JSON nor base64 of JSON."
        raise ConfigurationError(msg, hint='Pass --claims with the value of claims="..." in WWW-Authenticate.')
    place = resolve(endpoint or os.environ.get("BING_LLM_ENDPOINT") or None)
    user = sign_in(
        client_id,
        tenant_id or os.environ.get(TENANT_ID) or None,
        scope=scope_of(place.host),
        tell=_print_code,
        plain_cache=plain_cache,
        challenge=challenge,
    )
    print(f"Signed in as {one_line(user)}. The backend workiq uses this login where it is given no token.", flush=True)
    return ExitCode.OK


def logout() -> ExitCode:
    """Forget the login, and remove its tokens.

    Raises:
        BingError: They cannot be removed.
    """
    user = sign_out()
    print("Nobody is signed in." if user is None else f"Signed out {one_line(user)}.", flush=True)
    return ExitCode.OK


def _print_code(address: str, code: str) -> None:
    print(f"Open {one_line(address)} in a browser, and enter the code {one_line(code)}", flush=True)
