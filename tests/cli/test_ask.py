"""`bing-llm ask`."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.cli import ask as module
from bing_llm.cli.options import NewClient
from bing_llm.cli.recorder import Beginning
from bing_llm.cli.view import REWRITTEN
from bing_llm.emulator import Emulator, Scripted
from bing_llm.services import NOT_CONFIGURED
from tests.cli.conftest import Command, Interrupting, Outcome

PNG = b"\x89PNG\r\n\x1a\n"
REPLY = ev.Reply(
    citations=(ev.Citation(1, "https://a.example", "A\x1b[2J"),), suggestions=("Why?",), quota=ev.Quota(3, 30)
)
SOURCES = "\n[^1^] A\\u001b[2J https://a.example\n"


def test_in_a_pipe_it_is_the_text_then_the_sources(command: Command, service: Emulator) -> None:
    """Without a terminal stdout has the text as it came, an empty line, and a line for each source."""
    service.brain = Scripted([["Hello ", "[^1^].", ev.TurnCompleted(REPLY)], ["Hello."]])
    assert command("ask", "Hi") == Outcome(0, "Hello [^1^].\n" + SOURCES, "")
    assert command("ask", "Hi") == Outcome(0, "Hello.\n", "")


def test_in_a_terminal_suggestions_and_quota_follow(
    command: Command, service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person sees sources, suggestions and quota below the text."""
    monkeypatch.setattr(module, "is_terminal", lambda _stream: True)
    service.brain = Scripted([["Hello.", ev.TurnCompleted(REPLY)]])
    assert command("ask", "Hi") == Outcome(0, "Hello.\n" + SOURCES + "1> Why?\n1 of 30 turns\n", "")


def test_json_is_all_that_stdout_gets(command: Command, service: Emulator) -> None:
    """With --json each line of stdout is one event, the last one the whole reply."""
    service.brain = Scripted([["Hello ", "there.", ev.TurnCompleted(REPLY)]])
    done = command("ask", "--json", "Hi")
    events = [ev.event_from_json(line) for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert [event.text for event in events if isinstance(event, ev.TextDelta)] == ["Hello ", "there."]
    assert isinstance(events[-1], ev.TurnCompleted)
    assert json.loads(done.out.splitlines()[-1])["reply"]["text"] == "Hello there."


def test_a_rewritten_answer_is_printed_again(command: Command, service: Emulator) -> None:
    """After a rewrite the final text follows, after a line that says so."""
    service.brain = Scripted([["Bonn.", ev.TextRevised("Berlin.")]])
    assert command("ask", "Hi") == Outcome(0, f"Bonn.\n{REWRITTEN}\nBerlin.\n", "")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_withdrawn_answer_fails(command: Command, service: Emulator, options: tuple[str, ...]) -> None:
    """A withdrawn answer is kept, its notice goes to stderr, and the exit code is 1."""
    service.brain = Scripted([["I will", ev.TextRevoked("Sorry,\x1b no.")]])
    done = command("ask", *options, "Hi")
    assert (done.code, done.err) == (1, "bing-llm: The service withdrew this answer. Sorry,\\u001b no.\n")
    assert "I will" in done.out


def test_a_refusal_is_one_line(command: Command, service: Emulator) -> None:
    """The service's refusal and its hint are one line on stderr, the exit code is 1."""
    service.brain = Scripted([[errors.Throttled(service_message="Too\nmany\x1b")]])
    done = command("ask", "Hi")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("bing-llm: The service refused the turn (Throttled: Too many\\u001b). Send fewer")
    assert done.err.count("\n") == 1


def test_a_lost_answer_keeps_what_came(command: Command, service: Emulator) -> None:
    """What had come before the connection broke is on stdout, with its line ended."""
    service.brain = Scripted([["It begins", errors.ConnectionLost()]])
    done = command("ask", "Hi")
    assert (done.code, done.out) == (1, "It begins\n")
    assert "before the answer was complete" in done.err


def test_ctrl_c_ends_it(command: Command, service: Emulator) -> None:
    """Ctrl-C ends the command with 130, without a word on stderr; the text ends with its line."""
    service.brain = Interrupting()
    done = command("ask", "Hi")
    assert (done.code, done.err) == (130, "")
    assert done.out.startswith("It begins") or not done.out
    assert done.out.endswith("\n") or not done.out


def test_the_question_is_sent(command: Command, service: Emulator, tmp_path: Path) -> None:
    """Prompt, context, picture, model and the wish for no search reach the service."""
    (tmp_path / "image.png").write_bytes(PNG)
    (tmp_path / "context.txt").write_text("﻿Known é.", encoding="utf-8")
    service.brain = Scripted([["Hello."]])
    done = command(
        *("ask", "-", "--model", "bing-precise", "--no-search"),
        *("--image", str(tmp_path / "image.png"), "--context", str(tmp_path / "context.txt")),
        stdin="What is é?".encode(),
    )
    sent = service.requests[-1]
    assert done.code == 0
    assert (sent.text, sent.context) == ("What is é?", "Known é.")
    assert sent.arguments is not None
    assert sent.arguments.tone == "Precise"
    assert "nosearchall" in (sent.arguments.options_sets or ())
    assert [request.kind for request in service.requests] == ["creation", "upload", "chat"]


def test_without_configuration_it_says_what_is_needed(command: Command) -> None:
    """On a machine without any setting the five lines that say what to do are on stderr, the exit code is 2."""
    assert command("ask", "Hi") == Outcome(2, "", NOT_CONFIGURED.replace("backend=", "--backend") + "\n")
    assert NOT_CONFIGURED.count("\n") == 4


def assert_usage_error(done: Outcome, line: str) -> None:
    """One line on stderr that begins like this, and exit code 2."""
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bing-llm: {line}")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "line"),
    [
        (["\udcff"], b"", "The prompt is not UTF-8 text."),
        ([" "], b"", "The prompt is empty."),
        (["-"], b" ", "The prompt is empty."),
        (["-"], b"\xff", "What stdin holds is not UTF-8 text"),
        (["x" * 4001], b"", "The prompt has 4,001 characters; bing-balanced takes at most 4,000."),
        (["Hi", "--image", "none.png"], b"", "The image 'none.png' cannot be read"),
        (["Hi", "--context", "none.txt"], b"", "The context file 'none.txt' cannot be read: No such file"),
        (["Hi", "--model", "gpt"], b"", "The model 'gpt' is not known; allowed: bing-creative"),
        (["Hi", "--backend", "bong"], b"", "The backend 'bong' is not known to this version; allowed: chathub"),
    ],
)
def test_what_cannot_be_sent_is_a_usage_error(
    command: Command, service: Emulator, arguments: list[str], stdin: bytes, line: str
) -> None:
    """A question that cannot be sent is one line on stderr and exit code 2, and nothing is sent."""
    assert_usage_error(command("ask", *arguments, stdin=stdin), line)
    assert not service.requests


