"""Where ask and chat go on, and what they add to the log."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bing_llm import errors
from bing_llm.backends.chathub.backend import ChatHubBackend
from bing_llm.backends.chathub.request import ChatHubConversation
from bing_llm.cli.log import log_path
from bing_llm.emulator import Emulator, Scripted
from tests.cli.conftest import Command

SAID = "[user](#message)\none\n\n[assistant](#message)\nHello.\n\n"


@pytest.fixture
def answering(service: Emulator) -> Emulator:
    """The service, which answers."""
    service.brain = Scripted(lambda _: ["Hello."])
    return service


def test_ask_goes_on(command: Command, answering: Emulator) -> None:
    """-c goes on with the latest conversation, --conversation with any; the context of a turn is sent again too."""
    command("ask", "one")
    command("ask", "other")
    command("ask", "two", "--conversation", "1")
    assert answering.requests[-1].context == SAID
    command("ask", "three", "-c")
    assert answering.requests[-1].context == SAID + SAID.replace("one", "two")
    assert [line.rpartition(", ")[2] for line in command("logs").out.splitlines()] == [
        *("3 turns: one", "1 turn: other")
    ]


@pytest.mark.usefixtures("answering")
def test_an_answer_whose_sources_nobody_reads_is_logged(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer was complete, and may have been paid for: in `ask ... | head -1` only what follows it is not read."""

    def leave(_reply: object) -> list[str]:
        raise BrokenPipeError

    monkeypatch.setattr("bing_llm.cli.ask.source_lines", leave)
    assert command("ask", "one").code == 0
    assert "1 turn: one" in command("logs").out


def test_a_long_material_is_sent_again(command: Command, answering: Emulator, tmp_path: Path) -> None:
    """Else nothing could be asked about it."""
    (tmp_path / "a.txt").write_text("Known.")
    command("ask", "one", "--context", str(tmp_path / "a.txt"))
    command("ask", "two", "-c")
    assert answering.requests[-1].context == f"Known.{SAID}"


def test_chat_goes_on(command: Command, answering: Emulator) -> None:
    """It says with what, and is logged in the same conversation; /new begins another."""
    command("ask", "one", "-s", "Be brief.")
    done = command("chat", "-c", stdin=b"two\n/new\nthree\n")
    assert done.err.startswith("A conversation of 1 turn goes on. The last one:\n> one\n")
    contexts = [each.context for each in answering.requests if each.kind == "chat"]
    system = "[system](#message)\nBe brief.\n\n"
    assert contexts == [system, system + SAID, system]
    assert [line.rpartition(", ")[2] for line in command("logs").out.splitlines()] == [
        *("1 turn: three", "2 turns: one")
    ]


