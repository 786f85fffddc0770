"""From the frames of one turn to its events: which message is the answer, what of its text is new, how the turn ended.

One reader for both hubs. Bing's updates repeat the whole text of a message each time; the Microsoft 365 hub sends the
same text twice, as `writeAtCursor` pieces and as whole snapshots, which must never be added up. In both, the text may
shrink or change, and another message may take over: what matters is whether the newest whole text extends the last one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Final, TypeAlias

import msgspec

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.chathub import cards, frames
from bing_llm.backends.chathub.codec import Record, messages_with_cards
from bing_llm.backends.chathub.errors import SUCCESS, error_for
from bing_llm.backends.json_text import decode_json
from bing_llm.backends.reply import ReplyBuilder
from bing_llm.limits import DEFAULT_LIMITS, Limits

# What each part that a turn makes us hold counts beside its text, in characters: Python needs as much for it.
_PART: Final = 100

_Holders: TypeAlias = Sequence[frames.UpdateArguments | frames.FinalItem]

_CURSOR_MESSAGE = re.compile(r"\$\['([^']*)'\]")


class _Kind(Enum):
    ANSWER = auto()
    SEARCH_QUERY = auto()
    SEARCH_RESULT = auto()
    PROGRESS = auto()
    IMAGE = auto()
    APOLOGY = auto()
    TURN_LIMITER = auto()
    DISENGAGED = auto()
    NOT_OURS = auto()
    UNKNOWN = auto()


_ANSWER: Final = _Kind.ANSWER  # a member of an Enum is slow to find, and this one is needed for each frame

_BY_TYPE = {
    "InternalSearchQuery": _Kind.SEARCH_QUERY,
    "InternalSearchResult": _Kind.SEARCH_RESULT,
    "InternalLoaderMessage": _Kind.PROGRESS,
    "Progress": _Kind.PROGRESS,
    "Disengaged": _Kind.DISENGAGED,
}
_BY_ORIGIN = {"Apology": _Kind.APOLOGY, "TurnLimiter": _Kind.TURN_LIMITER, "EarlyProgress": _Kind.PROGRESS}
_MODERATION = (_Kind.APOLOGY, _Kind.TURN_LIMITER, _Kind.DISENGAGED)


def _kind_of(message: frames.UpdateMessage) -> _Kind:
    """What a message is: the last bot message without messageType and with no special origin is the answer."""
    if (
        message.message_type is None
        and message.author == "bot"
        and message.content_origin not in _BY_ORIGIN
        and message.content_type != "EarlyProgress"
    ):
        return _ANSWER
    if message.author in {"user", "system"}:
        return _Kind.NOT_OURS
    if message.content_origin in _BY_ORIGIN:
        return _BY_ORIGIN[message.content_origin]
    if message.content_type == "EarlyProgress":
        return _Kind.PROGRESS
    if message.message_type == "GenerateContentQuery" and message.content_type == "IMAGE":
        return _Kind.IMAGE
    return _BY_TYPE.get(message.message_type or "", _Kind.UNKNOWN)


class AnswerReader:
    """Folds the frames of one turn into events.

    An error that `update`, `final` or `completion` raises comes after the events that it has added.

    Args:
        limits: How much the turn may make us hold.

    Attributes:
        events: The events of the frames, for the caller to take from the left.
        conversation_id: The conversation of the turn, for a reply whose final frame does not name it.
        stopped: Whether the service was asked to stop, so that a short ending is what was wanted.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._most_characters = limits.answer_characters
        self._reply = ReplyBuilder()
        self.events = self._reply.events
        self.conversation_id = ""
        self.stopped = False
        # Of the last frame: the name of the part that holds its messages, its text, that part.
        self._frame: tuple[str, Record, _Holders] = ("", b"", ())
        self._raws: dict[int, Any] | None = None  # the parsed JSON of its messages, by their identity
        self._answer = frames.UpdateMessage()
        self._answer_frame: tuple[str, Record, _Holders] = self._frame  # which has it
        self._seen: set[int] = set()  # hashes: the texts themselves may be long
        self._kept_characters = 0
        self._pages = 0  # that searches found
        self._others: set[int] = set()  # hashes of the ids of messages that are not the answer
        self._references = msgspec.Raw()
        self._cursor = ""
        self._appended = False

    @property
    def text(self) -> str:
        """The whole text so far."""
        return self._reply.text

    def update(self, update: frames.Update, record: Record) -> None:
        """Add the events of one type 1 frame; `record` is its text, for what only `Unknown` keeps.

        Raises:
            ContentFiltered, ConversationEnded, TurnLimitReached: The service refused, and there is no text.
        """
        known = update.arguments
        self._frame, self._raws = ("arguments", record, known), None
        for arguments in known:
            if arguments.throttling is not None:
                self._quota(arguments.throttling)
            messages = arguments.messages
            is_news = self._snapshot(messages) if messages else False
            if arguments.references:
                self._references = arguments.references
            if arguments.cursor is not None:
                self._move_cursor(arguments.cursor)
            # A snapshot in the same frame holds the piece already, unless it lags behind and said nothing new.
            if arguments.write_at_cursor and not is_news:
                self._append(arguments.write_at_cursor)

    def final(self, item: frames.FinalItem, record: Record) -> None:
        """Add the events of the type 2 frame, whose text `record` is; the last is `TurnCompleted`.

        Raises:
            BingError: The service refused the turn, or gave no answer.
        """
        self._frame, self._raws = ("item", record, [item]), None
        result = item.result or frames.Result()
        if result.value != SUCCESS:
            raise error_for(result, what="the turn", partial_text=self.text)
        self._quota(item.throttling)
        for kind, message in _answer_first(item.messages or []):
            if kind is _ANSWER:
                self._answered(message, final=True)
            else:
                self._beside(kind, message)
        if not self.text and not self.stopped:
            self._check_unanswered(result)
        self.events.append(self._completed(item))

    def completion(self, completion: frames.Completion) -> None:
        """Add the event of a type 3 frame that no type 2 went before: how a stopped turn ends.

        Raises:
            ServiceError: The turn was not stopped, or the service named an error.
        """
        if completion.error is not None or not self.stopped:
            said = completion.error
            msg = f"The service ended the turn without its final frame ({said or 'no reason given'})."
            raise errors.ServiceError(msg, service_message=said, partial_text=self.text)
        self.events.append(self.cut_short())

    def cut_short(self) -> ev.TurnCompleted:
        """The end of a turn that was stopped: what had come is the answer."""
        return self._completed(frames.FinalItem())

    # --- messages -------------------------------------------------------------------------------------------------

    def _snapshot(self, messages: Sequence[frames.UpdateMessage]) -> bool:
        """Take in the messages of an update; whether they changed the text."""
        newest: frames.UpdateMessage | None = messages[-1]  # of the answers; those before it are interim texts
        if _kind_of(messages[-1]) is not _ANSWER:
            newest = next((message for message in reversed(messages) if _kind_of(message) is _ANSWER), None)
        is_news = False
        for message in messages:
            if message is newest:
                is_news = self._answered(message)
            elif (kind := _kind_of(message)) is not _ANSWER:
                self._beside(kind, message)
        return is_news

    def _beside(self, kind: _Kind, message: frames.UpdateMessage) -> None:
        """Take in a message that is not the answer."""
        if message.message_id and hash(message.message_id) not in self._others:
            self._keep("")
            self._others.add(hash(message.message_id))
        if kind in _MODERATION:
            self._moderated(kind, message)
        elif kind is not _Kind.NOT_OURS:
            self._aside(kind, message)

    def _answered(self, message: frames.UpdateMessage, *, final: bool = False) -> bool:
        """Take in the answer as it is now; whether its text changed."""
        self._answer, self._answer_frame = message, self._frame
        if self._others:
            self._others.discard(hash(message.message_id or ""))
        text = message.text
        is_news = False
        # A snapshot that lags behind the pieces says nothing new (M365 hub); the final one is right in any case.
        if text and not (self._appended and not final and self._reply.begins_with(text)):
            if len(text) > self._most_characters:
                raise self._too_much()
            is_news = self._reply.replace(text)
        if message.suggested_responses:
            self._suggest(cards.suggestions_of(message))
        return is_news

    def _suggest(self, texts: tuple[str, ...]) -> None:
        if texts and self._first("suggestions", repr(texts)):
            self._reply.add(ev.Suggestions(texts))

    def _aside(self, kind: _Kind, message: frames.UpdateMessage) -> None:
        text = message.text or ""
        key = message.message_id or repr((message.message_type, text, message.hidden_text))
        match kind:
            case _Kind.PROGRESS:
                for query in cards.search_queries_of(message):
                    if self._first("query", query):
                        self._keep(query)
                        self._reply.add(ev.SearchStarted(query))
                if text and self._first("progress", text):
                    self._reply.add(ev.Progress(text))
            case _Kind.SEARCH_QUERY if self._first("query", key):
                query = cards.search_query_of(message)
                self._keep(query)
                self._reply.add(ev.SearchStarted(query))
            case _Kind.SEARCH_RESULT if self._first("result", key):
                self._keep(text)
                self._found(cards.search_results_of(message))
            case _Kind.IMAGE if self._first("image", key):
                self._keep(text)
                self._reply.add(ev.ImageRequested(text))
            case _Kind.UNKNOWN if self._first("unknown", key):
                self._reply.add(ev.Unknown(self._raw(message)))

    def _found(self, pages: tuple[ev.SearchResult, ...]) -> None:
        self._pages += len(pages)
        if self._pages > self._limits.citations:
            raise self._limits.exceeded("citations", "pages found by the searches of one turn")
        self._reply.add(ev.SearchResults(pages))

    def _moderated(self, kind: _Kind, message: frames.UpdateMessage) -> None:
        notice = message.text or message.hidden_text or ""
        if kind is _Kind.TURN_LIMITER:
            if not self.text:
                msg = "This conversation has had all its turns; the service refused another one."
                raise errors.TurnLimitReached(msg, value="TurnLimiter", service_message=notice)
            return
        ended = kind is _Kind.DISENGAGED
        if not self.text:
            if ended:
                msg = "The service ended the conversation."
                raise errors.ConversationEnded(msg, value="Disengaged", service_message=notice)
            msg = f"The service refused to answer: {notice}" if notice else "The service refused to answer."
            raise errors.ContentFiltered(msg, value="Apology", service_message=notice)
        if self._first("revoked", str(ended)):
            self._reply.add(ev.TextRevoked(notice, ended))

    # --- text -----------------------------------------------------------------------------------------------------

    def _append(self, piece: str) -> None:
        if hash(self._cursor) in self._others:
            return
        self._appended = True
        self._keep(piece)
        self._reply.append(piece)

    def _move_cursor(self, cursor: frames.Cursor) -> None:
        found = _CURSOR_MESSAGE.match(cursor.j) if cursor.j else None
        if found:
            self._cursor = found[1]

    # --- the rest -------------------------------------------------------------------------------------------------

    def _quota(self, throttling: frames.Throttling | None) -> None:
        if throttling is None or throttling.max_num_user_messages_in_conversation is None:
            return
        used = throttling.num_user_messages_in_conversation or 0
        quota = ev.Quota(used, throttling.max_num_user_messages_in_conversation)
        if self._first("quota", f"{quota.used}/{quota.limit}"):
            self._reply.add(quota)

    def _check_unanswered(self, result: frames.Result) -> None:
        """A turn without text is whole when it asks for a picture."""
        reply = self._reply.so_far
        if reply.image_prompts:
            return
        if reply.quota is not None and reply.quota.spent:
            msg = f"The service gave no answer, and this conversation has had all its {reply.quota.limit} turns."
            raise errors.TurnLimitReached(msg)
        msg = "The service completed the turn without an answer."
        raise errors.ServiceError(msg, value=result.value, service_message=result.message)

    def _completed(self, item: frames.FinalItem) -> ev.TurnCompleted:
        most = self._limits.citations
        citations = cards.citations_of(self._answer_with_card(), most + 1) or cards.references_of(
            self._references, most + 1
        )
        if len(citations) > most:
            raise self._limits.exceeded("citations", "sources of one answer")
        if citations:
            from bing_llm.backends.markers import with_spans  # noqa: PLC0415 - its patterns are slow to compile

            citations = with_spans(citations, self.text)
        return self._reply.complete(
            citations=citations,
            conversation_id=item.conversation_id or self.conversation_id,
            message_id=self._answer.message_id or "",
            metadata=_metadata(item),
        )

    def _answer_with_card(self) -> frames.UpdateMessage:
        """The answer with its card, for which the update that has it is decoded again: once a turn that was stopped."""
        part, record, holders = self._answer_frame
        if part != "arguments":
            return self._answer
        places = (message for holder in holders for message in holder.messages or ())
        found = zip(places, messages_with_cards(record), strict=True)
        return next(with_card for message, with_card in found if message is self._answer)

    def _raw(self, message: frames.UpdateMessage) -> Any:
        """The message with all its fields, as parsed JSON: decoded anew, once a frame, since it is rarely wanted."""
        if self._raws is None:
            part, record, holders = self._frame
            content = decode_json(record)[part]
            messages = (message for holder in holders for message in holder.messages or ())
            raw_holders = content if isinstance(content, list) else [content]
            raws = (raw for holder in raw_holders for raw in holder.get("messages") or ())
            self._raws = {id(message): raw for message, raw in zip(messages, raws, strict=True)}
        return self._raws[id(message)]

    def _first(self, what: str, key: str) -> bool:
        """Whether this is new: updates repeat their messages, and the final frame repeats all of them."""
        mark = hash((what, key))
        if mark in self._seen:
            return False
        self._keep("")
        self._seen.add(mark)
        return True

    def _keep(self, text: str) -> None:
        """Count what the turn holds on to.

        Raises:
            ProtocolError: It is more than any answer has.
        """
        self._kept_characters += len(text) + _PART
        if self._kept_characters > self._most_characters:
            raise self._too_much()

    def _too_much(self) -> errors.ProtocolError:
        return self._limits.exceeded("answer_characters", "characters of text and searches in one turn")


def _answer_first(messages: Sequence[frames.UpdateMessage]) -> list[tuple[_Kind, frames.UpdateMessage]]:
    """The messages of a final frame: asides, then the one answer, then what moderation said of it.

    Earlier bot texts of the turn are left out: the last one is the answer. Asides may stand before it (recording 02)
    or after it.
    """
    shown = [(_kind_of(message), message) for message in messages]
    asides = [each for each in shown if each[0] not in (_ANSWER, *_MODERATION)]
    answers = [each for each in shown if each[0] is _ANSWER][-1:]
    return [*asides, *answers, *(each for each in shown if each[0] in _MODERATION)]


def _metadata(item: frames.FinalItem) -> dict[str, object]:
    result = item.result or frames.Result()
    known = {
        "requestId": item.request_id,
        "conversationExpiryTime": item.conversation_expiry_time,
        "serviceVersion": result.service_version,
        "resultMessage": result.message,
    }
    return {name: value for name, value in known.items() if value is not None}
