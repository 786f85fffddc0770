"""The formats in which models write a call: what delimits it in a text, and how its JSON names tool and arguments.

A new format is an entry of one of the tables here: `CALL_TAGS`, `FENCES`, `NAME_KEYS`, `ARGUMENT_KEYS`. The parser and
the escaping of foreign text read them.
"""

from __future__ import annotations

import html
import re
from typing import Literal

import msgspec

# --- delimiters ---------------------------------------------------------------------------------

LONGEST_SPACE = 1000  # characters of whitespace that are held back; more is not layout around a call

CALL_TAGS = ("tool_calls", "tool_call")
"""The tags that open a call; the first one may also wrap several calls. Each has an underscore, and longer ones come
before those that they begin with."""

RESULT_TAG = "tool_result"
"""The tag of a tool's result, which only we may write."""

FENCES = {"": False, "json": False, "tool_call": True, "tool_calls": True}
"""The info strings of fences in which a call may stand, and whether they can mean nothing else."""

_WRAPPERS = frozenset((*FENCES, "xml"))
"""The info strings of fences in which the tags of calls count."""

NAME_KEYS = ("name", "tool", "tool_name", "function", "function_name", "action", "recipient_name")
"""The keys under which the JSON of a call may name its tool."""

NAME_PREFIXES = ("functions.", "function.", "tools.", "tool.", "default_api.")
"""What may stand before the name of a tool: OpenAI's and Gemini's models see their tools in such a namespace."""

ARGUMENT_KEYS = (
    *("arguments", "parameters", "args", "input", "tool_input", "action_input", "params", "kwargs"),
    *("tool_args", "tool_arguments", "tool_parameters", "function_args", "function_arguments"),
)  # fmt: skip
"""The keys under which it may have its arguments."""

NESTING_KEYS = ("function", "function_call", "tool_call", "tool_use", "action")
"""The keys under which a call may be an object of its own."""

LIST_KEYS = ("tool_calls", "tool_uses", "function_calls", "calls", "actions")
"""The keys under which several calls may be a list."""

PARALLEL_NAMES = ("multi_tool_use.parallel", "functions.multi_tool_use.parallel")
"""The name of a tool that calls several others, in OpenAI's own prompts."""

CALL_TYPES = ("function", "function_call", "tool", "tool_call", "tool_calls", "tool_use")
"""The values of `type` that say no more than that it is a call."""

LABEL_KEYS = ("id", "call_id", "tool_call_id", "index")
"""The keys that only label a call, for who answers it: they are not kept."""

ENVELOPE_KEYS: dict[str, tuple[object, ...]] = {
    "role": ("assistant",),
    "content": (None, "", []),
    "refusal": (None,),
    "type": CALL_TYPES,
}
"""What may stand beside a list of calls, and the values that say nothing."""

_LOOSE = r"\\{0,2}_"  # an underscore as foreign text may spell it

TAG_START = "|".join(sorted({tag.partition("_")[0] + _LOOSE for tag in (*CALL_TAGS, RESULT_TAG)}))
"""A pattern of how these tags begin, in any spelling: foreign text that has it is escaped."""

FENCE_NAME = "|".join(rf"{name.replace('_', _LOOSE)}\b" for name, always in FENCES.items() if always)
"""A pattern of the info strings that can only mean calls, in any spelling: foreign text that has it is escaped."""

DELIMITER = re.compile(r"[<&\\]|`+|\n\s*")
"""Where one of the delimiters may begin: the beginning of a tag in any spelling, backticks, or a new line."""


class Delimiter(msgspec.Struct, frozen=True):
    """The opening delimiter of a block, or other markup around calls.

    Attributes:
        kind: What it is:

            - `tag`, `fence`, or `bare` for the JSON itself: a block of what may be calls;
            - `layout`: what may stand around the tags of calls, and is dropped;
            - `result`: a tag that only we may write;
            - `code`: a code fence without calls, in which tags count; in `foreign` code they are text;
            - `more`: what may yet become one of these.

        text: As it was written.
        closers: What may close the block; empty for nothing.
        always: Whether it can mean nothing but a call.
    """

    kind: Literal["tag", "fence", "bare", "layout", "result", "code", "foreign", "more"]
    text: str
    closers: tuple[str, ...] = ()
    always: bool = False


MORE = Delimiter("more", "")

# A service may escape a tag when it cleans up Markdown or HTML: "<" and what ends the tag then, and the "_" in it.
_ENDS = {"<": ">", "&lt;": "&gt;", "\\<": r"\\?>"}
_UNDERSCORES = ("_", "\\_")
CLOSERS = tuple(
    f"{less}/{tag.replace('_', underscore)}{more}"
    for less, more in (("<", ">"), ("&lt;", "&gt;"), ("\\<", "\\>"), ("\\<", ">"))
    for underscore in _UNDERSCORES
    for tag in CALL_TAGS
)
"""The tags that end a call, in lower case."""

_TAG_STARTS = tuple(
    f"{less}{tag.replace('_', underscore)}"
    for less in _ENDS
    for underscore in _UNDERSCORES
    for tag in (*CALL_TAGS, RESULT_TAG)
)
_LONGEST_TAG_START = max(map(len, _TAG_STARTS))

