"""A script: what the emulator answers and what goes wrong, written by people who need not write Python.

    answers:
      - Hello there.
      - text: "It rained [^1^]."
        citations: [https://www.example.com/weather]
      - error: throttled
    faults:
      - {step: creation, fault: http answer, status: 503}

`docs/emulator.md` is the guide. A file, `POST /_emulator/script` and the pytest fixture read the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeAlias, get_args

import msgspec

from bing_llm import events as ev
from bing_llm.emulator.brains.base import Cited
from bing_llm.emulator.brains.scripted import Line, Pause, Scripted
from bing_llm.emulator.chathub.shapes import PLAYABLE
from bing_llm.emulator.fault_plan import KINDS, Fault, FaultKind, Step, check_kind, plain_name
from bing_llm.emulator.faults import Merge, WireFault
from bing_llm.emulator.script_check import Misfit, check_kept, converted, listed, named, within
from bing_llm.emulator.script_text import LONGEST, Document, read_text
from bing_llm.errors import BingError, ConfigurationError

ERRORS: Final[Mapping[str, type[BingError]]] = {plain_name(kind): kind for kind in PLAYABLE}
"""The errors that may end an answer, by their names in plain words."""

_STEPS: Final[Mapping[str, Step]] = {step: step for step in get_args(Step)}
_USUAL: Final = Fault(Merge(), "first")
_WORD: Final = re.compile(r"\S+\s*|\s+")
_MOST_PIECES: Final = 1_000  # of a text: a ChatHub sends all of it with each piece
_LONGEST_PACE_S: Final = 600.0  # between two words; more is a mistake

_Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of a script: it has these keys, and no others."""


class Page(_Part, frozen=True, kw_only=True):
    """A page that a search finds."""

    url: str
    title: str = ""
    snippets: list[str] = []


class Search(_Part, frozen=True, kw_only=True):
    """A search of the web, and the pages that it finds."""

    query: str
    results: list[Page] = []


class Source(_Part, frozen=True, kw_only=True):
    """A source of the answer. The first is cited as `[^1^]`, the second as `[^2^]`."""

    url: str
    title: str = ""


class ErrorOptions(_Part, frozen=True, kw_only=True):
    """What an error says.

    Attributes:
        value: The service's own name for it; with Work IQ also the status of HTTP.
        message: The service's words.
        retry_after: How long to wait, in seconds.
    """

    value: str | None = None
    message: str | None = None
    retry_after: _Seconds | None = None

    def to_error(self, kind: type[BingError]) -> BingError:
        """The error."""
        return kind(value=self.value, service_message=self.message, retry_after=self.retry_after)


class NamedError(ErrorOptions, frozen=True, kw_only=True):
    """The error of an answer, by its name in plain words."""

    name: str


class Answer(_Part, frozen=True, kw_only=True):
    """One answer.

    Attributes:
        text: What it says. It is sent word by word, and if it has over 1,000 words, in some 1,000 pieces.
        searches: What it searches first: a query alone, or with results.
        citations: What it rests on: a URL alone, or with a title.
        suggestions: What the user may say next.
        error: What it ends with after its text; in place of an answer where there is no text.
        pace: The pause before each piece, in seconds.
    """

    text: str | None = None
    searches: list[str | Search] = []
    citations: list[str | Source] = []
    suggestions: list[str] = []
    error: str | NamedError | None = None
    pace: Annotated[float, msgspec.Meta(ge=0, le=_LONGEST_PACE_S)] = 0.0

    def lines(self) -> Iterator[Line]:
        """The answer as a turn of `Scripted`.

        Raises:
            Misfit: It says nothing, has an unknown error, cites without a text, or says more after its error.
        """
        if self.text is None and self.error is None and not (self.searches or self.suggestions):
            raise Misfit("", "says nothing; give it at least one of: text, searches, suggestions, error")
        if self.citations and not self.text:
            raise Misfit("citations", "are those of a text, and there is none")
        if self.error is not None and self.suggestions:
            raise Misfit("error", "ends the answer, before the suggestions; leave out the one or the others")
        for search in self.searches:
            yield from _search_lines(search)
        if self.citations:
            yield Cited(tuple(self._citations()))
        for piece in _pieces(self.text or ""):
            if self.pace:
                yield Pause(self.pace)
            yield piece
        if self.error is not None:
            yield _error(self.error)
        if self.suggestions:
            yield ev.TurnCompleted(ev.Reply(suggestions=tuple(self.suggestions)))

    def _citations(self) -> Iterator[ev.Citation]:
        for number, source in enumerate(self.citations, 1):
            made = Source(url=source) if isinstance(source, str) else source
            yield ev.Citation(number, made.url, made.title)


