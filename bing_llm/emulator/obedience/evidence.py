"""What a question holds that could be a value: quoted strings, numbers, names, topics."""

# ruff: noqa: RUF001 - people write typographic apostrophes, and Russian

from __future__ import annotations

import re
from collections.abc import Container, Iterator

__all__ = ["COMMON_WORDS", "Evidence", "words_of"]

_QUOTED = re.compile(r'"([^"\n]+)"|“([^“”\n]+)”|«([^«»\n]+)»|`([^`\n]+)`|(?<!\w)\'([^\'\n]+)\'(?!\w)')
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\w)|(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?!\w)")
_NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        ("zero", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    )
}
_WORD = re.compile(r"[^\W\d_][\w'’-]*", re.UNICODE)
_CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+|\d+")
_PLURAL = re.compile(r"(?<=\w\w[^s])s$")
_NEXT_WORD = re.compile(r"[ ](?=[^\W\d_])[\w'’-]+|,[ ][A-Z]{2,3}\b")
_SENTENCE_START = re.compile(r"[.!?:;\n]\s*$")
_SUBJECT_FOLLOWS = re.compile(r"\s*,|\s+(?:is|was|has)\b")
_PREPOSITION = re.compile(r"\b(?:in|at|near|for|of|to|from|about|on|в|во|на|о|об|для|из)\s+$", re.IGNORECASE)
_LINK = re.compile(r",?\s*(?:,|&|\b(?:and|or|и|или)\b)\s*(?:in|for|of|в)?\s*")
_TOPIC = re.compile(
    r"\b(?:about|on the topic of|regarding|of|on|о|об|про)\s+([^.!?,;\n]+)"
    r"|\b(?:describe|explain|опиши|объясни)\s+([^.!?,;\n]+)",
    re.IGNORECASE,
)
# Words that begin a sentence with a capital and name nothing.
_NO_NAMES = re.compile(
    r"an?|and|are|can|could|describe|does?|explain|find|generate|give|he|hello|here|hey|hi|how|i|i'm|is|it|json|list|look|make|may|my"
    r"|please|she|show|tell|that|the|then|there|these|they|this|those|use|using|was|we|what(?:'s)?|when|where|which|who(?:'s)?|why|will|would|write"
    r"|yours?|you",
    re.IGNORECASE,
)


def words_of(text: str) -> set[str]:
    """The words of a text or an identifier (`get_weather`, `WeatherReport`), in lower case, without a plural's s."""
    words = (part.lower() for word in re.split(r"[\W_]+", text) for part in _CAMEL.findall(word))
    return {_PLURAL.sub("", word) for word in words}


COMMON_WORDS = words_of(
    "a about all also an and any are as at be been but by can current did do does find for from function get give given"
    " had has have he her his how i if in input into is it its list make many may me more most much my no not number of"
    " on or other output over please return set she so some string than that the their them then there these they this"
    " to tool under up use user using value want was we were what when where which who why will with would you your"
)
"""Words that say nothing about what a tool is for, or a sentence about."""


