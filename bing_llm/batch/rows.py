"""The rows of a batch: what a record of the input asks, and the output row of its outcome. No I/O."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeAlias, TypeGuard

import msgspec

from bing_llm.errors import BingError, InvalidRequest
from bing_llm.events import Citation, Reply
from bing_llm.messages import Message, as_message

OUTPUT_FIELDS = ("text", "citations", "finish_reason", "attempts", "seconds", "error", "line")
"""The fields of an output row that are not its input's. An input field of such a name becomes `input_<name>`."""


_NUL = "\0"  # which CSV cannot hold

Fields: TypeAlias = dict[str, Any]
"""The fields of a record or of an output row: values of JSON by name."""


class Record(msgspec.Struct, frozen=True):
    """One record of the input, not yet parsed.

    Attributes:
        number: Its place, from 1 on: in JSONL and CSV the line where it begins, else the row.
        fields: Its values by name, or the error if it cannot be read.
        size: About how many bytes its text has; 0 if that is not known.
    """

    number: int
    fields: Fields | InvalidRequest
    size: int = 0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One question. Either `prompt` or `messages` is given.

    Attributes:
        number: Its place in the input, as in `Record`.
        id: Its own id, or its place.
        fields: All fields of the record.
        prompt: The user's message.
        messages: A history that ends with the user's message.
        context: Background for a prompt.
        model: The model to ask; None for the client's.
    """

    number: int
    id: str | int
    fields: Fields
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    context: str | None = None
    model: str | None = None

    @property
    def key(self) -> str:
        """Identifies the row: ids that are written alike are the same."""
        return make_key(self.id, None)


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A record that asks nothing.

    Attributes:
        number: Its place in the input, as in `Record`.
        fields: All fields of the record; empty if it could not be read.
        error: Why; it names the place.
        id: Its own id; None if it has none, or if an earlier row has the same.
    """

    number: int
    fields: Fields
    error: InvalidRequest
    id: str | int | None = None

    @property
    def key(self) -> str:
        """Identifies the row: its id, else its place."""
        return make_key(self.id, self.number)


class Answered(msgspec.Struct, frozen=True):
    """The answer to a row.

    Attributes:
        reply: The reply of the service.
        attempts: How many turns were begun for it, including the last.
        seconds: How long the last one took.
    """

    reply: Reply
    attempts: int
    seconds: float


class Failed(msgspec.Struct, frozen=True):
    """A row that has no answer.

    Attributes:
        error: Why.
        attempts: How many turns were begun for it; 0 if nothing was sent.
        seconds: How long the last one took.
    """

    error: BingError
    attempts: int = 0
    seconds: float = 0.0


Outcome: TypeAlias = Answered | Failed


def one_by_one(records: Iterator[Record]) -> Generator[Sequence[Record], None, None]:
    """Blocks of one record each, for a source that does not have several at once."""
    try:
        for record in records:
            yield [record]
    finally:
        close = getattr(records, "close", None)
        if close is not None:
            close()


def parse_row(record: Record) -> Row | BadRow:
    """Parse a record. An empty text counts as missing, because CSV cannot tell them apart."""
    if isinstance(record.fields, InvalidRequest):
        return BadRow(number=record.number, fields={}, error=record.fields)
    try:
        return _parse(record.number, record.fields)
    except InvalidRequest as exc:
        own = record.fields.get("id")
        return bad_row(record.number, record.fields, exc, id=own if _is_id(own) else None)


def own_key(record: Record) -> str | None:
    """The key of the row that a record will be, which is its id, whether it can be asked or not; None without an id."""
    fields = record.fields
    own = fields.get("id") if isinstance(fields, dict) else None
    if isinstance(own, str):  # as nearly all are: this is what each row of a batch that goes on costs
        return f"id {own}" if own and _NUL not in own else None
    return f"id {own}" if _is_id(own) else None


def bad_row(number: int, fields: Fields, why: InvalidRequest, *, id: str | int | None = None) -> BadRow:  # noqa: A002 - its name in the row
    """A row that asks nothing, whose error names its place."""
    error = InvalidRequest(f"Row {number}: {why.message}", hint=why.hint)
    return BadRow(number=number, fields=fields, error=error, id=id)


def row_key(row: Fields) -> str:
    """Identifies an output row: its id as text, else its line."""
    return make_key(row.get("id"), row.get("line"))


