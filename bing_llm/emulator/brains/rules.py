"""The default brain: a few honest rules, and no model."""

from __future__ import annotations

import ast
import asyncio
import json
import operator
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from fractions import Fraction

from bing_llm import events as ev
from bing_llm.emulator.brains.base import Output, Question
from bing_llm.emulator.brains.calls import Call, calls_for, forced_call, words_of
from bing_llm.emulator.brains.prompt import Request, ToolResult, read_request
from bing_llm.emulator.brains.schemas import NO_MODEL, Stated, Unstated
from bing_llm.errors import ConfigurationError

PACE_S = 0.01  # a word: an answer takes about a second, as that of a fast service does

_WORD = re.compile(r"\S+\s*|\s+")

# What asks for a verdict or a choice. Nothing in such a prompt states the answer, whatever stands in it.
_VERDICT = re.compile(
    r"\byes\b\W{1,6}(?:or\W{1,5}|and\W{1,5})?no\b|\btrue\b\W{1,6}(?:or\W{1,5})?false\b|\bSQL\b"
    r"|\b(?:rat(?:e|es|ing)|scor(?:e|es|ing)|grad(?:e|es|er|ing)|rank(?:s|ing)?|evaluat\w*|judg\w*|classif\w*|choos\w*"
    r"|choices?|select\w*|which of|rout(?:e|es|er|ing)|assess\w*|decide|verdict|sentiment)\b",
    re.IGNORECASE,
)
_SEARCH = re.compile(
    r"\b(?:search|browse)\b.{0,20}\b(?:web|internet|online)\b|\blook\b.{0,20}\bup online\b"
    r"|\b(?:cite|citing)\b.{0,30}\b(?:sources?|references)\b|\bwith (?:sources|citations|references)\b",
    re.IGNORECASE,
)
_NEWS = re.compile(
    r"\b(?:what(?:'s|’s| is) new|news|headlines|latest|today|tomorrow|this (?:week|month|year)|weather|forecast)\b",  # noqa: RUF001
    re.IGNORECASE,
)
_DASHES = re.compile(r"^-{5,}[ \t]*$", re.MULTILINE)
_CONTEXT = re.compile(r"\b(?:context|documents?|passages?|excerpts?)\b[^\n:]{0,60}:[ \t]*\n?", re.IGNORECASE)
_QUERY = re.compile(r"^[ \t]*(?:user )?(?:query|question)[ \t]*:[ \t]*(.+)", re.IGNORECASE | re.MULTILINE)
_EARLIER = re.compile(r"\b(?:existing|original) answer:[ \t]*(.+)", re.IGNORECASE)
_LABEL = re.compile(
    r"^[ \t]*(?:(?:user )?(?:query|question)|(?:helpful )?answer|instructions?)[ \t]*:", re.IGNORECASE | re.MULTILINE
)
_SENTENCE_BREAK = re.compile(r"(?<=[.!?])\s+|\n+")
_MEAN_LITTLE = frozenset(
    words_of(
        "a about all an and any are as at be by can could did do does for from give had has have how i in is it its me"
        " my of on or our please tell that the their there these this to was we were what when where which who why will"
        " with would you your"
    )
)
_LONGEST_QUOTE = 400  # characters

_SUM = re.compile(
    r"\s*(?:(?:what(?:'s| is)|how much is|calculate|compute)\s)?\s*([\s\d.()+\-*/×÷]*\d[\s\d.()+\-*/×÷]*?)[\s=?.]*",  # noqa: RUF001
    re.IGNORECASE,
)
_LONGEST_SUM = 100  # characters
_SPOKEN = {"multiplied by": "*", "divided by": "/", "times": "*", "plus": "+", "minus": "-", "×": "*", "÷": "/"}  # noqa: RUF001
_OPERATORS: dict[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}

