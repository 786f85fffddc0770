"""Scripts: what each key means, and what is refused."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Cited, Cut, Duplicate, Fault, HttpAnswer, Late, Pause, Script
from bing_llm.emulator.chathub.shapes import PLAYABLE
from bing_llm.emulator.fault_plan import KINDS, Step, check_kind, plain_name
from bing_llm.emulator.faults import WIRE_FAULTS
from bing_llm.emulator.script import ERRORS
from bing_llm.errors import ConfigurationError


def lines(answer: object) -> list[Any]:
    """The lines of one answer."""
    turns = Script.parse(json.dumps({"answers": [answer]})).turns()
    assert turns is not None
    [turn] = turns
    return turn


def fault(**keys: object) -> Fault:
    """The one fault of a script."""
    [made] = Script.parse(json.dumps({"faults": [keys]})).plan()
    return made


def refusal(content: str | bytes) -> str:
    """How a script is refused."""
    with pytest.raises(ConfigurationError) as caught:
        Script.parse(content)
    return str(caught.value)


@pytest.mark.parametrize("answer", ["Hello there.", {"text": "Hello there."}])
def test_a_text_is_sent_word_by_word(answer: object) -> None:
    """Each piece is a word and the blanks after it; together they are the text."""
    assert lines(answer) == ["Hello ", "there."]


@pytest.mark.parametrize("text", ["", " ", " a\n\n b ", "```json\n{}\n```", "日本語 です"])
def test_no_character_of_a_text_is_lost(text: str) -> None:
    """A call of a tool must come as it was written."""
    assert "".join(lines(text)) == text


def test_a_long_text_has_few_pieces() -> None:
    """A ChatHub sends the whole text with each: it would take a word's square of them."""
    for count in (1_000, 1_001, 12_345):
        pieces = lines("word " * count)
        assert "".join(pieces) == "word " * count
        assert 500 < len(pieces) <= 1_000


def test_pace_pauses_before_each_word() -> None:
    """It is in seconds."""
    assert lines({"text": "a b", "pace": 0.5}) == [Pause(0.5), "a ", Pause(0.5), "b"]


def test_searches_come_first() -> None:
    """A query stands alone, or has the pages that are found."""
    page = {"url": "https://e.example", "title": "E", "snippets": ["s"]}
    assert lines({"text": "a", "searches": ["q", {"query": "r"}, {"query": "t", "results": [page]}]}) == [
        ev.SearchStarted("q"),
        ev.SearchStarted("r"),
        ev.SearchStarted("t"),
        ev.SearchResults((ev.SearchResult("E", "https://e.example", ("s",)),)),
        "a",
    ]


def test_citations_come_before_the_text_and_suggestions_after_it() -> None:
    """Live answers link to their sources while they stream. Citations are numbered in their order."""
    sources = ["https://e.example", {"url": "https://f.example", "title": "F"}]
    cited = (ev.Citation(1, "https://e.example"), ev.Citation(2, "https://f.example", "F"))
    assert lines({"text": "a [^2^]", "citations": sources, "suggestions": ["b", "c"]}) == [
        Cited(cited),
        "a ",
        "[^2^]",
        ev.TurnCompleted(ev.Reply(suggestions=("b", "c"))),
    ]


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_that_a_service_reports_ends_an_answer(name: str) -> None:
    """By its name in plain words, alone or after text."""
    [alone] = lines({"error": name})
    [text, after] = lines({"text": "a", "error": {"name": name}})
    assert type(alone) is type(after) is ERRORS[name]
    assert text == "a"


def test_an_error_says_what_the_script_gives_it() -> None:
    """The service's name for it, its words, and how long to wait."""
    [error] = lines({"error": {"name": "throttled", "value": "V", "message": "Not now.", "retry_after": 2}})
    assert (error.value, error.service_message, error.retry_after) == ("V", "Not now.", 2.0)


def test_there_is_a_word_for_all_that_the_plan_knows() -> None:
    """Each fault, each event that can be sent and each error that can be played."""
    playable = [kind for kind in get_args(ev.Event) if kind not in {ev.ImageCreated, ev.Restarted}]
    assert list(KINDS.values()) == [*WIRE_FAULTS, *playable, *PLAYABLE]
    assert [plain_name(kind) for kind in (HttpAnswer, ev.TextRevised, errors.TurnLimitReached)] == [
        "http answer",
        "text revised",
        "turn limit reached",
    ]


