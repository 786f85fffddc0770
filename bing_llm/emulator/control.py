"""Inspection and reset over HTTP, for tests that are not written in Python.

======================================  ===============================================================================
GET /_emulator/requests                 what the emulator was sent, and what became of it
DELETE /_emulator/requests              forgets that
POST /_emulator/script                  plays a script, in YAML or JSON
GET /_emulator/script                   how many answers were given and are left, and the faults that have not hit yet
======================================  ===============================================================================

No answer has a header, a query, a cookie, a token or a signature. `Guard` keeps web pages out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from bing_llm._secrets import Redactor
from bing_llm.emulator.brains.scripted import Scripted
from bing_llm.emulator.guard import CONTROL
from bing_llm.emulator.received import Received
from bing_llm.emulator.request_log import SECRET_KEY, redactor_of
from bing_llm.emulator.script import Script, rendered_fault
from bing_llm.emulator.script_text import LONGEST
from bing_llm.emulator.state import State
from bing_llm.errors import ConfigurationError

_LONGEST_TEXT: Final = 100_000  # characters of a text that is shown; the emulator takes 32,000 unless told otherwise
_LARGEST_BODY: Final = 200_000  # bytes of JSON: 1,000 requests are shown at once
_MASK: Final = "***"
_HINT: Final = "With curl, send a file by --data-binary @FILE: -d @FILE removes its line breaks."


class Control:
    """The handlers.

    Args:
        state: The emulator's.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """Where each handler is."""
        return [
            web.get(f"{CONTROL}requests", self.requests),
            web.delete(f"{CONTROL}requests", self.forget_requests),
            web.get(f"{CONTROL}script", self.script),
            web.post(f"{CONTROL}script", self.play),
        ]

    async def requests(self, _request: web.Request) -> web.Response:
        """What the emulator was sent, the oldest first."""
        shown = []
        kept = list(self._state.requests)
        credentials = {value for received in kept for value in received.credentials()}
        for received in kept:
            shown.append(_shown(received, redactor_of(self._state, received, *credentials)))
            await asyncio.sleep(0)  # they may be long, and turns go on meanwhile
        return _json({"requests": shown})

    async def forget_requests(self, _request: web.Request) -> web.Response:
        """Forget what it was sent. Conversations and the script stay."""
        self._state.requests.clear()
        return web.Response(status=204)

    async def script(self, _request: web.Request) -> web.Response:
        """Where the script stands."""
        return _json(self._standing())

    async def play(self, request: web.Request) -> web.Response:
        """Play a script from the next turn on."""
        content = await _read(request)
        try:
            # In a thread, because a long one takes a second, and turns go on meanwhile.
            script = await asyncio.to_thread(Script.parse, content)
        except ConfigurationError as exc:
            is_curl_form = request.content_type == "application/x-www-form-urlencoded" and b"\n" not in content
            hint = f" {_HINT}" if is_curl_form else ""
            return _json({"error": f"{exc}{hint}"}, status=400)
        self._state.play(script)
        return _json(self._standing())

    def _standing(self) -> dict[str, object]:
        brain = self._state.brain
        given, left = (brain.played, brain.left) if isinstance(brain, Scripted) else (None, None)
        faults = [rendered_fault(fault) for fault in self._state.plan.left]
        return {"answers_given": given, "answers_left": left, "faults_left": faults}


async def _read(request: web.Request) -> bytes:
    """The body, as far as a script may be long: the rest is not read, also if it grows when it is decompressed."""
    content = b""
    async for piece in request.content.iter_any():
        content += piece
        if len(content) > 4 * LONGEST:  # a character has at most 4 bytes
            raise web.HTTPRequestEntityTooLarge(max_size=4 * LONGEST, actual_size=len(content))
    return content


def _shown(received: Received, redact: Redactor) -> dict[str, object]:
    return {
        "kind": received.kind,
        "method": received.method,
        "path": redact(received.path),
        "conversation": redact(received.conversation_id),
        "turn": received.turn,
        "outcome": received.outcome,
        "detail": redact(received.detail),
        "text": _cut(redact(received.text)),
        "context": _cut(redact(received.context)),
        "body": _body(received.body, redact),
    }


def _body(body: object, redact: Redactor) -> object:
    """The body without its secrets; None if it is large or deep."""
    try:
        if len(msgspec.json.encode(body)) > _LARGEST_BODY:
            return None
        return _without_secrets(body, redact)
    except (RecursionError, UnicodeEncodeError):
        return None


def _without_secrets(part: Any, redact: Redactor) -> object:
    match part:
        case str():
            return redact(part)
        case list():
            return [_without_secrets(each, redact) for each in part]
        case Mapping():
            return {
                redact(key): _MASK if value and SECRET_KEY.search(key) else _without_secrets(value, redact)
                for key, value in part.items()
            }
        case _:
            return part


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}... ({len(text):,} characters)"


def _json(value: object, *, status: int = 200) -> web.Response:
    body = msgspec.json.format(msgspec.json.encode(value)) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json")
