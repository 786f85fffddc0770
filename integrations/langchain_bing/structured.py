"""`with_structured_output`: the three methods, as runnables that end in a parsed object.

The model asks once more where its answer does not fit; what still does not fit is an `OutputParserException`, whatever
the cause, so that fallbacks and LangChain's own retries notice it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, BaseMessageChunk
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.json import parse_partial_json

from bing_llm.completion.request import ANSWER
from langchain_bing.schemas import Check, OutputSchema

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput

Method: TypeAlias = Literal["function_calling", "json_schema", "json_mode"]

METHODS: tuple[Method, ...] = ("function_calling", "json_schema", "json_mode")

Bind: TypeAlias = Callable[..., "Runnable[LanguageModelInput, AIMessage]"]

_LONGEST_SHOWN = 200  # characters of an answer, in an error


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
    return _with_raw(model, parser) if include_raw else model | parser


def _traced(schema: Any, output: OutputSchema | None, **options: object) -> dict[str, Any]:
    """What LangChain writes into traces. Its converter may not know the schema, and then it gets ours."""
    try:
        convert_to_json_schema(schema)
    except Exception:  # noqa: BLE001 - it raises what its code happens to, TypeError on NotRequired
        schema = None if output is None else {**output.schema, "title": output.name}
    return {"ls_structured_output_format": {"kwargs": options, "schema": schema}}


def _with_raw(model: Runnable[Any, AIMessage], parser: StructuredOutputParser) -> Runnable[Any, Any]:
    parse = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    give_up = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parse.with_fallbacks([give_up], exception_key="parsing_error")


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
            what = "JSON" if self.output is None else f"a {self.output.name}"
            shown = text or ", ".join(str(call["args"]) for call in calls)
            msg = f"The model's answer is not {what}: {str(exc).strip()} It is {shown[:_LONGEST_SHOWN]!r}."
            raise OutputParserException(msg, llm_output=text) from exc

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
    """What is known of an object while its message streams."""

    def __init__(self, parser: StructuredOutputParser) -> None:
        self._parser = parser
        self._generation: Any = None
        self._known: Any = None

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
            yield from self._changed(self._parser.parse_result([self._generation]))

    def _changed(self, parsed: Any) -> Iterator[Any]:
        if parsed is not None and parsed != self._known:
            self._known = parsed
            yield parsed
