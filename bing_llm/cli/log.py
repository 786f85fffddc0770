"""The local log of conversations: a SQLite database in the state folder, which only its owner can read.

It holds what was asked and answered, and no secret: cookies and tokens are taken out of the texts, and what makes a
conversation of ChatHub usable is its signature, so not even its id is kept. A conversation of Work IQ is of no use
without a token; its id is kept, to go on there.

Whoever adds to the schema appends a step to `_SCHEMA`: a database of an earlier version then takes the steps that it
lacks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bing_llm import events as ev
from bing_llm.cli.session import Exchange, Past
from bing_llm.cli.state import StateUnavailable, existing_file, private_file, state_folder
from bing_llm.services import WorkIQ

_NAME = "log.db"

_SCHEMA = (
    """
    CREATE TABLE turns (
        id INTEGER PRIMARY KEY,
        conversation INTEGER NOT NULL, -- the id of its first turn
        at TEXT NOT NULL,              -- UTC, in ISO 8601
        service TEXT NOT NULL,
        model TEXT NOT NULL,
        options TEXT NOT NULL,         -- of the command line, as JSON
        service_conversation TEXT NOT NULL,
        system TEXT NOT NULL,
        context TEXT NOT NULL,
        prompt TEXT NOT NULL,
        text TEXT NOT NULL,
        citations TEXT NOT NULL,       -- as JSON
        images TEXT NOT NULL,          -- as JSON
        revoked INTEGER NOT NULL,
        notice TEXT NOT NULL
    );
    CREATE INDEX turns_by_conversation ON turns (conversation, id);
    """,
)
"""The steps that make the database, the oldest first. Its `user_version` is how many of them were taken."""

_MOST = 2**63 - 1  # SQLite's largest integer
_LOCK_S = 2.0  # how long to wait for another process: each holds the lock for some milliseconds


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers a turn.

    Attributes:
        service: The name of the service.
        model: The model.
        options: The options of the command line by which it is asked again; no secrets.
    """

    service: str
    model: str
    options: Mapping[str, Any]


class LoggedConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of the log.

    Attributes:
        id: Its number.
        at: When its last turn was, in UTC.
        origin: Who answered that turn.
        past: What was said.
    """

    id: int
    at: str
    origin: Origin
    past: Past


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a list of conversations: its number, when its last turn was (in UTC), and how it began."""

    id: int
    at: str
    service: str
    model: str
    turns: int
    prompt: str


def log_path() -> Path:
    """Where the log is; it may not exist yet."""
    return state_folder() / _NAME


def add_turn(
    conversation: int | None, origin: Origin, exchange: Exchange, *, system: str, redact: Callable[[str], str] = str
) -> int:
    """Add a turn.

    Args:
        conversation: The number of its conversation; None for a new one.
        origin: Who answered.
        exchange: The turn.
        system: What the service should heed.
        redact: Takes secrets out of texts.

    Returns:
        The number of the conversation.

    Raises:
        StateUnavailable: It cannot be written.
    """
    reply = exchange.reply
    text = redact(reply.text)
    # The places of markers are those in the text of the service.
    citations = [
        msgspec.structs.replace(
            each, title=redact(each.title), url=redact(each.url), spans=each.spans if text == reply.text else ()
        )
        for each in reply.citations
    ]
    row = {
        "conversation": conversation or 0,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "service": origin.service,
        "model": origin.model,
        "options": _encode(origin.options),
        "service_conversation": reply.conversation_id if origin.service == WorkIQ.name else "",
        "system": redact(system),
        "context": redact(exchange.context),
        "prompt": redact(exchange.prompt),
        "text": text,
        "citations": _encode(citations),
        "images": _encode([redact(url) for url in reply.images]),
        "revoked": int(reply.revoked),
        "notice": redact(reply.notice),
    }
    row = {name: _storable(value) for name, value in row.items()}
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with _connected(private_file(_NAME)) as database:
        number = database.execute(f"INSERT INTO turns ({names}) VALUES ({values})", row).lastrowid  # noqa: S608 - our own names
        if conversation is None:
            database.execute("UPDATE turns SET conversation = id WHERE id = ?", (number,))
    return conversation or number or 0


