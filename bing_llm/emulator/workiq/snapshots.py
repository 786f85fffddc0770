"""From the events of an answer to snapshots of its conversation (docs/protocol/workiq.md, sections 5, 6 and 12).

A brain cites with markers `[^n^]`. Live answers have links in their place, and a map of references (section 12); the
documents have the markers themselves, and a list of attributions (section 5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bing_llm import events as ev
from bing_llm.emulator.brains.base import Cited
from bing_llm.emulator.sources import Sources
from bing_llm.emulator.wire import new_id
from bing_llm.emulator.workiq import shapes
from bing_llm.emulator.workiq.links import CitingText

Snapshot: TypeAlias = shapes.JsonObject
"""A copilotConversation, which holds the whole turn so far."""


class SnapshotWriter:
    """Writes the snapshots of one turn.

    Work IQ only answers with text. Searches, progress, pictures, suggestions and the quota are not written, except that
    the answer cites the pages of a search.

    Args:
        conversation_id: The conversation.
        name: Its display name.
        asked: The user's message, which the last snapshot repeats.
        turns: The turns of the conversation, this one included.
        created: When the conversation was made, in seconds since 1970.
        clock: The time, in seconds since 1970.
        documented: Whether the answer cites as in the documents, not as live answers do.

    Attributes:
        text: The answer so far, as the brain wrote it.
    """

    def __init__(
        self,
        conversation_id: str,
        *,
        name: str,
        asked: str,
        turns: int,
        created: float,
        clock: Callable[[], float],
        documented: bool = False,
    ) -> None:
        self._conversation_id = conversation_id
        self._name = name
        self._asked = asked
        self._turns = turns
        self._created = created
        self._clock = clock
        self._answer_id = new_id()
        self._sources = Sources()
        self._citing = CitingText(self._sources, documented=documented)
        self._metadata: shapes.JsonObject = {}
        self._notice: str | None = None
        self.text = ""

    def opening(self) -> Snapshot:
        """The first snapshot: no message yet. The last but one is the same."""
        return self._intermediate([])

    def write(self, event: ev.Event | Cited) -> list[Snapshot]:
        """The snapshots of one event; empty if the event is not written."""
        match event:
            case ev.TextDelta(text=text):
                return self._revise(self.text + text)
            case ev.TextRevised(text=text):
                return self._revise(text)
            case ev.TextRevoked(notice=notice):
                self._notice = notice
            case Cited(citations=citations):
                self._sources.define(citations)
            case ev.SearchResults(results=results):
                self._sources.found(results)
            case ev.Unknown(raw=raw):
                return [raw]
            case ev.TurnCompleted(reply=reply):
                return self._complete(reply)
            case _:
                pass
        return []

    def begin_message(self) -> None:
        """Continue the answer under another message id."""
        self._answer_id = new_id()

    def disengage(self, notice: str) -> None:
        """The service ends the conversation."""
        self._notice = notice

    def closing(self) -> list[Snapshot]:
        """The end of the turn: an empty snapshot, then the final one, which has the title and both messages.

        If the service disengaged, the final one says so, and has the notice in place of the answer.
        """
        echo = shapes.message(new_id(), self._asked, created=self._clock())
        if self._notice is None:
            return [self.opening(), self._final("active", echo, self._answer(final=True))]
        notice = [shapes.message(new_id(), self._notice, created=self._clock())] if self._notice else []
        return [self.opening(), self._final("disengagedForRai", echo, *notice)]

    def refusal(self) -> Snapshot:
        """The only snapshot of a conversation that had ended before this turn."""
        return self._final("disengagedForRai")

    # --- parts ----------------------------------------------------------------------------------------------------

    def _revise(self, text: str) -> list[Snapshot]:
        changed = text != self.text
        self.text = text
        return [self._intermediate([self._answer()])] if text and changed else []

    def _complete(self, reply: ev.Reply) -> list[Snapshot]:
        sent = [] if self.text else self._revise(reply.text)
        if reply.citations:
            self._sources.define(reply.citations)
        self._metadata = reply.metadata
        return sent

    def _answer(self, *, final: bool = False) -> shapes.JsonObject:
        text = self._citing.show(self.text, final=final)
        linked = self._citing.form == "links"
        attributions = [*shapes.entity_links(text), *([] if linked else self._citations())]
        references = shapes.references(self._sources.citations, self.text) if linked else None
        return shapes.message(
            self._answer_id,
            text,
            created=self._clock(),
            attributions=attributions if final else (),
            references=references if final else None,
            with_card=True,
            label=self._metadata.get("sensitivityLabel"),
        )

    def _citations(self) -> list[shapes.JsonObject]:
        """All sources if one is cited. Marker n means the n-th citation, so each must be in the list."""
        if not self._sources.used_by(self.text):
            return []
        ordered = sorted(self._sources.citations, key=lambda citation: citation.number)
        return [shapes.attribution(citation) for citation in ordered]

    def _intermediate(self, messages: list[shapes.JsonObject]) -> Snapshot:
        return shapes.conversation(
            self._conversation_id,
            name=shapes.INTERMEDIATE,
            turns=self._turns - 1,
            messages=messages,
            created=self._created,
        )

    def _final(self, state: shapes.ConversationState, *messages: shapes.JsonObject) -> Snapshot:
        return shapes.conversation(
            self._conversation_id,
            name=self._metadata.get("displayName") or self._name,
            turns=self._turns,
            messages=messages,
            created=self._created,
            state=state,
            agent_id=self._metadata.get("agentId"),
        )