OPTIONS: dict[str, dict[str, object]] = {
    "http answer": {"status": 503},
    "late": {"seconds": 0},
    "raw": {"text": "{"},
    "text delta": {"text": "a"},
    "text revised": {"text": "a"},
    "text revoked": {"notice": "a", "ended": True},
    "search started": {"query": "a"},
    "search results": {"results": [{"title": "a", "url": "https://e.example", "snippets": ["b"]}]},
    "progress": {"text": "a"},
    "image requested": {"prompt": "a"},
    "suggestions": {"texts": ["a"]},
    "quota": {"used": 1, "limit": 2},
    "unknown": {"raw": {"type": 99}},
    "turn completed": {"reply": {"text": "a", "metadata": {"any": ["thing"]}}},
}
"""The options that a kind cannot do without."""


@pytest.mark.parametrize("name", KINDS)
def test_each_fault_can_be_planned_where_it_can_hit(name: str) -> None:
    """In the steps in which the plan takes it; of another step, the error lists those."""
    options = OPTIONS.get(name, {})
    planned = [step for step in get_args(Step) if _can_hit(name, step, options)]
    others = [step for step in get_args(Step) if step not in planned]
    assert planned
    for step in planned:
        made = fault(fault=name, step=step, **options)
        assert (type(made.what), made.step) == (KINDS[name], step)
    for step in others:
        said = refusal(json.dumps({"faults": [{"fault": name, "step": step, **options}]}))
        assert f"where {name!r} cannot hit; it can at: {', '.join(planned)}" in said


def _can_hit(name: str, step: Step, options: dict[str, Any]) -> bool:
    """Whether the plan takes it, made as in Python."""
    kind: Any = KINDS[name]
    what = kind() if issubclass(kind, errors.BingError) else msgspec.convert(options, kind)
    try:
        check_kind(what, step)
    except ConfigurationError:
        return False
    return True


def test_the_place_of_a_fault_is_that_of_fault() -> None:
    """Step, turn, after how many pieces, and whether it may be left."""
    made = fault(fault="cut", how="close 1000", step="mid", turn=2, after=3, optional=True)
    assert made == Fault(Cut("close 1000"), "mid", turn=2, after=3, optional=True)
    assert fault(fault="late", seconds=1.5, step="request") == Fault(Late(1.5), "request")
    throttled = fault(fault="throttled", retry_after=3, step="creation").what
    assert isinstance(throttled, errors.Throttled)
    assert throttled.retry_after == 3.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The script: the script must be a mapping, and is empty. Change it there."),
        ("answer: [a]", "The script, line 1: the script has the key 'answer'; it may have: answers, faults."),
        ("answers:\n- a\n- txt: b", "The script, line 3: answers[1] has the key 'txt'; it may have: text, searches, "),
        ("answers:\n- {}", "The script, line 2: answers[0] says nothing; give it at least one of: text, searches, "),
        ("answers:\n- pace: 1", "The script, line 2: answers[0] says nothing; "),
        ("answers:\n- 42", "The script, line 2: answers[0] must be text or a mapping, and is a whole number"),
        ("answers:\n-\n  text: a\n  pace: -1", "The script, line 4: answers[0].pace must be a number >= 0.0."),
        ("answers:\n- text: a\n  pace: 1e9", "The script, line 3: answers[0].pace must be a number <= 600.0."),
        ("answers:\n- error: bad", "The script, line 2: answers[0].error is 'bad'; it must be one of: throttled, "),
        ("answers:\n- error: {name: bad}", "The script, line 2: answers[0].error.name is 'bad'; it must be one of: "),
        ("answers:\n- error: throttled\n  suggestions: [a]", "The script, line 2: answers[0].error ends the answer, "),
        ("answers:\n- error: throttled\n  citations: [a]", "The script, line 3: answers[0].citations are those of a "),
        ("answers:\n- searches: [{query: a, results: [{title: b}]}]",
         "The script, line 2: answers[0].searches[0].results[0] lacks the key 'url'."),
        ("answers:\n- citations: [{link: a}]", "The script, line 2: answers[0].citations[0] has the key 'link'"),
        ("faults:\n- step: mid", "The script, line 2: faults[0].fault must be there, and be one of: http "),
        ("faults:\n- fault: bang\n  step: mid", "The script, line 2: faults[0].fault is 'bang'; it must be one of: "),
        ("faults:\n- fault: cut\n  step: middle",
         "The script, line 3: faults[0].step is 'middle'; it must be one of: creation, upgrade, handshake, request, "),
        ("faults:\n- fault: cut\n  how: end\n  step: request",
         "The script, line 4: faults[0].step is 'request', where 'cut' cannot hit; it can at: first, mid, last."),
        ("faults:\n- fault: cut\n  step: mid\n  how: gently",
         "The script, line 4: faults[0].how must be one of: abort, close 1000, close 1001, type 3, type 7, type 7 "),
        ("faults:\n- fault: cut\n  step: mid\n  status: 5",
         "The script, line 2: faults[0] has the key 'status'; with the fault 'cut', it may have: fault, step, turn, "),
        ("faults:\n- fault: http answer\n  step: creation\n  status: 999",
         "The script, line 2: faults[0] cannot be played: The status of an HttpAnswer is 999; it must be from 200 to"),
        ("faults:\n- fault: cut\n  step: last\n  after: 2",
         "The script, line 4: faults[0].after is of the step 'mid' alone, and the step is 'last'."),
        ("faults:\n- fault: cut\n  step: mid\n  turn: 0", "The script, line 4: faults[0].turn must be a whole "),
        ("faults:\n- fault: cut\n  step: mid\n  turn: '2'", "The script, line 4: faults[0].turn must be a whole "),
        ("faults:\n- fault: turn completed\n  step: last\n  reply: {texts: a}",
         "The script, line 4: faults[0].reply.texts is not a key here; there may be: text, citations, searches, "),
        ("faults:\n- fault: unknown\n  step: mid\n  raw: 3", "The script, line 2: faults[0] cannot be played: "),
        ("faults:\n- cut", "The script, line 2: faults[0] must be a mapping, and is text."),
        ("faults: cut", "The script, line 1: faults must be a list, and is text."),
        ('{"answers": [{"text": 1}]}', "The script: answers[0].text must be text, and is a whole number"),
    ],
    ids=range(29),
)  # fmt: skip
def test_an_error_names_the_line_the_key_and_what_is_allowed(text: str, said: str) -> None:
    """And the same of JSON, without the line."""
    assert refusal(text).startswith(said)


