"""What the emulator was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from bing_llm.backends.chathub.frames import ChatArguments
from bing_llm.emulator.workiq.requests import ChatBody

Kind: TypeAlias = Literal["creation", "chat", "stop", "upload", "list", "deletion"]


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One request, for assertions. Its repr leaves out headers and body, which hold cookies, tokens and signatures.

    Attributes:
        kind: What was asked for; `path` tells the services apart.
        path: The path of the URL, without its query.
        headers: As sent, by name in any case; of a `chat` and a `stop`, those of the socket.
        query: The query of the URL.
        body: The parsed JSON of the body or frame; of an upload, its `knowledgeRequest`; None for none.
        arguments: Of a `chat` of the ChatHub, its arguments as typed data; None otherwise.
        chat_body: Of a `chat` of Work IQ, its body as typed data where that could be read; None otherwise.
        invocation_id: Of a `chat` or a `stop` of the ChatHub, its invocation id; "" otherwise.
        conversation_id: The conversation it is about; "" where it names none.
    """

    kind: Kind
    path: str = ""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    body: Any = None
    arguments: ChatArguments | None = None
    chat_body: ChatBody | None = None
    invocation_id: str = ""
    conversation_id: str = ""

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

    def __repr__(self) -> str:
        said = f", text={self.text!r}" if self.kind == "chat" else ""
        return f"Received({self.kind!r}, path={self.path!r}{said})"
