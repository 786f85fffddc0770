"""With which token a client asks: its argument, the environment, or a login that was kept."""

from __future__ import annotations

import os
from typing import Any

from bing_llm.backends.workiq.auth import Token, check_token
from bing_llm.backends.workiq.endpoints import resolve
from bing_llm.backends.workiq.login import saved_login

__all__ = ["access"]


def access(token: Token | None, endpoint: Any, *, allow_insecure: bool) -> Token:
    """The token, or what gives one: the argument, else `WORKIQ_TOKEN`, else what `bing-llm login` has kept.

    Raises:
        ConfigurationError: There is none, it cannot be one for this endpoint, or the endpoint is not allowed.
    """
    host = resolve(endpoint, allow_insecure=allow_insecure).host
    found: Any = token or os.environ.get("WORKIQ_TOKEN") or None
    if found is None:
        found = saved_login()
    check_token(found, host=host)
    return found  # type: ignore[no-any-return]  # check_token has seen it