def test_a_closed_stdin_is_an_error(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` needs a stdin."""
    monkeypatch.setattr(sys, "stdin", None)
    beginning = Beginning(new_client=NewClient({"endpoint": service.url}))
    with pytest.raises(errors.ConfigurationError, match="closed"):
        module.ask(beginning, module.Question(prompt="-"), json=False)
    assert not service.requests


# --- what is piped in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "stdin", "prompt"),
    [
        (["Summarize this"], b"BODY\n", "BODY\n\nSummarize this"),
        (["Summarize this"], b"\xef\xbb\xbf  one\n  two\n\n", "one\n  two\n\nSummarize this"),
        (["Summarize this"], b"\n", "Summarize this"),
        ([], b"What is new?\n", "What is new?\n"),
        (["-"], b"What is new?\n", "What is new?\n"),
        ([""], b"What is new?\n", "What is new?\n"),
    ],
)
def test_what_is_piped_in_is_the_prompt_or_its_material(
    command: Command, service: Emulator, arguments: list[str], stdin: bytes, prompt: str
) -> None:
    """It is the prompt where there is no other, else it goes before it; blank lines alone are nothing."""
    service.brain = Scripted([["Hello."]])
    assert command("ask", *arguments, stdin=stdin) == Outcome(0, "Hello.\n", "")
    assert (service.requests[-1].text, service.requests[-1].context) == (prompt, "")


def test_what_is_too_long_for_the_prompt_is_context(command: Command, service: Emulator, tmp_path: Path) -> None:
    """Then the prompt is the argument alone; what is piped in follows the context file."""
    service.brain = Scripted(lambda _: ["Hello."])
    (tmp_path / "context.txt").write_text("Known.")
    body = "x" * 4000
    assert command("ask", "Summarize this", stdin=body.encode()).code == 0
    assert (service.requests[-1].text, service.requests[-1].context) == ("Summarize this", body)
    assert command("ask", "Hi", "--context", str(tmp_path / "context.txt"), stdin=body.encode()).code == 0
    assert service.requests[-1].context == f"Known.\n\n{body}"


@pytest.mark.parametrize(
    ("arguments", "stdin", "line"),
    [
        ([], b"", "There is no prompt. Write it after ask"),
        ([], b" \n", "There is no prompt. Write it after ask"),
        (["Summarize this"], b"\x89PNG", "What stdin holds is not UTF-8 text"),
        (["Summarize this"], b"x" * (module.MOST_BYTES + 1), "stdin holds over 16,777,216 bytes."),
    ],
)
def test_what_cannot_be_read_of_stdin_is_an_error(
    command: Command, service: Emulator, arguments: list[str], stdin: bytes, line: str
) -> None:
    """It is one line on stderr and exit code 2, and nothing is sent."""
    assert_usage_error(command("ask", *arguments, stdin=stdin), line)
    assert not service.requests


def test_a_terminal_is_not_read(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who gives a prompt is not waited for, and one who gives none learns how."""
    service.brain = Scripted([["Hello."]])
    monkeypatch.setattr(module, "is_terminal", lambda stream: stream is sys.stdin)
    monkeypatch.setattr(sys, "stdin", io.StringIO("not read"))
    beginning = Beginning(new_client=NewClient({"endpoint": service.url}))
    assert module.ask(beginning, module.Question(prompt="Hi"), json=False) == 0
    assert service.requests[-1].text == "Hi"
    with pytest.raises(errors.ConfigurationError, match="There is no prompt"):
        module.ask(beginning, module.Question(), json=False)


def test_it_says_that_it_waits_for_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe that brings nothing for a while looks like a hang; a directory is an error."""
    read, write = os.pipe()
    with os.fdopen(read) as stdin:
        os.write(write, b"BODY")
        os.close(write)
        monkeypatch.setattr("bing_llm.cli.ask.select.select", lambda *_: ([], [], []))
        assert module._read_stdin(stdin) == "BODY"
    assert "reading stdin, which is not a terminal" in capsys.readouterr().err


def test_the_system_prompt_is_sent_before_the_context(command: Command, service: Emulator, tmp_path: Path) -> None:
    """The service has no place for it; so it is a message of the context, as both adapters write it."""
    service.brain = Scripted([["Hello."]])
    (tmp_path / "context.txt").write_text("Known.")
    assert command("ask", "Hi", "-s", "Be brief.", "--context", str(tmp_path / "context.txt")).code == 0
    assert service.requests[-1].context == "[system](#message)\nBe brief.\n\nKnown."
