"""A completion's items as LlamaIndex's responses, whole or streamed.

Each response of a stream holds everything that came so far, and what is new as `delta`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar, assert_never

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitationBlock,
    CompletionResponse,
    ContentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.utils import get_tokenizer

from bing_llm import events as ev
from bing_llm.completion.citations import in_order, place_citations
from bing_llm.completion.metadata import completion_metadata, new_call_id, reply_metadata
from bing_llm.completion.stream import Completed, Item
from bing_llm.completion.tokens import count_tokens
from bing_llm.tools.calls import Call, InvalidCall

_LONGEST_TOKENIZED = 10_000  # characters of arguments; 20 ms for the worst of them

R = TypeVar("R", bound=ChatResponse | CompletionResponse)


class _News(NamedTuple):
    """What one response adds to everything that came so far.

    Attributes:
        delta: The new text.
        response_kwargs: For the `additional_kwargs` of the response.
        raw: For the `raw` of the response.
        message_kwargs: For the `additional_kwargs` of its message: agents and memories keep only the message.
    """

    delta: str = ""
    response_kwargs: Mapping[str, object] = {}
    raw: Mapping[str, object] = {}
    message_kwargs: Mapping[str, object] = {}


class Responses(ABC, Generic[R]):
    """The responses of one call of a model.

    Args:
        model: The model's name.
        new_id: Makes the id of a call.
    """

    def __init__(self, model: str, *, new_id: Callable[[], str] = new_call_id) -> None:
        self._model = model
        self._new_id = new_id
        self._text = ""
        self._thinking = ""
        self._citations: list[CitationBlock] = []
        self._calls: list[ToolCallBlock] = []
        self._openai_calls: list[dict[str, object]] = []
        self._problems: dict[str, str] = {}

    def add(self, item: Item) -> R | None:
        """The response to an item; None if it makes none."""
        if isinstance(item, str):  # as nearly all are: the shortest way
            self._text += item
            return self._build(item, {}, {"model": self._model}, self._call_kwargs())
        news = self._take(item)
        return None if news is None else self._response(news)

    def whole(self, items: Sequence[Item]) -> R:
        """The response to all items of a completion; it has no delta."""
        last = None
        for item in items:
            last = self._take(item) or last
        response = self._response(last or _News())
        response.delta = None
        return response

    def _take(self, item: Item) -> _News | None:
        """Add an item to what came so far; None if it makes no response."""
        match item:
            case str():
                self._text += item
                return _News(item)
            case Call() | InvalidCall():
                self._call(item)
                return _News()
            case ev.Progress(text=text):
                line = f"\n{text}" if self._thinking else text
                self._thinking += line
                return _News(response_kwargs={"thinking_delta": line})
            case ev.SearchStarted() | ev.SearchResults() | ev.ImageCreated():
                return None  # they are in the reply
            case Completed():
                return self._end(item)
            case _:
                assert_never(item)

    def _call(self, call: Call | InvalidCall) -> None:
        call_id = self._new_id()
        kwargs = call.arguments if isinstance(call, Call) else call.text
        block = ToolCallBlock(tool_call_id=call_id, tool_name=call.name, tool_kwargs=kwargs)
        self._calls.append(block)
        self._openai_calls.append(_openai_form(block))
        if isinstance(call, InvalidCall):
            self._problems[call_id] = call.reason

    def _end(self, end: Completed) -> _News:
        """Make the last response final, because agents and memories take its message and act on it.

        It has the final text of the service, and no call of an answer that the service withdrew.
        """
        if end.final is not None or end.reply.revoked:
            self._calls, self._openai_calls, self._problems = [], [], {}
        if end.final is not None:
            self._text = "".join(piece for piece in end.final if isinstance(piece, str))
            for piece in () if end.reply.revoked else end.final:
                if not isinstance(piece, str):
                    self._call(piece)
        arguments = map(_arguments_of, self._calls)
        (citations,) = place_citations([self._text], end.reply, elsewhere=arguments)
        self._citations = list(_citation_blocks(citations, end.reply))
        metadata = _reply_metadata(end.reply, citations)
        raw = {**completion_metadata(end), **metadata}
        if not self._calls:
            return _News(response_kwargs=metadata, raw=raw, message_kwargs=metadata)
        # LlamaIndex's counter takes a response for its text, which calls are not; it looks here if `usage` is None.
        counted = {"completion_tokens": self._estimate_tokens(), "tokens_are_estimated": True}
        return _News(response_kwargs={**metadata, **counted}, raw={**raw, "usage": None}, message_kwargs=metadata)

    def _estimate_tokens(self) -> int:
        """About how many tokens the model wrote, by LlamaIndex's tokenizer: the text, and the calls."""
        written = [self._text, *(f"{call.tool_name}{_arguments_of(call)}" for call in self._calls)]
        return sum(_count_tokens(text) for text in written)

    def _response(self, news: _News) -> R:
        return self._build(
            news.delta,
            dict(news.response_kwargs),
            {"model": self._model, **news.raw},
            {**self._call_kwargs(), **news.message_kwargs},
        )

    @abstractmethod
    def _build(
        self, delta: str, response_kwargs: dict[str, object], raw: dict[str, object], message_kwargs: dict[str, object]
    ) -> R:
        """The response; its dicts belong to it alone."""

    def _call_kwargs(self) -> dict[str, object]:
        """The calls in OpenAI's form, which LlamaIndex's own programs look for."""
        if not self._calls:
            return {}
        problems = {"tool_parse_errors": dict(self._problems)} if self._problems else {}
        return {"tool_calls": list(self._openai_calls), **problems}


