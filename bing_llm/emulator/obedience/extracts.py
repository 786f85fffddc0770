"""What a text says in short: the sentence that answers a question, keywords, a title, a summary."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from bing_llm.emulator.obedience.evidence import COMMON_WORDS, words_of

__all__ = ["best_sentence", "keywords", "summary", "title"]

_BETWEEN = re.compile(r"(?<=[.!?])\s+|\n+")
_METADATA = re.compile(r"[\w -]{1,40}:\s*\S[^.]{0,200}(?:\.\w+)?$")  # "file_path: data/cats.txt"
_WORD = re.compile(r"[^\W\d_][\w'\u2019-]{3,40}")
_LONGEST = 400  # characters of a sentence that is said again
_LONGEST_TITLE = 60


def best_sentence(text: str, question: str) -> str:
    """The sentence that shares most words with the question, the first where none does; "" for an empty text."""
    wanted = words_of(question) - COMMON_WORDS
    sentences = [*_sentences(text), *_parts(text)]
    return _cut(max(sentences, key=lambda sentence: len(wanted & words_of(sentence)), default=""), _LONGEST)


def keywords(text: str, most: int) -> list[str]:
    """The words that the text says most often, as it first writes them; of equals the earlier ones."""
    written: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for word in _WORD.findall("\n".join(_sentences(text))):
        counts[word.lower()] += 1
        written.setdefault(word.lower(), word)
    known = [(word, count) for word, count in counts.items() if not words_of(word) <= COMMON_WORDS]
    return [written[word] for word, _ in sorted(known, key=lambda entry: -entry[1])[:most]]


def summary(text: str) -> str:
    """The first two sentences."""
    return _cut(" ".join(_sentences(text)[:2]), _LONGEST)


def title(text: str) -> str:
    """The first sentence, short and without its full stop."""
    return _cut(next(iter(_sentences(text)), "").rstrip(".!?"), _LONGEST_TITLE)


def _sentences(text: str) -> Sequence[str]:
    """The sentences, without lines of metadata where there are others."""
    parts = _parts(text)
    return [part for part in parts if not _METADATA.match(part)] or parts


def _parts(text: str) -> list[str]:
    return [part.strip() for part in _BETWEEN.split(text) if part.strip()]


def _cut(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"
