"""A completion's items as LangChain's chunks.

A whole message is the sum of its chunks, so `invoke` and `stream` agree.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, assert_never, cast

from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk as create_tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from bing_llm import events as ev
from bing_llm.completion.citations import place_citations
from bing_llm.completion.metadata import completion_metadata, new_call_id, plain_citation, reply_metadata, to_plain
from bing_llm.completion.stream import Completed, Completion, Item
from bing_llm.completion.tokens import count_tokens
from bing_llm.errors import BingError
from bing_llm.tools.calls import Call, InvalidCall
from langchain_bing.blocks import PROVIDER, citation_annotations, closing_blocks, search_result
from langchain_bing.errors import raise_as_model_error


class TextChunks:
    """Chunks whose content is text, as with `output_version=None`.

    What else the service said is in `response_metadata` of the last chunk only: LangChain would join the strings and
    lists of several chunks. `langchain_bing.blocks` makes standard blocks of it. Citations have their spans
    in the text of the message.

    Args:
        model: The model's name.
        estimate_usage: Whether the last chunk has an estimate of the tokens.
        new_id: Makes the id of a call.

    Attributes:
        reasons: Why each invalid call is one.
    """

    def __init__(self, model: str, *, estimate_usage: bool = False, new_id: Callable[[], str] = new_call_id) -> None:
        self._model = model
        self._estimate_usage = estimate_usage
        self._new_id = new_id
        self.reasons: list[str] = []
        self._progress: list[str] = []
        self._texts: dict[int, list[str]] = {}  # the pieces of each text, by its index
        self._arguments: list[str] = []  # of calls
        self._written = 0  # tokens

    def add(self, item: Item) -> ChatGenerationChunk | None:
        """The chunk of one item; None if it makes none."""
        chunk: ChatGenerationChunk | None = None
        match item:
            case str():
                if self._estimate_usage:
                    self._written += count_tokens(item)
                chunk = self._text(item)
            case Call(name=name, arguments=arguments):
                chunk = self._call(name, json.dumps(arguments, ensure_ascii=False))
            case InvalidCall():
                self.reasons.append(item.reason)
                chunk = self._invalid_call(item)
            case ev.Progress() | ev.SearchStarted() | ev.SearchResults() | ev.ImageCreated():
                chunk = self._service(item)
            case Completed():
                chunk = self._last(item)
            case _:
                assert_never(item)
        return chunk

    def _text(self, text: str) -> ChatGenerationChunk:
        self._texts.setdefault(0, []).append(text)
        return ChatGenerationChunk(message=AIMessageChunk(content=text))

    def _call(self, name: str, args: str) -> ChatGenerationChunk:
        self._arguments.append(args)
        self._written += count_tokens(args)
        return self._call_chunk(name, args, self._new_id())

    def _call_chunk(self, name: str, args: str, call_id: str) -> ChatGenerationChunk:
        chunk = create_tool_call_chunk(name=name, args=args, id=call_id, index=len(self._arguments) - 1)
        return ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[chunk]))

    def _invalid_call(self, call: InvalidCall) -> ChatGenerationChunk:
        """A call with raw text that starts with a tag: LangChain makes a call of all that it reads as partial JSON."""
        return self._call(call.name, call.text)

    def _service(
        self, item: ev.Progress | ev.SearchStarted | ev.SearchResults | ev.ImageCreated
    ) -> ChatGenerationChunk | None:
        """What the service did: it is in the metadata of the last chunk, most of it from the reply."""
        if isinstance(item, ev.Progress):
            self._progress.append(item.text)
        return None

    def _last(self, end: Completed) -> ChatGenerationChunk:
        message = AIMessageChunk(
            content="",
            response_metadata={**self._metadata(end), **self._reply_metadata(end)},
            usage_metadata=self._usage(end),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    def _metadata(self, end: Completed) -> dict[str, object]:
        own = {"tool_parse_errors": self.reasons, "usage_estimated": self._estimate_usage}
        return {
            "model_name": self._model,
            "model_provider": PROVIDER,
            **completion_metadata(end),
            **{key: value for key, value in own.items() if value},
        }

    def _reply_metadata(self, end: Completed) -> dict[str, object]:
        (citations,) = self._citations(end).values()
        reasoning = "\n".join(self._progress)
        return {**reply_metadata(end.reply, citations), **({"reasoning": reasoning} if reasoning else {})}

    def _citations(self, end: Completed) -> dict[int, tuple[ev.Citation, ...]]:
        """The citations of each text, with their spans in it."""
        texts = self._texts or {0: []}
        elsewhere = [*self._arguments, *_replacement(end)]
        placed = place_citations(["".join(text) for text in texts.values()], end.reply, elsewhere=elsewhere)
        return dict(zip(texts, placed, strict=True))

    def _usage(self, end: Completed) -> UsageMetadata | None:
        if not self._estimate_usage:
            return None
        sent = sum(count_tokens(prompt.text) + count_tokens(prompt.context or "") for prompt in end.prompts)
        return UsageMetadata(input_tokens=sent, output_tokens=self._written, total_tokens=sent + self._written)


class BlockChunks(TextChunks):
    """Chunks whose content is LangChain's standard blocks, as with `output_version="v1"`.

    Blocks of all kinds are counted together, and each has an index of its own: LangChain joins what has the same index,
    even a text and a call. Sources are annotations of the text, at their markers.
    """

    def __init__(self, model: str, *, estimate_usage: bool = False, new_id: Callable[[], str] = new_call_id) -> None:
        super().__init__(model, estimate_usage=estimate_usage, new_id=new_id)
        self._next = 0
        self._text_index: int | None = None  # of the text that goes on
        self._searches: list[ev.Search] = []
        self._search_ids: list[str] = []
        self._answered = 0
        self._images: list[str] = []

    def _text(self, text: str) -> ChatGenerationChunk:
        if self._text_index is None:
            self._text_index = self._index()
        self._texts.setdefault(self._text_index, []).append(text)
        return _chunk([{"type": "text", "text": text, "index": self._text_index}])

    def _call_chunk(self, name: str, args: str, call_id: str) -> ChatGenerationChunk:
        index = self._index()
        self._text_index = None  # text after a call is another block
        chunk = create_tool_call_chunk(name=name, args=args, id=call_id, index=index)
        return _chunk([{**chunk}], tool_call_chunks=[chunk])

    def _invalid_call(self, call: InvalidCall) -> ChatGenerationChunk:
        made = super()._invalid_call(call)
        (block,) = cast("list[dict[str, Any]]", made.message.content)
        made.message.content = [{**block, "type": "invalid_tool_call", "error": call.reason}]
        return made

    def _service(
        self, item: ev.Progress | ev.SearchStarted | ev.SearchResults | ev.ImageCreated
    ) -> ChatGenerationChunk | None:
        match item:
            case ev.Progress(text=text):
                content = [self._block("reasoning", reasoning=text)]
            case ev.SearchStarted(query=query):
                content = [self._search(query)]
            case ev.SearchResults(results=results):
                content = self._results(results)
            case ev.ImageCreated(url=url):
                content = [self._image(url)]
            case _:
                assert_never(item)
        return _chunk(content)

    def _last(self, end: Completed) -> ChatGenerationChunk:
        content = [*self._rest_of(end.reply), *self._closing(end)]
        message = AIMessageChunk(
            content=content,  # type: ignore[arg-type]  # a list of dicts is one of what it takes
            response_metadata={**self._metadata(end), **_of_the_service(end.reply), "output_version": "v1"},
            usage_metadata=self._usage(end),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    def _rest_of(self, reply: ev.Reply) -> Iterator[dict[str, object]]:
        """Searches and pictures that only the final frame has."""
        for search in reply.searches:
            known = [at for at, search_ in enumerate(self._searches) if search_.query == search.query]
            if not known:
                known = [len(self._searches)]
                yield self._search(search.query)
            if search.results and not any(self._searches[at].results for at in known):
                yield self._result(known[0], search.results)
        for url in reply.images:
            if url not in self._images:
                yield self._image(url)

    def _closing(self, end: Completed) -> Iterator[dict[str, object]]:
        for index, citations in self._citations(end).items() if self._texts else ():
            if citations:
                annotations = list(citation_annotations(map(plain_citation, citations)))
                yield {"type": "text", "text": "", "index": index, "annotations": annotations}
        metadata = {**reply_metadata(end.reply, ()), "revoked": end.reply.revoked}
        yield from ({**block, "index": self._index()} for block in closing_blocks(metadata))

    def _index(self) -> int:
        self._next += 1
        return self._next - 1

    def _block(self, kind: str, **fields: object) -> dict[str, object]:
        return {"type": kind, **fields, "index": self._index()}

    def _search(self, query: str) -> dict[str, object]:
        self._searches.append(ev.Search(query))
        self._search_ids.append(self._new_id())
        return self._block("server_tool_call", id=self._search_ids[-1], name="web_search", args={"query": query})

    def _results(self, results: tuple[ev.SearchResult, ...]) -> list[dict[str, object]]:
        """The results of the first search that has had none yet."""
        at = self._answered
        self._answered += 1
        made = [] if at < len(self._searches) else [self._search("")]
        return [*made, self._result(at, results)]

    def _result(self, at: int, results: tuple[ev.SearchResult, ...]) -> dict[str, object]:
        self._searches[at] = ev.Search(self._searches[at].query, results)
        return {**search_result(self._search_ids[at], to_plain(results)), "index": self._index()}

    def _image(self, url: str) -> dict[str, object]:
        self._images.append(url)
        return self._block("image", url=url)


def _chunk(content: list[dict[str, object]], **fields: object) -> ChatGenerationChunk:
    metadata = {"output_version": "v1"}
    return ChatGenerationChunk(message=AIMessageChunk(content=content, response_metadata=metadata, **fields))  # type: ignore[arg-type]


def _of_the_service(reply: ev.Reply) -> dict[str, object]:
    """The part of a reply's metadata that no standard block holds."""
    return {key: value for key, value in reply_metadata(reply, ()).items() if key == "service_metadata"}


