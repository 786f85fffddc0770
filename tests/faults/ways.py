"""The ways in which a user asks: what each one was given, and what it had in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from llama_index.core.llms import ChatMessage

from bing_llm.client import BingClient
from langchain_bing import ChatBing
from llama_index.llms.bing import Bing

__all__ = ["WAYS", "History", "Seen", "Way"]

History: TypeAlias = Sequence[str]
"""What was said: the user first, then the answer, and so on; the last is the question."""


class Seen:
    """What the user saw.

    Attributes:
        given: The text that was given piece by piece, or at once.
        final: The text that the call had in the end; None where it failed.
        withdrawn: Whether the call said that the service withdrew its answer.
    """

    def __init__(self) -> None:
        self.given = ""
        self.final: str | None = None
        self.withdrawn = False

    def end(self, final: str, finish_reason: str | None) -> None:
        """Note the end of the call."""
        self.final = final
        self.withdrawn = finish_reason == "content_filter"


class Way(NamedTuple):
    """One way: how to call it, whether it streams, and whether it is asynchronous."""

    name: str
    call: Callable[[BingClient, History, Seen], Awaitable[None] | None]
    streams: bool
    is_async: bool


async def _ask(client: Any, history: History, seen: Seen) -> None:
    """Of a client or a conversation."""
    reply = await client.ask(history[-1])
    seen.given = reply.text
    seen.end(reply.text, reply.finish_reason)


async def _stream(client: Any, history: History, seen: Seen) -> None:
    """Ask as `_ask` does, over a stream."""
    async with client.stream(history[-1]) as turn:
        async for piece in turn.text:
            seen.given += piece
        reply = await turn.reply()
    seen.end(reply.text, reply.finish_reason)


def _lc_messages(history: History) -> list[BaseMessage]:
    return [AIMessage(text) if place % 2 else HumanMessage(text) for place, text in enumerate(history)]


def _lc_end(seen: Seen, metadata: dict[str, Any]) -> None:
    seen.end(metadata.get("final_text", seen.given), metadata["finish_reason"])


def _invoke(client: BingClient, history: History, seen: Seen) -> None:
    message = ChatBing(client=client).invoke(_lc_messages(history))
    seen.given = str(message.content)
    seen.end(seen.given, message.response_metadata["finish_reason"])


def _lc_stream(client: BingClient, history: History, seen: Seen) -> None:
    metadata: dict[str, Any] = {}
    for chunk in ChatBing(client=client).stream(_lc_messages(history)):
        seen.given += str(chunk.content)
        metadata.update(chunk.response_metadata)
    _lc_end(seen, metadata)


async def _lc_astream(client: BingClient, history: History, seen: Seen) -> None:
    metadata: dict[str, Any] = {}
    async for chunk in ChatBing(client=client).astream(_lc_messages(history)):
        seen.given += str(chunk.content)
        metadata.update(chunk.response_metadata)
    _lc_end(seen, metadata)


def _li_messages(history: History) -> list[ChatMessage]:
    roles = ("user", "assistant")
    return [ChatMessage(role=roles[place % 2], content=text) for place, text in enumerate(history)]


def _li_end(seen: Seen, raw: Any) -> None:
    seen.end(raw.get("final_text", seen.given), raw["finish_reason"])


def _chat(client: BingClient, history: History, seen: Seen) -> None:
    response = Bing(client=client).chat(_li_messages(history))
    seen.given = response.message.content or ""
    raw: Any = response.raw
    seen.end(seen.given, raw["finish_reason"])


def _stream_chat(client: BingClient, history: History, seen: Seen) -> None:
    raw: Any = None
    for response in Bing(client=client).stream_chat(_li_messages(history)):
        seen.given += response.delta or ""
        raw = response.raw
    _li_end(seen, raw)


async def _astream_chat(client: BingClient, history: History, seen: Seen) -> None:
    raw: Any = None
    async for response in await Bing(client=client).astream_chat(_li_messages(history)):
        seen.given += response.delta or ""
        raw = response.raw
    _li_end(seen, raw)


WAYS = (
    Way("ask", _ask, streams=False, is_async=True),
    Way("stream", _stream, streams=True, is_async=True),
    Way("ChatBing.invoke", _invoke, streams=False, is_async=False),
    Way("ChatBing.stream", _lc_stream, streams=True, is_async=False),
    Way("ChatBing.astream", _lc_astream, streams=True, is_async=True),
    Way("Bing.chat", _chat, streams=False, is_async=False),
    Way("Bing.stream_chat", _stream_chat, streams=True, is_async=False),
    Way("Bing.astream_chat", _astream_chat, streams=True, is_async=True),
)
