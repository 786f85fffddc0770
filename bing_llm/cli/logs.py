"""`bing-llm logs`: the conversations that the log has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from bing_llm._safe_text import one_line
from bing_llm.cli import log
from bing_llm.cli.errors import ExitCode
from bing_llm.cli.state import StateUnavailable, keep_conversations, keeps_conversations
from bing_llm.cli.streams import check_utf8, print_to_stderr
from bing_llm.cli.transcript import render_transcript
from bing_llm.errors import ConfigurationError

T = TypeVar("T")

_LONGEST_PROMPT = 60  # characters: so that the line of a conversation is one line of a wide terminal


def list_logs(count: int, containing: str = "") -> ExitCode:
    """List conversations, the newest first.

    Args:
        count: How many at most.
        containing: Only those that have this text; "" for all.

    Raises:
        ConfigurationError: The log cannot be read.
    """
    text = check_utf8(containing, "The text")
    found = _try(lambda: log.list_conversations(count, text))
    for each in found:
        prompt = one_line(each.prompt)
        if len(prompt) > _LONGEST_PROMPT:
            prompt = f"{prompt[: _LONGEST_PROMPT - 3]}..."
        turns = f"{each.turns} turn{'s' * (each.turns > 1)}"
        print(f"{each.id:>5}  {_local(each.at)}  {one_line(each.service)} {one_line(each.model)}, {turns}: {prompt}")
    if not found:
        print_to_stderr("No conversation has this text." if containing else _why_empty())
    return ExitCode.OK


def show_log(number: int | None) -> ExitCode:
    """Show a conversation as Markdown.

    Args:
        number: Its number; None for the latest.

    Raises:
        ConfigurationError: There is none, or the log cannot be read.
    """
    found = _try(lambda: log.load(number))
    if found is None:
        what = _why_empty() if number is None else f"The log has no conversation {number}."
        raise ConfigurationError(what, hint="`bing-llm logs` lists them.")
    title = f"Conversation {found.id} with {found.origin.model} on {found.origin.service}"
    print(render_transcript(title, found.past.exchanges), end="", flush=True)
    return ExitCode.OK


def show_path() -> ExitCode:
    """Show where the log is; if it is off, say so on stderr.

    Raises:
        ConfigurationError: There is no place for it.
    """
    print(_try(log.log_path), flush=True)
    if not keeps_conversations():
        print_to_stderr("Logging is off.")
    return ExitCode.OK


def switch_log(*, on: bool) -> ExitCode:
    """Log from now on, or not.

    Raises:
        ConfigurationError: That cannot be noted.
    """
    _try(lambda: keep_conversations(on=on))
    print(f"Conversations are {'' if on else 'not '}logged from now on.", flush=True)
    return ExitCode.OK


def _try(action: Callable[[], T]) -> T:
    try:
        return action()
    except StateUnavailable as exc:
        hint = "Without a log: --no-log, or bing-llm logs off."
        raise ConfigurationError(f"The log cannot be used: {exc}", hint=hint) from exc


def _why_empty() -> str:
    return "The log has no conversation yet." if keeps_conversations() else "The log is empty, and logging is off."


def _local(at: str) -> str:
    """A time in UTC as the time of this machine."""
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return one_line(at)
