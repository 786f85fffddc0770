"""Any input: whatever the arguments and whatever stdin holds, a command ends with one of its exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bing_llm.cli.errors import ExitCode
from bing_llm.emulator import Emulator, Scripted
from tests.cli.conftest import Command, Outcome

pytestmark = pytest.mark.system  # hundreds of runs of the command line

CODES = {*ExitCode} - {ExitCode.INTERRUPTED}

# Without what would go on for ever (a server), reach another machine (a login, an https URL) or another folder.
TEXT = st.text(max_size=12).filter(lambda text: not re.search(r"[/~\\]", text) and text not in {"emulator", "login"})
VALUED = ("--backend", "--model", "--endpoint", "--time-zone", "--image", "--context")
OPTIONS = st.one_of(
    st.tuples(
        st.sampled_from(VALUED),
        TEXT | st.sampled_from(["\udcff", "emulator", "chathub", "workiq", "bing-precise", "UTC"]),
    ),
    st.tuples(
        st.sampled_from(["--json", "--no-search", "--verbose", "--version", "--help", "-", "--", *VALUED]) | TEXT
    ),
)
ARGUMENTS = st.builds(
    lambda command, options: [*command, *(word for option in options for word in option)],
    st.sampled_from([["ask"], ["ask", "Hello"], ["ask", "-"], ["ask", "\udcff"], ["chat"], []]),
    st.lists(OPTIONS, max_size=3),
)
LINES = st.one_of(
    st.binary(max_size=12).map(lambda line: line.replace(b"/", b"").replace(b"~", b"")),
    TEXT.map(str.encode),
    st.tuples(st.sampled_from(["new", "model", "image", "save", "help", "quit", ""]), TEXT).map(
        lambda command: "/{} {}".format(*command).encode()
    ),
    st.sampled_from(
        [b"1", b"/model bing-precise", b"/save a", b"\xef\xbb\xbfHello", b"\xff", b"/image \x00", b"/save \x00"]
    ),
)
STDIN = st.lists(LINES, max_size=4).map(b"\n".join)

EACH = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],  # runs share one folder
)


@pytest.fixture(autouse=True)
def own_folder(service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command saves goes to a folder of its own; the service answers everything."""
    service.brain = Scripted(lambda question: [f"You said: {question.text}"])
    monkeypatch.chdir(tmp_path)


def ended_well(outcome: Outcome) -> None:
    """A documented code, no traceback, and nothing that a terminal would obey."""
    assert outcome.code in CODES
    assert "Traceback" not in outcome.out + outcome.err
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", outcome.out)


@EACH
@given(ARGUMENTS, STDIN)
def test_any_arguments_end_with_a_code(command: Command, arguments: list[str], stdin: bytes) -> None:
    """Usage that makes no sense is an error of one line, and anything else is asked."""
    ended_well(command(*arguments, stdin=stdin))


@EACH
@given(STDIN)
def test_any_lines_of_a_chat_are_answered_until_one_fails(command: Command, stdin: bytes) -> None:
    """A line that cannot be sent, or a command that fails, ends a chat from a pipe, and says so."""
    outcome = command("chat", stdin=stdin)
    ended_well(outcome)
    assert outcome.code == (ExitCode.FAILED if "bing-llm: " in outcome.err else ExitCode.OK)


@EACH
@given(st.binary(max_size=40))
def test_any_prompt_from_stdin_is_asked_or_refused(command: Command, stdin: bytes) -> None:
    """UTF-8 that is not empty is asked; the rest is a usage error, and nothing is sent."""
    outcome = command("ask", "-", stdin=stdin)
    ended_well(outcome)
    assert outcome.code in {ExitCode.OK, ExitCode.USAGE}
