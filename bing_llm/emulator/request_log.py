"""The log of requests: one line each when it has ended, and the frames of each, without secrets.

    POST /rest/conversations/0b5f.../chatOverStream chat conversation=...9c41d2ab turn=1 ok

The lines go to the logger `bing_llm.emulator.requests` (INFO), the frames to `bing_llm.emulator.frames` (DEBUG). Where
nobody listens, no line is made.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final, Literal

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bing_llm._safe_text import log_line
from bing_llm._secrets import Redactor
from bing_llm.emulator.received import Received, received_of
from bing_llm.emulator.state import State

requests_log = logging.getLogger("bing_llm.emulator.requests")
frames_log = logging.getLogger("bing_llm.emulator.frames")

server_log = logging.getLogger("bing_llm.emulator.server")
"""What aiohttp's server has to say: mistakes of the emulator, but not those of its clients."""

_CLIENTS_FAULT: Final = (ConnectionError, web.RequestPayloadError)  # it left, or its body is not what its header says
server_log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], _CLIENTS_FAULT)))

SECRET_KEY: Final = re.compile(r"signature|token|cookie|authori[sz]ation|password|secret", re.IGNORECASE)
"""Keys of JSON whose values are not shown, whoever sent them."""

_SECRET_FIELD: Final = re.compile(rf'("[^"\\]*(?:{SECRET_KEY.pattern})[^"\\]*"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_ID_SHOWN: Final = 8  # characters of a conversation's id: the last ones, since all of a ChatHub begin alike
_LONGEST_PART: Final = 300  # characters of a path or an error
_LONGEST_FRAME: Final = 10_000  # characters


def redactor_of(state: State, received: Received, *credentials: str) -> Redactor:
    """Takes out of texts what is secret in a request, the emulator's own token, and those of other requests."""
    return Redactor(state.token, *received.secrets(), *credentials)


def line_of(received: Received, redact: Redactor) -> str:
    """What is logged of a request, in one line without control characters."""
    words = [received.method, _cut(received.path, _LONGEST_PART)]
    if received.kind != "other":
        words.append(received.kind)
    if received.conversation_id:
        words.append(f"conversation={_short(received.conversation_id)}")
    if received.turn is not None:
        words.append(f"turn={received.turn}")
    words.append("stopped by the client" if received.outcome == "stopped" else received.outcome)
    line = " ".join(words)
    if received.detail:
        line = f"{line}: {_cut(received.detail, _LONGEST_PART)}"
    return log_line(redact(line))


def end_request(state: State, received: Received) -> None:
    """Log a request that has ended; once."""
    if received.ended:
        return
    received.ended = True
    if state.closing and received.outcome == "stopped":
        received.fail("the emulator was closed")
    if requests_log.isEnabledFor(logging.INFO):
        requests_log.info("%s", line_of(received, redactor_of(state, received)))


def log_frame(
    state: State, received: Received, direction: Literal["received", "sent"], data: bytes | memoryview | str
) -> None:
    """Log a frame, an event or a body of JSON, whole: a secret that is cut in two would not be recognized."""
    if not frames_log.isEnabledFor(logging.DEBUG):
        return
    text = data if isinstance(data, str) else bytes(data).decode(errors="replace")
    shown = redactor_of(state, received)(_SECRET_FIELD.sub(r'\1"***"', text.strip("\x1e\r\n ")))
    place = log_line(received.path)
    frames_log.debug("%s %s %s %s", received.method, place, direction, log_line(_cut(shown, _LONGEST_FRAME)))


def recorder(state: State) -> Middleware:
    """Finds out what becomes of each HTTP request, and logs it; for `web.Application`, before all others."""

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as exc:
            if exc.status >= 400:  # noqa: PLR2004 - HTTP's own range; others lead elsewhere
                received_of(request).fail(f"HTTP {exc.status}")
            received_of(request).answered = True
            raise
        except ConnectionError:  # the client left before its request was whole
            return web.Response()  # nobody gets it
        except web.RequestPayloadError as exc:
            received_of(request).fail("HTTP 400: its body cannot be read")
            raise web.HTTPBadRequest(text="The body of the request cannot be read.\n") from exc
        except Exception as exc:
            received_of(request).fail(f"the emulator failed: {type(exc).__name__}")
            raise
        else:
            _settle(state, request, response)
            return response
        finally:
            end_request(state, received_of(request))

    return record


def _settle(state: State, request: web.Request, response: web.StreamResponse) -> None:
    """Judge by the answer itself, where no turn has said what became of it."""
    received = received_of(request)
    body: Any = getattr(response, "body", None)
    if isinstance(body, bytes) and body and received.kind != "other":  # what inspects the emulator is not a frame
        log_frame(state, received, "sent", body)
    if received.answered or received.error or request.transport is None or request.transport.is_closing():
        return
    if response.status < 400:  # noqa: PLR2004 - HTTP's own range
        received.answered = received.kind not in {"chat", "socket"}  # whose turn and handshake say so
    elif not received.faults:
        received.fail(f"HTTP {response.status}")


def _short(conversation_id: str) -> str:
    return conversation_id if len(conversation_id) <= _ID_SHOWN else f"...{conversation_id[-_ID_SHOWN:]}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text):,} characters)"
