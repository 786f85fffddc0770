"""The formats in which models write a call: what delimits it in a text, and how its JSON names tool and arguments.

A new format is an entry of one of the tables here: `CALL_TAGS`, `FENCES`, `NAME_KEYS`, `ARGUMENT_KEYS` for JSON;
`FOREIGN_TAGS`, `FOREIGN_TOKENS`, `CALL_ELEMENTS`, `CODE_FENCES` for the markup of other prompts and models. The parser,
the decoder and the escaping of foreign text read them.
"""

from __future__ import annotations

import html
import re
from typing import Literal, Protocol

import msgspec

from bing_llm.tools.calls import Tool

# --- delimiters ---------------------------------------------------------------------------------

_LONGEST_GAP = 200  # characters between foreign markup and the call in it; Kimi's tokens take 70
LONGEST_SPACE = 1000  # characters of whitespace that are held back; more is not layout around a call

CALL_TAGS = ("tool_calls", "tool_call")
"""The tags that open a call; the first one may also wrap several calls. Each has an underscore, and longer ones come
before those that they begin with."""

RESULT_TAG = "tool_result"
"""The tag of a tool's result, which only we may write."""

FENCES = {"": False, "json": False, "tool_call": True, "tool_calls": True}
"""The info strings of fences in which the JSON of a call may stand, and whether they can mean nothing else."""

FOREIGN_TAGS = {
    "tool_calls": "asked for here, around another notation than JSON",
    "tool_call": "Qwen3-Coder and GLM 4.5 put XML into it: vllm-project/vllm#21571; MiniMax M2 and Seed with a prefix",
    "tools": "Qwen2.5-Coder: vllm-project/vllm#32931",
    "function_calls": "Claude and Olmo 3: anthropics/claude-code#77061",
    "function_call": "Granite 20B: the parser granite-20b-fc of vLLM; StarFunctions",
    "functioncall": "the data set Glaive function calling v2",
    "toolcall": "Nemotron Nano: its chat template",
    "tool_use": "Claude and models that were trained on it: its content blocks",
    "tool_code": "Gemini and Gemma: Google's guide to function calling with Gemma",
    "tool": "Llama 3.1 8B with prompts of its own",
    "start_function_call": "FunctionGemma: its model card",
}
"""The tags in which models put calls, and where that was seen. A call must follow directly."""

FOREIGN_TOKENS = {
    r"<\|python_tag\|>": "Llama 3.1: Meta's prompt format",
    r"<\|/?tool[_\u2581]calls?(?:[_\u2581](?:start|begin|section[_\u2581]begin))?\|?>": (
        "Granite 3, Phi 4, LFM 2, Kimi K2: vllm-project/vllm#31207"
    ),
    r"<\uff5ctool[_\u2581]calls?[_\u2581]begin\uff5c>": "DeepSeek V3 and R1: their chat templates",
    r"<\|(?:START_ACTION|tools_prefix|action_start)\|>": "Command A, Apertus, InternLM 2: their chat templates",
    r"<\|(?:start|channel)\|>(?:assistant)?(?:<\|channel\|>)?(?:commentary|analysis)?\s{0,4}(?=to=)": (
        "gpt-oss: kekzl/imp#1719, odysseus-dev/odysseus#4522"
    ),
    r"\[TOOL_CALLS?\]": "Mistral: unslothai/unsloth#5704",
    r"\[TOOL_REQUEST\]": "LM Studio's default format: its documentation of tool use",
}
"""The control tokens before which models put calls, as patterns, and where that was seen."""

CALL_ELEMENTS = "function_call|function|invoke|tool_call|tool_use|tool"
"""The elements that have the name of the tool as an attribute: `<function=x>` (Llama 3, Qwen3-Coder: vllm-project/vllm
issue 21571), `<invoke name="x">` (Claude: anthropics/claude-code issue 77061; MiniMax M2, DeepSeek V3.2)."""

PARAMETER_ELEMENTS = "parameter|param|argument|arg"
"""The elements that have the name of a parameter as an attribute, in those."""

NAME = r"[A-Za-z_](?:[\w-]|[.:/](?=\w)){0,127}"
"""The name of a tool, with a prefix and a count."""

