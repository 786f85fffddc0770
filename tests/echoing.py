"""Services that say back whatever secret they were sent, wherever they may say something, and what then shows it."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import quote

from tests.backends.chathub.wire import ACK, apology, bot, final, update, wire
from tests.backends.serving import Request, Talk, frame, reply, silent, upgraded
from tests.backends.workiq import wire as workiq

MARK = "hunter2"
"""In each secret, many times: a secret that is cut in two shows it as well."""

COOKIE, SIGNATURE, ENCRYPTED, TOKEN, PASSWORD, SET_COOKIE = (
    f"{name}-{MARK * 6}/+{MARK}" for name in ("cookie", "signature", "encrypted", "token", "password", "set")
)

Frames: TypeAlias = Callable[[str], list[bytes]]


def message(text: str) -> bytes:
    """One WebSocket message of a server."""
    data = text.encode()
    return b"\x81\x7e" + len(data).to_bytes(2, "big") + data


def said_back(request: Request, *secrets: str) -> str:
    """All that a request holds, and these secrets, as they are, and in other spellings."""
    words = f"{request.target} {json.dumps(dict(request.headers))} {request.body.decode()} {' '.join(secrets)}"
    spelled = [
        spelling
        for secret in secrets
        for spelling in (
            quote(secret, safe=""),
            secret.replace("/", "%2f").replace("+", "\\u002B"),
            "".join(f"%{ord(sign):02x}" for sign in secret),
            quote(json.dumps(secret).replace("/", "\\/"), safe=""),
        )
    ]
    return f"{words} {' '.join(spelled)}"


def refusal(status: int, words: str, body: Any = None) -> bytes:
    """An HTTP answer with the words in its body and its headers."""
    line = words.replace("\r", " ").replace("\n", " ")[:4000]
    headers = {"X-Words": line, "Location": f"/?{quote(line)[:4000]}", "WWW-Authenticate": line, "Connection": "close"}
    return reply(json.dumps(body).encode() if body is not None else words.encode(), status, headers)


def created() -> bytes:
    """A conversation of a ChatHub, with its secrets."""
    body = json.dumps({"conversationId": "c1", "clientId": "p1", "result": {"value": "Success"}}).encode()
    signatures = {
        "Set-Cookie": f"MUID={SET_COOKIE}; Path=/; HttpOnly",
        "X-Sydney-ConversationSignature": SIGNATURE,
        "X-Sydney-EncryptedConversationSignature": ENCRYPTED,
        "Connection": "close",
    }
    return reply(body, headers=signatures)


def _texts(*texts: str) -> list[bytes]:
    return [message(ACK), *map(message, texts)]


def _result(words: str, value: str) -> dict[str, Any]:
    return {"value": value, "message": words, "error": words, "exception": words}


CREATIONS: dict[str, Callable[[str], bytes]] = {
    **{f"creation {status}": partial(refusal, status) for status in (302, 403, 404, 429, 503)},
    "creation refused": lambda words: refusal(200, words, {"result": _result(words, "UnauthorizedRequest")}),
    "creation refused by that name": lambda words: refusal(200, words, {"result": _result(words, words)}),
    "creation in other words": lambda words: refusal(200, words),
}
"""What a ChatHub answers the creation of a conversation."""

UPGRADES: dict[str, Callable[[str], bytes]] = {
    f"socket {status}": partial(refusal, status) for status in (101, 200, 302, 401, 404, 429, 500)
}
"""What it answers where a chat socket was asked for."""

FRAMES: dict[str, Frames] = {
    "handshake": lambda words: [message(wire({"error": words}))],
    "first frame": lambda words: [message(wire({"type": 7, "error": words}))],
    "close": lambda words: _texts(wire({"type": 7, "error": words})),
    "close after text": lambda words: _texts(update(bot("Hi")), wire({"type": 7, "error": words})),
    "completion": lambda words: _texts(wire({"type": 3, "invocationId": "0", "error": words})),
    "result": lambda words: _texts(final(result=_result(words, "InvalidRequest"))),
    "unknown result": lambda words: _texts(final(result=_result(words, words))),
    "apology": lambda words: _texts(update(apology(words))),
    "end": lambda words: _texts(update(bot(words, messageType="Disengaged"))),
    "limit": lambda words: _texts(update(bot(words, contentOrigin="TurnLimiter"))),
    "no JSON": lambda words: _texts(f"{words}\x1e"),
    "another shape": lambda words: _texts(wire({"type": 2, "item": words})),
    "unknown frames": lambda words: _texts(wire({"type": words, "target": words, words: words}), wire({"type": 7})),
    "unknown frame": lambda words: _texts(wire({"type": 99, "target": SIGNATURE, words: words}), wire({"type": 7})),
    "unknown message": lambda words: _texts(update(bot("x", messageType=words, contentType=words)), wire({"type": 7})),
    "end of the socket": lambda words: [message(ACK), frame(b"\x03\xf3" + words.encode()[:100], opcode=8)],
    "broken frame": lambda words: [message(ACK), b"\xf1" + words.encode()],
    "another frame": lambda words: [message(ACK), frame(words.encode()[:100], opcode=2)],
}
"""What it says on the socket."""


def chathub(fault: str) -> Talk:
    """A ChatHub that fails in this way."""

    async def talk(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_creation = "/conversation/create" in request.target
        words = said_back(request, COOKIE, *(() if is_creation else (SIGNATURE, ENCRYPTED, SET_COOKIE)))
        if is_creation:
            writer.write(CREATIONS[fault](words) if fault in CREATIONS else created())
        elif fault in UPGRADES or "upgrade" not in request.headers:
            writer.write(UPGRADES.get(fault, UPGRADES["socket 500"])(words))
        else:

            async def speak(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                heard = await reader.read(65536)  # masked; what it holds is known
                assert heard
                writer.writelines(FRAMES[fault](words))
                await silent(request, reader, writer)

            await upgraded(speak)(request, reader, writer)

    return talk


def _fault(words: str) -> dict[str, Any]:
    return {"error": {"code": words, "message": words, "innerError": {"message": words, "request-id": TOKEN}}}


def _refused(status: int, words: str) -> bytes:
    return refusal(status, words, _fault(words))


TURNS: dict[str, Callable[[str], bytes]] = {
    **{
        f"turn {status}": partial(_refused, status)
        for status in (302, 400, 401, 402, 403, 404, 409, 413, 429, 500, 503)
    },
    "turn in other words": lambda words: refusal(500, words),
    "explained": lambda words: refusal(403, words, workiq.conversation(workiq.message(words))),
    "error in a stream": lambda words: _stream(workiq.event(_fault(words))),
    "no JSON": lambda words: _stream(f"data: {words}\n\n".encode()),
    "another shape": lambda words: _stream(workiq.event({"messages": words})),
    "unknown event": lambda words: _stream(workiq.event({words: words})),
    "end": lambda words: _stream(workiq.event(workiq.conversation(workiq.message(words), state="disengagedForRai"))),
    "JSON": lambda words: reply(json.dumps(_fault(words)).encode(), headers={"Content-Type": "application/json"}),
    "cut off": lambda words: _stream(f"data: {words}".encode()),
}
"""What a Work IQ answers a turn."""


def _stream(body: bytes) -> bytes:
    return reply(body, headers={"Content-Type": "text/event-stream"})


def work_iq(fault: str) -> Talk:
    """A Work IQ that fails in this way; `creation ...` at the creation of a conversation."""

    async def talk(request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = said_back(request, TOKEN)
        is_turn = request.target.endswith(("chat", "chatOverStream"))
        if fault.startswith("creation ") and not is_turn:
            writer.write(TURNS[fault.removeprefix("creation ")](words))
        else:
            writer.write(TURNS[fault](words) if is_turn else reply(b'{"id": "c1"}', 201, {"Connection": "close"}))

    return talk


_AGENT: dict[str, Callable[[str], dict[str, Any]]] = {
    "error": lambda words: {"error": {"code": -32602, "message": words}},
    "error without a code": lambda words: {"error": words},
    "failed": lambda words: {"result": {"task": _task("FAILED", words)}},
    "rejected": lambda words: {"result": {"task": _task("REJECTED", words)}},
    "sign in": lambda words: {"result": {"task": _task("AUTH_REQUIRED", words)}},
    "strange": lambda words: {"result": {"task": words}},
}
AGENT = [*_AGENT, "card 403", "card of another host", "torn card"]


def _task(state: str, words: str) -> dict[str, Any]:
    said = {"messageId": "m1", "parts": [{"text": words}]}
    return {"id": "t1", "contextId": "c1", "status": {"state": f"TASK_STATE_{state}", "message": said}}


def agent(fault: str) -> Talk:
    """An agent of Work IQ that fails in this way, or whose card does."""

    async def talk(request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = said_back(request, TOKEN)
        closed = {"Connection": "close", "Content-Type": "application/json"}
        if request.method == "POST":
            writer.write(reply(json.dumps(_AGENT[fault](words)).encode(), headers=closed))
        elif fault == "card 403":
            writer.write(reply(json.dumps({"error": {"message": words}}).encode(), 403, closed))
        elif fault == "torn card":
            writer.write(reply(f'["{words}'.encode(), headers=closed))
        else:
            host = "elsewhere.example" if fault == "card of another host" else request.headers["host"]
            card = {"url": f"http://{host}/rpc?{words}", "capabilities": {"streaming": True}}
            card = {**card, "url": f"http://{host}/rpc"} if fault in _AGENT else card
            writer.write(reply(json.dumps(card).encode(), headers=closed))

    return talk


def chain(error: BaseException) -> list[BaseException]:
    """An error and all that it leads to."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        exc = left.pop()
        if exc is not None and exc not in found:
            found.append(exc)
            left += [exc.__cause__, exc.__context__]
    return found


def with_locals(error: BaseException) -> str:
    """The traceback as tools show it that also print the local variables of our own frames."""
    seen = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [
        f"{frame.filename}:{frame.lineno} {frame.name} {name} = {value}"
        for exc in _all_of(seen)
        for frame in exc.stack
        if "/tests/" not in frame.filename and ("/bing_llm/" in frame.filename or "/integrations/" in frame.filename)
        for name, value in (frame.locals or {}).items()
    ]
    return "\n".join(ours)


def _all_of(seen: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    yield seen
    for other in (seen.__cause__, seen.__context__):
        if other is not None:
            yield from _all_of(other)


def shown(error: BaseException) -> str:
    """All that an error, and what led to it, shows: its texts, its fields, its traceback, its pickle, its copy."""
    texts = ["".join(traceback.format_exception(error)), with_locals(error)]
    for exc in chain(error):
        fields: Mapping[str, Any] = vars(exc)
        texts += [str(exc), repr(exc), repr(exc.args), repr(fields), *map(str, fields.values())]
    if not any(isinstance(exc, OSError) for exc in chain(error)):
        texts += [repr(pickle.dumps(error)), repr(copy.deepcopy(error))]
    return "\n".join(texts)
