"""How an answer is shown: as text or as events in JSON (`bing_llm.cli.markdown`: in a terminal); and what is below it.

A view is a context manager that lives as long as its turn. However the turn ends, all that has arrived is shown, and
what is printed next begins on its own line.
"""

from __future__ import annotations

from typing import Protocol, Self

from bing_llm import events as ev
from bing_llm._safe_text import escape, one_line
from bing_llm.cli.status import NO_STATUS, Status
from bing_llm.fold import Fold

REWRITTEN = "--- The service rewrote its answer. The final text: ---"


# --- views ------------------------------------------------------------------------------------------------------------


class View(Protocol):
    """What shows a turn."""

    def __enter__(self) -> Self:
        """The turn begins."""

    def __exit__(self, *exc_info: object) -> None:
        """The turn is complete, or has failed."""

    def show(self, event: ev.Event) -> None:
        """Show one event."""


class JsonView:
    """One event a line, as JSON.

    Args:
        status: The line that says what happens until something comes.
    """

    def __init__(self, status: Status = NO_STATUS) -> None:
        self._status = status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the status; each line is whole already."""
        self._status.end()

    def show(self, event: ev.Event) -> None:
        """Print the event."""
        self._status.end()
        print(escape(ev.event_to_json(event)), flush=True)


class TextView:
    """The text as it arrives, never recalled; after a rewrite a line says so, and the final text follows.

    Args:
        status: The line that says what happens until text comes.
    """

    def __init__(self, status: Status = NO_STATUS) -> None:
        self._status = status
        self._fold = Fold()
        self._at_line_start = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._status.end()
        self._end_line()
        reply = self._fold.reply()
        if reply.revised:
            self._print(f"{REWRITTEN}\n{reply.text}")
            self._end_line()

    def show(self, event: ev.Event) -> None:
        """Print what the event adds to the text."""
        piece = self._fold.add(event)
        if piece:
            self._status.end()
            self._print(piece)

    def _print(self, text: str) -> None:
        print(escape(text), end="", flush=True)
        self._at_line_start = text.endswith("\n")

    def _end_line(self) -> None:
        if not self._at_line_start:
            self._print("\n")


# --- below an answer --------------------------------------------------------------------------------------------------


def source_lines(reply: ev.Reply, marker: str = "[^{}^]") -> list[str]:
    """The citations with the numbers that they have in the text, then the pictures.

    Args:
        reply: The answer.
        marker: How the text shows a citation's number where it is a note; where it is a link, it is the link's text.
    """
    citations = (
        f"{_marker_in(reply, each, marker)} {one_line(f'{each.title} {each.url}'.rstrip())}" for each in reply.citations
    )
    images = (f"image: {one_line(url)}" for url in reply.images)
    requests = (f"image wanted: {one_line(prompt)}" for prompt in reply.image_prompts)
    return [*citations, *images, *requests]


def _marker_in(reply: ev.Reply, citation: ev.Citation, marker: str) -> str:
    is_link = any(reply.text.startswith(f"[{citation.number}](", start) for start, _ in citation.spans)
    return ("[{}]" if is_link else marker).format(citation.number)


def suggestion_lines(reply: ev.Reply) -> list[str]:
    """The suggested next messages, numbered from 1."""
    return [f"{number}> {one_line(text)}" for number, text in enumerate(reply.suggestions, 1)]


def quota_line(quota: ev.Quota) -> str:
    """`3 of 30 turns`."""
    return f"{quota.used} of {quota.limit} turns"