_PAGES = (
    ev.SearchResult("Example News", "https://www.example.com/news", ("A page that is made up.",)),
    ev.SearchResult("Example Overview", "https://www.example.org/overview", ("Another page that is made up.",)),
)
_FOUND = (
    "Example News has a short report on this [^1^] and Example Overview has the background [^2^]. "
    "Both pages are made up because this is the bing_llm emulator without a language model."
)
_SUGGESTIONS = ("Tell me more.", "Why does that matter?", "Show me an example.")


class Obedient:
    """Answers by rules, without a model: the same answer to the same prompt.

    =========================================  =========================================================
    a prompt that                              gets
    =========================================  =========================================================
    asks for tools that it describes           calls of them, then what they gave back
    wants JSON by a schema                     an object with what the prompt states for it
    reasons in steps (ReAct)                   the next step
    brings a context and a question            the sentence of the context that has the question's words
    asks to search the web or to cite          a search, and an answer that cites the pages it found
    is a sum                                   its result
    =========================================  =========================================================

    Anything else gets one line that says that there is no model, without a word of the prompt. So does a prompt that
    asks for a verdict or a choice, and one whose schema wants values that the prompt does not state: a program that
    reads the answer fails, rather than taking a guess for an answer.

    Args:
        pace: The pause before each word, in seconds; 0 for none.
        sleep: Waits that many seconds.

    Raises:
        ConfigurationError: The pace is below zero.
    """

    def __init__(self, pace: float = PACE_S, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        if not pace >= 0:
            raise ConfigurationError(f"pace is {pace} seconds; it must be 0 or more.")
        self._pace = pace
        self._sleep = sleep

    async def answer(self, question: Question) -> AsyncIterator[Output]:
        """The events of the answer, the text in words."""
        for event in _answer(question):
            if not isinstance(event, ev.TextDelta):
                yield event
                continue
            for word in _WORD.findall(event.text):
                if self._pace:
                    await self._sleep(self._pace)
                yield ev.TextDelta(word)


def _answer(question: Question) -> Iterator[ev.Event]:
    request = read_request(question)
    if request.steps is not None:
        yield ev.TextDelta(_next_step(request))
    elif (text := _instructed(request)) is not None:
        yield ev.TextDelta(text)
    else:
        yield from _free(request, search=question.search)


# --- tools, schemas, steps --------------------------------------------------------------------------------------------


def _instructed(request: Request) -> str | None:
    """Calls of tools, an object for a schema, or what the tools gave back; None where none of them is wanted."""
    # A call that must come may be a verdict, whose schema is offered as a tool: nothing is read into its question.
    is_verdict = request.must_call and _asks_for_verdict(request)
    calls = [] if is_verdict else calls_for(request.question, request.tools, request.results)
    if not calls and request.must_call:
        tried = {result.name for result in request.results}
        untried = [tool for tool in request.tools if tool.name not in tried]
        calls = [forced_call(untried, _stated(request))] if untried else []
    if calls:
        return "\n".join(map(str, calls[:1] if request.one_call else calls))
    if request.schema is not None:
        try:
            return json.dumps(_stated(request).fill(request.schema), ensure_ascii=False)
        except Unstated:
            return NO_MODEL
    if request.must_call:
        return NO_MODEL  # each tool was called, and another call would be no better
    return _reported(request.results) if request.results else None


def _stated(request: Request) -> Stated:
    """What the request states for the fields of a schema."""
    return Stated("" if _asks_for_verdict(request) else request.question, request.results)


def _asks_for_verdict(request: Request) -> bool:
    return any(_VERDICT.search(text) for text in (request.question, *request.given))


def _next_step(request: Request) -> str:
    """The next action of an agent that reasons in text, or its answer."""
    assert request.steps is not None  # noqa: S101 - by the caller
    calls = calls_for(request.question, request.tools, request.results)
    if calls:
        return f"Thought: A tool can help.\nAction: {calls[0].name}\nAction Input: {_input(calls[0], request)}"
    answer = _reported(request.results) if request.results else _plain(request)
    return f"Thought: I can answer without another tool.\n{request.steps.answer_label}: {answer}"


def _input(call: Call, request: Request) -> str:
    if request.steps is not None and request.steps.as_json:
        return json.dumps(call.arguments, ensure_ascii=False)
    return str(next(iter(call.arguments.values()), ""))


def _reported(results: Sequence[ToolResult]) -> str:
    """What the tools gave back."""
    return "\n".join(
        f"{result.name or 'The tool'} {'failed' if result.failed else 'gave back'}: {result.text}" for result in results
    )


# --- answers in free text ---------------------------------------------------------------------------------------------


def _free(request: Request, *, search: bool) -> Iterator[ev.Event]:
    if (quote := _quote(request)) is not None:
        yield ev.TextDelta(quote)
    elif search and _wants_search(request):
        yield ev.SearchStarted(" ".join(request.question.split())[:80])
        yield ev.SearchResults(_PAGES)
        yield ev.Progress("Generating answers for you...")
        yield ev.TextDelta(_FOUND)
    else:
        yield ev.TextDelta(_plain(request))
    yield ev.Suggestions(_SUGGESTIONS)


def _plain(request: Request) -> str:
    return _sum_of(request.question) or NO_MODEL


def _wants_search(request: Request) -> bool:
    """Whether the prompt asks to search the web or to cite sources; a single paragraph also by asking for news."""
    if _asks_for_verdict(request):
        return False
    asks_for_news = "\n\n" not in request.question and _NEWS.search(request.question) is not None
    return asks_for_news or any(_SEARCH.search(text) for text in (request.question, *request.given))


def _quote(request: Request) -> str | None:
    """The answer to a question about a text that came along; None for another prompt."""
    query = _QUERY.findall(request.question)
    for text in (request.question, *request.given):
        context, around = _brought(text)
        earlier = _EARLIER.search(around)
        if not context or (text is request.question and not query and earlier is None):
            continue
        if _VERDICT.search(around):
            return NO_MODEL
        if earlier is not None and earlier[1] != NO_MODEL:
            return earlier[1]  # to be refined, which only a model can do
        return _sentence_about(query[-1] if query else request.question, context)
    return None


def _brought(text: str) -> tuple[str, str]:
    """The text that a prompt brings along, between lines of dashes or after a label for it; and what stands around."""
    dashes = list(_DASHES.finditer(text))
    if len(dashes) > 1:
        start, end = dashes[0].end(), dashes[-1].start()
    elif (label := _CONTEXT.search(text)) is not None:
        start = label.end()
        following = _LABEL.search(text, start)
        end = following.start() if following else len(text)
    else:
        return "", text
    return text[start:end].strip(), f"{text[:start]}\n{text[end:]}"


def _sentence_about(query: str, context: str) -> str:
    """The sentence of a text that has most words of a question, if it has half of them."""
    wanted = words_of(query) - _MEAN_LITTLE
    sentences = [sentence.strip() for sentence in _SENTENCE_BREAK.split(context)]
    best = max(sentences, key=lambda sentence: len(wanted & words_of(sentence)))
    if not wanted or 2 * len(wanted & words_of(best)) < len(wanted):
        return NO_MODEL
    return f"The context says: “{best[:_LONGEST_QUOTE]}”"


def _sum_of(question: str) -> str | None:
    """The result of a sum; None for anything else."""
    text = question.strip()
    for words, sign in _SPOKEN.items():
        text = re.sub(re.escape(words), sign, text, flags=re.IGNORECASE) if len(text) <= _LONGEST_SUM else ""
    found = _SUM.fullmatch(text)
    if found is None:
        return None
    try:
        tree = ast.parse(found[1].strip(), mode="eval").body
        value = _value_of(tree) if isinstance(tree, ast.BinOp) else None
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None
    if value is None:
        return None
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.10g}"


def _value_of(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as value):
            return Fraction(str(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value_of(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value_of(left), _value_of(right))
        case _:
            raise ValueError(ast.dump(node))
