"""What comes with an answer, as lines of text. Pure; each line is safe for a terminal."""

from __future__ import annotations

from bing_llm._escaping import one_line
from bing_llm.events import Quota, Reply

__all__ = ["quota_line", "source_lines", "suggestion_lines"]


def source_lines(reply: Reply, marker: str = "[^{}^]") -> list[str]:
    """The citations under the numbers that the text has for them, then pictures.

    Args:
        reply: The answer.
        marker: How the text shows a citation's number; the service's own form if not told otherwise.
    """
    citations = (
        f"{marker.format(each.number)} {one_line(f'{each.title} {each.url}'.rstrip())}" for each in reply.citations
    )
    images = (f"image: {one_line(url)}" for url in reply.images)
    wishes = (f"image wanted: {one_line(prompt)}" for prompt in reply.image_prompts)
    return [*citations, *images, *wishes]


def suggestion_lines(reply: Reply) -> list[str]:
    """The suggested next messages, numbered from 1."""
    return [f"{number}> {one_line(text)}" for number, text in enumerate(reply.suggestions, 1)]


def quota_line(quota: Quota) -> str:
    """`3 of 30 turns`."""
    return f"{quota.used} of {quota.limit} turns"
