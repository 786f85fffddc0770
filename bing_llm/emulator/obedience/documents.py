"""Prompts that bring a text along: to answer from, to sum up, to find a title, keywords or questions for.

They are read by their shape. One that ends with a label ("Answer:", "Title:") wants what the label says. The text that
it brings stands between lines of dashes, or behind words such as "context:", or between its first and last words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from bing_llm.emulator.obedience import extracts
from bing_llm.emulator.obedience.evidence import Evidence

__all__ = ["answer_about", "answer_from_told"]

_END = 400  # characters in which a prompt says at its end what it wants
_NAME = r"[ \t]*<?(?P<name>[A-Za-z][\w -]{0,40})"
_OPEN = re.compile(rf"(?:^|[\n.!?]){_NAME}(?::|>)[\s\"'`]*\Z")
_LABEL = re.compile(rf"^{_NAME}(?::|>(?=\s))[ \t]*", re.MULTILINE)
_ASKED = re.compile(r"\b(?:query|question|follow[ -]?up|input|task|request)\b", re.IGNORECASE)
_NEXT = re.compile(r"\b(?:query|question|instructions?|task|rules?)\b", re.IGNORECASE)
_EXISTING = re.compile(r"\b(?:existing|original|previous|current) answer(?: is)?[ \t]*:\s*", re.IGNORECASE)
_REFINED = re.compile(r"-{5}|\b(?:refin|rewrit|repeat)|\b\w{1,20} answer[ \t]*:", re.IGNORECASE)
_DASHES = re.compile(r"-{5,}")
_BROUGHT = r"\b(?:context|documents?|contents?|texts?|information|passages?|sources?|sections?|excerpts?)\b"
_SPEAKS_OF_IT = re.compile(_BROUGHT, re.IGNORECASE)
_BEGINS = re.compile(rf"{_BROUGHT}[^\n.:!?]{{0,60}}:\s*", re.IGNORECASE)
_FORM = re.compile(r"['\"`](\w{1,40}:)\s*<\w+>")
_TOLD_BY_USER = re.compile(r"^[ \t]*(?:user|human)[ \t]*:(.*)", re.IGNORECASE | re.MULTILINE)
_PRONOUN = re.compile(r"\b(?:it|they|them|(its|their))\b", re.IGNORECASE)


def answer_about(prompt: str, told: Sequence[str]) -> str | None:
    """What a prompt wants that brings a text along; None for another prompt.

    Args:
        prompt: The prompt.
        told: What the system said, which may bring an answer that is to be refined: that is kept.
    """
    kept = next(filter(None, map(_existing, (prompt, *reversed(told)))), None)
    if kept is not None:
        return kept
    label = _OPEN.search(prompt, max(0, len(prompt) - _END))
    if label is None:
        return _list_of(prompt)
    wanted, body = label["name"].lower(), prompt[: label.start("name")].rstrip("< \t")
    for words, answer in _SKILLS.items():
        if re.search(words, wanted):
            return answer(body) or None
    return None


def answer_from_told(question: str, told: Iterable[str]) -> str | None:
    """The answer from a text that the system brought; None where there is none, or no question.

    Args:
        question: What the user said.
        told: What the system said, the oldest first.
    """
    if "?" not in question:
        return None
    texts = (_brought(said, cut=_NEXT) for said in reversed(list(told)) if _SPEAKS_OF_IT.search(said))
    found = next(filter(None, texts), "")
    return extracts.best_sentence(found, question) or None


def _existing(text: str) -> str | None:
    """The answer that a text wants refined."""
    found = list(_EXISTING.finditer(text))
    if not found:
        return None
    first, *more = text[found[-1].end() :].strip().splitlines() or [""]
    if _DASHES.match(first):
        return None
    end = next((place for place, line in enumerate(more) if _REFINED.search(line)), None)
    # Without a word on what to do with it, it is only spoken of.
    return None if end is None else "\n".join((first, *more[:end])).strip() or None


def _answered(body: str) -> str:
    asked = _last_label(body, _ASKED)
    if asked is None:
        return ""
    found = _brought(body[: asked.start()]) or _behind_first_paragraph(body[: asked.start()])
    return extracts.best_sentence(found, body[asked.end() :]) if found else ""


def _standalone(body: str) -> str:
    """The question that follows a conversation, with what it is about in place of a pronoun."""
    asked = _last_label(body, _ASKED) or _last_label(body, re.compile("message", re.IGNORECASE))
    if asked is None:
        return ""
    said = reversed(_TOLD_BY_USER.findall(body, 0, asked.start()))
    subject = next(filter(None, (Evidence(line).subject for line in said)), "")
    question = " ".join(body[asked.end() :].split())
    if not subject:
        return question
    return _PRONOUN.sub(lambda found: f"{subject}'s" if found[1] else subject, question, count=1)


def _summed_up(body: str) -> str:
    return extracts.summary(_without_task(body, "summar|passage"))


def _titled(body: str) -> str:
    return extracts.title(_without_task(body, "title"))


def _keywords(body: str) -> str:
    form = _FORM.search(body, max(0, len(body) - _END))
    words = extracts.keywords(_without_task(body, "keyword"), _count(body, "keyword"))
    return f"{form[1]} {', '.join(words)}" if form else ", ".join(words)


def _questions(body: str) -> str:
    words = extracts.keywords(_without_task(body, "question"), _count(body, "question"))
    return "\n".join(f"{number}. What does the text say about {word}?" for number, word in enumerate(words, 1))


_SKILLS: dict[str, Callable[[str], str]] = {
    r"\bquestions\b": _questions,
    r"\bquestion\b": _standalone,
    r"\b(?:answer|response|reply)\b": _answered,
    r"\b(?:summary|passage)\b": _summed_up,
    r"\btitle\b": _titled,
    r"\bkeywords?\b": _keywords,
}


def _list_of(prompt: str) -> str | None:
    """Keywords of a text, or questions about it, where a prompt wants them in its last sentences."""
    wants = r"\b(?:give|extract|provide|list|generate|write)\b[^.!?\n]{0,60}\b(?:(keywords)|questions)\b"
    found = re.compile(wants, re.IGNORECASE).search(prompt, max(0, len(prompt) - _END))
    if found is None or not _brought(prompt):
        return None
    return (_keywords(prompt) if found[1] else _questions(prompt)) or None


def _last_label(text: str, name: re.Pattern[str]) -> re.Match[str] | None:
    return next((label for label in reversed(list(_LABEL.finditer(text))) if name.search(label["name"])), None)


def _brought(text: str, *, cut: re.Pattern[str] | None = None) -> str:
    """The text between lines of dashes, or behind words that announce it, up to a label of this name; "" for none."""
    dashes = list(_DASHES.finditer(text))
    if len(dashes) > 1:
        return text[dashes[0].end() : dashes[-1].start()].strip()
    begin = _BEGINS.search(text)
    if begin is None:
        return ""
    found = text[begin.end() :]
    end = _last_label(found, cut) if cut else None
    return (found[: end.start()] if end else found).strip()


def _behind_first_paragraph(text: str) -> str:
    return text.strip().partition("\n\n")[2].strip()


def _without_task(body: str, word: str) -> str:
    """The text that a prompt brings, without the sentences that say what to do with it: they hold this word."""
    about = re.compile(word, re.IGNORECASE)
    first, _, rest = body.strip().partition("\n\n")
    text = _brought(body) or (rest if rest and about.search(first) else body)
    start = max(0, len(text) - _END)
    task = re.compile(rf"(?:^|(?<=[.!?\n]))[^.!?\n]{{0,200}}(?:{word})", re.IGNORECASE).search(text, start)
    return (text[: task.start()].strip() if task else text.strip()) or text


def _count(body: str, word: str) -> int:
    """How many of them are wanted."""
    found = re.search(rf"\b(\d{{1,2}})\b[^.\n]{{0,30}}\b{word}", body[-_END:], re.IGNORECASE)
    return int(found[1]) if found else 5
