"""Decodes calls from the JSON that a model wrote: which tool, which arguments, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from bing_llm.tools.call_formats import (
    ARGUMENT_KEYS,
    CALL_TYPES,
    ENVELOPE_KEYS,
    LABEL_KEYS,
    LIST_KEYS,
    NAME_KEYS,
    NAME_PREFIXES,
    NAME_SUFFIX,
    NESTING_KEYS,
    PARALLEL_NAMES,
    THOUGHT_KEYS,
)
from bing_llm.tools.calls import Call, InvalidCall, JsonObject, SchemaCheck, Tool, Toolbox
from bing_llm.tools.lenient_json import Unreadable, read_values
from bing_llm.tools.schema_copy import unwrap
from bing_llm.tools.schemas import lists_all, types_of

_FIRST_KEYS = frozenset(
    (*NAME_KEYS, *ARGUMENT_KEYS, *LABEL_KEYS, *NESTING_KEYS, *LIST_KEYS, *ENVELOPE_KEYS, *THOUGHT_KEYS)
)

_NAME_IN_BROKEN_JSON = re.compile(
    rf"""["'](?:{"|".join(NAME_KEYS)})["']\s{{0,4}}:\s{{0,4}}["']([^"'\\]{{1,128}})["']"""
)
_IGNORED = re.compile(r"[\s_\\-]+")
_PREFIX = re.compile(rf"(?:{'|'.join(map(re.escape, NAME_PREFIXES))})")
_SUFFIX = re.compile(rf"(?::[0-9]{{0,4}}|{re.escape(NAME_SUFFIX)})\Z")  # Kimi counts its calls
_SUFFIX_BEGUN = re.compile(r"(?::[0-9]{0,4}|\.[a-z]{0,4})\Z")
_TYPES = {str: "string", int: "integer"}  # of labels
_MAX_NESTING = 4  # lists in lists, as wrappers in wrappers make them
_MAX_DEPTH = 8  # levels of JSON in which the name of a tool is looked for
_NAMED = 6  # tools or parameters that a reason names

_FIRST_KEY = re.compile(r"""[\[\s]*\{\s*["'\u201c\u201d]([^"'\\\u201c\u201d]*)["'\u201c\u201d]""")
_MAY_GET_A_KEY = re.compile(r"""[\[\s]*(?:\{\s*(?:["'\u201c\u201d][^"'\\\u201c\u201d]*)?)?""")
_NO_KEY = re.compile(r"\s*\{\s*\}")
_FIRST_VALUE = re.compile(r"""\s*:\s*["'\u201c\u201d]([^"'\\\u201c\u201d]*)(["'\u201c\u201d]?)""")
_MAY_GET_A_VALUE = re.compile(r"\s*:?\s*")
MAX_HEAD = 200
"""Characters up to the end of the first value of an object; they are looked at again with each part."""

_ADVICE = 'write the call alone, as one object with "name" and "arguments".'
_NO_NAME = 'A tool call is an object with "name" and "arguments"; this one has no name.'


class _NotACall(Exception):
    """A value is not a call; its text is the reason.

    Attributes:
        name: The name of the tool that is meant, "" if it could not be read.
    """

    def __init__(self, reason: str, name: str = "") -> None:
        super().__init__(reason)
        self.name = name


class CallDecoder:
    """Decodes calls of the tools of one toolbox from JSON.

    Nothing that a model wrote in a call is dropped, but for what only labels it (`type`, `id`); what may be a label or
    an argument makes it an `InvalidCall`. Its arguments are the object under one of `ARGUMENT_KEYS`. If none of these
    holds any, and all other keys are parameters of the tool, those are the arguments. Anything else is an
    `InvalidCall`.

    If one certain tool must be called, an object that is not a call is taken for its arguments, provided that all of
    its keys are parameters of the tool and no required one is missing: small models answer like that.

    Attributes:
        first_keys: The keys with which an object that may be a call, or a list of such objects, may begin.
    """

    def __init__(self, toolbox: Toolbox) -> None:
        offered = toolbox.offered
        self._forced = offered[0] if toolbox.must_call and len(offered) == 1 else None
        self.first_keys = _FIRST_KEYS.union(() if self._forced is None else _properties(self._forced))
        self._tools = {tool.name: tool for tool in toolbox.tools}

    @cached_property
    def _alike(self) -> Mapping[str, str]:
        """The names of the tools by how they are spelled without case and separators, unless two are spelled alike."""
        alike: dict[str, list[str]] = {}
        for name in self._tools:
            alike.setdefault(_normalize(name), []).append(name)
        return {spelled: names[0] for spelled, names in alike.items() if len(names) == 1}

    def tool(self, name: str) -> Tool | None:
        """The tool that a name means, if it is one of these."""
        return self._tools.get(self._tool_name(name))

    def may_begin(self, name: str) -> bool:
        """Whether a name that begins so may be that of a tool."""
        known = [_normalize(known) for known in (*self._tools, *NAME_PREFIXES)]
        bare = _PREFIX.sub("", name, count=1)
        begun = {_normalize(bare), _normalize(_SUFFIX_BEGUN.sub("", bare))}
        return any(spelled.startswith(part) for spelled in known for part in begun)

    def unknown(self, name: str) -> str:
        """What is wrong with a name that no tool has, in one sentence."""
        return f"There is no tool {name!r:.80}; the tools are: {_listing(self._tools)}."

    def decode(self, text: str, *, raw: str, closed: bool, known: bool = False) -> list[Call | InvalidCall]:
        """The calls in a text that can only be meant as calls.

        Args:
            text: The JSON, as the model wrote it.
            raw: The same with its delimiters.
            closed: Whether the model closed the block around it.
            known: Whether only tools of the toolbox may be called.
        """
        try:
            values = list(_flat(read_values(text, closed=closed, unique=True)))
        except Unreadable as exc:
            name = _NAME_IN_BROKEN_JSON.search(text)
            return [InvalidCall(raw, str(exc), "" if name is None else self._tool_name(name[1]))]
        if not values:
            return [InvalidCall(raw, "The tool call is empty.")]
        if (call := self._forced_call(values, raw)) is not None:
            return [call]
        calls = [self._decode_value(value, raw) for value in values]
        if known:
            calls = [call if self.tool(call.name) else InvalidCall(raw, self.unknown(call.name)) for call in calls]
        invalid = [call for call in calls if isinstance(call, InvalidCall)]
        # One for the whole block: each holds all of its text.
        return [*(call for call in calls if isinstance(call, Call)), *invalid[:1]]

    def decode_bare(self, text: str, *, raw: str, closed: bool = False) -> list[Call | InvalidCall] | None:
        """The calls in a text that consists of calls of these tools and nothing else; None for any other text.

        Args:
            text: The JSON, as the model wrote it.
            raw: The same with its delimiters.
            closed: Whether the model closed the block around it.
        """
        try:
            values = list(_flat(read_values(text, closed=closed, unique=True)))
        except Unreadable:
            return None
        if (call := self._forced_call(values, raw)) is not None:
            return [call]
        if not values or not all(self._is_call(value) for value in values):
            return None
        return [self._decode_value(value, raw) for value in values]

    def may_be_call(self, head: str, named: Tool | None, *, alone: bool) -> bool | None:
        """Whether an object that begins so may be a call, or nearly one; None while that is not known.

        Args:
            head: Its beginning.
            named: The tool that the line before it names.
            alone: Whether that line holds nothing but the name.
        """
        key = _FIRST_KEY.match(head)
        if key is None:
            if _NO_KEY.match(head):
                return named is not None
            return None if len(head) < MAX_HEAD and _MAY_GET_A_KEY.fullmatch(head) else False
        if key[1] in self.first_keys or self.tool(key[1]):
            return True
        if named is not None and (alone or key[1] in _properties(named)):
            return True
        return self._may_name_tool(head, key.end())

    def _may_name_tool(self, head: str, at: int) -> bool | None:
        """Whether the value after the first key of an object is the name of a tool; None while that is not known."""
        value = _FIRST_VALUE.match(head, at)
        if value is not None and value[2]:
            return self.tool(value[1]) is not None
        may_begin = self.may_begin(value[1]) if value else _MAY_GET_A_VALUE.fullmatch(head, at) is not None
        return None if len(head) < MAX_HEAD and may_begin else False

    def near_call(self, text: str, named: Tool | None, *, alone: bool, whole: bool) -> tuple[str, str] | None:
        """The name of the tool and the fault of JSON that is nearly a call; None for any other text.

        Args:
            text: The JSON, as the model wrote it.
            named: The tool that the line before it names.
            alone: Whether that line holds nothing but the name.
            whole: Whether all of it has come.
        """
        try:
            values = list(_flat(read_values(text, closed=False, unique=True)))
        except Unreadable as exc:
            name = _NAME_IN_BROKEN_JSON.search(text)
            tool = self.tool(name[1]) if name else named if alone or not whole else None
            return None if tool is None else (tool.name, str(exc))
        for value in values:
            if (found := self._mentioned(value, 0)) is not None:
                return found
        if named is not None and len(values) == 1 and isinstance(values[0], dict):
            keys = values[0].keys()
            if alone or (keys <= _properties(named) and (keys or not _required(named))):
                return named.name, f'The name "{named.name}" stands outside of its JSON: {_ADVICE}'
        return None

    def _mentioned(self, value: object, depth: int) -> tuple[str, str] | None:
        """The tool that is named in a tree of JSON as a call names it, and what is wrong."""
        if isinstance(value, dict):
            named = [self.tool(part) for key, part in value.items() if key in NAME_KEYS and isinstance(part, str)]
            named += [self._tools.get(part) for part in value.values() if isinstance(part, str)]
            named += [self._tools.get(key) for key, part in value.items() if isinstance(part, dict)]
            if (tool := next(filter(None, named), None)) is not None:
                return tool.name, self._fault(value)
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        inner = (self._mentioned(part, depth + 1) for part in parts) if depth < _MAX_DEPTH else iter(())
        return next((found for found in inner if found is not None), None)

    def _fault(self, value: object) -> str:
        try:
            name, arguments = self._parts(value)
        except _NotACall as exc:
            return str(exc)
        missing = [key for key in _required(self._tools[name]) if key not in arguments] if name in self._tools else []
        if missing:
            return f"The arguments of {name} lack {_listing(missing)}."
        return f"A call of {name} stands among other text: {_ADVICE}"

    def _decode_value(self, value: object, raw: str) -> Call | InvalidCall:
        try:
            name, arguments = self._parts(value)
        except _NotACall as exc:
            return InvalidCall(raw, str(exc), exc.name)
        return self.checked(name, arguments, raw)

    def decode_arguments(self, name: str, text: str, *, raw: str) -> Call | InvalidCall:
        """The call of a tool whose arguments are this JSON."""
        arguments = _held(text)
        if not isinstance(arguments, dict):
            return InvalidCall(raw, self._misplaced(name, {"arguments": arguments}, [], set()), name)
        return self.checked(name, arguments, raw)

    def checked(self, name: str, arguments: JsonObject, raw: str) -> Call | InvalidCall:
        """The call of a tool with these arguments, if they pass its check."""
        arguments = unwrap(arguments, self._tools[name].parameters) if name in self._tools else arguments
        tool, call = self._tools.get(name), Call(name, arguments)
        if tool is None or tool.check is None or not (problem := tool.check(arguments) or _unlisted(tool, arguments)):
            return call
        return InvalidCall(raw, problem, name, None if tool.strict else call)

    def _forced_call(self, values: list[object], raw: str) -> Call | InvalidCall | None:
        """The call of the one tool that must be called, if the model wrote only its arguments."""
        tool = self._forced
        if tool is None or len(values) != 1 or not isinstance(values[0], dict) or self._is_call(values[0]):
            return None
        keys = set(values[0])
        if not keys or not set(_required(tool)) <= keys <= _properties(tool):
            return None
        return self.checked(tool.name, values[0], raw)

    def _is_call(self, value: object) -> bool:
        """Whether a value can be nothing but a call of one of the tools."""
        try:
            name, arguments = self._parts(value)
        except _NotACall:
            return False
        spec, tool = _spec(value), self._tools.get(name)
        if tool is None or not self._name_key(spec):
            return False
        return not spec.keys().isdisjoint(ARGUMENT_KEYS) or set(_required(tool)) <= arguments.keys()

    def _parts(self, value: object) -> tuple[str, JsonObject]:
        """The name of the tool and the arguments.

        Raises:
            _NotACall: It is not a call, or something in it would be lost.
        """
        spec = _spec(value)
        key = self._name_key(spec)
        if not key:
            return self._parts_under_name(spec)
        name = self._tool_name(spec[key])
        rest = {other: part for other, part in spec.items() if other != key}
        return name, self._arguments(name, rest)

    def _parts_under_name(self, spec: JsonObject) -> tuple[str, JsonObject]:
        """The parts of a call that has its arguments under the name of its tool, and nothing else."""
        names = [key for key, part in spec.items() if not _is_label(key, part)]
        if len(names) != 1 or (name := self._tool_name(names[0])) not in self._tools:
            raise _NotACall(_NO_NAME)
        arguments = _held(spec[names[0]])
        if not isinstance(arguments, dict):
            raise _NotACall(self._misplaced(name, {name: arguments}, [], set()), name)
        return name, arguments

    def _name_key(self, spec: JsonObject) -> str:
        """The key that names the tool: the first one that names one of these tools, or else the first one."""
        keys = [key for key in NAME_KEYS if isinstance(spec.get(key), str) and spec[key]]
        return next((key for key in keys if self._tool_name(spec[key]) in self._tools), keys[0] if keys else "")

    def _arguments(self, name: str, rest: JsonObject) -> JsonObject:
        """The arguments in what a call has besides the name of its tool."""
        parameters = _properties(self._tools[name]) if name in self._tools else set()
        held = {key: _held(rest[key]) for key in ARGUMENT_KEYS if key in rest}
        filled = {key: part for key, part in held.items() if part != {}}
        others = [key for key in rest if key not in held and not _is_label(key, rest[key])]
        flat = {key: part for key, part in rest.items() if key in parameters and not _is_marker(key, part)}
        is_flat = all(key in flat or _is_label(key, rest[key]) or held.get(key) == {} for key in rest)
        arguments = next(iter(filled.values()), None)
        if isinstance(arguments, dict) and name in self._tools:
            others += _unclear_labels(self._tools[name], rest, arguments)
        is_object = isinstance(arguments, dict) and not others and all(part == arguments for part in filled.values())
        # A parameter may have the name of a key that holds arguments.
        if isinstance(arguments, dict) and is_object and (not is_flat or arguments.keys() <= parameters):
            return arguments
        if is_flat:
            return flat
        raise _NotACall(self._misplaced(name, filled, others, parameters), name)

    def _misplaced(self, name: str, filled: Mapping[str, object], others: list[str], parameters: set[str]) -> str:
        """What is wrong with the arguments of a call, in one sentence."""
        for key, part in filled.items():
            if isinstance(part, Unreadable):
                return str(part)
            if not isinstance(part, dict):
                return f"The arguments of {name} are not a JSON object."
            if others:
                return f'{_listing(others)} stands beside "{key}": write all arguments of {name} in "{key}".'
        if filled:
            return f"The arguments of {name} stand twice, in {_listing(filled)}: write them once."
        if name not in self._tools:
            return self.unknown(name)
        unknown = _no_parameter(name, (key for key in others if key not in parameters), parameters)
        return f'{unknown} Write the arguments as an object under "arguments".'

    def _tool_name(self, name: str) -> str:
        """The name of the tool that is meant: spelled as here, or the only one whose name differs just in spelling."""
        for spelled in (name, _SUFFIX.sub("", _PREFIX.sub("", name.strip(), count=1))):
            if spelled in self._tools:
                return spelled
            if (alike := self._alike.get(_normalize(spelled))) is not None:
                return alike
        return name


def _flat(values: Iterable[object], depth: int = 0) -> Iterator[object]:
    """The values, with lists of calls taken apart, also those in wrappers."""
    for value in values:
        listed = value if isinstance(value, list) else _listed(value)
        if listed is None or depth > _MAX_NESTING:
            yield value
        else:
            yield from _flat(listed, depth + 1)


def _listed(value: object) -> list[object] | None:
    """The list of calls that a wrapper holds; None for anything else, and for a wrapper that holds more than that."""
    if not isinstance(value, dict):
        return None
    if any(value.get(key) in PARALLEL_NAMES for key in NAME_KEYS):
        inner = [part for key, part in value.items() if key not in NAME_KEYS and not _is_label(key, part)]
        return _listed(inner[0]) if len(inner) == 1 else None
    keys = [key for key in LIST_KEYS if isinstance(value.get(key), list)]
    others = (key for key in value if key not in keys)
    if len(keys) != 1 or not all(key in ENVELOPE_KEYS and value[key] in ENVELOPE_KEYS[key] for key in others):
        return None
    return list(value[keys[0]])


def _spec(value: object) -> JsonObject:
    """The object that has the name and the arguments: it may be nested under one of `NESTING_KEYS`.

    Raises:
        _NotACall: A part of what stands around it would be lost.
    """
    if not isinstance(value, dict):
        return {}
    key = next((key for key in NESTING_KEYS if isinstance(value.get(key), dict)), None)
    if key is None:
        return value
    nested = value[key]
    outer = {other: part for other, part in value.items() if other != key and not _is_label(other, part)}
    twice = [other for other in outer if nested.get(other, outer[other]) != outer[other]]
    if twice:
        raise _NotACall(f'{_listing(twice)} stands in "{key}" and beside it: write it once.')
    return {**outer, **nested}


def _is_label(key: str, part: object) -> bool:
    """Whether this only labels a call."""
    return key in LABEL_KEYS or _is_marker(key, part)


def _is_marker(key: str, part: object) -> bool:
    """Whether this only says that it is a call."""
    return key == "type" and part in CALL_TYPES


def _unlisted(tool: Tool, arguments: JsonObject) -> str:
    """What is wrong with arguments that the schema of a tool does not list, in one sentence; "" for nothing.

    Most schemas do not forbid others. But frameworks drop them without a word, and the tool runs with its defaults. A
    check of the user's own knows what it takes.
    """
    parameters = _properties(tool)
    others = [key for key in arguments if key not in parameters]
    known_all = isinstance(tool.check, SchemaCheck) and lists_all(tool.parameters)
    return _no_parameter(tool.name, others, parameters) if others and known_all else ""


def _no_parameter(name: str, others: Iterable[str], parameters: set[str]) -> str:
    known = f"its parameters are: {_listing(sorted(parameters))}" if parameters else "it has none"
    return f"{_listing(others)} is not a parameter of {name}; {known}."


def _unclear_labels(tool: Tool, rest: JsonObject, arguments: JsonObject) -> list[str]:
    """The labels beside the arguments of a call that may be arguments as well: the tool takes such values."""
    properties = tool.parameters.get("properties")
    if not isinstance(properties, dict):
        return []
    missing = (key for key in LABEL_KEYS if key in rest and key in properties and key not in arguments)
    return [key for key in missing if _TYPES.get(type(rest[key]), "") in types_of(properties[key])]


def _held(part: object) -> object:
    """What a key of arguments holds: JSON in a string is read, and nothing is an empty object."""
    if part is None or (isinstance(part, str) and not part.strip()):
        return {}
    if not isinstance(part, str):
        return part
    try:
        values = read_values(part, closed=False, unique=True)
    except Unreadable as exc:
        return exc
    return values[0] if len(values) == 1 else values


def _listing(names: Iterable[str]) -> str:
    """The first few names, quoted."""
    shown = [f'"{name:.60}"' for name in names]
    return ", ".join([*shown[:_NAMED], *(["..."] if len(shown) > _NAMED else [])])


def _required(tool: Tool) -> list[str]:
    required = tool.parameters.get("required")
    return [key for key in required if isinstance(key, str)] if isinstance(required, list) else []


def _properties(tool: Tool) -> set[str]:
    properties = tool.parameters.get("properties")
    return set(properties) if isinstance(properties, dict) else set()


def _normalize(name: str) -> str:
    return _IGNORED.sub("", name).casefold()
