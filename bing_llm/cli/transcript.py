"""A conversation as Markdown, with its sources as footnotes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt

from bing_llm import events as ev
from bing_llm._safe_text import escape, one_line
from bing_llm.cli.session import Exchange

_SPECIAL = re.compile(r"([\\`*_\[\]<>])")
_BACKSLASHED = r"\\\1"
_PARSER = MarkdownIt("commonmark", {"html": False})


def render_transcript(title: str, exchanges: Sequence[Exchange]) -> str:
    """A conversation as Markdown. Safe for a terminal, because people look at files with `cat`.

    A marker of a citation becomes a footnote, as GitHub, pandoc and others render it. Its label is the number of the
    turn and that of the citation: `[^2-1]`.

    Args:
        title: The heading.
        exchanges: The turns, the oldest first.
    """
    parts = [f"# {one_line(title)}"]
    for turn, exchange in enumerate(exchanges, 1):
        parts += _render_exchange(turn, exchange)
    return "\n\n".join(part for part in parts if part) + "\n"


def _render_exchange(turn: int, exchange: Exchange) -> list[str]:
    reply = exchange.reply
    return [
        "## You",
        _with_closed_fence(escape(exchange.prompt)),
        "## Bing",
        _with_closed_fence(_with_footnotes(turn, reply).strip()),
        "\n".join(_list_others(reply)),
        escape(f"(The service withdrew this answer. {reply.notice})") if reply.revoked else "",
        "\n".join(f"[^{turn}-{each.number}]: {_link(each)}" for each in reply.citations if _is_note(reply, each)),
    ]


def _with_footnotes(turn: int, reply: ev.Reply) -> str:
    """The text with a footnote in place of each marker that is not a link already."""
    markers = sorted((*span, each.number) for each in reply.citations for span in each.spans)
    parts: list[str] = []
    done = 0
    for start, end, number in markers:
        if start >= done and reply.text.startswith("[^", start):
            parts += [escape(reply.text[done:start]), f"[^{turn}-{number}]"]
            done = end
    return "".join([*parts, escape(reply.text[done:])])


def _is_note(reply: ev.Reply, citation: ev.Citation) -> bool:
    return any(reply.text.startswith("[^", start) for start, _ in citation.spans)


def _list_others(reply: ev.Reply) -> list[str]:
    """The sources that no footnote names, and the pictures."""
    return [
        *(f"- {each.number}: {_link(each)}" for each in reply.citations if not _is_note(reply, each)),
        *(f"- image: <{_target(url)}>" for url in reply.images),
        *(f"- image wanted: {_SPECIAL.sub(_BACKSLASHED, one_line(prompt))}" for prompt in reply.image_prompts),
    ]


def _link(citation: ev.Citation) -> str:
    title = _SPECIAL.sub(_BACKSLASHED, one_line(citation.title))
    if not citation.url:
        return title or "(no address)"
    return f"[{title}](<{_target(citation.url)}>)" if title else f"<{_target(citation.url)}>"


def _target(url: str) -> str:
    return one_line(url).replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")


def _with_closed_fence(text: str) -> str:
    """The text with the fence of its last listing closed: an answer that was stopped may leave it open."""
    tokens = _PARSER.parse(text)
    if not tokens or tokens[-1].type != "fence" or tokens[-1].map is None:
        return text
    first, end = tokens[-1].map
    lines = text.split("\n")
    is_closed = end - first > 1 and re.fullmatch(rf" {{0,3}}{re.escape(tokens[-1].markup)}[`~]*\s*", lines[end - 1])
    return text if is_closed else f"{text.rstrip()}\n{tokens[-1].markup}"
