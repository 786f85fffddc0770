"""The options that a call may have beside its messages, and what is said of others."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

__all__ = ["warn_of_unused"]

_USED = {
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
_told: set[str] = set()


def warn_of_unused(names: Iterable[str]) -> None:
    """Warn of each option that has no meaning here, once in a process: agents pass the same ones with each call."""
    for name in sorted({*names} - _USED - _told):
        _told.add(name)
        msg = f"ChatBing does not use the option {name!r}: the service has nothing like it."
        warnings.warn(msg, UserWarning, stacklevel=2)
