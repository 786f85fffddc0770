"""The forms in which models write a call as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bing_llm.tools.calls import Call, InvalidCall, Tool, Toolbox
from bing_llm.tools.checking import misfit
from bing_llm.tools.reading import Unreadable, read_values

__all__ = ["Forms"]

_NAMES = ("name", "tool", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input")
_OTHERS = ("type", "id", "call_id", "tool_call_id", "index")
_KEYS = frozenset((*_NAMES, *_ARGUMENTS, *_OTHERS, "tool_calls"))

_NAME_IN_BROKEN_JSON = re.compile(
    r"""["'](?:name|tool|tool_name|function)["']\s{0,4}:\s{0,4}["']([^"'\\]{1,128})["']"""
)
_IGNORED = re.compile(r"[\s_\\-]+")


class _NoCall(Exception):
    """A value is no call; its text is the reason."""


class Forms:
    """Reads calls of the tools of one toolbox out of JSON.

    Where one certain tool must be called, an object that is no call is taken for its arguments, if all of its keys are
    among the tool's parameters and none that is required is missing: small models answer so.

    Attributes:
        first_keys: The keys of an object that may be a call, or a list of them.
    """

    def __init__(self, toolbox: Toolbox) -> None:
        offered = toolbox.offered
        self._forced = offered[0] if toolbox.must_call and len(offered) == 1 else None
        self.first_keys = _KEYS.union(() if self._forced is None else _properties(self._forced))
        self._tools = {tool.name: tool for tool in toolbox.tools}
        self._strict = toolbox.strict
        alike: dict[str, list[str]] = {}
        for name in self._tools:
            alike.setdefault(_bare(name), []).append(name)
        self._alike = {bare: names[0] for bare, names in alike.items() if len(names) == 1}

    def meant(self, text: str, *, raw: str, closed: bool) -> list[Call | InvalidCall]:
        """The calls of a text that can only have been meant as such.

        Args:
            text: The JSON, as the model wrote it.
            raw: The same with what stood around it.
            closed: Whether the model closed the block around it.
        """
        try:
            values = list(_flat(read_values(text, closed=closed)))
        except Unreadable as exc:
            name = _NAME_IN_BROKEN_JSON.search(text)
            return [InvalidCall(raw, str(exc), "" if name is None else self._known(name[1]))]
        if not values:
            return [InvalidCall(raw, "The tool call is empty.")]
        if (call := self._forced_call(values, raw)) is not None:
            return [call]
        calls = [self._meant(value, raw) for value in values]
        invalid = [call for call in calls if isinstance(call, InvalidCall)]
        # One for the whole block: each holds all of its text.
        return [*(call for call in calls if isinstance(call, Call)), *invalid[:1]]

    def _meant(self, value: Any, raw: str) -> Call | InvalidCall:
        try:
            name, arguments = self._parts(value)
        except _NoCall as exc:
            return InvalidCall(raw, str(exc), _name_in(value))
        return self._checked(name, arguments, raw)

    def _checked(self, name: str, arguments: dict[str, Any], raw: str) -> Call | InvalidCall:
        problem = misfit(arguments, self._tools[name].parameters) if self._strict and name in self._tools else ""
        return InvalidCall(raw, problem, name) if problem else Call(name, arguments)

    def bare(self, text: str, *, raw: str) -> list[Call | InvalidCall] | None:
        """The calls of a text that is nothing but calls of these tools; None where it is something else."""
        try:
            values = list(_flat(read_values(text, closed=False)))
        except Unreadable:
            return None
        if (call := self._forced_call(values, raw)) is not None:
            return [call]
        if not values or not all(self._is_call(value) for value in values):
            return None
        return [self._meant(value, raw) for value in values]

    def _forced_call(self, values: list[Any], raw: str) -> Call | InvalidCall | None:
        """The call of the one tool that must be called, where its arguments alone were written."""
        tool = self._forced
        if tool is None or len(values) != 1 or not isinstance(values[0], dict) or self._is_call(values[0]):
            return None
        keys = set(values[0])
        if not keys or not set(_required(tool)) <= keys <= _properties(tool):
            return None
        return self._checked(tool.name, values[0], raw)

    def _is_call(self, value: Any) -> bool:
        """Whether a value can be nothing but a call of one of the tools."""
        try:
            name, _ = self._parts(value)
        except _NoCall:
            return False
        tool = self._tools.get(name)
        has_arguments = any(key in _spec(value) for key in _ARGUMENTS)
        return tool is not None and (has_arguments or not _required(tool)) and set(value) <= _KEYS

    def _parts(self, value: Any) -> tuple[str, dict[str, Any]]:
        name = _name_in(value)
        if not name:
            raise _NoCall('A tool call is an object with "name" and "arguments"; this one has no name.')
        arguments = next((spec[key] for spec in [_spec(value)] for key in _ARGUMENTS if key in spec), None)
        if isinstance(arguments, str):
            arguments = _read_arguments(arguments)
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, dict):
            raise _NoCall(f"The arguments of {name} are no JSON object.")
        return self._known(name), arguments

    def _known(self, name: str) -> str:
        """The name of the tool that is meant: spelled as here, or the only one that differs in its spelling alone."""
        return name if name in self._tools else self._alike.get(_bare(name), name)


def _flat(values: list[Any]) -> Iterator[Any]:
    """The values, with lists of calls taken apart."""
    for value in values:
        if isinstance(value, dict) and set(value) == {"tool_calls"}:
            value = value["tool_calls"]  # noqa: PLW2901 - OpenAI's wrapper around the list
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _spec(value: Any) -> dict[str, Any]:
    """The object that has the name and the arguments: OpenAI nests it under `function`."""
    nested = value.get("function") if isinstance(value, dict) else None
    return nested if isinstance(nested, dict) else value if isinstance(value, dict) else {}


def _name_in(value: Any) -> str:
    spec = _spec(value)
    return next((spec[key] for key in _NAMES if isinstance(spec.get(key), str)), "")


def _read_arguments(text: str) -> Any:
    if not text.strip():
        return {}
    try:
        values = read_values(text, closed=False)
    except Unreadable as exc:
        raise _NoCall(str(exc)) from exc
    return values[0] if len(values) == 1 else values


def _required(tool: Tool) -> list[str]:
    required = tool.parameters.get("required")
    return [key for key in required if isinstance(key, str)] if isinstance(required, list) else []


def _properties(tool: Tool) -> set[str]:
    properties = tool.parameters.get("properties")
    return set(properties) if isinstance(properties, dict) else set()


def _bare(name: str) -> str:
    return _IGNORED.sub("", name).casefold()
