"""What each fault must lead to at each step: written from the design and the README, not from what the code does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import (
    Cut,
    Duplicate,
    Fault,
    HandshakeRefused,
    HttpAnswer,
    Merge,
    NewMessage,
    Raw,
    Silence,
    Split,
)
from bing_llm.emulator.fault_plan import FaultKind, Service, Step

__all__ = ["PIECES", "TEXT", "Ends", "Row", "rows", "silences"]

PIECES = ("Zwölf Boxkämpfer ", "jagen 🦊 quer ", "über den Deich.")
TEXT = "".join(PIECES)
HALF = "".join(PIECES[:2])  # what has come where a fault hits in the middle
_CAME: Mapping[Step, str] = {"mid": HALF, "last": TEXT}


class Ends(NamedTuple):
    """How a turn must end.

    Attributes:
        error: What is raised; None for an answer.
        again: Whether another attempt is made while no text has come.
        final: The text of the answer; None for all that had come when the fault hit.
        given: The text that a stream gives; None for the same.
        withdrawn: Whether the service took its answer back.
        wait: How long the service asked to wait before the next attempt, in seconds; None where it did not.
    """

    error: type[errors.BingError] | None = None
    again: bool = False
    final: str | None = TEXT
    given: str | None = None
    withdrawn: bool = False
    wait: float | None = None


class Row(NamedTuple):
    """One fault at one step of one service, and how a turn must end that it hits."""

    service: Service
    name: str
    faults: tuple[Fault, ...]
    ends: Ends

    @property
    def step(self) -> Step:
        """Where it hits."""
        return self.faults[0].step

    @property
    def partial(self) -> str:
        """The text that had come when it hit."""
        return _CAME.get(self.step, "")


WHOLE = Ends()
SO_FAR = Ends(final=None)
WITHDRAWN = Ends(final=None, withdrawn=True)
UNREACHED = Ends(errors.ConnectionFailed, again=True)
MISPLACED = Ends(errors.ConnectionFailed)  # there is no such service, whatever is asked
LOST = Ends(errors.ConnectionLost, again=True)
FAILED = Ends(errors.ServiceError, again=True)
TIMED_OUT = Ends(errors.TimedOut, again=True)
# Work IQ charges for a turn that was sent, so it is asked once (docs/protocol/workiq.md, section 12).
LOST_ONCE = Ends(errors.ConnectionLost)
FAILED_ONCE = Ends(errors.ServiceError)
TIMED_OUT_ONCE = Ends(errors.TimedOut)
GARBLED = Ends(errors.ProtocolError)
UNAUTHORIZED = Ends(errors.Unauthorized)
INVALID = Ends(errors.InvalidRequest)
THROTTLED = Ends(errors.Throttled)
THROTTLED_A_WHILE = Ends(errors.Throttled, again=True, wait=7.0)
THROTTLED_BRIEFLY = Ends(errors.Throttled, again=True)
CAPTCHA = Ends(errors.CaptchaRequired)
EXPIRED = Ends(errors.SessionExpired, again=True)  # a single turn loses nothing with its conversation
BUSY = Ends(errors.ConversationBusy, again=True)  # as EXPIRED
# Work IQ says these at once, before any work: it would say them of the next new conversation too.
EXPIRED_ONCE = Ends(errors.SessionExpired)
BUSY_ONCE = Ends(errors.ConversationBusy)
ENDED = Ends(errors.ConversationEnded)
FILTERED = Ends(errors.ContentFiltered)
NO_TURNS = Ends(errors.TurnLimitReached)
TOO_LONG = Ends(errors.PromptTooLong)

_PAGE = "<!DOCTYPE html><html><body><h1>Our services aren't available right now</h1></body></html>"
_TORN = '{"type":2,"item":{"messages":[{"text":"Zw'
_HUGE = '{"x":"' + "x" * 20_000_000 + '"}'
_STRANGE_FRAME = '{"type":42,"target":"tango","arguments":[1,2,3]}'
_STRANGE_EVENT = '{"@odata.type":"#microsoft.graph.somethingNew","value":[1,2,3]}'
_CONFLICT = '{"error":{"code":"Conflict","message":"Another turn runs."}}'
_SHRUNK = ev.TextRevised(PIECES[0])
_REWRITTEN = ev.TextRevised("Etwas anderes: ")

_Cells: TypeAlias = dict[Step, Ends]


def _turn(first: Ends, mid: Ends | None = None, last: Ends | None = None) -> _Cells:
    """The three steps of an answer; one that is not named ends as the one before."""
    mid = mid or first
    return {"first": first, "mid": mid, "last": last or mid}


_CHATHUB: dict[str, tuple[FaultKind, _Cells]] = {
    # --- HTTP ---
    "200 empty": (HttpAnswer(200), {"creation": FAILED, "upgrade": UNAUTHORIZED}),
    "200 HTML": (HttpAnswer(200, _PAGE), {"creation": FAILED, "upgrade": UNAUTHORIZED}),
    "302": (HttpAnswer(302), {"creation": UNAUTHORIZED, "upgrade": UNAUTHORIZED}),
    "403": (HttpAnswer(403, _PAGE), {"creation": UNAUTHORIZED, "upgrade": UNAUTHORIZED}),
    "400": (HttpAnswer(400), {"creation": MISPLACED, "upgrade": MISPLACED}),
    "404": (HttpAnswer(404), {"creation": THROTTLED, "upgrade": MISPLACED}),
    "405": (HttpAnswer(405), {"creation": MISPLACED, "upgrade": MISPLACED}),
    "407": (HttpAnswer(407), {"creation": UNAUTHORIZED, "upgrade": UNAUTHORIZED}),
    "410": (HttpAnswer(410), {"creation": MISPLACED, "upgrade": MISPLACED}),
    "451": (HttpAnswer(451), {"creation": UNAUTHORIZED, "upgrade": UNAUTHORIZED}),
    "429": (HttpAnswer(429, retry_after=7), {"creation": THROTTLED_A_WHILE, "upgrade": THROTTLED_A_WHILE}),
    "500": (HttpAnswer(500, _PAGE), {"creation": FAILED, "upgrade": FAILED}),
    "502": (HttpAnswer(502, _PAGE), {"creation": FAILED, "upgrade": FAILED}),
    "503": (HttpAnswer(503, _PAGE), {"creation": FAILED, "upgrade": FAILED}),
    "slow body": (Split(1), {"creation": WHOLE}),
    # --- the connection ends ---
    "abort": (Cut(), {"creation": UNREACHED, "upgrade": UNREACHED, "handshake": LOST, **_turn(LOST)}),
    "close 1000": (Cut("close 1000"), {"handshake": LOST, **_turn(LOST)}),
    "close 1001": (Cut("close 1001"), {"handshake": LOST, **_turn(LOST)}),
    "type 7": (Cut("type 7"), {"handshake": LOST, **_turn(LOST)}),
    "type 7 allowReconnect": (Cut("type 7 allowReconnect"), {"handshake": LOST, **_turn(LOST)}),
    "type 3": (Cut("type 3"), _turn(FAILED)),
    # --- what comes ---
    "handshake error": (HandshakeRefused(), {"handshake": GARBLED}),
    "malformed JSON": (Raw(_TORN), {"handshake": GARBLED, **_turn(GARBLED)}),
    "20 MB": (Raw(_HUGE), _turn(GARBLED)),
    "unknown type": (Raw(_STRANGE_FRAME), _turn(WHOLE)),
    "split": (Split(31), {"handshake": WHOLE, **_turn(WHOLE)}),
    "merged": (Merge(), {"first": WHOLE, "mid": WHOLE}),
    "duplicated": (Duplicate(), _turn(WHOLE)),
    "new message id": (NewMessage(), {"first": WHOLE, "mid": WHOLE}),
    # --- what the service says ---
    "Apology": (errors.ContentFiltered(), _turn(FILTERED, WITHDRAWN)),
    "Disengaged": (errors.ConversationEnded(), _turn(ENDED, WITHDRAWN)),
    "TurnLimiter": (errors.TurnLimitReached(), _turn(NO_TURNS, SO_FAR)),
    "Throttled": (errors.Throttled(), {"creation": THROTTLED, **_turn(THROTTLED)}),
    "CaptchaChallenge": (errors.CaptchaRequired(), _turn(CAPTCHA)),
    "InvalidSession": (errors.SessionExpired(), _turn(EXPIRED)),
    "UnauthorizedRequest": (errors.Unauthorized(), {"creation": UNAUTHORIZED, **_turn(UNAUTHORIZED)}),
    "Forbidden": (errors.Unauthorized(value="Forbidden"), {"creation": UNAUTHORIZED, **_turn(UNAUTHORIZED)}),
    "InvalidRequest": (errors.InvalidRequest(), _turn(INVALID)),
    "ProcessingMessage": (errors.ConversationBusy(), _turn(BUSY)),
    "InternalError": (errors.ServiceError(), _turn(FAILED)),
    "unknown value": (errors.ServiceError(value="SomethingNew"), _turn(FAILED)),
}

_WORKIQ: dict[str, tuple[FaultKind, _Cells]] = {
    # --- HTTP ---
    "200 empty": (HttpAnswer(200), {"creation": FAILED, "request": LOST_ONCE}),
    "200 HTML": (HttpAnswer(200, _PAGE), {"creation": FAILED, "request": LOST_ONCE}),
    "302": (HttpAnswer(302), {"creation": MISPLACED, "request": INVALID}),
    "402": (HttpAnswer(402), {"creation": UNAUTHORIZED, "request": UNAUTHORIZED}),
    "403": (HttpAnswer(403, _PAGE), {"creation": UNAUTHORIZED, "request": UNAUTHORIZED}),
    "400": (HttpAnswer(400), {"creation": MISPLACED, "request": INVALID}),
    "405": (HttpAnswer(405), {"creation": MISPLACED, "request": INVALID}),
    "407": (HttpAnswer(407), {"creation": UNAUTHORIZED, "request": UNAUTHORIZED}),
    "451": (HttpAnswer(451), {"creation": UNAUTHORIZED, "request": UNAUTHORIZED}),
    "404": (HttpAnswer(404), {"creation": MISPLACED, "request": INVALID}),
    "403 scopes": (HttpAnswer(403, "Required scopes = [WorkIQAgent.Ask]"), {"request": UNAUTHORIZED}),
    "410": (HttpAnswer(410), {"creation": MISPLACED, "request": EXPIRED_ONCE}),
    "429": (HttpAnswer(429, retry_after=7), {"creation": THROTTLED_A_WHILE, "request": THROTTLED_A_WHILE}),
    "429 alone": (HttpAnswer(429), {"creation": THROTTLED_BRIEFLY, "request": THROTTLED_BRIEFLY}),
    "500": (HttpAnswer(500, _PAGE), {"creation": FAILED, "request": FAILED_ONCE}),
    "502": (HttpAnswer(502, _PAGE), {"creation": FAILED, "request": FAILED_ONCE}),
    "503": (HttpAnswer(503, _PAGE), {"creation": FAILED, "request": FAILED_ONCE}),
    "slow body": (Split(1), {"creation": WHOLE}),
    # --- the connection ends ---
    "abort": (Cut(), {"creation": UNREACHED, "request": LOST_ONCE, **_turn(LOST_ONCE)}),
    "no final event": (Cut("end"), _turn(LOST_ONCE)),
    # --- what comes ---
    "malformed JSON": (Raw(_TORN), _turn(GARBLED)),
    "20 MB": (Raw(_HUGE), {"mid": GARBLED}),  # at one step: it is the dearest of all
    "unknown event": (Raw(_STRANGE_EVENT), _turn(WHOLE)),
    "split": (Split(31), _turn(WHOLE)),
    "merged": (Merge(), {"first": WHOLE, "mid": WHOLE}),
    "duplicated": (Duplicate(), _turn(WHOLE)),
    "new message id": (NewMessage(), {"first": WHOLE, "mid": WHOLE}),
    # --- what the service says ---
    "disengagedForRai": (errors.ConversationEnded(), _turn(ENDED, WITHDRAWN)),
    "TooManyRequests": (errors.Throttled(), {"creation": THROTTLED_BRIEFLY, **_turn(THROTTLED_BRIEFLY)}),
    "InvalidAuthenticationToken": (errors.Unauthorized(), {"creation": UNAUTHORIZED, **_turn(UNAUTHORIZED)}),
    "BadRequest": (errors.InvalidRequest(), _turn(INVALID)),
    "RequestEntityTooLarge": (errors.PromptTooLong(), _turn(TOO_LONG)),
    "Conflict": (errors.ConversationBusy(), {"first": BUSY_ONCE}),
    "Conflict in the stream": (Raw(_CONFLICT), {"first": BUSY_ONCE}),
    "InternalServerError": (errors.ServiceError(), {"creation": FAILED, **_turn(FAILED_ONCE)}),
}

_A2A: dict[str, tuple[FaultKind, _Cells]] = {
    # --- HTTP ---
    "200 empty": (HttpAnswer(200), {"creation": GARBLED, "request": LOST_ONCE}),
    "200 HTML": (HttpAnswer(200, _PAGE), {"creation": GARBLED, "request": LOST_ONCE}),
    "302": (HttpAnswer(302), {"creation": MISPLACED, "request": INVALID}),
    "402": (HttpAnswer(402), {"creation": UNAUTHORIZED, "request": UNAUTHORIZED}),
    "403": (HttpAnswer(403, _PAGE), {"creation": UNAUTHORIZED, "request": UNAUTHORIZED}),
    "404": (HttpAnswer(404), {"creation": INVALID, "request": INVALID}),
    "429": (HttpAnswer(429, retry_after=7), {"creation": THROTTLED_A_WHILE, "request": THROTTLED_A_WHILE}),
    "500": (HttpAnswer(500, _PAGE), {"creation": FAILED, "request": FAILED_ONCE}),
    "503": (HttpAnswer(503, _PAGE), {"creation": FAILED, "request": FAILED_ONCE}),
    "slow body": (Split(1), {"creation": WHOLE}),
    # --- the connection ends: once the task is known, another one goes on with it ---
    "abort": (Cut(), {"creation": UNREACHED, "request": LOST_ONCE, **_turn(LOST_ONCE, WHOLE)}),
    "no final event": (Cut("end"), _turn(LOST_ONCE, WHOLE)),
    # --- what comes ---
    "malformed JSON": (Raw(_TORN), _turn(GARBLED)),
    "20 MB": (Raw(_HUGE), {"mid": GARBLED}),
    "unknown event": (Raw(_STRANGE_EVENT), _turn(WHOLE)),
    "split": (Split(31), _turn(WHOLE)),
    "merged": (Merge(), {"first": WHOLE, "mid": WHOLE}),
    "duplicated": (Duplicate(), _turn(WHOLE)),
    # --- what the service says: before the task a status or a JSON-RPC error, later a state of the task ---
    "REJECTED": (errors.ContentFiltered(), _turn(FILTERED)),
    "withdrawn": (ev.TextRevoked("No."), _turn(FILTERED, WITHDRAWN)),
    "TooManyRequests": (errors.Throttled(), {"creation": THROTTLED_BRIEFLY, **_turn(THROTTLED_BRIEFLY, FAILED_ONCE)}),
    "AUTH_REQUIRED": (errors.Unauthorized(), {"creation": UNAUTHORIZED, **_turn(UNAUTHORIZED)}),
    "-32602": (errors.InvalidRequest(), _turn(INVALID, FAILED_ONCE)),
    "-32601": (errors.InvalidRequest(value="-32601"), {"first": GARBLED}),
    "-32001": (errors.SessionExpired(value="-32001"), {"first": EXPIRED_ONCE}),
    "RequestEntityTooLarge": (errors.PromptTooLong(), {"first": TOO_LONG}),
    "Conflict": (errors.ConversationBusy(), {"first": BUSY_ONCE}),
    "-32603": (errors.ServiceError(), {"creation": FAILED, **_turn(FAILED_ONCE)}),
}

_BROKEN = Fault(Cut(), "mid", after=2)
_NOT_HERE = Fault(errors.InvalidRequest(value="-32004"), "subscription")

_TASKS: dict[str, tuple[tuple[Fault, ...], Ends]] = {
    "subscription broken": ((_BROKEN, Fault(Cut(), "subscription")), WHOLE),
    "subscription refused": ((_BROKEN, _NOT_HERE), WHOLE),
    "subscription 404": ((_BROKEN, Fault(HttpAnswer(404), "subscription")), WHOLE),
    "task refused": ((_BROKEN, _NOT_HERE, Fault(errors.SessionExpired(value="-32001"), "task")), LOST_ONCE),
    "task broken": ((_BROKEN, _NOT_HERE, Fault(Cut(), "task")), WHOLE),
}
"""What comes where a turn that broke goes on."""

_REWRITES: dict[str, tuple[tuple[Fault, ...], Ends]] = {
    "shrunk": ((Fault(_SHRUNK, "mid", after=2),), Ends(final=PIECES[0] + PIECES[2], given=HALF)),
    "rewritten": ((Fault(_REWRITTEN, "mid", after=2),), Ends(final="Etwas anderes: " + PIECES[2], given=HALF)),
    "rewritten at last": ((Fault(_REWRITTEN, "last"),), Ends(final="Etwas anderes: ", given=TEXT)),
    "shrunk and back": ((Fault(_SHRUNK, "mid", after=2), Fault(ev.TextRevised(TEXT), "last")), WHOLE),
}

_SILENT: Mapping[Service, dict[str, tuple[FaultKind, _Cells]]] = {
    "chathub": {
        "silence": (
            Silence(),
            {"creation": TIMED_OUT, "upgrade": TIMED_OUT, "handshake": TIMED_OUT, **_turn(TIMED_OUT)},
        ),
        "slow body": (Split(1, pause=3600.0), {"creation": TIMED_OUT}),
        "pings alone": (Silence(pings=True), _turn(TIMED_OUT)),
    },
    "workiq": {
        "silence": (Silence(), {"creation": TIMED_OUT, "request": TIMED_OUT_ONCE, **_turn(TIMED_OUT_ONCE)}),
        "slow body": (Split(1, pause=3600.0), {"creation": TIMED_OUT}),
        "pings alone": (Silence(pings=True), _turn(TIMED_OUT_ONCE)),
    },
    "a2a": {
        "silence": (Silence(), {"creation": TIMED_OUT, "request": TIMED_OUT_ONCE, **_turn(TIMED_OUT_ONCE)}),
        "pings alone": (Silence(pings=True), _turn(TIMED_OUT_ONCE)),
    },
}
_LOUD: Mapping[Service, dict[str, tuple[FaultKind, _Cells]]] = {"chathub": _CHATHUB, "workiq": _WORKIQ, "a2a": _A2A}


def rows() -> Iterator[Row]:
    """All that ends without a time limit."""
    yield from _rows_of(_LOUD)
    # A final snapshot whose answer is empty (docs/protocol/workiq.md, section 12).
    yield Row("workiq", "withdrawn", (Fault(ev.TextRevised(""), "last"),), WITHDRAWN)
    for service in _LOUD:
        for name, (faults, ends) in _REWRITES.items():
            yield Row(service, name, faults, ends)
    for name, (faults, ends) in _TASKS.items():
        yield Row("a2a", name, faults, ends)


def silences() -> Iterator[Row]:
    """What ends by a time limit."""
    yield from _rows_of(_SILENT)


def _rows_of(tables: Mapping[Service, dict[str, tuple[FaultKind, _Cells]]]) -> Iterator[Row]:
    for service, table in tables.items():
        for name, (what, cells) in table.items():
            for step, ends in cells.items():
                yield Row(service, name, (Fault(what, step, after=2 if step == "mid" else 1),), ends)