_CONTROL = r"<[|\uff5c]/?[^<>|\uff5c\n]{1,40}[|\uff5c]?>"
_ANY_TAG = rf"(?:[a-z]{{1,12}}:)?(?:{'|'.join(FOREIGN_TAGS)}|end_function_call|{CALL_ELEMENTS})>"
_BEFORE_CALL = (
    rf"[\s,;]|{_CONTROL}|<{_ANY_TAG}|`{{3,16}}(?:json|xml|python|tool_code)?|\[TOOL_(?:CALLS?|REQUEST)\]"
    r"|function(?=<[|\uff5c])|(?<=\|>)(?:assistant|commentary|analysis)(?=[\s<])"
)
BETWEEN_CALLS = rf"(?:{_BEFORE_CALL}|</{_ANY_TAG}|\[(?:/|END_)TOOL_(?:CALLS?|REQUEST)\])*"
"""What may stand between a mark of calls and a call, and between calls."""

BETWEEN_NAME_AND_ARGUMENTS = (
    rf"(?:[\s:]|{_CONTROL}|`{{3,16}}(?:json)?|\[ARGS\]|\[CALL_ID\]\w{{1,40}}|(?:json|code|commentary)(?=[\s<{{]))*"
)
"""What may stand between the name of a tool and its arguments: Mistral's, Kimi's, DeepSeek's and gpt-oss's tokens."""

CODE_FENCES = ("tool_code",)
"""The info strings of fences in which a call in the syntax of Python may stand: Gemini and Gemma."""

_WRAPPERS = frozenset((*FENCES, "xml"))
"""The info strings of fences in which the tags of calls count."""

NAME_KEYS = ("name", "tool", "tool_name", "function", "function_name", "action", "recipient_name")
"""The keys under which the JSON of a call may name its tool."""

NAME_PREFIXES = ("functions.", "function.", "tools.", "tool.", "default_api.", "call:")
"""What may stand before the name of a tool: OpenAI's and Gemini's models see their tools in such a namespace."""

NAME_SUFFIX = ".call"
"""What may stand after it: Llama 3.1 calls its tools so (Meta's prompt format: `brave_search.call(query="...")`)."""

ARGUMENT_KEYS = (
    *("arguments", "parameters", "args", "input", "tool_input", "action_input", "params", "kwargs"),
    *("tool_args", "tool_arguments", "tool_parameters", "function_args", "function_arguments"),
)  # fmt: skip
"""The keys under which it may have its arguments."""

NESTING_KEYS = ("function", "function_call", "tool_call", "tool_use", "action")
"""The keys under which a call may be an object of its own."""

THOUGHT_KEYS = ("thought", "thoughts")
"""The keys with which an object begins that says why it calls: it is asked again, because the reason would be lost."""

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


def _lookahead(token: str) -> str:
    """The pattern of a token's first character, if the rest follows."""
    first = token[: 1 + token.startswith("\\")]
    return f"{first}(?={token[len(first) :]})"


_FOREIGN_NAMES = "|".join(FOREIGN_TAGS).replace("_", _LOOSE)
MARKUP_START = (
    rf"<(?=[\s\\/]{{0,8}}(?:(?:[a-z]{{1,12}}:)?(?:{_FOREIGN_NAMES})(?:[ \t][^<>\n]{{0,64}})?\\?>\s*\S"
    rf"|(?:{CALL_ELEMENTS})(?:\s*=|\s+name\s*=)))|{'|'.join(map(_lookahead, FOREIGN_TOKENS))}"
)
"""A pattern of where foreign markup begins: in foreign text its first character is escaped."""

_CALL_FENCES = [name for name, always in FENCES.items() if always]
FENCE_NAME = "|".join(rf"{name.replace('_', _LOOSE)}\b" for name in (*_CALL_FENCES, *CODE_FENCES))
"""A pattern of the info strings that can only mean calls, in any spelling: foreign text that has it is escaped."""

DELIMITER = re.compile(r"[<&\\{\[]|`+|\n\s*")
"""Where one of the delimiters may begin: a tag in any spelling, backticks, a bracket, or a new line."""


class Tools(Protocol):
    """What the names of tools are."""

    def tool(self, name: str) -> Tool | None:
        """The tool that is meant, if it is one of these."""

    def may_begin(self, name: str) -> bool:
        """Whether a name that begins so may be that of a tool."""