class Evidence:
    """The values in a text. `take_...` gives each of them once, in their order; None when there is none left.

    Args:
        text: The question.
        ignore: Quoted strings that are no values, such as the names of JSON keys.

    Attributes:
        words: The words, as `words_of` gives them.
        quoted: The quoted strings.
        numbers: The numbers, also spoken ones up to twelve.
        names: The capitalised names.
        places: Those of them behind a preposition.
        listed: Quoted strings or names in a row, of which each may be meant; empty where there are not several.
    """

    def __init__(self, text: str, *, ignore: Container[str] = ()) -> None:
        self.text = text
        self.words = words_of(text)
        quoted = (next(filter(None, groups)) for groups in _QUOTED.findall(text))
        self.quoted: list[str] = [value for value in quoted if value not in ignore]
        bare = _QUOTED.sub(lambda found: " " * len(found[0]), text)
        self.numbers = list(_numbers(bare))
        spans = list(_names(bare))
        self.names = [bare[start:end] for start, end in spans]
        self.places = [bare[start:end] for start, end in spans if _PREPOSITION.search(_before(bare, start))]
        self.listed = self.quoted if len(self.quoted) > 1 else _listed(bare, spans)
        self._used: set[str] = set()
        self._numbers_used = 0

    @property
    def subject(self) -> str:
        """What the question is about, in a few words; "" where that is not plain."""
        named = self.places or self.names
        if named:
            return named[0]
        found = _TOPIC.search(self.text)
        return (found[1] or found[2]).strip() if found else ""

    def take_quoted(self) -> str | None:
        """The next quoted string."""
        return self._take(self.quoted)

    def take_name(self) -> str | None:
        """The next capitalised name."""
        return self._take(self.names)

    def take_place(self) -> str | None:
        """The next name behind a preposition such as "in", else the next name."""
        return self._take(self.places) or self.take_name()

    def take_number(self, *, whole: bool, near: str = "") -> float | None:
        """The next number.

        Args:
            whole: Whether it must be an integer.
            near: A word that must stand beside it ("3 days"); "" for any number.
        """
        if near:
            word, digits = re.escape(near), r"(-?\d{1,15}(?:\.\d{1,15})?)"
            beside = rf"{digits}\s+{word}\b|\b{word}\s*(?:is|=|:|of)?\s*{digits}(?!\w)"
            found = re.search(beside, self.text, re.IGNORECASE)
            value = None if found is None else float(found[1] or found[2])
        else:
            value = self.numbers[self._numbers_used] if self._numbers_used < len(self.numbers) else None
        if value is None or (whole and value != int(value)):
            return None
        if value in self.numbers[self._numbers_used :]:
            self.numbers.remove(value)
            self.numbers.insert(self._numbers_used, value)
            self._numbers_used += 1
        return value

    def value_named(self, name: str) -> str | None:
        """The word behind a name: `unit: metric`, `unit=metric`, "the unit is metric"."""
        if not name:
            return None
        spoken = r"[\s_-]+".join(map(re.escape, re.split(r"[_\s]+", name)))
        pattern = rf"(?<!\w){spoken}\s*[=:]\s*([\w.+-]+)|\b(?:my|the) {spoken} is ([\w.+-]+)"
        found = re.search(pattern, self.text, re.IGNORECASE)
        return (found[1] or found[2]).rstrip(".") if found else None

    def mentions(self, phrase: str) -> bool:
        """Whether this word or phrase is in the text, in any case."""
        return bool(phrase) and re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", self.text, re.IGNORECASE) is not None

    def _take(self, values: list[str]) -> str | None:
        value = next((value for value in values if value not in self._used), None)
        if value is not None:
            self._used.add(value)
        return value


def _numbers(text: str) -> Iterator[float]:
    found = [(match.start(), float(match[0].replace(",", ""))) for match in _NUMBER.finditer(text)]
    spoken = [
        (match.start(), float(_NUMBER_WORDS[match[0].lower()]))
        for match in _WORD.finditer(text)
        if match[0].lower() in _NUMBER_WORDS
    ]
    return (number for _, number in sorted(found + spoken))


def _names(text: str) -> Iterator[tuple[int, int]]:
    """Where capitalised words that belong together stand."""
    position = 0
    while found := _WORD.search(text, position):
        end = found.end()
        if not _may_be_name(text, found):
            position = end
            continue
        while (more := _next_word(text, end)) is not None:
            end = more
        yield found.start(), end
        position = end


def _listed(text: str, spans: list[tuple[int, int]]) -> list[str]:
    """The first names that stand in one list: "Paris, London and Rome". Empty where none do."""
    run: list[tuple[int, int]] = []
    for span in spans:
        if run and not _LINK.fullmatch(text, run[-1][1], span[0]):
            if len(run) > 1:
                break
            run = []
        run.append(span)
    return [text[start:end] for start, end in run] if len(run) > 1 else []


def _may_be_name(text: str, word: re.Match[str]) -> bool:
    if not word[0][0].isupper() or _NO_NAMES.fullmatch(word[0]):
        return False
    starts_sentence = _SENTENCE_START.search(_before(text, word.start())) is not None
    return not starts_sentence or _SUBJECT_FOLLOWS.match(text, word.end()) is not None


def _before(text: str, position: int) -> str:
    """What stands right before a word: enough for a preposition or the end of a sentence."""
    start = max(0, position - 12)
    return text[start:position] if start else f"\n{text[:position]}"


def _next_word(text: str, end: int) -> int | None:
    """The end of a further word of the same name: "San Francisco", "San Francisco, CA"."""
    found = _NEXT_WORD.match(text, end)
    if found is None:
        return None
    word = found[0].lstrip(", ")
    return found.end() if word[0].isupper() and not _NO_NAMES.fullmatch(word) else None