_ESCAPED = re.compile(r"""(\\["\\/])|\\([!#$%&'()*+,.:;<=>?@\[\]^_`{|}~-])""")


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_tag = re.compile(
    rf"(<|&lt;|\\<)(?:({'|'.join(CALL_TAGS)})|{RESULT_TAG})".replace("_", r"\\?_"), re.IGNORECASE | re.ASCII
)
# Each pattern is followed by the one of its beginnings, which may be too wide: what has come is then looked at again.
_ends = {less: _compiled(rf"(?:[ \t][^<>\n]{{0,64}}?)?{end}") for less, end in _ENDS.items()}
_end_begun = _compiled(r"(?:[ \t][^<>\n]{0,68})?(?:\\|&(?:gt?)?)?")
_attribute = _compiled(r"[ \t]{1,4}[a-z]{1,16}=")
_attribute_begun = _compiled(r"(?:[ \t]{1,4}[a-z]{0,16})?")

_SPACE = rf"[\s\u200b\ufeff]{{0,{LONGEST_SPACE}}}"
_INFO = r"[ \t]{0,4}[A-Za-z_]{0,12}\s{0,100}"
_space = _compiled(_SPACE)
_json = _compiled(rf"{_SPACE}(?:(?:`{{3,16}}|~{{3,16}}){_INFO})?\\?[{{\[]")
_json_begun = _compiled(rf"{_SPACE}(?:`{{0,2}}|~{{0,2}}|(?:`{{3,16}}|~{{3,16}}){_INFO})\\?")

# JSON on the same line needs an info string: without one it is more likely code within a sentence.
_line = _compiled(r"[ \t]{0,4}(?:([A-Z_\\]{0,12})[ \t]{0,4}\r?\n|([A-Z_\\]{1,12})[ \t]{0,4}(?=[{\[]))")
_line_begun = _compiled(r"[ \t]{0,4}[A-Z_\\]{0,12}[ \t]{0,4}\r?")
_wrapping = _compiled(rf"[ \t]{{0,4}}([A-Z_\\]{{0,12}}){_SPACE}")


def tag_at(text: str, at: int) -> Delimiter | None:
    """The tag at this position that opens a call or a result, or wraps calls; None for any other text.

    A tag opens a call only if JSON follows it: otherwise somebody only mentions the tag. At the end of the text
    anything may follow, so there the answer is `MORE`.
    """
    tag = _tag.match(text, at)
    if tag is None:
        tail = text[at : at + _LONGEST_TAG_START].lower()
        begun = len(text) - at < _LONGEST_TAG_START and any(start.startswith(tail) for start in _TAG_STARTS)
        return MORE if begun else None
    if tag[2] is None:
        return _result(text, at, tag.end())
    end = _ends[tag[1].lower()].match(text, tag.end())
    if end is None:
        return MORE if _end_begun.fullmatch(text, tag.end()) else None
    if _json.match(text, end.end()):
        return Delimiter("tag", text[at : end.end()], CLOSERS, always=True)
    if _json_begun.fullmatch(text, end.end()):
        return MORE
    return _wrapper(text, at, end.end()) if _may_wrap(tag) else None


def _result(text: str, at: int, end: int) -> Delimiter | None:
    attribute = _attribute.match(text, end)
    if attribute is None:
        return MORE if _attribute_begun.fullmatch(text, end) else None
    return Delimiter("result", text[at : attribute.end()])


def _wrapper(text: str, at: int, end: int) -> Delimiter | None:
    inner = _tag.match(text, _skip_space(text, end))
    # Not one wrapper in another: that may have no end.
    return None if inner and _may_wrap(inner) else _layout(text, at, end)


def _may_wrap(tag: re.Match[str]) -> bool:
    return tag[2] is not None and tag[2].lower().replace("\\", "") == CALL_TAGS[0]


def fence_at(text: str, run: re.Match[str]) -> Delimiter | None:
    """The code fence that these backticks begin; it stands on one line with its info string.

    Args:
        text: What has come of the text.
        run: Three or more backticks in it.
    """
    start, end = run.span()
    wrapping = _wrapping.match(text, end)
    if wrapping and _info(wrapping[1]) in _WRAPPERS:
        layout = _layout(text, start, wrapping.end())
        if layout is not None:
            return layout
    line = _line.match(text, end)
    if line is None:
        return MORE if _line_begun.fullmatch(text, end) else Delimiter("foreign", run[0])
    info = _info(line[line.lastindex or 0])
    if info in FENCES:
        return Delimiter("fence", text[start : line.end()], (run[0],), always=FENCES[info])
    return Delimiter("code" if info in _WRAPPERS else "foreign", run[0])


def _layout(text: str, at: int, end: int) -> Delimiter | None:
    """What stands there, up to `end`, as layout, where the tag of a call follows."""
    wrapped = tag_at(text, _skip_space(text, end))
    if wrapped is None or wrapped is MORE:
        return wrapped
    return None if wrapped.kind == "result" else Delimiter("layout", text[at:end])


def _skip_space(text: str, at: int) -> int:
    space = _space.match(text, at)
    return at if space is None else space.end()


def _info(written: str) -> str:
    return written.lower().replace("\\", "")


def closer_at(text: str, at: int, closers: tuple[str, ...]) -> str | None:
    """The closer at this position; "" where it may yet be one, None where it cannot."""
    lowered = text[at : at + max(map(len, closers), default=0)].lower()
    for closer in closers:
        if lowered.startswith(closer):
            return closer
    return "" if at == len(text) or any(closer.startswith(lowered) for closer in closers) else None


def unescape(content: str, delimiter: Delimiter) -> str:
    """The content of a block, with the escapes of its tag undone."""
    if delimiter.text.startswith("&"):
        return html.unescape(content)
    return _ESCAPED.sub(lambda escape: escape[1] or escape[2], content) if "\\" in delimiter.text else content
