"""What a person sees who uses the command in a terminal, driven by pexpect. POSIX only, as `test_terminal.py`."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from bing_llm import events as ev
from bing_llm.emulator import Emulator, Question, Scripted
from tests.cli.test_terminal import PATIENCE_S, environment

CTRL_C, CTRL_D, CTRL_R, UP = "\x03", "\x04", "\x12", "\x1b[A"
LISTING = "```sh\npip install thing\n  --indented\n```\n"


class Slow:
    """A brain that says what it does, and answers `now` at once, `later` when it may, and nothing else."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._goes_on = asyncio.Event()
        self.steps: list[ev.Event] = [ev.SearchStarted("tides"), ev.Progress("Reading pages")]
        self.answers = ["Hello."]

    async def answer(self, question: Question) -> AsyncIterator[ev.Event]:
        """Say what it does, and answer."""
        self._loop = asyncio.get_running_loop()
        for step in self.steps:
            yield step
        if question.text != "now":
            await (self._goes_on if question.text == "later" else asyncio.Event()).wait()
        for text in self.answers:
            yield ev.TextDelta(text)

    def go_on(self) -> None:
        """Let it answer, from another thread than its loop's."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._goes_on.set)


@contextmanager
def typing(*arguments: str, **variables: str) -> Iterator[pexpect.spawn]:
    """The command in a terminal of 80 times 24."""
    child = pexpect.spawn(
        sys.executable,
        ["-W", "error", "-m", "bing_llm", *arguments],
        env={**environment(), "TERM": "xterm", "PYTHONUTF8": "1", **variables},
        timeout=PATIENCE_S,
        dimensions=(24, 80),
        encoding="utf-8",
    )
    child.delaybeforesend = None
    try:
        yield child
    finally:
        child.close(force=True)


def paste(text: str) -> str:
    """What a terminal sends for a paste."""
    return "\x1b[200~" + text.replace("\n", "\r") + "\x1b[201~"


def end(child: pexpect.spawn) -> int:
    """Wait for the end of the process: its exit code."""
    child.expect(pexpect.EOF)
    child.close()
    assert isinstance(child.exitstatus, int), child.signalstatus
    return child.exitstatus


def ready(child: pexpect.spawn) -> None:
    """Wait until the editor of a chat has drawn its prompt."""
    child.expect_exact("39m> ")


def asked(service: Emulator) -> list[str]:
    """The messages that the service was sent."""
    return [each.text for each in service.requests if each.kind == "chat"]


def test_six_pasted_lines_are_one_message(service: Emulator) -> None:
    """Commands and numbers among them too; nothing is sent before Enter."""
    service.brain = Scripted(lambda _: ["Hello.", ev.Suggestions(("Why?", "How?"))])
    with typing("chat") as child:
        ready(child)
        child.send(paste("one\ntwo\n/quit\n1\nfive\nsix"))
        child.expect_exact("six")
        assert asked(service) == []
        child.send("\r")
        child.expect_exact("2> How?")
        ready(child)
        child.send(paste("1"))
        child.send("\r")
        child.expect_exact("2> How?")
        ready(child)
        child.send("1\r")
        child.expect_exact("> Why?")
        ready(child)
        child.send(CTRL_D)
        assert end(child) == 0
    assert asked(service) == ["one\ntwo\n/quit\n1\nfive\nsix", "1", "Why?"]


@pytest.mark.system
def test_what_is_pasted_during_an_answer_waits(service: Emulator) -> None:
    """It is not shown in the middle of the answer, and is one message afterwards, which nothing sends."""
    brain = service.brain = Slow()
    with typing("chat") as child:
        ready(child)
        child.send("later\r")
        child.expect_exact("thinking: Reading pages")
        child.send(paste("one\ntwo\n/quit"))
        brain.go_on()
        ready(child)
        assert "two" not in child.before
        child.expect_exact("/quit")
        assert asked(service) == ["later"]
        child.send(CTRL_C)
        child.send(CTRL_D)
        assert end(child) == 0


@pytest.mark.system
def test_ctrl_d_during_an_answer_leaves_after_it(service: Emulator) -> None:
    """Whenever it is pressed: before the text, and between the answer and the next prompt."""
    for marker in ("thinking: Reading pages", "1 of 30 turns"):
        brain = service.brain = Slow()
        with typing("chat") as child:
            ready(child)
            child.send("later\r")
            child.expect_exact("thinking: Reading pages")
            if marker == "1 of 30 turns":
                brain.go_on()
                child.expect_exact(marker)
            child.send(CTRL_D)
            brain.go_on()
            assert end(child) == 0
            assert "Hello." in child.before or marker == "1 of 30 turns"


@pytest.mark.system
def test_the_history_is_kept_for_later_chats(service: Emulator, state: Path) -> None:
    """Up and Ctrl-R bring back what was typed; only its owner can read it."""
    service.brain = Scripted(lambda _: ["Hello."])
    with typing("chat") as child:
        for message in ("first message\r", "second\r"):
            ready(child)
            child.send(message)
            child.expect_exact("Hello.")
        ready(child)
        child.send(CTRL_D)
        assert end(child) == 0
    with typing("chat") as child:
        ready(child)
        child.send(f"{CTRL_R}first")
        child.expect_exact("message")
        child.send("\r\r")
        child.expect_exact("Hello.")
        ready(child)
        child.send(f"{UP}\r")
        child.expect_exact("Hello.")
        ready(child)
        child.send(CTRL_D)
        assert end(child) == 0
    assert asked(service) == ["first message", "second", "first message", "first message"]
    assert (state / "bing-llm" / "history").stat().st_mode & 0o777 == 0o600


@pytest.mark.system
def test_without_a_log_there_is_no_history(service: Emulator, state: Path) -> None:
    """Who wants nothing kept means that, too."""
    service.brain = Scripted(lambda _: ["Hello."])
    with typing("chat", "--no-log") as child:
        ready(child)
        child.send("secret\r")
        child.expect_exact("Hello.")
        ready(child)
        child.send(CTRL_D)
        assert end(child) == 0
    assert not list(state.rglob("*"))


def test_signs_of_life_are_gone_when_text_comes(service: Emulator) -> None:
    """The line says what happens, and is erased before the first text."""
    service.brain = Slow()
    with typing("ask", "now") as child:
        child.expect_exact("connecting")
        child.expect_exact("Hello.")
        assert child.before.endswith("\r\x1b[2K")
        assert end(child) == 0
        assert "\x1b[2K" not in child.before


@pytest.mark.system
@pytest.mark.parametrize("arguments", [("ask", "wait"), ("ask", "--json", "wait")])
def test_ctrl_c_while_it_waits_ends_it(service: Emulator, arguments: tuple[str, ...]) -> None:
    """With 130, the line erased, and no traceback."""
    service.brain = Slow()
    with typing(*arguments) as child:
        child.expect_exact("thinking: Reading pages" if "--json" not in arguments else "search_started")
        child.send(CTRL_C)
        code = end(child)
        assert code == 130
        assert "Traceback" not in child.before
        assert "--json" in arguments or child.before.endswith("\r\x1b[2K")


@pytest.mark.system
def test_further_attempts_are_shown() -> None:
    """With their number, while nothing can be reached."""
    with typing("ask", "Hi", "--backend", "chathub", "--endpoint", "http://127.0.0.1:9") as child:
        child.expect_exact("trying again 2 of 5")
        child.send(CTRL_C)
        assert end(child) == 130
        assert "Traceback" not in child.before


@pytest.mark.system
def test_ctrl_c_in_a_chat_clears_stops_and_leaves(service: Emulator) -> None:
    """What is typed; then an answer that is waited for; then the chat, with 0."""
    service.brain = Slow()
    with typing("chat") as child:
        ready(child)
        child.send(f"wrong{CTRL_C}wait\r")
        child.expect_exact("thinking: Reading pages")
        child.send(CTRL_C)
        child.expect_exact("(stopped)")
        ready(child)
        child.send(CTRL_C)
        assert end(child) == 0
        assert "Traceback" not in child.before
    assert asked(service) == ["wait"]


@pytest.mark.system
@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"TERM": "unknown"}])
def test_any_terminal_will_do(service: Emulator, variables: dict[str, str]) -> None:
    """One that cannot move its cursor gets plain lines; without colours no colour comes."""
    brain = service.brain = Slow()
    brain.answers = [LISTING, "\n**Done.**"]
    with typing("chat", **variables) as child:
        child.expect_exact("> ")
        child.send("now\r")
        child.expect_exact("1 of 30 turns")
        written = child.before
        child.expect_exact("> ")
        child.send(CTRL_D)
        assert end(child) == 0
    if "TERM" in variables:
        assert "\x1b" not in written
        assert LISTING.replace("\n", "\r\n") in written
    else:
        assert "\rpip install thing\r\n  --indented\r\n" in re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written)
        assert not re.search(r"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9\d)(?:;\d+)*m", written)


@pytest.mark.system
def test_a_shell_completes_commands_and_values(tmp_path: Path) -> None:
    """What --install-completion installs for bash offers commands, options and models."""
    (tmp_path / "bing-llm").write_text(f'#!/bin/sh\nexec {sys.executable} -W error -m bing_llm "$@"\n')
    (tmp_path / "bing-llm").chmod(0o755)
    variables = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "PS1": "ready> "}
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        env={**environment(), **variables, "TERM": "dumb"},
        timeout=PATIENCE_S,
        encoding="utf-8",
        dimensions=(24, 200),
    )
    try:
        shell.expect_exact("ready> ")
        shell.sendline('eval "$(_BING_LLM_COMPLETE=source_bash bing-llm)"; echo loaded')
        shell.expect_exact("\r\nloaded")
        for typed, completed in (
            ("bing-llm emu\t", "emulator"),
            ("bing-llm ask --sys\t", "--system"),
            ("bing-llm ask -m bing-pr\t", "bing-precise"),
            ("bing-llm chat --backend wo\t", "workiq"),
            ("bing-llm logs se\t", "search"),
        ):
            shell.expect_exact("ready> ")
            shell.send(typed)
            shell.expect_exact(completed)
            shell.send(CTRL_C)
    finally:
        shell.close(force=True)
