"""Which options a call and the constructor take, and what is said of others."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable

from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError

__all__ = ["check_fields", "check_options", "warn_of_unused"]

_OF_A_CALL = {
    "max_tokens",
    "model",
    "parallel_tool_calls",
    "response_format",
    "strict",
    "tool_choice",
    "tools",
    # LangChain's own, for itself
    "ls_structured_output_format",
    "stream",
}
_OF_A_CLIENT = set(inspect.signature(BingClient).parameters)
_OF_A_MODEL = _OF_A_CLIENT | {"api_key", "client", "estimate_usage", "join_deltas", "max_retries", "timeout"}
_told: set[str] = set()


def check_options(names: Iterable[str]) -> None:
    """Look at the options of a call.

    Raises:
        ConfigurationError: One is a setting of the model, which a call does not change.
    """
    others = {*names} - _OF_A_CALL
    for name in sorted(others & _OF_A_MODEL):
        msg = f"{name} is a setting of the model, and was given as an option of a call."
        raise ConfigurationError(msg, hint=f"Make a model for it: ChatBing({name}=...).")
    warn_of_unused(others)


def check_fields(names: Iterable[str]) -> None:
    """Look at the settings that a constructor was given and that are no fields.

    Raises:
        ConfigurationError: One is a setting of the client alone.
    """
    others = set(names)
    for name in sorted(others & _OF_A_CLIENT):
        msg = f"ChatBing does not take {name}, which is a setting of the client."
        raise ConfigurationError(msg, hint=f"Make the client yourself: ChatBing(client=BingClient({name}=...)).")
    warn_of_unused(others)


def warn_of_unused(names: Iterable[str]) -> None:
    """Warn of each name that has no meaning here, once in a process: agents pass the same ones with each call."""
    for name in sorted({*names} - _told):
        _told.add(name)
        msg = f"ChatBing does not use {name!r}: it knows no such setting, or the service has nothing like it."
        warnings.warn(msg, UserWarning, stacklevel=2)
