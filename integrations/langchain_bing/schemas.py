"""Tools and schemas as users pass them, and the JSON schemas by which they are rendered and checked.

A schema is kept as the user wrote it: langchain-core's converter loses recursion, refuses `NotRequired`, and rewrites
a strict schema to OpenAI's subset, in which an optional argument must be there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NotRequired,
    Required,
    TypeAlias,
    Union,
    cast,
    get_args,
    get_origin,
)

import msgspec
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, ValidationError, create_model
from typing_extensions import ReadOnly, get_type_hints, is_typeddict

from bing_llm.completion.request import read_openai_tool
from bing_llm.completion.validation import validation_problems
from bing_llm.tools.calls import JsonObject, SchemaCheck
from bing_llm.tools.schemas import ROOT, arguments_schema, root_schema

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

AnyTool: TypeAlias = "dict[str, Any] | type | Callable[..., Any] | BaseTool | Runnable[Any, Any]"
Schema: TypeAlias = dict[str, Any] | type

_NAMES = frozenset(("title", "name", "input_schema", "toolSpec"))  # where LangChain looks for the name of a dict
_QUALIFIERS = (Required, NotRequired, ReadOnly)


# --- tools ------------------------------------------------------------------------------------------------------------


def as_openai_tool(tool: AnyTool, *, strict: bool | None = None) -> JsonObject:
    """A tool in OpenAI's form, which LangChain's agents expect in `kwargs["tools"]`.

    Args:
        tool: A LangChain tool, a function, a pydantic class, a `TypedDict`, a runnable; or a dict: in OpenAI's form
            (also the flat one of its Responses API), in Anthropic's, Bedrock's, or a JSON schema with a title.
        strict: Whether arguments must fit the schema; None leaves that to the tool.

    Raises:
        ValueError: The tool is one that a provider runs itself, or is of an unknown kind.
    """
    known = read_openai_tool(tool) if isinstance(tool, dict) else None
    function = _function_of(tool) if known is None else known["function"]
    if strict is not None:
        function = {**function, "strict": strict}
    return {"type": "function", "function": function}


def _function_of(tool: AnyTool) -> JsonObject:
    from langchain_core.tools import BaseTool, Tool, create_schema_from_function  # noqa: PLC0415 - slow, seldom needed

    if isinstance(tool, Runnable) and not isinstance(tool, BaseTool):
        tool = tool.as_tool()
    if isinstance(tool, BaseTool):
        schema = cast("Any", tool.tool_call_schema)
        is_plain = not (isinstance(tool, Tool) and not tool.args_schema) and not (tool.metadata or {}).get("type")
        if is_plain and isinstance(schema, dict | type):
            parameters = schema if isinstance(schema, dict) else json_schema_of(schema)
            return _function(tool.name, tool.description, parameters)
    elif isinstance(tool, type) and (is_basemodel_subclass(tool) or is_typeddict(tool)):
        return OutputSchema.of(tool).function
    elif callable(tool) and not isinstance(tool, type):
        named = cast("Any", tool)
        kind = create_schema_from_function(
            named.__name__, tool, parse_docstring=True, error_on_invalid_docstring=False, include_injected=False
        )
        return _function(named.__name__, inspect.getdoc(kind) or "", json_schema_of(kind))
    converted = convert_to_openai_tool(tool)
    if "function" not in converted:
        provided = converted.get("type")
        msg = f"A tool of type {provided!r} is one that its provider runs, and the service has no such tool."
        raise ValueError(f"{msg} It searches the web by itself: ChatBing(search=True).")
    function: JsonObject = converted["function"]
    return function


def _function(name: str, description: str, schema: JsonObject) -> JsonObject:
    parameters = arguments_schema(schema)
    notes = {key: parameters.pop(key, "") for key in ("title", "description")}
    return {"name": name, "description": description or notes["description"], "parameters": parameters}


# --- schemas of answers -----------------------------------------------------------------------------------------------


class OutputSchema(msgspec.Struct, frozen=True):
    """The schema of a structured answer.

    Attributes:
        name: Its name, which is that of the tool in a call.
        description: What it is.
        schema: The JSON schema of the value.
        kind: The type whose objects are made; None where the value itself is the answer.
    """

    name: str
    description: str
    schema: JsonObject
    kind: Any = None

    @classmethod
    def of(cls, given: Any) -> OutputSchema:
        """The schema of a pydantic class, a `TypedDict`, a JSON schema (also in OpenAI's forms), or of any other type.

        Raises:
            ValueError: It is none of these, or a JSON schema without a title.
        """
        if isinstance(given, Mapping):
            return cls._of_dict({**given})
        schema = json_schema_of(given)
        description = str(schema.get("description", ""))
        name = str(schema.get("title") or given.__name__) if isinstance(given, type) else "answer"
        return cls(name, description, schema) if is_typeddict(given) else cls(name, description, schema, given)

    @classmethod
    def _of_dict(cls, given: JsonObject) -> OutputSchema:
        if given.get("type") == "json_schema":  # the form of response_format, nested or flat
            given = given["json_schema"] if isinstance(given.get("json_schema"), dict) else given
        if isinstance(given.get("schema"), dict) and isinstance(given.get("name"), str):
            given = {"description": given.get("description", ""), **given["schema"], "title": given["name"]}
        if not _NAMES & given.keys():
            given["title"] = "answer"
        function = convert_to_openai_tool(given)["function"]
        is_schema = "title" in given and "name" not in given
        schema = given if is_schema else function.get("parameters", {})
        return cls(function["name"], function.get("description") or "", schema)

    @property
    def function(self) -> JsonObject:
        """The tool by which a model gives the value."""
        schema = arguments_schema(self.schema) if self._is_object else root_schema(self.schema)
        return _function(self.name, self.description, schema)

    @property
    def response_format(self) -> JsonObject:
        """The form in which OpenAI asks for the value as JSON."""
        return {"type": "json_schema", "json_schema": {"name": self.name, "schema": self.schema}}

    @property
    def _is_object(self) -> bool:
        """Whether the arguments of a call are the value itself."""
        if isinstance(self.kind, type) and issubclass(self.kind, RootModel):
            return False
        schema = arguments_schema(self.schema)
        return "properties" in schema or schema.get("type") == "object"

    def read(self, value: Any) -> Any:
        """The answer that a value of JSON is.

        Raises:
            ValueError: It does not fit; the text says where and why.
        """
        if self.kind is None:
            if problem := SchemaCheck(self.schema, "the answer")(value):
                raise ValueError(problem)
            return value
        try:
            if hasattr(self.kind, "parse_obj") and not hasattr(self.kind, "model_validate"):  # of pydantic.v1
                return self.kind.parse_obj(value)
            return TypeAdapter(self.kind).validate_python(value)
        except ValidationError as exc:
            raise ValueError(validation_problems(exc)) from exc

    def read_arguments(self, arguments: JsonObject) -> Any:
        """The answer that the arguments of a call are.

        Raises:
            ValueError: They do not fit.
        """
        if self._is_object:
            return self.read(arguments)
        if set(arguments) != {ROOT}:
            msg = f"the arguments must have the one key {ROOT!r}, which holds the value."
            raise ValueError(msg)
        return self.read(arguments[ROOT])


class Check(msgspec.Struct, frozen=True):
    """What a model's answer must pass, for `bind`."""

    schema: OutputSchema
    is_call: bool

    def __call__(self, value: Any) -> str:
        """What is wrong with the value; "" for nothing."""
        try:
            (self.schema.read_arguments if self.is_call else self.schema.read)(value)
        except ValueError as exc:
            return str(exc)
        return ""


def json_schema_of(kind: Any) -> JsonObject:
    """The JSON schema of a type, or the schema itself.

    Raises:
        ValueError: It is not a type that pydantic knows.
    """
    if isinstance(kind, Mapping):
        return OutputSchema.of(kind).schema
    if is_typeddict(kind):
        return _TypedDicts().schema(kind)
    try:
        if hasattr(kind, "schema") and not hasattr(kind, "model_json_schema"):  # of pydantic.v1
            schema: JsonObject = kind.schema()
            return schema
        return TypeAdapter(kind).json_schema()
    except Exception as exc:
        msg = f"{kind!r} is not a schema; allowed: a pydantic class, a TypedDict, a JSON schema, or another type."
        raise ValueError(msg) from exc


class _TypedDicts:
    """`TypedDict`s as pydantic classes, of which pydantic makes JSON schemas.

    Pydantic itself refuses those of `typing` before Python 3.12. LangChain's own notation of a field counts too:
    `Annotated[T, default, "description"]`, with `...` for no default.
    """

    def __init__(self) -> None:
        self._names: dict[type, str] = {}
        self._models: dict[str, type[BaseModel]] = {}

    def schema(self, kind: type) -> JsonObject:
        """The JSON schema of a `TypedDict`."""
        name = self._name(kind)
        for model in self._models.values():
            model.model_rebuild(_types_namespace=self._models)
        return self._models[name].model_json_schema()

    def _name(self, kind: type) -> str:
        if kind in self._names:
            return self._names[kind]
        name = self._names[kind] = f"TypedDict{len(self._names)}"
        hints = get_type_hints(kind, include_extras=True)
        fields: dict[str, Any] = {key: self._field(kind, key, hint) for key, hint in hints.items()}
        config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=(), use_attribute_docstrings=False)
        model = create_model(kind.__name__, __config__=config, __doc__=kind.__dict__.get("__doc__"), **fields)
        self._models[name] = model
        return name

    def _field(self, kind: type, key: str, hint: Any) -> tuple[Any, Any]:
        is_required = key in getattr(kind, "__required_keys__", ())
        notes: list[Any] = []
        while (origin := get_origin(hint)) in {Annotated, *_QUALIFIERS}:
            if origin is Annotated:
                hint, *more = get_args(hint)
                notes = [*more, *notes]
            else:
                is_required = origin is Required or (is_required and origin is not NotRequired)
                (hint,) = get_args(hint)
        options: dict[str, Any] = {"alias": key}
        if notes and (notes[0] is ... or (len(notes) > 1 and isinstance(notes[1], str))):
            default, *rest = notes
            options |= {"description": rest[0]} if rest else {}
            options |= {} if default is ... else {"default": default}
            notes = []
        if not is_required and "default" not in options:
            # Only a schema is made of this class. A default makes the field optional there, and unlike a plain one
            # that of a factory is not written into the schema.
            options["default_factory"] = lambda: None
        annotation = self._with_models(hint)
        return (Annotated[(annotation, *notes)] if notes else annotation), Field(**options)

    def _with_models(self, hint: Any) -> Any:
        """A type with the models in place of the `TypedDict`s in it."""
        if is_typeddict(hint):
            return ForwardRef(self._name(hint))
        origin, args = get_origin(hint), get_args(hint)
        if origin is None or origin is Literal or not args:
            return hint
        if origin is Annotated:
            return Annotated[(self._with_models(args[0]), *args[1:])]
        changed = tuple(self._with_models(arg) for arg in args)
        if changed == args:
            return hint
        return Union[changed] if origin in {Union, UnionType} else origin[changed]  # noqa: UP007 - made at run time
