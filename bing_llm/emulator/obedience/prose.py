"""Texts for questions that need no skill: they name what was asked, and say that no model wrote them."""

# ruff: noqa: RUF001 - people write typographic apostrophes, and Russian

from __future__ import annotations

import re

from bing_llm.emulator.obedience.evidence import Evidence
from bing_llm.emulator.obedience.texts import ENGLISH, RUSSIAN, Texts

__all__ = ["plain_answer", "said_again", "suggestions_for", "topic_of"]

_SHOWN_CHARACTERS = 200  # of the question
_TOPIC_CHARACTERS = 60

_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_SAY = re.compile(
    r"^(?:please\s+|пожалуйста,?\s+)?(?:say|repeat|echo|(?:reply|respond|answer) (?:only )?with|скажи|повтори)\b"
    r"(?:\s+(?:exactly|only|just|after me|this|the words?|the following|слово|только|за мной))*\s*:?\s*(.+)$",
    re.IGNORECASE | re.DOTALL,
)
_GREETING = re.compile(
    r"^\W*(?:hello|hi|hey|good (?:morning|day|evening)|привет|здравствуй\w*)\b[\w\s]{0,20}\W*$", re.IGNORECASE
)
_CODE = re.compile(
    r"\b(?:code|program|script|function|snippet|код\w*|программ\w*|скрипт\w*|функци\w*)\b", re.IGNORECASE
)
_STORY = re.compile(r"\b(?:story|stories|tale|poem|essay|рассказ\w*|истори\w*|сказк\w*|стих\w*)\b", re.IGNORECASE)
_LIST = re.compile(
    r"\b(?:list|steps?|ideas|tips|ways|recipe|checklist|список|списк\w*|шаг\w*|иде[ия]|совет\w*|рецепт\w*)\b",
    re.IGNORECASE,
)
_FENCED = {"javascript": 'console.log("{text}");', "bash": 'echo "{text}"', "python": 'print("{text}")'}


def plain_answer(question: str) -> str:
    """An answer in Markdown: code, a story or a list where one is asked for, else one that names the question."""
    texts = _texts(question)
    topic = topic_of(question)
    shown = _shortened(question, _SHOWN_CHARACTERS)
    if _GREETING.match(question):
        return texts.greeting
    if _CODE.search(question):
        return _code(question, texts)
    if _STORY.search(question):
        return texts.story.format(topic=topic, question=shown)
    if _LIST.search(question):
        return texts.list.format(topic=topic, question=shown)
    return texts.plain.format(question=shown)


def said_again(question: str) -> str | None:
    """What the user wants to hear word for word ("Say hello", "Reply with OK"); None for another question."""
    found = _SAY.match(question.strip())
    if found is None:
        return None
    text = str(found[1]).strip()
    quoted = Evidence(text).quoted
    if quoted and text.rstrip(".!?").strip("\"'“”«»`") == quoted[0]:
        return quoted[0]
    return text if len(text.split()) > 1 else text.rstrip(".!?") or text


def suggestions_for(question: str) -> tuple[str, ...]:
    """Three messages that the user may want to send next."""
    first, *others = _texts(question).suggestions
    subject = Evidence(question).subject
    if subject and _texts(question) is ENGLISH:
        first = f"Tell me more about {_shortened(subject, _TOPIC_CHARACTERS)}."
    return (first, *others)


def _texts(question: str) -> Texts:
    return RUSSIAN if _CYRILLIC.search(question) else ENGLISH


def _code(question: str, texts: Texts) -> str:
    language = next((name for name in _FENCED if name in question.lower()), "python")
    text = next(iter(Evidence(question).quoted), "Hello, world!")
    return texts.code.format(language=language, code=_FENCED[language].format(text=text), text=text)


def topic_of(question: str) -> str:
    """What the question is about, in a few words."""
    subject = Evidence(question).subject
    return _shortened(subject, _TOPIC_CHARACTERS) if subject else f"“{_shortened(question, _TOPIC_CHARACTERS)}”"


def _shortened(text: str, characters: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[: characters - 1].rstrip()}…"
