"""Escapes foreign text so that it cannot pass for a part of the prompt, and writes JSON on one line."""

from __future__ import annotations

import json
import re

from bing_llm.errors import InvalidRequest
from bing_llm.tools.call_formats import FENCE_NAME, MARKUP_START, TAG_START

_HEADER = r"\[(?=[^\]\n\"]{1,64}\]\(#(?:message|additional_instructions)\))"
_BEFORE_NAME = r"[\s\\/]{0,8}"  # what foreign text may have inside a tag before its name
_TAG = rf"{_BEFORE_NAME}(?:{TAG_START})"
_BLOCK = rf"<(?={_TAG})|&(?=(?:amp;)*lt;{_TAG})"
_FENCE = rf"(?<!`)`(?=``+[ \t]*(?:{FENCE_NAME}))|(?<!~)~(?=~~+[ \t]*(?:{FENCE_NAME}))"

_a_header = re.compile(_HEADER, re.IGNORECASE)
_a_header_or_result = re.compile(rf"{_HEADER}|<(?={_TAG}results?\b)", re.IGNORECASE)
_delimiter = re.compile(f"{_BLOCK}|{_FENCE}|{_HEADER}|{MARKUP_START}", re.IGNORECASE)
# What JSON allows in a string but a line of text does not: line ends of Unicode, and halves of surrogate pairs.
_no_line = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def escape(text: str) -> str:
    """Escape each character that could open or close a block or a section of the prompt; the rest stays as it is.

    The first character of these becomes an HTML entity:

    ======================================  ============================  ================================
    what                                    text                          what is written
    ======================================  ============================  ================================
    a tag that begins with `tool_`          `<tool_call>`                 `&lt;tool_call>`
    its end                                 `</tool_result>`              `&lt;/tool_result>`
    such a tag that is escaped already      `&lt;tool_call&gt;`           `&amp;lt;tool_call&gt;`
    a code fence of calls                   three backticks, `tool_call`  `&#96;`, two backticks, `tool_call`
    the markup in which other models call   `<function=x>`, `[TOOL_CALLS]`  `&lt;function=x>`, `&#91;TOOL_CALLS]`
    the header of a message, as `convert`   `[user](#message)`            `&#91;user](#message)`
    writes it
    ======================================  ============================  ================================

    Upper case, blanks and backslashes inside a tag change nothing. Other HTML, code and links stay readable.
    """
    return _delimiter.sub(_entity, text)


def escape_headers(text: str) -> str:
    """Escape message headers only. Idempotent."""
    return _a_header.sub(_entity, text)


def escape_headers_and_results(text: str) -> str:
    """Escape message headers and the tags of tool results, in text that may hold calls but not results. Idempotent."""
    return _a_header_or_result.sub(_entity, text)


def json_line(value: object) -> str:
    r"""The value as JSON on one line, non-ASCII text unescaped; what JSON does not know (a date) becomes its `str`.

    As with `escape`, nothing in it opens or closes a block. Here the characters become JSON's own `\uXXXX`, so the
    value is unchanged.

    Raises:
        InvalidRequest: The value contains itself, has keys that JSON does not know, or is nested too deeply for it.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, TypeError, ValueError) as exc:
        hint = "Pass plain dicts, lists and values, nested a hundred levels deep at most."
        raise InvalidRequest("A schema or the arguments of a call cannot be written as JSON.", hint=hint) from exc
    # All these characters are inside strings: JSON itself has none of them, and its brackets precede no such header.
    return _no_line.sub(_code, _delimiter.sub(_code, text))


def _entity(found: re.Match[str]) -> str:
    return _ENTITIES.get(found[0]) or f"&#{ord(found[0])};"


def _code(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
