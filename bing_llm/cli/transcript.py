"""A conversation as a Markdown file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bing_llm._escaping import escape
from bing_llm.cli.summary import source_lines
from bing_llm.errors import ConfigurationError
from bing_llm.events import Reply

__all__ = ["Exchange", "save", "write"]


class Exchange(msgspec.Struct, frozen=True):
    """One turn: what was asked, and what came."""

    prompt: str
    reply: Reply


def write(model: str, exchanges: list[Exchange]) -> str:
    """The transcript. Safe for a terminal: people look at files with `cat`."""
    return "\n\n".join([f"# Chat with {model}", *(_written(exchange) for exchange in exchanges)]) + "\n"


def _written(exchange: Exchange) -> str:
    reply = exchange.reply
    parts = ["## You", escape(exchange.prompt), "## Bing", escape(reply.text.strip())]
    sources = source_lines(reply)
    if sources:
        parts.append("\n".join(f"- {line}" for line in sources))
    if reply.revoked:
        parts.append(escape(f"(The service withdrew this answer. {reply.notice})"))
    return "\n\n".join(part for part in parts if part)


def save(path: Path, text: str) -> None:
    """Write a new file; one that exists is left alone.

    Raises:
        ConfigurationError: It exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{str(path)!r} exists and was not touched.", hint="Choose another name.") from None
    except (OSError, ValueError) as exc:
        msg = f"{str(path)!r} cannot be written: {getattr(exc, 'strerror', None) or exc}."
        raise ConfigurationError(msg, hint="Choose another place.") from exc
