"""A request that the emulator was sent, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
from aiohttp import web

from bing_llm.backends.chathub.frames import ChatArguments
from bing_llm.emulator.fault_plan import FaultKind, Step, plain_name
from bing_llm.emulator.faults import HttpAnswer
from bing_llm.emulator.workiq.requests import ChatBody
from bing_llm.errors import BingError

Kind: TypeAlias = Literal[
    "creation", "chat", "stop", "upload", "list", "deletion", "card", "subscription", "task", "socket", "other"
]

Outcome: TypeAlias = Literal["running", "ok", "error", "stopped", "fault"]
"""What became of a request: it was answered; it was refused or ended with an error; the client stopped it, or left; or
a fault of the plan hit it."""


class Received(msgspec.Struct, kw_only=True):
    """One request, for assertions. Its repr leaves out headers and body, which hold cookies, tokens and signatures.

    Attributes:
        kind: What was asked for; `path` tells the services apart. Over A2A, an agent's `card`, a turn (`chat`), a
            `subscription` to a task, a `task` itself, and its end (`stop`). A ChatHub's `socket` and any `other`
            request are logged only.
        method: That of HTTP; `WS` for a frame of a ChatHub's socket.
        path: The path of the URL, without its query.
        headers: As sent, by name in any case; of a `chat` and a `stop`, those of the socket.
        query: The query of the URL.
        body: The parsed JSON of the body or frame; of an upload, its `knowledgeRequest`; None for none.
        arguments: Of a `chat` of the ChatHub, its arguments as typed data; None otherwise.
        chat_body: Of a `chat` of Work IQ, its body as typed data where that could be read; None otherwise. That of A2A
            is given in the form of REST.
        invocation_id: Of a `chat` or a `stop` of the ChatHub, its invocation id; "" otherwise.
        conversation_id: The conversation that it is about, or that it created; "" for none.
        turn: Of a `chat` that was taken, which turn of its conversation it is, from 1 on; None otherwise.
        faults: The faults of the plan that hit it, in plain words.
        error: What it was refused or ended with, in plain words; "" if it was not.
        answered: Whether it got its whole answer.
        ended: Whether nothing more becomes of it.
    """

    kind: Kind
    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    body: Any = None
    arguments: ChatArguments | None = None
    chat_body: ChatBody | None = None
    invocation_id: str = ""
    conversation_id: str = ""
    turn: int | None = None
    faults: list[str] = []
    error: str = ""
    answered: bool = False
    ended: bool = False

    @property
    def text(self) -> str:
        """The user's message of a `chat`; "" otherwise."""
        if self.chat_body is not None:
            return self.chat_body.message.text
        message = None if self.arguments is None else self.arguments.message
        return "" if message is None else message.text

    @property
    def context(self) -> str:
        """The context of a `chat`, as a brain sees it; "" for none."""
        if self.chat_body is not None:
            return self.chat_body.context
        previous = (self.arguments and self.arguments.previous_messages) or ()
        return "\n\n".join(text for message in previous if (text := message.description or message.text))

    @property
    def outcome(self) -> Outcome:
        """What became of it. A fault counts first: it may be why there is an error, or why the client left."""
        if self.faults:
            return "fault"
        if self.error:
            return "error"
        if self.answered:
            return "ok"
        return "stopped" if self.ended else "running"

    @property
    def detail(self) -> str:
        """The faults that hit it and what came of them, or its error; "" for neither."""
        if not self.faults:
            return self.error
        came = self.error or ("answered" if self.answered else "")
        return "; ".join((*self.faults, came) if came else self.faults)

    def hit(self, what: FaultKind, step: Step) -> None:
        """Note a fault that hits it."""
        status = f" {what.status}" if isinstance(what, HttpAnswer) else ""
        self.faults.append(f"{plain_name(type(what))}{status} at {step}")

    def fail(self, error: BingError | str) -> None:
        """Note what it is refused or ended with; the first counts."""
        if self.error:
            return
        if isinstance(error, str):
            self.error = error
            return
        said = error.service_message or error.message
        self.error = f"{plain_name(type(error))}: {said}" if said else plain_name(type(error))

    def credentials(self) -> Iterator[str]:
        """The cookies and the token of its caller, which other requests may have too."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        authorization = headers.get("authorization", "")
        yield authorization
        yield authorization.partition(" ")[2]
        yield from _cookies(headers.get("cookie", ""))

    def secrets(self) -> Iterator[str]:
        """The cookies, tokens and signatures that came with it, to be kept out of what is shown."""
        yield from self.credentials()
        yield self.query.get("sec_access_token", "")
        if self.arguments is not None:
            yield self.arguments.conversation_signature or ""
        signature = self.body.get("conversationSignature") if isinstance(self.body, dict) else None
        yield signature if isinstance(signature, str) else ""

    def __repr__(self) -> str:
        said = f", text={self.text!r}" if self.kind == "chat" else ""
        return f"Received({self.kind!r}, path={self.path!r}{said})"


RECEIVED: Final = web.RequestKey("received", Received)
"""Where a request of aiohttp has what was noted of it."""


def received_of(request: web.Request) -> Received:
    """The request as it was noted; if it was not, a new one that is only logged."""
    if RECEIVED not in request:
        request[RECEIVED] = new_received(request, "other")
    return request[RECEIVED]


def new_received(request: web.Request, kind: Kind) -> Received:
    """The request, as far as its line and its headers go."""
    path = request.path.partition("?")[0]  # of a client that encodes the question mark, and so its query
    return Received(kind=kind, method=request.method, path=path, headers=request.headers, query=request.query)


def _cookies(header: str) -> Iterator[str]:
    """The values of cookies, as they are written and without their quotes."""
    for pair in header.split(";"):
        value = pair.partition("=")[2].strip()
        yield value
        yield value.strip('"')