def test_its_options_are_those_that_it_had(
    command: Command, answering: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service, the model and the rest, whatever the environment says now; options that are given come before."""
    command("ask", "one", "-m", "bing-precise", "--no-search", "--endpoint", answering.url)
    monkeypatch.setenv("BING_LLM_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("BING_LLM_BACKEND", "workiq")
    assert command("ask", "two", "-c").code == 0
    arguments = answering.requests[-1].arguments
    assert arguments is not None
    assert arguments.tone == "Precise"
    assert "nosearchall" in (arguments.options_sets or ())
    command("ask", "three", "-c", "-m", "bing-creative")
    command("ask", "four", "-c")
    arguments = answering.requests[-1].arguments
    assert arguments is not None
    assert arguments.tone == "Creative"


def test_another_service_gets_what_was_said(
    command: Command, answering: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if the user names it; the options of the first one are not its own."""
    command("ask", "one", "-m", "bing-precise")
    monkeypatch.setenv("WORKIQ_TOKEN", answering.token)
    options = ("--backend", "workiq", "--endpoint", answering.workiq_url, "--time-zone", "UTC")
    assert command("ask", "two", "-c", *options).code == 0
    assert answering.requests[-1].context == SAID


def test_another_system_prompt_begins_anew(
    command: Command, answering: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation of the service that has begun with another one is not gone on with."""
    monkeypatch.setenv("WORKIQ_TOKEN", answering.token)
    options = ("--backend", "workiq", "--endpoint", answering.workiq_url, "--time-zone", "UTC")
    command("ask", "one", "-s", "Be brief.", *options)
    command("ask", "two", "-c", "-s", "Be brief.")
    assert [each.kind for each in answering.requests] == ["creation", "chat", "chat"]
    command("ask", "three", "-c", "-s", "Be kind.")
    assert [each.kind for each in answering.requests][3:] == ["creation", "chat"]
    assert answering.requests[-1].context.startswith("[system](#message)\nBe kind.\n\n[user]")


@pytest.mark.parametrize(
    ("options", "says"),
    [(("-c",), "The log has no conversation yet."), (("--conversation", "7"), "The log has no conversation 7.")],
)
def test_there_must_be_one(command: Command, service: Emulator, options: tuple[str, ...], says: str) -> None:
    """Else nothing is sent."""
    done = command("ask", "Hi", *options)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert not service.requests


def test_what_failed_is_not_logged(command: Command, service: Emulator) -> None:
    """There is no answer to go on from."""
    service.brain = Scripted([[errors.Throttled()]])
    assert command("ask", "one").code == 1
    assert not log_path().exists()


@pytest.mark.parametrize("arguments", [("ask", "It is very-secret-value."), ("chat",)])
@pytest.mark.parametrize("backend", ["chathub", "workiq", "a2a"])
def test_no_credential_is_logged(
    command: Command, service: Emulator, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], backend: str
) -> None:
    """Neither from the user's words, nor from the service's."""
    service.brain = Scripted(lambda question: [f"You say: {question.text}"])
    service.token = "very-secret-value"
    monkeypatch.setenv("WORKIQ_TOKEN", "very-secret-value")
    monkeypatch.setenv("BING_COOKIES", "a=b; _U=very-secret-value")
    url, protocol = (service.a2a_url, "a2a") if backend == "a2a" else (service.workiq_url, "rest")
    options = ("--backend", "workiq", "--endpoint", url, "--protocol", protocol, "--time-zone", "UTC")
    stdin = b"" if "ask" in arguments else b"It is very-secret-value.\n"
    done = command(*arguments, *(() if backend == "chathub" else options), stdin=stdin)
    assert (done.code, done.err) == (0, "")
    assert "very-secret-value" in done.out
    assert b"secret" not in log_path().read_bytes()
    assert "You say: It is ***." in command("logs", "show").out


def test_a_signature_of_the_service_is_not_logged(
    command: Command, service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes a conversation of a ChatHub usable is a secret, too."""
    signatures: list[str] = []
    create = ChatHubBackend.create_conversation

    async def watched(*args: Any) -> ChatHubConversation:
        handle = await create(*args)
        signatures[:] = handle.secrets
        return handle

    monkeypatch.setattr(ChatHubBackend, "create_conversation", watched)
    service.brain = Scripted(lambda _: [f"It is {' '.join(signatures)}."])
    for arguments, stdin in ((("ask", "Hi"), b""), (("chat",), b"Hi\n")):
        done = command(*arguments, stdin=stdin)
        assert signatures[-1] in done.out
        assert not [each for each in signatures if each.encode() in log_path().read_bytes()]


@pytest.mark.parametrize("arguments", [("ask", "Hi"), ("chat",)])
@pytest.mark.parametrize("what", ["damaged", "locked", "of a later version", "read-only", "a folder"])
def test_an_answer_is_given_without_a_log(
    command: Command, answering: Emulator, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], what: str
) -> None:
    """One line on stderr says so, once in a chat, and the exit code is that of the answer."""
    monkeypatch.setattr("bing_llm.cli.log._LOCK_S", 0.0)
    command("ask", "one")
    path = log_path()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        match what:
            case "damaged":
                path.write_bytes(b"x" * 5000)
            case "locked":
                other.execute("BEGIN EXCLUSIVE")
            case "of a later version":
                other.execute("PRAGMA user_version = 99")
            case "read-only":
                monkeypatch.setattr("bing_llm.cli.log.sqlite3.connect", read_only)
            case _:
                path.unlink()
                path.mkdir()
        done = command(*arguments, stdin=b"" if "ask" in arguments else b"Hi\nHi\n")
    assert done.code == 0
    assert done.out == "Hello.\n" * (1 if "ask" in arguments else 2)
    assert done.err.startswith("bing-llm: This conversation is not logged: ")
    assert done.err.count("\n") == 1
    assert answering.requests


def read_only(path: str | os.PathLike[str], **options: object) -> sqlite3.Connection:
    """A connection that cannot write, as to a file system that is mounted so."""
    connect = sqlite3.dbapi2.connect
    return connect(f"{Path(path).as_uri()}?mode=ro", uri=True, **options)  # type: ignore[call-overload,no-any-return]
