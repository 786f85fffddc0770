"""docs/emulator.md lists what there is, and its blocks work; those of a shell run in tests/docs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from bing_llm.emulator import Script
from bing_llm.emulator.fault_plan import KINDS, FaultKind, Step, check_kind
from bing_llm.emulator.received import Outcome
from bing_llm.emulator.script import ERRORS, Answer, ErrorOptions, Place
from bing_llm.errors import BingError, ConfigurationError
from tests.emulator.test_script import OPTIONS
from tests.snippets import blocks_of

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "emulator.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = blocks_of(TEXT)
SCRIPTS = [block.code for block in BLOCKS if block.language == "yaml"]
FILE = re.search(r"<<'EOF'\n(.*?)EOF\n", TEXT, re.DOTALL)


def table(heading: str) -> list[list[str]]:
    """The cells of the rows below this heading row."""
    _, _, rows = TEXT.partition(f"{heading}\n")
    lines = rows.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cell: str) -> list[str]:
    """What a cell has in backticks."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_is_one(script: str) -> None:
    """And has answers or faults."""
    made = Script.parse(script)
    assert made.answers or made.faults


def test_the_keys_are_those_of_a_script() -> None:
    """Of answers and of faults, and the steps."""
    answers, faults = [[words(row[0])[0] for row in rows] for rows in _tables("| key | meaning |")]
    assert tuple(answers) == Answer.__struct_fields__
    assert tuple(faults) == (*Place.__struct_fields__, "fault")
    assert [words(row[0])[0] for row in table("| step | where |")] == list(get_args(Step))


def _tables(heading: str) -> list[list[list[str]]]:
    parts = TEXT.split(f"{heading}\n")[1:]
    rows = [part.split("\n\n")[0].splitlines()[1:] for part in parts]
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in lines] for lines in rows]


def test_the_errors_are_all_there_are() -> None:
    """In one sentence."""
    sentence = TEXT.split("The errors are ")[1].split(".")[0]
    assert words(sentence.replace("\n", " ")) == list(ERRORS)


def test_the_faults_have_their_options_and_steps() -> None:
    """Each fault has one row."""
    seen = []
    for names, options, steps in table("| fault | options | steps |"):
        for name in words(names):
            seen.append(name)
            kind = KINDS[name]
            fields = ErrorOptions if issubclass(kind, BingError) else kind
            assert words(options) == list(fields.__struct_fields__), name
            assert steps.split(", ") == [step for step in get_args(Step) if _can_hit(name, step)], name
    assert sorted(seen) == sorted(KINDS)


def _can_hit(name: str, step: Step) -> bool:
    kind = KINDS[name]
    what: FaultKind = kind() if issubclass(kind, BingError) else msgspec.convert(OPTIONS.get(name, {}), kind)
    try:
        check_kind(what, step)
    except ConfigurationError:
        return False
    return True


def test_the_outcomes_are_all_there_are() -> None:
    """In the table of calls."""
    [row] = [row for row in table("| call | what it does |") if row[0] == "`GET /_emulator/requests`"]
    assert words(re.findall(r"`outcome` \((.*?)\)", row[1])[0]) == list(get_args(Outcome))


@pytest.mark.system  # a suite in a process of its own
def test_the_test_of_the_guide_passes(pytester: pytest.Pytester) -> None:
    """With the file that the guide writes, beside it."""
    assert FILE is not None
    [test] = [block.code for block in BLOCKS if "bing_script" in block.code]
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    pytester.makefile(".yaml", answers=FILE[1])
    pytester.makepyfile(test)
    pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:langsmith_plugin").assert_outcomes(passed=1)
