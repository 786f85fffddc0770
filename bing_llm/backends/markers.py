"""The markers of citations in a Markdown text: where they stand, and which text may be given before its end is known.

Two forms are known: `[N](url)`, an ordinary link whose text is a number, also as `[[N]](url)`
(docs/protocol/workiq.md, section 12), and `[^N^]` (section 5 there, and docs/protocol/chathub.md, section e). What
stands in code is text, and so is an image. The grammar is that of CommonMark 0.31 (sections 4.4, 4.5, 6.1 and 6.3);
HTML is taken for text.

The work grows with the length of the text, whatever it holds: no part of it is scanned more than some ten times.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from bing_llm._urls import web_url
from bing_llm.events import Citation

_LONGEST_MARKER: Final = 4096  # characters; SharePoint's longest URL has some 2,000 when it is escaped
_DEEPEST_PARENTHESES: Final = 8  # in a URL; CommonMark asks for 3, and each one scans hostile text once more
_DEEPEST_BLOCKS: Final = 32  # quotes and list items in each other

_PUNCTUATION: Final = r"[!-/:-@\[-`{-~]"
_ESCAPE_OR_ENTITY: Final = re.compile(
    rf"\\({_PUNCTUATION})|&(?:#[0-9]{{1,7}}|#[xX][0-9a-fA-F]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,31}});"
)
# A year is not a marker: no answer has a thousand sources.
_NUMBER: Final = r"[1-9]\d{0,2}"
_OPENING: Final = re.compile(rf"\[(\[)?{_NUMBER}\](?(1)\])\(", re.ASCII)
# The same, and at once to the end of a destination in which nothing is special: most are of that kind.
_OPENING_OR_LINK: Final = re.compile(rf"\[(\[)?{_NUMBER}\](?(1)\])\((?P<rest>[^\x00-\x20\x7f()<>\\`]+\))?", re.ASCII)
_SIGN: Final = re.compile(
    rf"(?P<escape>\\{_PUNCTUATION})|(?P<ticks>`+)|\[(?P<twice>\[)?(?P<link>{_NUMBER})\](?(twice)\])\("
    r"|\[\^(?P<note>[1-9]\d{0,5})\^\]",
    re.ASCII,
)
_BEGINNING: Final = re.compile(rf"\[(?:{_NUMBER}\]?|\[(?:{_NUMBER}\]{{0,2}})?|\^(?:[1-9]\d{{0,5}}\^?)?)?\Z", re.ASCII)
_LONGEST_BEGINNING: Final = len("[^123456^")
_LONGEST_OPENING: Final = len("[[123]](")
_LONGEST_SIGN: Final = 16  # characters; that of a marker without its link, and of what goes before it

_GAP = re.compile(r"[ \t]*(?:(?:\r\n?|\n)[ \t]*)?")
# A backslash at the end may escape what follows.
_ANGLED = re.compile(r"(?:[^<>\\\r\n]|\\(?:[^\r\n]|\Z))*")
_PLAIN = re.compile(r"(?:[^\x00-\x20\x7f()\\`]|\\[^\x00-\x20]?)*")
_TITLES = {
    '"': (re.compile(r'(?:[^"\\]|\\(?:.|\Z))*', re.DOTALL), '"'),
    "'": (re.compile(r"(?:[^'\\]|\\(?:.|\Z))*", re.DOTALL), "'"),
    "(": (re.compile(r"(?:[^()\\]|\\(?:.|\Z))*", re.DOTALL), ")"),
}
_EMPTY_LINE = re.compile(r"(?:\r\n|\n|\r(?!\n))[ \t]*[\r\n]")
_ESCAPED_IN_URLS: Final = str.maketrans({sign: f"%{ord(sign):02X}" for sign in ' "<>\\`'})


class Marker(NamedTuple):
    """One marker.

    Attributes:
        number: The citation that it names.
        start: Where it begins, in characters of the text.
        end: Where it ends: the place after its last character.
        url: Where its link leads; "" for the form `[^N^]`.
        title: The title that the link has; "" for none.
    """

    number: int
    start: int
    end: int
    url: str = ""
    title: str = ""


class Markers(NamedTuple):
    """The markers of a text.

    Attributes:
        links: Those of the form `[N](url)`, in the order of the text.
        notes: Those of the form `[^N^]`.
        decided: How much of the text, from its beginning, cannot mean anything else when more text follows.
        settled: Where the text can be read on, with what follows, without what goes before.
    """

    links: tuple[Marker, ...]
    notes: tuple[Marker, ...]
    decided: int
    settled: Place


class Place(NamedTuple):
    """A place in a text, and in which blocks it is.

    Attributes:
        at: The place.
        containers: The open quotes and list items, as in `_Blocks`.
        fence: What opened the code block around it.
        in_paragraph: Whether it is in a paragraph or heading.
        in_line: Whether the line has begun before.
        is_heading: Whether the paragraph is a heading.
        is_empty_item: Whether the line before began a list item and had nothing else.
    """

    at: int = 0
    containers: tuple[int, ...] = ()
    fence: str = ""
    in_paragraph: bool = False
    in_line: bool = False
    is_heading: bool = False
    is_empty_item: bool = False


BEGINNING: Final = Place()


def find_markers(text: str, *, final: bool = True, place: Place = BEGINNING) -> Markers:
    """The markers of a text.

    Args:
        text: Markdown.
        final: Whether nothing follows it. Else markers that may still turn out to be code are left out.
        place: In which blocks it begins; its `at` does not matter.
    """
    links: list[Marker] = []
    notes: list[Marker] = []
    decided = len(text) if final else _beginning_in(text)
    settled = place._replace(at=0)
    if "](" in text or "^]" in text:
        blocks = _Blocks(text, place)
        known = len(text) if final else blocks.known
        clean: int | None = None  # in the paragraph that goes on
        for start, end in blocks:
            if start < known:
                found = _Inline(text, start, min(end, known), is_open=not final and end >= known)
                links += found.links
                notes += found.notes
                decided = min(decided, found.decided)
                clean = found.clean if end >= known else None
        decided = min(decided, _first_opening(text, known, len(text)))
        settled = blocks.place_of(clean)
    return Markers(
        tuple(link for link in links if link.end <= decided),
        tuple(note for note in notes if note.end <= decided),
        decided,
        settled,
    )


def unfinished_from(text: str) -> int:
    """Where a marker begins that the end of the text has cut; the length of the text if there is none.

    Only the end of the text is looked at, so it is cheap to ask for each beginning of a long text. Of two beginnings of
    one text, the longer one never has a smaller answer.
    """
    first = max(0, len(text) - _LONGEST_MARKER - _LONGEST_OPENING)
    if text.rfind("[", first) < 0:
        return len(text)
    whole_from = whole_to = 0  # the last link that is complete, which may have openings in it
    for opening in _OPENING_OR_LINK.finditer(text, first):
        if opening["rest"]:
            continue
        try:
            link = _read_link(text, opening.end(), len(text))
        except _Cut:
            return whole_from if opening.start() < whole_to else opening.start()
        if link is not None and opening.start() >= whole_to:
            whole_from, whole_to = opening.start(), link.end
    return _beginning_in(text)


def _beginning_in(text: str) -> int:
    """Where the text ends in a part of a marker's `[N](` or `[^N^]`; the length of the text if it does not."""
    beginning = _BEGINNING.search(text, max(0, len(text) - _LONGEST_BEGINNING))
    return beginning.start() if beginning else len(text)


