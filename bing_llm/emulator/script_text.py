"""The text of a script as data: JSON, or YAML where PyYAML is installed; with the line of each part, without I/O.

Both give the same data: of YAML, only what JSON has too is read, with the scalars of YAML 1.2. So `yes`, `12:30` and
`2026-11-30` are text, and there are no tags, anchors and aliases: an alias may make a few lines into gigabytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from bing_llm.errors import ConfigurationError

LONGEST: Final = 2**20
"""The longest text of a script, in characters. People write scripts; this is a book."""

_DEEPEST: Final = 100  # lists and mappings in each other; a script needs six
_HINT: Final = "Change it there."
_NO_YAML: Final = 'YAML needs PyYAML: pip install "bing-llm[cli]". JSON works without it.'

_NULL: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]{1,18}|[0-9]{1,18}(?:\.[0-9]{0,18})?)(?:[eE][-+]?[0-9]{1,2})?")


class Document(NamedTuple):
    """A script before it is checked.

    Attributes:
        data: Mappings, lists, texts, numbers, true, false and None.
        lines: The line of each part by its path, such as `answers[0].text`, from 1 on; "" is the whole. Of JSON, none.
    """

    data: object
    lines: dict[str, int]

    def line_of(self, path: str) -> int | None:
        """The line of a part, or of what it would be in."""
        while path and path not in self.lines:
            path = re.sub(r"(\.?[^.\[]+|\[\d+\])$", "", path)
        return self.lines.get(path)


def read_text(text: str, name: str) -> Document:
    """The data of a text: of JSON if it is that, else of YAML.

    Args:
        text: The whole text.
        name: How an error names it.

    Raises:
        ConfigurationError: It is neither, or is too long.
    """
    if len(text) > LONGEST:
        raise ConfigurationError(f"{name} is longer than {LONGEST:,} characters.", hint="Use a shorter script.")
    text = text.removeprefix("\ufeff")
    try:
        try:
            document = Document(_read_json(text), {})
        except json.JSONDecodeError as exc:
            document = _read_yaml(text, name, why_not_json=f"line {exc.lineno}, column {exc.colno}: {exc.msg}")
        _check_values(document.data)
    except (ValueError, RecursionError) as exc:
        what = "it is nested too deep" if isinstance(exc, RecursionError) else exc
        raise ConfigurationError(f"{name} cannot be used: {what}.", hint=_HINT) from exc
    return document


def _read_json(text: str) -> object:
    return json.loads(text, object_pairs_hook=_mapping, parse_constant=_refuse_constant)


def _check_values(data: object) -> None:
    """Refuse what only one of the two texts could have, or no service could be sent."""
    parts = [(data, 0)]
    while parts:
        part, depth = parts.pop()
        if depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError("it has a number that is too large")
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        parts += [(each, depth + 1) for each in inner]
    try:
        msgspec.json.encode(data)
    except UnicodeEncodeError:
        raise ValueError("it has half of a surrogate pair, which no text can hold") from None


def _mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return made


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number of JSON")


# --- YAML -------------------------------------------------------------------------------------------------------------


def _read_yaml(text: str, name: str, *, why_not_json: str) -> Document:
    try:
        import yaml  # noqa: PLC0415 - of the extra `cli`; JSON does without
    except ModuleNotFoundError:
        raise ConfigurationError(f"{name} is not JSON ({why_not_json}).", hint=_NO_YAML) from None
    try:
        composer = _Composer(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        return Document(composer.compose(), composer.lines)
    except yaml.YAMLError as exc:
        raise ConfigurationError(_syntax_error(exc, text, name, why_not_json), hint=_HINT) from exc
    except _NotScriptError as exc:
        raise ConfigurationError(f"{name}, line {exc.line}: {exc.why}.", hint=_HINT) from None


def _syntax_error(exc: Any, text: str, name: str, why_not_json: str) -> str:
    """What is wrong: as JSON, if it begins as JSON does."""
    if text.lstrip()[:1] in {"{", "["}:
        return f"{name} is not JSON ({why_not_json})."
    mark = getattr(exc, "problem_mark", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    what = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "it cannot be read"
    return f"{name}{where}: this is not YAML: {what}."


class _NotScriptError(Exception):
    """YAML that has no counterpart in JSON."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


class _Composer:
    """Builds the data from the events of a parser of YAML, whose names are those of PyYAML.

    Args:
        events: All events of the text.

    Attributes:
        lines: As in `Document`.
    """

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self.lines: dict[str, int] = {}

    def compose(self) -> object:
        """The one document; None for an empty text."""
        data: object = None
        documents = 0
        for event in self._events:
            if type(event).__name__ != "DocumentStartEvent":
                continue
            documents += 1
            if documents > 1:
                raise _NotScriptError(event.start_mark.line + 1, "a second document begins; a script is one")
            data = self._part(next(self._events), "", 0)
        return data

    def _part(self, event: Any, path: str, depth: int) -> object:
        line = event.start_mark.line + 1
        kind = type(event).__name__
        if depth > _DEEPEST:
            raise _NotScriptError(line, "this is nested too deep")
        if kind == "AliasEvent" or event.anchor is not None:
            raise _NotScriptError(
                line, "there are no anchors (&) and aliases (*) in a script; put text that begins so in quotes"
            )
        if event.tag is not None:
            raise _NotScriptError(line, "there are no tags (!) in a script; put text that begins so in quotes")
        self.lines[path] = line
        if kind == "ScalarEvent":
            return _scalar(event.value) if event.implicit[0] else event.value
        return self._sequence(path, depth) if kind == "SequenceStartEvent" else self._mapping(path, depth)

    def _sequence(self, path: str, depth: int) -> list[object]:
        made: list[object] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            made.append(self._part(event, f"{path}[{len(made)}]", depth + 1))
        return made

    def _mapping(self, path: str, depth: int) -> dict[str, object]:
        made: dict[str, object] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            line = event.start_mark.line + 1
            if type(event).__name__ != "ScalarEvent" or event.anchor is not None or event.tag is not None:
                raise _NotScriptError(line, "a key must be text")
            key = event.value
            if key in made:
                raise _NotScriptError(line, f"the key {key!r} is there twice")
            inner = f"{path}.{key}" if path else key
            made[key] = self._part(next(self._events), inner, depth + 1)
            self.lines[inner] = line
        return made


def _scalar(text: str) -> object:
    """A scalar without quotes, by the core schema of YAML 1.2."""
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
