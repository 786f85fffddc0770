"""`with_structured_output`: the three methods, as runnables that end in a parsed object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import OutputParserLike
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput

Method: TypeAlias = Literal["function_calling", "json_schema", "json_mode"]
Schema: TypeAlias = dict[str, Any] | type

METHODS: tuple[Method, ...] = ("function_calling", "json_schema", "json_mode")

Bind: TypeAlias = Callable[..., "Runnable[LanguageModelInput, AIMessage]"]


def structured_runnable(
    bind_tools: Bind,
    schema: Schema | None,
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
    traced = {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema}}
    parser: OutputParserLike[Any]
    if method == "function_calling":
        assert schema is not None  # noqa: S101 - for type checkers; checked above
        name = convert_to_openai_tool(schema)["function"]["name"]
        model = bind_tools(
            [schema, *(tools or ())],
            tool_choice="any" if tools else name,
            strict=strict,
            parallel_tool_calls=False,
            **traced,
        )
        parser = _tool_parser(schema, name)
    else:
        bound = bind_tools(list(tools or ()), strict=strict, response_format=_format(schema, method), **traced)
        model, parser = bound, _text_parser(schema)
    return _with_raw(model, parser) if include_raw else model | parser


def _format(schema: Schema | None, method: Method) -> dict[str, Any]:
    if method == "json_mode":
        return {"type": "json_object"}
    json_schema = convert_to_json_schema(schema)  # type: ignore[arg-type]  # checked above: it is not None
    return {"type": "json_schema", "json_schema": {"name": json_schema.get("title", "answer"), "schema": json_schema}}


def _tool_parser(schema: Schema, name: str) -> OutputParserLike[Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _text_parser(schema: Schema | None) -> OutputParserLike[Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def _with_raw(model: Runnable[Any, AIMessage], parser: OutputParserLike[Any]) -> Runnable[Any, Any]:
    parse = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    give_up = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parse.with_fallbacks([give_up], exception_key="parsing_error")