def _first_opening(text: str, start: int, end: int) -> int:
    """Where the first marker begins that may be a link; the length of the text if there is none."""
    found = _OPENING.search(text, start, end)
    return found.start() if found else len(text)


def spans_of(markers: Iterable[Marker]) -> dict[int, tuple[tuple[int, int], ...]]:
    """The places of the markers, by their numbers."""
    spans: dict[int, list[tuple[int, int]]] = {}
    for marker in markers:
        spans.setdefault(marker.number, []).append((marker.start, marker.end))
    return {number: tuple(places) for number, places in spans.items()}


def with_spans(citations: tuple[Citation, ...], text: str) -> tuple[Citation, ...]:
    """The citations with the places of their markers `[^N^]`."""
    spans = spans_of(find_markers(text).notes) if citations else {}
    return tuple(msgspec.structs.replace(each, spans=spans.get(each.number, ())) for each in citations)


# --- links ------------------------------------------------------------------------------------------------------------


class _Cut(Exception):
    """The text ends in the middle of a link."""


def _read_link(text: str, start: int, end: int) -> Marker | None:
    """The link whose destination begins here, with 0 as its number; None if there is none.

    Args:
        text: The text.
        start: The place after `[N](`.
        end: Where the block ends.

    Raises:
        _Cut: The block ends first.
    """
    limit = min(end, start + _LONGEST_MARKER)
    try:
        return _link_within(text, start, limit)
    except _Cut:
        if limit == end:
            raise
        return None