class Place(_Part, frozen=True, kw_only=True):
    """Where a fault hits; see `Fault`."""

    step: str
    turn: _Count | None = None
    after: _Count = 1
    optional: bool = False


class Script(_Part, frozen=True, kw_only=True):
    """The answers and faults of an emulator, for `Emulator.play`.

    Attributes:
        answers: One for each turn, in order, whatever conversation it belongs to: a text, or a mapping. None leaves the
            answers to the brain that the emulator was made with. A turn after the last answer is refused, and the
            error says so.
        faults: What goes wrong, each once: mappings with `fault` (its name in plain words), `step`, the options of the
            fault, and `turn`, `after` and `optional` of `Fault`.
    """

    answers: list[str | Answer] | None = None
    faults: list[dict[str, Any]] = []

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The script in a file.

        Raises:
            ConfigurationError: It cannot be read, or is not a script; the text names the line or the key.
        """
        try:
            with Path(path).open("rb") as file:
                content = file.read(4 * LONGEST + 1)  # a character has at most 4 bytes
        except (OSError, ValueError) as exc:  # ValueError: a path with a NUL
            why = getattr(exc, "strerror", None) or exc
            raise ConfigurationError(f"The script {path} cannot be read: {why}.", hint="Pass a file's path.") from exc
        return cls.parse(content, name=str(path))

    @classmethod
    def parse(cls, content: str | bytes, *, name: str = "The script") -> Self:
        """The script in a text, which is YAML or JSON.

        Args:
            content: The whole text, as str or in UTF-8.
            name: How an error names it.

        Raises:
            ConfigurationError: It is not a script; the text names the line or the key, and says what is allowed.
        """
        document = read_text(_decoded(content, name), name)
        try:
            script = converted(document.data, cls)
            script.turns()
            script.plan()
        except Misfit as exc:
            raise ConfigurationError(_sentence(exc, document, name), hint="Change it there.") from None
        return script

    def turns(self) -> list[list[Line]] | None:
        """The answers as turns of `Scripted`; None for none.

        Raises:
            ValueError: An answer is not one.
        """
        if self.answers is None:
            return None
        return [within(f"answers[{index}]", _lines, answer) for index, answer in enumerate(self.answers)]

    def brain(self) -> Scripted | None:
        """What gives the answers; None if there are none.

        Raises:
            ValueError: An answer is not one.
        """
        turns = self.turns()
        return None if turns is None else Scripted(turns)

    def plan(self) -> list[Fault]:
        """The faults.

        Raises:
            ValueError: A fault is not one.
        """
        return [within(f"faults[{index}]", _fault, line) for index, line in enumerate(self.faults)]


# --- answers ----------------------------------------------------------------------------------------------------------


def _lines(answer: str | Answer) -> list[Line]:
    return list((Answer(text=answer) if isinstance(answer, str) else answer).lines())


def _pieces(text: str) -> Iterator[str]:
    words = _WORD.findall(text)
    size = -(-len(words) // _MOST_PIECES) or 1
    return ("".join(words[start : start + size]) for start in range(0, len(words), size))


def _search_lines(search: str | Search) -> Iterator[Line]:
    made = Search(query=search) if isinstance(search, str) else search
    yield ev.SearchStarted(made.query)
    if made.results:
        found = (ev.SearchResult(page.title, page.url, tuple(page.snippets)) for page in made.results)
        yield ev.SearchResults(tuple(found))


def _error(error: str | NamedError) -> BingError:
    if isinstance(error, str):
        return named(error, ERRORS, "error")()
    return error.to_error(named(error.name, ERRORS, "error.name"))


# --- faults -----------------------------------------------------------------------------------------------------------


def _fault(line: Mapping[str, Any]) -> Fault:
    """The fault of one mapping: its name, where it hits, and all other keys are the options of its kind."""
    name = line.get("fault")
    if not isinstance(name, str):
        raise Misfit("fault", f"must be there, and be one of: {listed(KINDS)}")
    kind = named(name, KINDS, "fault")
    options = _options_of(kind)
    of_place = Place.__struct_fields__
    known = ("fault", *of_place, *options.__struct_fields__)
    for key in line:
        if key not in known:
            raise Misfit("", f"has the key {key!r}; with the fault {name!r}, it may have: {listed(known)}")
    what = _what(kind, {key: value for key, value in line.items() if key != "fault" and key not in of_place})
    place = converted({key: value for key, value in line.items() if key in of_place}, Place)
    step = named(place.step, _STEPS, "step")
    _check_step(what, step, name)
    if place.after != 1 and step != "mid":
        raise Misfit("after", f"is of the step 'mid' alone, and the step is {step!r}")
    return Fault(what, step, turn=place.turn, after=place.after, optional=place.optional)


def rendered_fault(fault: Fault) -> dict[str, Any]:
    """The mapping of a script that means this fault."""
    what = fault.what
    if isinstance(what, BingError):
        options = {"value": what.value, "message": what.service_message, "retry_after": what.retry_after}
    else:
        options = {key: value for key, value in msgspec.to_builtins(what).items() if key != "type"}
    place = {"turn": fault.turn, "after": fault.after, "optional": fault.optional}
    elsewhere = {key: value for key, value in place.items() if value != getattr(_USUAL, key)}
    given = {key: value for key, value in options.items() if value is not None}
    return {"fault": plain_name(type(what)), "step": fault.step, **elsewhere, **given}


def _options_of(kind: type[FaultKind]) -> type[ErrorOptions | WireFault | ev.Event]:
    return ErrorOptions if issubclass(kind, BingError) else kind


def _what(kind: type[FaultKind], options: dict[str, Any]) -> FaultKind:
    if issubclass(kind, BingError):
        return converted(options, ErrorOptions).to_error(kind)
    what = converted(options, kind)
    check_kept(options, msgspec.to_builtins(what))
    return what


def _check_step(what: FaultKind, step: Step, name: str) -> None:
    """Refuse a fault that no service can have at this step, or at any."""
    why = _why_not(what, step)
    if why is None:
        return
    steps = [each for each in _STEPS.values() if _why_not(what, each) is None]
    if steps:
        raise Misfit("step", f"is {step!r}, where {name!r} cannot hit; it can at: {listed(steps)}")
    raise Misfit("", f"cannot be played: {why}")


def _why_not(what: FaultKind, step: Step) -> str | None:
    """Why the fault cannot hit there; None if it can."""
    try:
        check_kind(what, step)
    except ConfigurationError as exc:
        return exc.message.rstrip(".")
    return None


# --- the text ---------------------------------------------------------------------------------------------------------


def _decoded(content: str | bytes, name: str) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} is not UTF-8 text.", hint="Convert it to UTF-8.") from None


def _sentence(misfit: Misfit, document: Document, name: str) -> str:
    line = document.line_of(misfit.path)
    where = name if line is None else f"{name}, line {line}"
    return f"{where}: {misfit}."