def load(number: int | None = None) -> LoggedConversation | None:
    """A conversation; None if there is none.

    Args:
        number: Its number, or that of one of its turns; None for the one with the latest turn.

    Raises:
        StateUnavailable: The log cannot be read.
    """
    which = "(SELECT conversation FROM turns WHERE id = ?)"
    if number is None:
        which = "(SELECT conversation FROM turns ORDER BY id DESC LIMIT 1)"
    rows = _read(
        f"SELECT * FROM turns WHERE conversation = {which} ORDER BY id",  # noqa: S608 - our own words
        () if number is None else (str(number),),  # as text: it may be over `_MOST`
    )
    return _conversation_of(rows) if rows else None


def list_conversations(count: int, containing: str = "") -> list[Summary]:
    """The conversations with the latest turns, the newest first.

    Args:
        count: How many at most.
        containing: Only those in which somebody has said this, whatever the case of its letters; "" for all.

    Raises:
        StateUnavailable: The log cannot be read.
    """
    rows = _read(
        """
        SELECT first.id, last.at, last.service, last.model, found.turns, first.prompt FROM (
            SELECT conversation, count(*) AS turns, max(id) AS latest,
                max(matches(prompt || char(10) || text)) AS matched
            FROM turns GROUP BY conversation
        ) AS found
        JOIN turns AS first ON first.id = found.conversation
        JOIN turns AS last ON last.id = found.latest
        WHERE found.matched ORDER BY found.latest DESC LIMIT ?
        """,
        (min(count, _MOST),),
        containing=containing.casefold(),
    )
    return [Summary(**dict(row)) for row in rows]


# --- rows -------------------------------------------------------------------------------------------------------------


def _conversation_of(rows: Sequence[sqlite3.Row]) -> LoggedConversation:
    last = rows[-1]
    held = last["service_conversation"]
    # Turns before are known to the service only if they took place in the same conversation there.
    held_from = next((at + 1 for at in reversed(range(len(rows))) if rows[at]["service_conversation"] != held), 0)
    past = Past(
        system=last["system"],
        exchanges=tuple(map(_exchange_of, rows)),
        conversation_id=held,
        held_from=held_from if held else 0,
    )
    options = _decode(last["options"], dict[str, Any])
    origin = Origin(service=last["service"], model=last["model"], options=options)
    return LoggedConversation(id=last["conversation"], at=last["at"], origin=origin, past=past)


def _exchange_of(row: sqlite3.Row) -> Exchange:
    reply = ev.Reply(
        text=row["text"],
        citations=_decode(row["citations"], tuple[ev.Citation, ...]),
        images=_decode(row["images"], tuple[str, ...]),
        revoked=bool(row["revoked"]),
        notice=row["notice"],
    )
    return Exchange(row["prompt"], reply, row["context"])


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _decode(text: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise StateUnavailable(f"{str(log_path())!r} holds what this version did not write.") from exc


def _storable(value: object) -> object:
    """Half of a surrogate pair, which a service may send, is not text for SQLite."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


# --- the database -----------------------------------------------------------------------------------------------------


def _read(query: str, values: Sequence[object], *, containing: str = "") -> list[sqlite3.Row]:
    path = existing_file(_NAME)
    if path is None:
        return []
    with _connected(path) as database:
        database.create_function("matches", 1, _matcher(containing), deterministic=True)
        return database.execute(query, values).fetchall()


def _matcher(containing: str) -> Callable[[str], bool]:
    return lambda text: containing in text.casefold()  # SQLite's LIKE knows the case of ASCII only


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, in a transaction, with the current schema.

    Raises:
        StateUnavailable: It is locked, damaged, of another program or of a later version, or the disk is full.
    """
    try:
        database = sqlite3.connect(path, timeout=_LOCK_S, isolation_level=None)
        try:
            database.row_factory = sqlite3.Row
            _complete_schema(database, path)
            database.execute("BEGIN")
            yield database
            database.execute("COMMIT")
        finally:
            database.close()  # which rolls back what was not committed
    except (sqlite3.Error, OSError) as exc:
        raise StateUnavailable(f"{str(path)!r} cannot be used: {exc}.") from exc


def _complete_schema(database: sqlite3.Connection, path: Path) -> None:
    """Take the steps that the database lacks; of two processes, one takes them, and the other waits."""
    if _version(database) == len(_SCHEMA):
        return
    database.execute("BEGIN IMMEDIATE")
    version = _version(database)
    if version > len(_SCHEMA):
        raise StateUnavailable(f"{str(path)!r} was written by a later version of bing-llm.")
    for step in _SCHEMA[version:]:
        for statement in step.split(";"):
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {len(_SCHEMA)}")
    database.execute("COMMIT")


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])
