"""Calls in other notations than JSON: XML elements, a name before its arguments, the syntax of Python.

They are read only inside the markup of `call_formats.MARKUP`, and only where they can mean one thing.
"""

from __future__ import annotations

import ast
import math
import re
import textwrap

from bing_llm.tools.call_decoder import CallDecoder
from bing_llm.tools.call_formats import (
    BETWEEN_CALLS,
    BETWEEN_NAME_AND_ARGUMENTS,
    CALL_ELEMENTS,
    NAME,
    PARAMETER_ELEMENTS,
    code_at,
)
from bing_llm.tools.calls import Call, InvalidCall, JsonObject, Tool
from bing_llm.tools.lenient_json import Unreadable, extent, read_values
from bing_llm.tools.schemas import types_of

_MAX_UNCLOSED = 8  # calls without a last brace: each is looked for in all that follows
_MAX_CODE = 10_000  # characters of Python that are parsed; a call has a few hundred

_between = re.compile(BETWEEN_CALLS, re.IGNORECASE)
_before_arguments = re.compile(BETWEEN_NAME_AND_ARGUMENTS)
_name = re.compile(rf"(?:call:|to=)?({NAME})")
_element = re.compile(
    rf"""<({CALL_ELEMENTS})(?:\s*=\s*|\s+name\s*=\s*)["']?({NAME})["']?([^<>]{{0,2000}})>""", re.IGNORECASE
)
_label = re.compile(r"""\s(?:id|type|index)\s*=\s*["']?[\w-]*["']?""")
_named = re.compile(rf"<((?:tool_|function_)?name|tool|function)>\s*({NAME})\s*</\1>", re.IGNORECASE)
_argument_element = re.compile(r"\s*<(arguments|parameters|input|args|tool_input)>", re.IGNORECASE)
_parameter = re.compile(rf"""<(?:{PARAMETER_ELEMENTS})(?:\s*=\s*|\s+name\s*=\s*)["']?([^"'<>]{{1,200}}?)["']?\s*>""")
_parameter_end = re.compile(rf"</(?:{PARAMETER_ELEMENTS})>(?=\s*(?:<|\Z))|(?=<(?:{PARAMETER_ELEMENTS})[\s=])|\Z")
_stray_parameter = re.compile(rf"</?(?:{PARAMETER_ELEMENTS})\b")
_child = re.compile(r"\s*<([\w-]{1,100})>")
_space = re.compile(r"\s*")
_arg_pair = re.compile(r"\s*<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_closing_tag = re.compile(r"</[\w:|-]{1,40}>|<[|\uff5c]")
_code_mark = re.compile(r"""\"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[()\[\]{}]""")
_code_name = re.compile(rf"\[?\s*(?:print\(\s*)?(?:\w{{1,40}} ?= ?)?(?:await\s)?({NAME})\s?\(")
_annotation = re.compile(r"[(,]\s*\*{0,2}\w+\s*:|->")
_AS_JSON = 'The call of {} is in the syntax of Python: write it as JSON, an object with "name" and "arguments".'
_TWICE = 'The call has two values for "{:.60}": write one.'
_unclear_escape = re.compile(r"""\\[^\\'"nrt]""")
_WORDS = {"true": True, "false": False, "null": None}


class CallFault(Exception):
    """What cannot be read; its text is one sentence."""


def read_calls(text: str, decoder: CallDecoder, raw: str) -> tuple[list[Call | InvalidCall], str]:
    """The calls with which a text begins, and what is wrong with the first thing that is not a call; "" for nothing.

    Args:
        text: What stands in the markup, and what follows.
        decoder: Knows the tools, and decodes JSON.
        raw: The text of an invalid call.
    """
    calls: list[Call | InvalidCall] = []
    position = _end(_between, text, 0)
    unclosed: list[int] = []
    try:
        while position < len(text):
            found, position = _read(text, position, decoder, raw, unclosed)
            calls += found
            position = _end(_between, text, position)
    except CallFault as exc:
        return calls, str(exc)
    return calls, "" if calls else "It holds no call."


def _read(
    text: str, at: int, decoder: CallDecoder, raw: str, unclosed: list[int]
) -> tuple[list[Call | InvalidCall], int]:
    """The call, or the JSON of several, at this position, and where it ends."""
    if element := _element.match(text, at):
        return _element_call(text, element, decoder, raw, unclosed)
    if named := _named.match(text, at):
        return _named_call(text, named, decoder, raw)
    code = code_at(text, at, decoder)
    if code is not None and code.kind == "code":
        end = code_end(text, at)
        return code_calls(text[at:end], decoder, raw), end
    if text[at] in "{[":
        content, end = _json_at(text, at, unclosed)
        return decoder.decode(content, raw=raw, closed=True, known=True), end
    name = _name.match(text, at)
    tool = name and decoder.tool(name[1])
    if not (name and tool):
        raise CallFault('It is not a call: write an object with "name" and "arguments".')
    start = _end(_before_arguments, text, name.end())
    if pair := _arg_pair.match(text, start):
        arguments: JsonObject = {}
        while pair is not None:
            if pair[1].strip() in arguments:
                raise CallFault(_TWICE.format(pair[1].strip()))
            arguments[pair[1].strip()] = _value(tool, pair[1].strip(), pair[2])
            start = pair.end()
            pair = _arg_pair.match(text, start)
        return [decoder.checked(tool.name, arguments, raw)], start
    if text[start : start + 1] != "{":
        raise CallFault(f"The arguments of {tool.name} are missing.")
    content, end = _json_at(text, start, unclosed)
    return [decoder.decode_arguments(tool.name, content, raw=raw)], end


def _json_at(text: str, at: int, unclosed: list[int]) -> tuple[str, int]:
    """The JSON that begins there; if a brace is missing, what stands before the next tag."""
    end = extent(text, at)
    if end is None:
        unclosed.append(at)
        if len(unclosed) > _MAX_UNCLOSED:
            raise CallFault("The JSON ends before it is complete: write it to its last brace.")
        closing = _closing_tag.search(text, at)
        end = closing.start() if closing else len(text)
    return text[at:end], end


def _element_call(
    text: str, element: re.Match[str], decoder: CallDecoder, raw: str, unclosed: list[int]
) -> tuple[list[Call | InvalidCall], int]:
    """The call of an element that has the name of the tool as an attribute."""
    tool = decoder.tool(element[2])
    if tool is None:
        raise CallFault(decoder.unknown(element[2]))
    if _label.sub("", element[3]).strip(" \t\r\n/"):
        raise CallFault(f"The arguments of {tool.name} cannot be read: write them as a JSON object.")
    start = element.end()
    start = _end(_before_arguments, text, start)
    if text[start : start + 1] == "{":
        content, end = _json_at(text, start, unclosed)
        whole = decoder.decode_bare(content, raw=raw)
        call = whole[0] if whole else decoder.decode_arguments(tool.name, content, raw=raw)
    elif _parameter.match(text, start) or re.match(rf"\s*(?:</{element[1]}>|\Z)", text[start : start + 200]):
        arguments, end = _parameters(text, start, tool)
        call = decoder.checked(tool.name, arguments, raw)
    else:
        found = text.find(f"</{element[1]}>", start)
        end = len(text) if found < 0 else found
        call = decoder.checked(tool.name, _children(text[start:end], tool), raw)
    closer = re.compile(rf"\s*</{element[1]}>", re.IGNORECASE).match(text, end)
    return [call], closer.end() if closer else end


def _named_call(
    text: str, named: re.Match[str], decoder: CallDecoder, raw: str
) -> tuple[list[Call | InvalidCall], int]:
    """The call of an element with the name, and one with the arguments."""
    tool = decoder.tool(named[2])
    if tool is None:
        raise CallFault(decoder.unknown(named[2]))
    opening = _argument_element.match(text, named.end())
    if opening is None:
        raise CallFault(f"The arguments of {tool.name} are missing.")
    found = text.find(f"</{opening[1]}>", opening.end())
    end = len(text) if found < 0 else found
    content = text[opening.end() : end].strip()
    if content.startswith("{"):
        call = decoder.decode_arguments(tool.name, content, raw=raw)
    elif content.startswith("<parameter"):
        call = decoder.checked(tool.name, _parameters(content, 0, tool)[0], raw)
    else:
        call = decoder.checked(tool.name, _children(content, tool), raw)
    return [call], min(len(text), end + len(opening[1]) + 3)


def _parameters(text: str, at: int, tool: Tool) -> tuple[JsonObject, int]:
    """The arguments in elements that name their parameter, and where they end."""
    arguments: JsonObject = {}
    while opening := _parameter.match(text, at):
        ending = _parameter_end.search(text, opening.end())
        end = ending.start() if ending else len(text)
        value = text[opening.end() : end]
        if ending is None or not ending[0]:  # it is not closed: what follows may be the end of the whole
            closing = _closing_tag.search(value)
            end = opening.end() + closing.start() if closing else end
            value = text[opening.end() : end].strip()
        if opening[1] in arguments:
            raise CallFault(_TWICE.format(opening[1]))
        arguments[opening[1]] = _value(tool, opening[1], value)
        at = _end(_space, text, ending.end() if ending and ending[0] else end)
    if text[at : at + 1] not in ("", "<") or _stray_parameter.match(text, at):
        raise CallFault(f"Between the arguments of {tool.name} stands other text: write them as a JSON object.")
    return arguments, at


def _children(content: str, tool: Tool) -> JsonObject:
    """The arguments in elements that are named like their parameters."""
    arguments: JsonObject = {}
    position = 0
    while opening := _child.match(content, position):
        end = content.find(f"</{opening[1]}>", opening.end())
        if end < 0 or opening[1] in arguments:
            break
        arguments[opening[1]] = _value(tool, opening[1], content[opening.end() : end])
        position = end + len(opening[1]) + 3
    if content[position:].strip():
        raise CallFault(f"The arguments of {tool.name} cannot be read: write them as a JSON object.")
    return arguments


def _value(tool: Tool, key: str, text: str) -> object:
    """The value of a parameter that was written as text: what its schema says, or else JSON, or the text."""
    text = text.removeprefix("\n").removesuffix("\n")
    properties = tool.parameters.get("properties")
    schema = properties.get(key) if isinstance(properties, dict) else None
    types = set(types_of(schema))
    if types == {"string"} or ("string" in types and text.strip() != "null"):
        return text
    try:
        values = read_values(text, closed=False, unique=True)
    except Unreadable:
        return text
    return values[0] if len(values) == 1 else text


# --- Python -------------------------------------------------------------------------------------


def code_end(text: str, at: int) -> int:
    """Where the call or the list of calls that begins here ends: after its last bracket, or with the text."""
    depth = 0
    for mark in _code_mark.finditer(text, at, at + _MAX_CODE):
        if mark[0] in "([{":
            depth += 1
        elif mark[0] in ")]}":
            depth -= 1
            if depth <= 0:
                return mark.end()
    return len(text)


def code_calls(code: str, decoder: CallDecoder, raw: str) -> list[Call | InvalidCall]:
    """The calls in Python that is nothing but calls, or lists of them, in which all arguments are plain values.

    Raises:
        CallFault: It is anything else.
    """
    return [_code_call(node, decoder, raw) for node in _code_nodes(code)]


def near_code(code: str, decoder: CallDecoder) -> tuple[str, str] | None:
    """The name of the tool and the fault, if this Python is a call of a tool; None for other code and a signature."""
    try:
        nodes = _code_nodes(code)
    except CallFault as exc:
        name = _code_name.match(code.strip())
        tool = decoder.tool(name[1]) if name else None
        is_one_line = isinstance(exc.__cause__, SyntaxError) and "\n" not in code.strip()
        is_signature = _annotation.search(code) is not None
        return (tool.name, _AS_JSON.format(tool.name)) if tool and is_one_line and not is_signature else None
    tools = [_code_tool(node, decoder) for node in nodes]
    if not tools or None in tools or all(_is_signature(node, tool) for node, tool in zip(nodes, tools, strict=True)):
        return None
    names = [tool.name for tool in tools if tool is not None]
    return names[0], _AS_JSON.format(names[0])


def _code_nodes(code: str) -> list[ast.expr]:
    if len(code) > _MAX_CODE or _unclear_escape.search(code):
        raise CallFault('It is not plain enough: write the call as JSON with "name" and "arguments".')
    try:
        statements = ast.parse(textwrap.dedent(code).strip()).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
        raise CallFault('It is not JSON: write an object with "name" and "arguments".') from exc
    nodes: list[ast.expr] = []
    for statement in statements:
        if not isinstance(statement, ast.Expr | ast.Assign):
            raise CallFault('It is not a call: write an object with "name" and "arguments".')
        value = statement.value
        nodes += value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    return nodes


def _code_tool(node: ast.expr, decoder: CallDecoder) -> Tool | None:
    """The tool that is called, also within `print` or `await`."""
    if isinstance(node, ast.Await):
        node = node.value
    if not isinstance(node, ast.Call):
        return None
    tool = decoder.tool(_dotted(node.func))
    return _code_tool(node.args[0], decoder) if tool is None and _dotted(node.func) == "print" and node.args else tool


def _dotted(node: ast.expr) -> str:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join(reversed([*names, node.id])) if isinstance(node, ast.Name) else ""


def _is_signature(node: ast.expr, tool: Tool | None) -> bool:
    """Whether this only shows the names of parameters."""
    if not isinstance(node, ast.Call) or tool is None or node.keywords or not node.args:
        return False
    return {part.id for part in node.args if isinstance(part, ast.Name)} >= set(
        tool.parameters.get("properties") or "-"
    )


def _code_call(node: ast.expr, decoder: CallDecoder, raw: str) -> Call | InvalidCall:
    if isinstance(node, ast.Await):
        node = node.value
    if not isinstance(node, ast.Call):
        raise CallFault('It is not a call: write an object with "name" and "arguments".')
    name = _dotted(node.func)
    tool = decoder.tool(name)
    if tool is None:
        if name == "print" and len(node.args) == 1 and not node.keywords:
            return _code_call(node.args[0], decoder, raw)
        raise CallFault(decoder.unknown(name))
    try:
        return decoder.checked(tool.name, _code_arguments(node, tool), raw)
    except (ValueError, RecursionError) as exc:
        raise CallFault(f"The arguments of {tool.name} are not plain values: write them as JSON.") from exc


def _code_arguments(node: ast.Call, tool: Tool) -> JsonObject:
    arguments: JsonObject = {keyword.arg: _plain(keyword.value) for keyword in node.keywords if keyword.arg}
    if len(arguments) < len(node.keywords):
        raise CallFault(f"The arguments of {tool.name} are not plain values.")
    values = [_plain(value) for value in node.args]
    names = [key for key in tool.parameters.get("properties") or () if key not in arguments]
    if len(values) == 1 and isinstance(values[0], dict) and not arguments and values[0].keys() <= set(names):
        return values[0]
    if len(values) > len(names) or (values and len(names) > 1):
        raise CallFault(f"The arguments of {tool.name} have no names: write each one with its name.")
    return {**dict(zip(names, values, strict=False)), **arguments}


def _plain(node: ast.expr) -> object:
    """The value of a literal, in which JSON's words are allowed too."""
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_plain(part) for part in node.elts]
    if isinstance(node, ast.Dict):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
        if len(keys) == len(node.keys) == len(set(keys)):
            return dict(zip(keys, map(_plain, node.values), strict=True))
    value = ast.literal_eval(node)
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