def test_bytes_must_be_utf_8() -> None:
    """Shells of Windows write UTF-16."""
    assert Script.parse("answers: [é]".encode()).answers == ["é"]
    assert Script.parse("answers: [é]".encode("utf-8-sig")).answers == ["é"]
    assert refusal("answers: [é]".encode("utf-16")) == "The script is not UTF-8 text. Convert it to UTF-8."


def test_a_file_is_read(tmp_path: Path) -> None:
    """An error names it."""
    path = tmp_path / "a.yaml"
    path.write_text("answers: [Hi]\nfaults: [{fault: duplicate, step: first}]", encoding="utf-8")
    script = Script.read(path)
    assert (script.answers, script.plan()) == (["Hi"], [Fault(Duplicate(), "first")])
    path.write_text("answers: Hi", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"a\.yaml, line 1: answers must be a list"):
        Script.read(str(path))


@pytest.mark.parametrize("path", ["missing.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_named(path: str, tmp_path: Path) -> None:
    """As an error of ours."""
    with pytest.raises(ConfigurationError, match=r"^The script .* cannot be read: "):
        Script.read(f"{tmp_path}/{path}")


def test_a_script_without_answers_has_no_brain() -> None:
    """An empty list of answers is a script of no answer."""
    assert Script.parse("{}").brain() is None
    assert Script.parse("answers: []").brain() is not None


def test_a_script_may_be_made_in_python() -> None:
    """What is wrong is then a ValueError with the path."""
    assert Script(answers=["a b"]).turns() == [["a ", "b"]]
    with pytest.raises(ValueError, match=r"^faults\[0\].fault is 'bang'"):
        Script(faults=[{"fault": "bang"}]).plan()


def test_the_docstring_shows_a_script() -> None:
    """The example of the module is one."""
    module = inspect.getmodule(Script)
    assert module is not None
    example = inspect.cleandoc(module.__doc__ or "").split("\n\n")[1]
    assert len(Script.parse(inspect.cleandoc(example)).plan()) == 1
