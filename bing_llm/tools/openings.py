"""What may open a block of calls in a text: tags, as services escape them too, and code fences."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

__all__ = ["CLOSERS", "LONGEST_SPACE", "MORE", "Opening", "closer_at", "fence_at", "tag_at"]

LONGEST_SPACE = 1000  # characters of whitespace that are held back; more is no layout around a call


class Opening(msgspec.Struct, frozen=True):
    """What opens a block, or something else that stands around calls.

    Attributes:
        kind: What it is:

            - `tag`, `fence`, or `bare` for the JSON itself: a block of what may be calls;
            - `layout`: what may stand around the tags of calls, and is dropped;
            - `result`: a tag that only we may write;
            - `code`: a code fence without calls, in which tags count; in one of `foreign` code they are text;
            - `more`: what may yet become one of these.

        text: As it was written.
        closers: What may close the block; empty for nothing.
        always: Whether it can mean nothing but a call.
    """

    kind: Literal["tag", "fence", "bare", "layout", "result", "code", "foreign", "more"]
    text: str
    closers: tuple[str, ...] = ()
    always: bool = False


MORE = Opening("more", "")

# A service may escape a tag when it cleans up Markdown or HTML: "<" and what ends the tag then, and the "_" in it.
_ENDS = {"<": ">", "&lt;": "&gt;", "\\<": r"\\?>"}
_UNDERSCORES = ("_", "\\_")
CLOSERS = tuple(
    f"{less}/tool{underscore}{name}{more}"
    for less, more in (("<", ">"), ("&lt;", "&gt;"), ("\\<", "\\>"), ("\\<", ">"))
    for underscore in _UNDERSCORES
    for name in ("call", "calls")
)
"""The tags that end a call, in lower case."""

_NAMES = tuple(
    f"{less}tool{underscore}{name}" for less in _ENDS for underscore in _UNDERSCORES for name in ("call", "result")
)
_LONGEST_NAME = max(map(len, _NAMES))


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_name = re.compile(r"(<|&lt;|\\<)tool\\?_(?:call(s?)|result)", re.IGNORECASE | re.ASCII)
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
_FENCES = {"": False, "json": False, "tool_call": True, "tool_calls": True}
"""The info strings of fences in which a call may stand, and whether they can mean nothing else."""
_WRAPPERS = frozenset((*_FENCES, "xml"))
"""The info strings of fences in which the tags of calls count."""


def tag_at(text: str, at: int) -> Opening | None:
    """The tag at this position that opens a call or a result, or wraps calls; None for any other text.

    A tag opens a call only where JSON begins behind it: else somebody speaks of the tag. At the end of the text
    anything may come, so there the answer is `MORE`.
    """
    name = _name.match(text, at)
    if name is None:
        tail = text[at : at + _LONGEST_NAME].lower()
        begun = len(text) - at < _LONGEST_NAME and any(known.startswith(tail) for known in _NAMES)
        return MORE if begun else None
    if name[2] is None:
        return _result(text, at, name.end())
    end = _ends[name[1].lower()].match(text, name.end())
    if end is None:
        return MORE if _end_begun.fullmatch(text, name.end()) else None
    if _json.match(text, end.end()):
        return Opening("tag", text[at : end.end()], CLOSERS, always=True)
    if _json_begun.fullmatch(text, end.end()):
        return MORE
    return _wrapper(text, at, end.end()) if name[2] else None


def _result(text: str, at: int, end: int) -> Opening | None:
    attribute = _attribute.match(text, end)
    if attribute is None:
        return MORE if _attribute_begun.fullmatch(text, end) else None
    return Opening("result", text[at : attribute.end()])


def _wrapper(text: str, at: int, end: int) -> Opening | None:
    inner = _name.match(text, _behind_space(text, end))
    # Not one wrapper in another: that may have no end.
    return None if inner and inner[2] else _layout(text, at, end)


def fence_at(text: str, run: re.Match[str]) -> Opening | None:
    """The code fence whose backticks these are; it is on no other line than its info string.

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
        return MORE if _line_begun.fullmatch(text, end) else Opening("foreign", run[0])
    info = _info(line[line.lastindex or 0])
    if info in _FENCES:
        return Opening("fence", text[start : line.end()], (run[0],), always=_FENCES[info])
    return Opening("code" if info in _WRAPPERS else "foreign", run[0])


def _layout(text: str, at: int, end: int) -> Opening | None:
    """What stands there, up to `end`, as layout, where the tag of a call follows."""
    wrapped = tag_at(text, _behind_space(text, end))
    if wrapped is None or wrapped is MORE:
        return wrapped
    return None if wrapped.kind == "result" else Opening("layout", text[at:end])


def _behind_space(text: str, at: int) -> int:
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