class Delimiter(msgspec.Struct, frozen=True):
    """The opening delimiter of a block, or other markup around calls.

    Attributes:
        kind: What it is:

            - `tag`, `fence`, or `bare` for the JSON itself: a block of what may be calls;
            - `markup`: foreign markup around what may be calls in any notation, up to the end of the reply;
            - `object`, `code`, `element`, `loose`: what may be nearly a call: JSON, a call in the syntax of Python, an
              element with the name of a tool, a tag of calls around something else;
            - `quoted`: JSON that is only quoted;
            - `layout`: what may stand around the tags of calls, and is dropped;
            - `result`: a tag that only we may write;
            - `xml`: a code fence without calls, in which tags count; in `foreign` code they are text;
            - `more`: what may yet become one of these.

        text: As it was written.
        closers: What may close the block, in lower case; empty for nothing.
        always: Whether it can mean nothing but a call.
        tool: The name of the tool that it has, "" for none.
    """

    kind: Literal[
        "tag", "fence", "bare", "markup", "object", "quoted", "code", "element", "loose", "layout", "result", "xml",
        "foreign", "more",
    ]  # fmt: skip
    text: str
    closers: tuple[str, ...] = ()
    always: bool = False
    tool: str = ""


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
_names_tool = _compiled(r"\sname\s*=")
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
_tool_line = re.compile(rf"[ \t]{{0,4}}({NAME})[ \t]{{0,4}}\r?\n")
_tool_line_begun = re.compile(rf"[ \t]{{0,4}}({NAME}[.:/]?)[ \t]{{0,4}}\r?")
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
    if _json.match(text, end.end()):  # if the tag names the tool, that JSON is the arguments: see `markup_at`
        return None if _names_tool.search(end[0]) else Delimiter("tag", text[at : end.end()], CLOSERS, always=True)
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


def fence_at(text: str, run: re.Match[str], tools: Tools) -> Delimiter | None:
    """The code fence that these backticks begin; it stands on one line with its info string.

    Args:
        text: What has come of the text.
        run: Three or more backticks in it.
        tools: The tools; a fence may have the name of one as its info string.
    """
    start, end = run.span()
    special = _wrapping_fence(text, run, tools) or _tool_fence(text, run, tools)
    if special is not None:
        return special
    line = _line.match(text, end)
    if line is None:
        return MORE if _line_begun.fullmatch(text, end) else Delimiter("foreign", run[0])
    info = _info(line[line.lastindex or 0])
    if info in FENCES:
        return Delimiter("fence", text[start : line.end()], (run[0],), always=FENCES[info])
    return Delimiter("xml" if info in _WRAPPERS else "foreign", run[0], tool=info)


def _wrapping_fence(text: str, run: re.Match[str], tools: Tools) -> Delimiter | None:
    """A fence around tags of calls, foreign markup, or calls in the syntax of Python."""
    wrapping = _wrapping.match(text, run.end())
    if wrapping is None:
        return None
    if _info(wrapping[1]) in _WRAPPERS:
        return _layout(text, run.start(), wrapping.end()) or markup_at(text, wrapping.end(), tools)
    code = code_at(text, wrapping.end(), tools) if _info(wrapping[1]) in CODE_FENCES else None
    return code if code is None or code is MORE else Delimiter("markup", "")


def _tool_fence(text: str, run: re.Match[str], tools: Tools) -> Delimiter | None:
    """A fence with the name of a tool."""
    named = _tool_line.match(text, run.end())
    if named is None:
        begun = _tool_line_begun.fullmatch(text, run.end())
        return MORE if begun and tools.may_begin(begun[1]) else None
    opener = text[run.start() : named.end()]
    return Delimiter("fence", opener, (run[0],), tool=named[1]) if tools.tool(named[1]) else None


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