def _replacement(end: Completed) -> list[str]:
    """What replaces the text and the calls that were given; it is in the metadata."""
    final = end.final or ()
    text = "".join(piece for piece in final if isinstance(piece, str))
    return [text, *(json.dumps(piece.arguments, ensure_ascii=False) for piece in final if isinstance(piece, Call))]


class ChunkStream(AsyncIterator[ChatGenerationChunk]):
    """The chunks of a completion.

    Not a generator, because LangChain never closes the iterator that `_astream` returns: a generator would be closed by
    a hook of the loop, some iterations later. This one closes its socket as soon as it is dropped.
    """

    def __init__(self, completion: Completion, chunks: TextChunks, attempts: Callable[[], int]) -> None:
        self._completion = completion
        self._chunks = chunks
        self._attempts = attempts

    async def __anext__(self) -> ChatGenerationChunk:
        """The next chunk.

        Raises:
            BingError: The turn failed; also of LangChain's `ModelError` family.
        """
        try:
            while True:
                chunk = self._chunks.add(await self._completion.__anext__())
                if chunk is not None:
                    return chunk
        except BingError as exc:
            raise_as_model_error(exc, self._attempts)

    async def aclose(self) -> None:
        """Close the socket now."""
        self._completion.close()


def result_of(chunks: TextChunks, items: Iterable[Item]) -> ChatResult:
    """The whole message: the sum of the chunks of all items, and the reasons that LangChain drops when it adds them."""
    added = (chunks.add(item) for item in items)
    result = generate_from_stream(chunk for chunk in added if chunk is not None)
    for generation in result.generations:
        message = generation.message
        if isinstance(message, AIMessage):
            # Each invalid call of ours has a reason, in the same order.
            for call, reason in zip(message.invalid_tool_calls, chunks.reasons, strict=False):
                call["error"] = reason
    return result
