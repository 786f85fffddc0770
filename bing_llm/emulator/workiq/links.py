"""How an answer of Work IQ cites: a brain writes markers `[^n^]`, and live answers have links in their place.

See docs/protocol/workiq.md, sections 5 and 12.
"""

from __future__ import annotations

import re
from typing import Literal

from bing_llm.emulator.sources import Sources
from bing_llm.emulator.workiq import shapes

_MARKER = re.compile(r"\[\^(\d{1,6})\^\]")
_HALF_MARKER = re.compile(r"\[(?:\^\d{0,6}\^?)?\Z")


class CitingText:
    """The text of one answer, as the service shows it.

    Args:
        sources: The sources of the answer.
        documented: Whether it cites as in the documents, not as live answers do.

    Attributes:
        form: How it cites: by `links`, or by `notes` where these went out before their sources were known. None before
            the first marker.
    """

    def __init__(self, sources: Sources, *, documented: bool) -> None:
        self._sources = sources
        self._documented = documented
        self.form: Literal["links", "notes"] | None = None

    def show(self, text: str, *, final: bool) -> str:
        """The text so far; before its end, half a marker is left out."""
        if self.form is None and _MARKER.search(text):
            is_known = self._sources.used_by(text)
            self.form = "links" if is_known and not self._documented else "notes"
        if self._documented or self.form == "notes" or not self._sources.citations:
            return text
        by_number = {citation.number: citation for citation in self._sources.citations}

        def link(found: re.Match[str]) -> str:
            citation = by_number.get(int(found[1]))
            return found[0] if citation is None else f"[{citation.number}]({shapes.marked_url(citation)})"

        return _MARKER.sub(link, text if final else _HALF_MARKER.sub("", text))
