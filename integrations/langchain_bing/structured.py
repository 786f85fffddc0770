"""`with_structured_output`: the three methods, as runnables that end in a parsed object.

The model asks once more where its answer does not fit; what still does not fit is an `OutputParserException`, whatever
the cause, so that fallbacks and LangChain's own retries notice it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, BaseMessageChunk
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation
from langchain_core.runnables import AddableDict, Runnable, RunnableConfig, RunnableSerializable
from langchain_core.utils.json import parse_partial_json

from bing_llm.completion.request import ANSWER
from bing_llm.completion.validation import describe_misfit
from bing_llm.tools.schemas import compact
from langchain_bing.schemas import Check, OutputSchema

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput

Method: TypeAlias = Literal["function_calling", "json_schema", "json_mode"]

METHODS: tuple[Method, ...] = ("function_calling", "json_schema", "json_mode")

Bind: TypeAlias = Callable[..., "Runnable[LanguageModelInput, AIMessage]"]


def structured_runnable(
    bind_tools: Bind,
    schema: Any,
    *,
    method: Method,
    include_raw: bool,
    strict: bool | None,
    tools: Sequence[Any] | None,
) -> Runnable[LanguageModelInput, Any]:
    """A model, bound to answer in the schema, and the parser of its answer.

    Raises:
        ValueError: The method is unknown, or it needs a schema and there is none.
    """
    if method not in METHODS:
        msg = f"method is {method!r}; allowed: {', '.join(METHODS)}."
        raise ValueError(msg)
    if schema is None and method != "json_mode":
        msg = f"method {method!r} needs a schema: a pydantic class, a TypedDict or a JSON schema."
        raise ValueError(msg)
    output = None if schema is None else OutputSchema.of(schema)
    if output is not None and method == "function_calling":
        model = bind_tools(
            [{"type": "function", "function": output.function}, *(tools or ())],
            tool_choice="any" if tools else output.name,
            strict=strict,
            parallel_tool_calls=False,
            checks={output.name: Check(output, is_call=True)},
            **_traced(schema, output, method=method, strict=strict),
        )
    else:
        is_json_mode = output is None or method == "json_mode"
        model = bind_tools(
            list(tools or ()),
            strict=strict,
            response_format={"type": "json_object"} if is_json_mode else output and output.response_format,
            checks={} if output is None else {ANSWER: Check(output, is_call=False)},
            **_traced(schema, output, method=method, strict=strict),
        )
    parser = StructuredOutputParser(output=output, is_call=method == "function_calling", has_tools=bool(tools))
    return model | (_WithRaw(parser=parser) if include_raw else parser)


def _traced(given: Any, output: OutputSchema | None, **options: object) -> dict[str, Any]:
    """What LangChain writes into traces: a JSON schema as it was given, any other one short, as its converter does."""
    schema = None
    if output is not None:
        short = output.schema if isinstance(given, Mapping) else compact(output.schema)
        schema = {**short, "title": output.name}
    return {"ls_structured_output_format": {"kwargs": options, "schema": schema}}


class StructuredOutputParser(BaseCumulativeTransformOutputParser[Any]):
    """Parses the object of a message; streams it as far as it is known, and then as it is in the end."""

    output: Any
    """The `OutputSchema` of the object; None for any JSON."""
    is_call: bool
    """Whether the object is the arguments of a call, not the text."""
    has_tools: bool = False
    """Whether the model may call other tools instead; then the result is None."""

    @property
    def _type(self) -> str:
        return "bing_structured_output"

    def parse(self, text: str) -> Any:
        """The object of a text that is its JSON.

        Raises:
            OutputParserException: It is not such JSON.
        """
        return self.parse_result([Generation(text=text)])

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """The object of a message.

        Args:
            result: The message, the first of the list.
            partial: Whether more of it may come: then None if it is not known yet.

        Raises:
            OutputParserException: The message has no such object.
        """
        generation = result[0]
        message = generation.message if isinstance(generation, ChatGeneration) else AIMessage(generation.text)
        text, calls = _answer_of(message)
        try:
            if not partial and message.response_metadata.get("finish_reason") == "content_filter":
                raise _Unfit(f"the service withdrew it. {message.response_metadata.get('notice', '')}")
            if self.is_call or calls:
                return self._read_calls(message, calls, partial=partial)
            return self._read_partial(text) if partial else self._read(json.loads(text))
        except ValueError as exc:
            if partial:
                return None
            name = None if self.output is None else self.output.name
            shown = text or ", ".join(str(call["args"]) for call in calls)
            raise OutputParserException(describe_misfit(name, str(exc), shown), llm_output=text) from exc

    def _read_calls(self, message: BaseMessage, calls: Sequence[Any], *, partial: bool) -> Any:
        own = [call["args"] for call in calls if self.is_call and call["name"] == self.output.name]
        if own:
            return self.output.read_arguments(own[0])
        if partial or (self.has_tools and calls):
            return None
        reasons = message.response_metadata.get("tool_parse_errors") or ["the model made no call of it."]
        raise _Unfit(reasons[-1])

    def _read_partial(self, text: str) -> Any:
        value = parse_partial_json(text) if text.strip() else None
        is_free = self.output is None or self.output.kind is None
        return value if value is None or is_free else self.output.read(value)

    def _read(self, value: Any) -> Any:
        return value if self.output is None else self.output.read(value)

    # LangChain's own streams end without a last look at the whole: a stream that ends in the middle would be no error.

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:  # noqa: A002 - LangChain's name
        stream = _Growing(self)
        for chunk in input:
            yield from stream.add(chunk)
        yield from stream.end()

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:  # noqa: A002
        stream = _Growing(self)
        async for chunk in input:
            for parsed in stream.add(chunk):
                yield parsed
        for parsed in stream.end():
            yield parsed


class _Unfit(ValueError):
    """An answer that is not the object."""


def _answer_of(message: BaseMessage) -> tuple[str, Sequence[Any]]:
    """The text and the calls of a message.

    After a rewrite, or a second answer to a stream, the message still has what was streamed; its metadata has the rest.
    """
    metadata = message.response_metadata
    if "final_text" in metadata:
        return metadata["final_text"], metadata.get("final_tool_calls", ())
    return message.text, message.tool_calls if isinstance(message, AIMessage) else ()


class _Growing:
    """What is known of an object while its message streams.

    Attributes:
        known: The object as far as it is known; None for nothing yet.
    """

    def __init__(self, parser: StructuredOutputParser) -> None:
        self._parser = parser
        self._generation: Any = None
        self.known: Any = None

    def add(self, chunk: str | BaseMessage) -> Iterator[Any]:
        """What this chunk makes known."""
        if isinstance(chunk, BaseMessageChunk):
            generation: Any = ChatGenerationChunk(message=chunk)
        elif isinstance(chunk, BaseMessage):
            self._generation = ChatGeneration(message=chunk)
            return
        else:
            generation = ChatGenerationChunk(message=AIMessageChunk(content=chunk))
        self._generation = generation if self._generation is None else self._generation + generation
        yield from self._changed(self._parser.parse_result([self._generation], partial=True))

    def end(self) -> Iterator[Any]:
        """The object at the end, unless it is known already."""
        if self._generation is not None:
            yield from self._changed(self._whole())

    def outcome(self) -> dict[str, Any]:
        """The object at the end as `parsed`, or why there is none as `parsing_error`."""
        try:
            return {"parsed": self._whole(), "parsing_error": None}
        except OutputParserException as exc:
            return {"parsed": None, "parsing_error": exc}

    def _whole(self) -> Any:
        return self._parser.parse_result([self._generation or ChatGeneration(message=AIMessage(""))])

    def _changed(self, parsed: Any) -> Iterator[Any]:
        if parsed is not None and parsed != self.known:
            self.known = parsed
            yield parsed


class _WithRaw(RunnableSerializable["BaseMessage", dict[str, Any]]):
    """From a message to `raw`, `parsed` and `parsing_error`; in a stream, each comes as soon as it is known.

    LangChain's own chain for this has a fallback, which cannot act once a stream has begun.
    """

    parser: StructuredOutputParser

    def invoke(self, input: BaseMessage, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:  # noqa: A002 - LangChain's name
        """The message and what it is parsed to."""
        return self._call_with_config(self._parts, input, config, **kwargs)

    def transform(
        self,
        input: Iterator[BaseMessage],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """Each chunk of the message, and what it makes known."""
        yield from self._transform_stream_with_config(input, self._transform, config, **kwargs)

    async def atransform(
        self,
        input: AsyncIterator[BaseMessage],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """What `transform` gives."""
        async for part in self._atransform_stream_with_config(input, self._atransform, config, **kwargs):
            yield part

    def _parts(self, message: BaseMessage) -> dict[str, Any]:
        stream = _Growing(self.parser)
        for _ in stream.add(message):
            pass  # of a chunk, too, only the end counts
        return {"raw": message, **stream.outcome()}

    def _transform(self, chunks: Iterator[BaseMessage]) -> Iterator[dict[str, Any]]:
        stream = _Growing(self.parser)
        for chunk in chunks:
            yield from _parts_of(chunk, stream)
        yield from _last_parts(stream)

    async def _atransform(self, chunks: AsyncIterator[BaseMessage]) -> AsyncIterator[dict[str, Any]]:
        stream = _Growing(self.parser)
        async for chunk in chunks:
            for part in _parts_of(chunk, stream):
                yield part
        for part in _last_parts(stream):
            yield part


def _parts_of(chunk: BaseMessage, stream: _Growing) -> Iterator[dict[str, Any]]:
    yield AddableDict(raw=chunk)
    yield from (AddableDict(parsed=parsed) for parsed in stream.add(chunk))


def _last_parts(stream: _Growing) -> Iterator[dict[str, Any]]:
    known = stream.known
    outcome = stream.outcome()
    if outcome["parsed"] is None or outcome["parsed"] != known:
        yield AddableDict(parsed=outcome["parsed"])
    yield AddableDict(parsing_error=outcome["parsing_error"])