class ChatResponses(Responses[ChatResponse]):
    """Responses of a chat: their message has one block of text, after the thinking and before the calls.

    After the text, the last response has a block for each marker of a citation, and for each citation without one.
    """

    def _build(
        self, delta: str, response_kwargs: dict[str, object], raw: dict[str, object], message_kwargs: dict[str, object]
    ) -> ChatResponse:
        blocks: list[ContentBlock] = []
        if self._thinking:
            blocks.append(ThinkingBlock(content=self._thinking))
        if self._text or not self._calls:
            blocks.append(TextBlock(text=self._text))
        blocks += self._citations
        blocks += self._calls
        message = ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=message_kwargs)
        return ChatResponse(message=message, delta=delta, raw=raw, additional_kwargs=response_kwargs)


class CompletionResponses(Responses[CompletionResponse]):
    """Responses of a completion, which has no message."""

    def _build(
        self, delta: str, response_kwargs: dict[str, object], raw: dict[str, object], message_kwargs: dict[str, object]
    ) -> CompletionResponse:
        kwargs = {**message_kwargs, **response_kwargs}
        return CompletionResponse(text=self._text, delta=delta, raw=raw, additional_kwargs=kwargs)


def _reply_metadata(reply: ev.Reply, citations: Sequence[ev.Citation]) -> dict[str, object]:
    """The metadata of a reply, `images` as `image_urls`: LlamaIndex takes `images` of a message for its documents."""
    named = reply_metadata(reply, citations)
    return {"image_urls" if name == "images" else name: value for name, value in named.items()}


def _citation_blocks(citations: Sequence[ev.Citation], reply: ev.Reply) -> Iterator[CitationBlock]:
    """A block for each marker, with its place, then one for each citation that the text does not mark.

    What is cited is what the service's search found at that URL. If it sent nothing of that, the title stands for it.
    """
    found = {result.url: "\n".join(result.snippets) for search in reply.searches for result in search.results}
    for citation, span in in_order(citations):
        yield CitationBlock(
            cited_content=TextBlock(text=found.get(citation.url) or citation.title),
            source=citation.url,
            title=citation.title,
            additional_location_info={} if span is None else {"start_index": span[0], "end_index": span[1]},
        )


def _openai_form(call: ToolCallBlock) -> dict[str, object]:
    function = {"name": call.tool_name, "arguments": _arguments_of(call)}
    return {"id": call.tool_call_id, "type": "function", "function": function}


def _arguments_of(call: ToolCallBlock) -> str:
    arguments = call.tool_kwargs
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _count_tokens(text: str) -> int:
    """Long texts are counted by their length: tokenizers take more than linear time for some."""
    return len(get_tokenizer()(text)) if len(text) <= _LONGEST_TOKENIZED else count_tokens(text)
