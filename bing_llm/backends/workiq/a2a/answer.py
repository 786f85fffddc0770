"""From the JSON-RPC responses of one turn to its events (docs/protocol/a2a.md, sections 2 and 3).

The answer is the text of the task's artifacts.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Literal, assert_never

import msgspec

from bing_llm import errors
from bing_llm import events as ev
from bing_llm._secrets import refuse_to_pickle
from bing_llm.backends.json_text import decode_json, decode_or_none, objects_in
from bing_llm.backends.markers import find_markers, unfinished_from
from bing_llm.backends.reply import ReplyBuilder
from bing_llm.backends.workiq.a2a.artifacts import BETWEEN, PIECE_COST, Artifacts, references_in
from bing_llm.backends.workiq.a2a.wire import (
    Artifact,
    ArtifactUpdate,
    Message,
    Response,
    Status,
    StatusUpdate,
    Task,
    decode_response,
    error_in,
    task_request,
    text_of,
)
from bing_llm.backends.workiq.answer import without_half_tag, without_tags
from bing_llm.backends.workiq.citations import (
    CitationMarkers,
    Footnotes,
    Sources,
    annotations_in,
    cite,
    label_of,
    mark,
    marked_text,
)
from bing_llm.backends.workiq.errors import NO_ANSWER_HINT
from bing_llm.limits import DEFAULT_LIMITS, Limits

_COMPLETED = "TASK_STATE_COMPLETED"
_CANCELED = "TASK_STATE_CANCELED"
_INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"

_SIGN_IN_HINT = (
    "The agent needs a sign-in or a consent of its own, beside the token: open it in Microsoft 365 Copilot, sign in "
    "there, then ask again."
)
_FAILURES: Final[dict[str, tuple[type[errors.BingError], str, str | None]]] = {
    "TASK_STATE_FAILED": (errors.ServiceError, "The agent failed", None),
    "TASK_STATE_REJECTED": (errors.ContentFiltered, "The agent rejected the message", None),
    "TASK_STATE_AUTH_REQUIRED": (errors.Unauthorized, "The agent wants its user to sign in", _SIGN_IN_HINT),
    _CANCELED: (errors.ServiceError, "The task was canceled at the service", None),  # unless we asked for it
}
"""The errors of states with their messages and hints; None for the hint of the error itself."""
_SUCCESSES: Final = frozenset((_COMPLETED, _INPUT_REQUIRED))
"""All other states, known or not, are those of a task that runs."""


class AgentConversation:
    """A conversation with an agent. The service names it in its first answer, so it learns from its turns.

    Attributes:
        id: The service's id (`contextId`); "" before the first answer.
        task_id: The task that waits for the user's next message; "" for none.
        waiting: How that task stood when it asked.
        given: What that task had given, by the ids of its artifacts: its next answer is what is new.
    """

    __slots__ = ("given", "id", "task_id", "waiting")

    def __init__(self, context_id: str = "") -> None:
        self.id = context_id
        self.forget_task()

    def forget_task(self) -> None:
        """No task waits for the user."""
        self.task_id = ""
        self.waiting: Status | None = None
        self.given: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"AgentConversation({self.id!r})"

    def __reduce__(self) -> Any:
        refuse_to_pickle(self)


class TaskReader:
    """Folds the responses of one turn into events. Implements `bing_llm.backends.workiq.turn.ResponseReader`.

    Args:
        conversation: Where the turn takes place. Its ids are set from what the service sends.
        entity_tags: Whether `<Person>`, `<File>` and `<Event>` stay in the text. Half a tag is never given.
        citation_markers: How markers of citations stand in the text. Half a marker is never given.
        limits: How much the turn may make us hold.

    Attributes:
        events: The events, for the caller to take from the left.
        completed: Whether `TurnCompleted` is among them, or was.
        task_id: The task; "" before the service named it, and for an answer without one.
        ended: Whether a state came that ends the turn.
        results: How many results were read.
    """

    def __init__(
        self,
        conversation: AgentConversation,
        *,
        entity_tags: Literal["keep", "strip"] = "keep",
        citation_markers: CitationMarkers = "keep",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._conversation = conversation
        self._waiting = conversation.waiting
        self._strips = entity_tags == "strip"
        self._citation_markers = citation_markers
        self._limits = limits
        self._reply = ReplyBuilder()
        self.events: deque[ev.Event] = self._reply.events
        self.completed = False
        self.ended = False
        self.task_id = ""
        self.results = 0
        self._artifacts = Artifacts(conversation.given, limits)
        self._half_tag = ""  # what may be one, at the end of the text
        self._half_marker = ""  # as well; the tag comes after it
        self._footnotes = Footnotes()
        self._written = ""  # the text that was shown last, with markers as the service wrote them
        self._shown: set[str] = set()  # as progress
        self._shown_characters = 0
        self._status = Status()
        self._message: Message | None = None  # an answer without a task
        self._metadata: dict[str, Any] = {}  # of its messages; of each part, the newest
        self._stopping = False

    @property
    def text(self) -> str:
        """The whole text so far."""
        return self._reply.text

    @property
    def shown(self) -> object:
        """What the task shows so far, to be compared: it changes with the status, and as the text grows."""
        return self._status, len(self.text)

    # --- bing_llm.backends.workiq.turn.ResponseReader ---------------------------------------------------------------

    def parse(self, data: str | bytes) -> Response:
        """A JSON-RPC response as typed data.

        Raises:
            ProtocolError: It is not one.
        """
        return decode_response(data)

    def read(self, response: Response, data: str | bytes, *, whole: bool = False) -> None:
        """Add the events of one response.

        Args:
            response: The response.
            data: What it was parsed from.
            whole: Whether no further one follows.

        Raises:
            BingError: The service refused the turn, or the task failed.
        """
        try:
            self._read(response, data, whole=whole)
        except errors.BingError as exc:
            exc.begun = self.results > 0  # from then on, the turn may be charged
            raise
        if whole and not self.completed:
            raise errors.ConnectionLost("The service answered the turn before the task was complete.")

    def stop_request(self) -> bytes | None:
        """The request that cancels the task: None while the service has not named it, empty where it has ended."""
        self._stopping = True
        if self.ended:
            return b""
        return msgspec.json.encode(task_request("CancelTask", self.task_id)) if self.task_id else None

    def complete(self) -> None:
        """Add `TurnCompleted`: what had come is the answer.

        Raises:
            ProtocolError: It has more sources than any answer has.
        """
        question = self._status.words if self._asks else ""
        whole = BETWEEN.join(part for part in (self._whole(), question) if part)
        if whole or not self.text:
            self._show(whole, final=True)
        keeps = self._citation_markers == "keep"
        markers = find_markers(self.text) if keeps else mark(self._written, "footnote", final=True).markers
        sources, most = self._sources(), self._limits.citations
        cited = cite(markers, sources, most + 1)
        if max(len(markers.links), len(cited.citations), len(cited.uncited)) > most:
            raise self._limits.exceeded("citations", "sources of one answer")
        known = {
            "taskId": self.task_id,
            "state": self._status.state,
            "annotations": annotations_in(sources.attributions),
            "sensitivityLabel": label_of(self._metadata.get("sensitivityLabel")),
            "uncitedReferences": cited.uncited,
            "files": self._artifacts.files,
        }
        self.completed = True
        self.events.append(
            self._reply.complete(
                citations=cited.citations,
                conversation_id=self._conversation.id,
                message_id=self.task_id or (self._message and self._message.message_id) or "",
                metadata={name: value for name, value in known.items() if value},
            )
        )

    def _sources(self) -> Sources:
        """What the service says of its sources: beside its last words, or in parts of their own (section 3)."""
        said = (self._message or self._status.message or Message()).parts
        parts = [*references_in(said), *self._artifacts.references]
        listed = self._metadata.get("attributions")
        attributions = [*objects_in(listed), *(each for each in parts if "seeMoreWebUrl" in each)]
        references = self._metadata.get("references")
        known = dict(references) if isinstance(references, dict) else {}
        for number, each in enumerate((each for each in parts if "targetLink" in each), 1):
            known.setdefault(f"part {number}", each)
        return Sources(attributions, known)

    # --- what comes -------------------------------------------------------------------------------------------------

    def _read(self, response: Response, data: str | bytes, *, whole: bool) -> None:
        error = error_in(response, "the turn", of_a_task=self._waiting is not None and not self.results)
        if error is not None:
            if isinstance(error, errors.SessionExpired):
                self._conversation.forget_task()  # or each further message would name it
            raise error
        event = None if response.result is None else response.result.event
        self.results += event is not None
        match event:
            case None:
                self._reply.add(ev.Unknown(decode_json(data)))
            case Task():
                self._begin(event.id, event.context_id)
                if self._artifacts.replace(event.artifacts):
                    self._show_whole()
                if event.status is not None and not self._is_as_left(event.status, whole=whole):
                    self._read_status(event.status)
            case ArtifactUpdate():
                self._begin(event.task_id, event.context_id)
                if event.artifact is not None:
                    self._update(event.artifact, appended=bool(event.append))
            case StatusUpdate():
                self._begin(event.task_id, event.context_id)
                status = event.status or Status()
                if self.results > 1 or not self._is_as_left(status, whole=whole):
                    self._read_status(status)
            case Message():
                self._begin(None, event.context_id)
                self._message = event
                self._keep_metadata(event)
                self._end()
            case _:
                assert_never(event)

    def _begin(self, task_id: str | None, context_id: str | None) -> None:
        self.task_id = task_id or self.task_id
        conversation = self._conversation
        conversation.id = context_id or conversation.id
        conversation.forget_task()

    # --- text -------------------------------------------------------------------------------------------------------

    def _update(self, artifact: Artifact, *, appended: bool) -> None:
        piece = self._artifacts.update(artifact, appended=appended)
        # A footnote is not as long as the marker that was written.
        if piece is None or self._citation_markers != "keep":
            self._show_whole()
        else:
            self._append(piece)

    def _whole(self) -> str:
        """The text of the answer: of all artifacts, or of the message that is the answer."""
        if self._message is not None:
            return text_of(self._message.parts)
        whole = self._artifacts.text
        if not (whole or self.text) and self._status.state == _COMPLETED:
            return self._status.words  # of an agent that makes no artifacts
        return whole

    def _show_whole(self) -> None:
        whole = self._whole()
        if whole:  # an empty one may be filled again: only the end can withdraw what was shown
            self._show(whole, final=False)

    def _show(self, whole: str, *, final: bool) -> None:
        ready = whole if final else without_half_tag(whole)
        text = without_tags(ready) if self._strips else ready
        keeps = self._citation_markers == "keep"
        shown = marked_text(text, "keep", final=final) if keeps else self._footnotes.text(text, final=final)
        self._half_tag, self._half_marker = whole[len(ready) :], text[len(shown) :] if keeps else ""
        self._written = text
        self._reply.replace(shown)

    def _append(self, piece: str) -> None:
        """Show a text that goes on: does what `_show` does, but only looks at its end."""
        tagged = self._half_tag + piece
        ready = without_half_tag(tagged)
        text = self._half_marker + (without_tags(ready) if self._strips else ready)
        end = unfinished_from(text)
        self._half_tag, self._half_marker = tagged[len(ready) :], text[end:]
        if end:
            self._reply.append(text[:end])

    # --- states -----------------------------------------------------------------------------------------------------

    @property
    def _asks(self) -> bool:
        """Whether the agent asks its user."""
        return self._status.state == _INPUT_REQUIRED

    def _is_as_left(self, status: Status, *, whole: bool) -> bool:
        """Whether a task that goes on is still shown as it was left, waiting for the message that was just sent.

        A stream may begin so, with another time or without the words. A whole answer comes after the agent's work, so
        there the same question with another time was asked again.
        """
        left = self._waiting
        if left is None or self._artifacts.text:
            return False
        return status == left if whole else status.state == left.state and status.words in {"", left.words}

    def _read_status(self, status: Status) -> None:
        self._status = status
        self._waiting = None
        self._keep_metadata(status.message)
        said = status.words
        failure = _FAILURES.get(status.state or "")
        if failure is not None and not (self._stopping and status.state == _CANCELED):
            self.ended = True
            kind, what, hint = failure
            words = said.strip().rstrip(".")
            message = f"{what}{f' ({words})' if words else ''}."
            raise kind(message, hint=hint, value=status.state, service_message=said or None, partial_text=self.text)
        if failure is not None or status.state in _SUCCESSES:
            self._end()
        else:
            self._show_progress(said)

    def _keep_metadata(self, message: Message | None) -> None:
        metadata = None if message is None else decode_or_none(message.metadata)
        if isinstance(metadata, dict):
            self._metadata.update(metadata)

    def _end(self) -> None:
        self.ended = True
        said = self._status.words
        whole = self._whole()
        if not whole and self.text and not self._stopping and not self._asks:
            self._reply.add(ev.TextRevoked(said))
        elif not (whole or self.text or self._stopping or self._asks):
            raise errors.ServiceError("The agent completed the turn without an answer.", hint=NO_ANSWER_HINT)
        elif said not in whole and not self._asks:
            self._show_progress(said)
        if self._asks:
            conversation = self._conversation
            conversation.task_id, conversation.waiting = self.task_id, self._status
            conversation.given = self._artifacts.texts
        self.complete()

    def _show_progress(self, text: str) -> None:
        """Give each message once: a service repeats them."""
        if not text.strip() or text in self._shown:
            return
        self._shown.add(text)
        self._shown_characters += len(text) + PIECE_COST
        if self._shown_characters > self._limits.answer_characters:
            raise self._limits.exceeded("answer_characters", "characters of progress in one turn")
        self._reply.add(ev.Progress(text))