def _link_within(text: str, start: int, limit: int) -> Marker | None:
    here = _skip_gap(text, start, limit)
    end = _angled_end(text, here, limit) if text[here] == "<" else _plain_end(text, here, limit)
    if end is None:
        return None
    target = text[here + 1 : end - 1] if text[here] == "<" else text[here:end]
    gap = _skip_gap(text, end, limit)
    title = ""
    if gap > end and text[gap] in _TITLES:
        pattern, closing = _TITLES[text[gap]]
        stop = _matched(pattern, text, gap + 1, limit)
        title = text[gap + 1 : stop]
        if text[stop] != closing or _EMPTY_LINE.search(title):
            return None
        gap = _skip_gap(text, stop + 1, limit)
    url = web_url(_unescaped(target).translate(_ESCAPED_IN_URLS)) if text[gap] == ")" else ""
    return Marker(0, start, gap + 1, url, " ".join(_unescaped(title).split())) if url else None


def _matched(pattern: re.Pattern[str], text: str, start: int, limit: int) -> int:
    """Where a pattern that matches anything ends.

    Raises:
        _Cut: Nothing follows it.
    """
    found = pattern.match(text, start, limit)
    end = start if found is None else found.end()
    if end >= limit:
        raise _Cut
    return end


def _skip_gap(text: str, start: int, limit: int) -> int:
    return _matched(_GAP, text, start, limit)


def _angled_end(text: str, start: int, limit: int) -> int | None:
    end = _matched(_ANGLED, text, start + 1, limit)
    return end + 1 if text[end] == ">" else None


def _plain_end(text: str, start: int, limit: int) -> int | None:
    """Where the destination ends: at a blank, or at the `)` that no `(` of it opened."""
    depth, here = 0, start
    while True:
        here = _matched(_PLAIN, text, here, limit)
        if text[here] == "(" and depth < _DEEPEST_PARENTHESES:
            depth += 1
        elif text[here] == ")" and depth:
            depth -= 1
        else:
            return here if depth == 0 and text[here] != "(" else None
        here += 1


def _unescaped(text: str) -> str:
    if "&" not in text and "\\" not in text:
        return text
    import html  # noqa: PLC0415 - its table of entities is slow to import, and few links have one

    return _ESCAPE_OR_ENTITY.sub(lambda found: found[1] or html.unescape(found[0]), text)


# --- one block of prose -----------------------------------------------------------------------------------------------