def make_key(own: object, line: object) -> str:
    """The key of a row with this id, if that is one, else with this line."""
    if isinstance(own, str) and own and _NUL not in own:
        return f"id {own}"
    return f"id {own}" if _is_id(own) else f"line {line}"


def render_row(row: Row | BadRow, outcome: Outcome) -> Fields:
    """The output row: the fields of the input, its id, and its outcome."""
    if row.id is None:
        carried = {"line": row.number, **_renamed(row.fields, {"id", *OUTPUT_FIELDS})}
    else:
        carried = {"id": row.id, **_renamed({**row.fields, "id": row.id}, {*OUTPUT_FIELDS})}
    measured = {"attempts": outcome.attempts, "seconds": round(outcome.seconds, 3)}
    match outcome:
        case Answered(reply=reply):
            return {
                **carried,
                "text": reply.text,
                "citations": [_citation(citation) for citation in reply.citations],
                "finish_reason": reply.finish_reason,
                **measured,
            }
        case Failed(error=error):
            details = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
            return {**carried, "error": details, **measured}


def _citation(citation: Citation) -> Fields:
    spans = {"spans": [[start, end] for start, end in citation.spans]} if citation.spans else {}
    label = {} if citation.sensitivity_label is None else {"sensitivity_label": citation.sensitivity_label}
    return {"number": citation.number, "url": citation.url, "title": citation.title, **spans, **label}


def _parse(number: int, fields: Fields) -> Row:
    prompt, context, model = (_text(fields, name) for name in ("prompt", "context", "model"))
    messages = _messages(fields.get("messages"))
    if prompt is None and messages is None:
        raise InvalidRequest("There is neither a prompt nor messages.", hint="Give each row one of them.")
    if prompt is not None and messages is not None:
        raise InvalidRequest("There are both a prompt and messages.", hint="Give each row one of them.")
    if context is not None and messages is not None:
        raise InvalidRequest("There are both context and messages.", hint="Put the context into a system message.")
    return Row(
        number=number,
        id=_id(number, fields),
        fields=fields,
        prompt=prompt,
        messages=messages,
        context=context,
        model=model,
    )


def _id(number: int, fields: Fields) -> str | int:
    own = fields.get("id")
    if own is None or own == "":
        return number
    if isinstance(own, str) and "\0" in own:
        raise InvalidRequest("The id has a NUL in it.", hint="Take it out: CSV cannot hold one.")
    if not _is_id(own):
        raise InvalidRequest(f"The id is of type {type(own).__name__}.", hint="Use a text or a whole number.")
    return own


def _is_id(own: object) -> TypeGuard[str | int]:
    if isinstance(own, str):
        return bool(own) and _NUL not in own
    return isinstance(own, int) and not isinstance(own, bool)


def _text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} is of type {type(value).__name__}.", hint="It must be a text.")
    return value


def _messages(value: object) -> tuple[Message, ...] | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):  # a cell of a table
        value = _json(value)
    if not isinstance(value, list) or not value:
        raise InvalidRequest("messages is not a list of messages.", hint='Use [{"role": "user", "content": "..."}].')
    try:
        messages = tuple(as_message(index, one) for index, one in enumerate(value))
    except TypeError as exc:
        raise InvalidRequest(str(exc), hint='Use [{"role": "user", "content": "..."}].') from exc
    for index, one in enumerate(value):
        if not _is_text(one.get("content")):
            msg = f"Message {index} has a part that is not text."
            raise InvalidRequest(msg, hint="A batch sends only text: ask about pictures one by one.")
    return messages


def _is_text(content: object) -> bool:
    """Whether a message is only text. A question about a picture must not be asked without it."""
    parts = content if isinstance(content, list) else ()
    return all(isinstance(part, str) or part.get("type", "text") == "text" for part in parts)


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise InvalidRequest(
            "messages is a text that is not JSON.", hint="Write the list of messages as JSON."
        ) from exc


def _renamed(fields: Fields, taken: set[str]) -> Fields:
    """The fields of an input, renamed if the output has a field of that name."""
    renamed: Fields = {}
    for name, value in fields.items():
        free = name
        while free in taken or (free != name and (free in fields or free in renamed)):
            free = f"input_{free}"
        renamed[free] = value
    return renamed