_markup = _compiled(
    rf"<(?:[a-z]{{1,12}}:)?(?:{'|'.join(FOREIGN_TAGS)})(?:[ \t][^<>\n]{{0,64}})?>|{'|'.join(FOREIGN_TOKENS)}"
)
_element = _compiled(rf"""<(?:{CALL_ELEMENTS})(?:\s{{0,4}}=\s{{0,4}}|\s{{1,4}}name\s{{0,4}}=\s{{0,4}})["']?""")
_markup_begun = _compiled(
    r"<[|\uff5c]?[\w:|\uff5c/\u2581]{0,48}|<[\w:]{1,24}[ \t=][^<>\n]{0,80}|\[(?:t|to|too|tool[a-z_]{0,10})?"
    r"|<\|(?:start|channel)\|>[a-z]{0,12}\s{0,4}(?:<(?:\|[a-z]{0,8}\|?)?|<\|channel\|>(?:[a-z]{0,12}\s{0,4})?)?t?o?"
)
_after_markup = _compiled(f"(?:{_BEFORE_CALL})*")
_inner_begun = _compiled(r"<[^<>\n]{0,48}|\[[a-z_]{0,20}|`{1,16}[a-z_]{0,12}|(?<=`)[a-z_]{1,12}")
_inner = _compiled(rf"<(?:{CALL_ELEMENTS}|(?:tool_|function_)?name)\b")
_name = re.compile(rf"(?:call:|to=)?({NAME})")
_code = re.compile(rf"\[?\s{{0,8}}(?:print\(\s{{0,8}})?({NAME}[.:/]?)(?:\s?(\()|(?=[^\w.:/-]|\Z))")
_assigned = re.compile(r"\w{1,40} ?= ?")
_assigned_begun = re.compile(r"\w{1,40} ?=? ?")
_tool_element = re.compile(rf"<({NAME})(?=[\s/>])[^<>\n]{{0,400}}?(/?)>")
_tool_element_begun = re.compile(rf"<(?:{NAME}[.:/]?)?(?:[\s/][^<>\n]{{0,400}})?")
_loose = _compiled(r"<([a-z_]{0,9}calls?|tool_use)(?:[ \t][^<>\n]{0,64})?>")


def markup_at(text: str, at: int, tools: Tools) -> Delimiter | None:
    """The foreign markup at this position, directly before what may be a call; None for any other text."""
    if element := _element.match(text, at):
        return _named(text, element.end(), tools)
    markup = _markup.match(text, at)
    if markup is None:
        return MORE if _markup_begun.fullmatch(text, at) else None
    after = _after_markup.match(text, markup.end(), markup.end() + _LONGEST_GAP)
    end = after.end() if after else markup.end()
    if end - markup.end() >= _LONGEST_GAP:
        return None
    if end == len(text) or _inner_begun.fullmatch(text, end):
        return MORE
    if text[end] in "{[":
        return Delimiter("markup", "")
    return Delimiter("markup", "") if _inner.match(text, end) or _element.match(text, end) else _named(text, end, tools)


def _named(text: str, at: int, tools: Tools) -> Delimiter | None:
    """Foreign markup, if the name of a tool follows here."""
    name = _name.match(text, at)
    if any(
        prefix.startswith(text[at : at + len(prefix)]) for prefix in ("to=", "call:") if len(text) - at <= len(prefix)
    ):
        return MORE
    if name is None:
        return None
    if name.end() == len(text):
        return MORE if tools.may_begin(name[1]) else None
    if text[name.end()] in ".:/<" and name.end() + 1 == len(text):
        return MORE
    return Delimiter("markup", "") if tools.tool(name[1]) else None


def code_at(text: str, at: int, tools: Tools, *, assigned: bool = False) -> Delimiter | None:
    """The call in the syntax of Python that begins at this position, or a list of them.

    Args:
        text: What has come of the text.
        at: The position.
        tools: The tools that may be called.
        assigned: Whether it may be assigned to a variable.
    """
    if assigned:
        if _assigned_begun.fullmatch(text, at):
            return MORE
        variable = _assigned.match(text, at)
        at = variable.end() if variable else at
    code = _code.match(text, at)
    if code is None or code.end() == len(text):
        begun = code[1] if code else ""
        blank = not text[at:].strip("[ \t\r\n") and len(text) - at <= LONGEST_SPACE
        if (
            (code and not code[2] and ("print".startswith(begun) or tools.may_begin(begun)))
            or begun == "print"
            or blank
        ):
            return MORE
    return Delimiter("code", "", tool=code[1]) if code and code[2] and tools.tool(code[1]) else None


def element_at(text: str, at: int, tools: Tools) -> Delimiter | None:
    """The element at this position that has the name of a tool."""
    element = _tool_element.match(text, at)
    if element is None:
        begun = _tool_element_begun.fullmatch(text, at)
        name = _name.match(text, at + 1)
        return MORE if begun and (name is None or tools.may_begin(name[1]) or tools.tool(name[1])) else None
    if tools.tool(element[1]) is None:
        return None
    closers = () if element[2] else (f"</{element[1].lower()}>",)
    return Delimiter("element", element[0], closers, tool=element[1])


def loose_tag_at(text: str, at: int) -> Delimiter | None:
    """The tag of calls at this position, whatever follows."""
    tag = _loose.match(text, at)
    if tag is None or tag[1].lower() not in FOREIGN_TAGS:
        return None
    return Delimiter("loose", tag[0], (f"</{tag[1].lower()}>",))


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