class _Inline:
    """The markers of one paragraph or heading; what stands between backticks is code.

    Args:
        text: The text.
        start: Where the block begins.
        end: Where it ends.
        is_open: Whether more of the block may follow.
    """

    def __init__(self, text: str, start: int, end: int, *, is_open: bool) -> None:
        self._text, self._end, self._is_open = text, end, is_open
        self.links: list[Marker] = []
        self.notes: list[Marker] = []
        self.decided = len(text)
        self.clean = start  # before it nothing is open
        self._runs: dict[int, list[int]] | None = None
        here: int | None = start
        while here is not None:
            self.clean = here
            here = self._step(start, here)

    def _step(self, start: int, here: int) -> int | None:
        """Take the next sign; where to go on, None at the end."""
        sign = _SIGN.search(self._text, here, self._end)
        if sign is None:
            self.clean = max(here, self._plain_place())
            return None
        if sign["ticks"]:
            return self._code_end(sign.start(), sign.end())
        if sign["link"]:
            if not self._is_image(start, here, sign.start()):
                return self._link(int(sign["link"]), sign.start(), sign.end())
        elif sign["note"]:
            self.notes.append(Marker(int(sign["note"]), sign.start(), sign.end()))
        return sign.end()

    def _plain_place(self) -> int:
        """A place near the end in which a sign that begins there, or before the end, is not cut."""
        text, place = self._text, self._end - _LONGEST_SIGN
        # `_is_image` looks at two signs before a bracket.
        while place > 0 and ((text[place] == "!" and text[place - 1].isalnum()) or text[place - 1 : place + 1] == "!["):
            place -= 1
        return place

    def _link(self, number: int, start: int, end: int) -> int | None:
        try:
            link = _read_link(self._text, end, self._end)
        except _Cut:
            if self._is_open:
                self.decided = min(self.decided, start)
                return None
            return end
        if link is None:
            return end
        self.links.append(link._replace(number=number, start=start))
        return link.end

    def _is_image(self, start: int, here: int, opening: int) -> bool:
        """Whether an unescaped `!` goes before it. After a letter or a digit it ends a sentence: `We won![1](url)`."""
        text = self._text
        if opening <= here or text[opening - 1] != "!":
            return False
        return opening - 2 < start or not text[opening - 2].isalnum()

    def _code_end(self, start: int, end: int) -> int | None:
        """Where the code ends that these backticks open; their own end if nothing does, None if that may come."""
        if self._runs is None:
            self._runs = {}
            for run in re.finditer("`+", self._text[start : self._end]):
                self._runs.setdefault(run.end() - run.start(), []).append(start + run.start())
        length = end - start
        runs = self._runs.get(length, [])
        at = bisect_left(runs, end)
        closed = runs[at] + length if at < len(runs) else None
        if self._is_open and (closed is None or closed == self._end):  # more backticks may come
            self.decided = min(self.decided, _first_opening(self._text, end, self._end))
            return None
        return end if closed is None else closed


# --- blocks -----------------------------------------------------------------------------------------------------------

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_QUOTE = re.compile(r" {0,3}> ?")
_BULLET = re.compile(r" {0,3}(?:[-+*]|(\d{1,9})[.)])(?= |\Z)", re.ASCII)
_FENCE = re.compile(r" {0,3}(?:(`{3,})[^`]*|(~{3,}).*)\Z")
_RULE = re.compile(r" {0,3}(?:(?:- *){3,}|(?:_ *){3,}|(?:\* *){3,})\Z")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+) *\Z")
_HEADING = re.compile(r" {0,3}#{1,6}(?: |\Z)")
_CODE_INDENT: Final = 4
# A line that may become a heading, a rule, a list item, a quote or a fence, or nothing of it, when it goes on.
_UNCERTAIN = re.compile(r"[-+*_=#>~ \t0-9.)]*(?:`{1,2}|`{3,}[^`]*)?\Z")


class _Blocks:
    """The ranges of a text that are paragraphs or headings, in order. Code blocks are left out.

    Attributes:
        known: How much of the text is known to be of one block or another, also when its last line goes on: it ends
            before or after that line.
    """

    def __init__(self, text: str, place: Place) -> None:
        self._text = text
        self._in_line = place.in_line
        self._last_line = max(text.rfind("\n"), text.rfind("\r")) + 1
        is_known = (place.in_line and not self._last_line) or not _UNCERTAIN.match(text, self._last_line)
        self.known = len(text) if is_known else self._last_line
        # 0 for a quote, else by how many columns a list item's content is indented
        self._containers: list[int] = list(place.containers)
        self._fence = place.fence
        self._paragraph: int | None = 0 if place.in_paragraph else None  # where the open one begins
        self._is_heading = place.is_heading
        self._is_empty_item = place.is_empty_item  # whether the last line began a list item and had nothing else
        self._before_last = place._replace(at=0)  # the state before the last line
        self._before_paragraphs = {0: self._before_last}  # by their places

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for found in _LINE.finditer(self._text):
            start = found.start()
            if start == self._last_line and not (self._in_line and start == 0):
                self._before_last = self._place(start)
            if not found[0]:
                break
            if self._in_line and start == 0:
                continue
            before, state = self._paragraph, self._place(start)
            self._take(found[0].rstrip("\r\n").expandtabs(_CODE_INDENT), start)
            if self._paragraph == start:
                self._before_paragraphs[start] = state
            if before is not None and self._paragraph != before:
                yield before, start
        if self._paragraph is not None:
            yield self._paragraph, len(self._text)

    def place_of(self, clean: int | None) -> Place:
        """Where to read on, after all was read.

        Args:
            clean: Where the paragraph that goes on can be cut; None where there is none.
        """
        if clean is None:
            return self._before_last
        if clean in self._before_paragraphs:
            return self._before_paragraphs[clean]
        is_last = self._paragraph is not None and self._paragraph >= self._last_line
        state = self._place(0) if is_last and self.known > self._last_line else self._before_last
        before = self._text[clean - 1 : clean]
        in_line = before not in {"\n", "\r"} if before else self._in_line
        return state._replace(at=clean, in_paragraph=True, in_line=in_line)

    def _place(self, at: int) -> Place:
        containers = tuple(self._containers)
        is_open = self._paragraph is not None
        return Place(at, containers, self._fence, is_open, False, self._is_heading, self._is_empty_item)  # noqa: FBT003

    def _take(self, line: str, start: int) -> None:
        if self._is_heading:
            self._is_heading, self._paragraph = False, None
        depth, at = self._matched(line)
        if self._fence and depth == len(self._containers):
            if _closes(self._fence, line[at:]):
                self._fence = ""
            return
        self._fence = ""
        was_empty_item, self._is_empty_item = self._is_empty_item, False
        if not line[at:].strip(" "):
            self._paragraph = None
            if was_empty_item:
                self._containers.pop()
            return
        opened: list[int] = []
        while depth + len(opened) < _DEEPEST_BLOCKS and not _is_indented(line, at):
            interrupts = self._paragraph is not None and not opened and depth == len(self._containers)
            container = _opened(line, at, interrupts=interrupts)
            if container is None:
                break
            opened.append(container[0])
            at = container[1]
        self._leaf(line[at:], start, depth, opened)

    def _matched(self, line: str) -> tuple[int, int]:
        """How many of the open containers this line continues, and where its content begins."""
        length, at = len(line.rstrip(" ")), 0
        for depth, width in enumerate(self._containers):
            if width == 0:
                quote = _QUOTE.match(line, at)
                if quote is None:
                    return depth, at
                at = quote.end()
            elif at < length:
                if not line.startswith(" " * width, at):
                    return depth, at
                at += width
        return len(self._containers), at

    def _leaf(self, rest: str, start: int, depth: int, opened: list[int]) -> None:
        is_indented = _is_indented(rest, 0)
        fence = None if is_indented else _FENCE.match(rest)
        goes_on = self._paragraph is not None and not opened
        underlines = goes_on and depth == len(self._containers) and _UNDERLINE.match(rest) is not None
        is_rule = not is_indented and (underlines or _RULE.match(rest) is not None)
        is_heading = not is_indented and _HEADING.match(rest) is not None
        if goes_on and not (fence or is_rule or is_heading):
            return  # it goes on, even where a container of it does not
        self._containers[depth:] = opened
        self._paragraph = None
        if fence is not None:
            self._fence = fence[1] or fence[2]
        elif not rest.strip(" "):
            self._is_empty_item = bool(opened) and opened[-1] > 0
        elif not (is_indented or is_rule):
            self._paragraph, self._is_heading = start, is_heading


def _is_indented(line: str, at: int) -> bool:
    return line.startswith(" " * _CODE_INDENT, at)


def _closes(fence: str, line: str) -> bool:
    return not _is_indented(line, 0) and len(line.strip(" ")) >= len(fence) and not line.strip(" ").strip(fence[0])


def _opened(line: str, at: int, *, interrupts: bool) -> tuple[int, int] | None:
    """The container that begins here, and where its content does; None if none begins.

    Args:
        line: The line.
        at: The place in it.
        interrupts: Whether it would interrupt a paragraph, which few lists may.
    """
    quote = _QUOTE.match(line, at)
    if quote is not None:
        return 0, quote.end()
    bullet = None if _RULE.match(line, at) else _BULLET.match(line, at)
    if bullet is None:
        return None
    end = bullet.end()
    rest = line[end:].lstrip(" ")
    if interrupts and (bullet[1] not in {None, "1"} or not rest):
        return None
    spaces = len(line) - end - len(rest)
    content = end + (spaces if rest and spaces <= _CODE_INDENT else 1)
    return content - at, min(content, len(line))
