"""The commands, their options and their help."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from bing_llm import events
from bing_llm._version import __version__
from bing_llm.cli import login as login_module
from bing_llm.emulator import Emulator, Scripted
from bing_llm.services import NOT_CONFIGURED
from tests.cli.conftest import Command, Outcome


def test_version(command: Command) -> None:
    """--version shows the package's version."""
    assert command("--version") == Outcome(0, f"bing-llm {__version__}\n", "")


@pytest.mark.parametrize("name", [(), ("ask",), ("chat",), ("login",), ("emulator",)])
def test_help_ends_with_exit_codes_and_where_secrets_go(command: Command, name: tuple[str, ...]) -> None:
    """Each --help tells the exit codes, and that secrets come from the environment alone."""
    done = command(*name, "--help")
    words = " ".join(done.out.split())
    assert (done.code, done.err) == (0, "")
    assert "Exit codes: 0 ok; 1 the service refused" in words
    assert "Secrets are taken from the environment only (BING_COOKIES, WORKIQ_TOKEN)" in words


def test_help_of_batch_has_exit_codes_of_its_own(command: Command) -> None:
    """They depend on the outcome of the rows."""
    done = command("batch", "--help")
    words = " ".join(done.out.split())
    assert (done.code, done.err) == (0, "")
    assert "Exit codes: 0 each row asked has an answer; 1 rows failed, or the run was stopped" in words
    assert "Secrets are taken from the environment only (BING_COOKIES, WORKIQ_TOKEN)" in words


@pytest.mark.parametrize("name", ["ask", "chat", "batch", "login", "emulator"])
def test_no_option_takes_a_secret(command: Command, name: str) -> None:
    """There is no option for cookies, tokens or keys: lists of processes show those."""
    options = [word for word in command(name, "--help").out.split() if word.startswith("--")]
    assert options
    assert not [option for option in options if any(secret in option for secret in ("cookie", "token", "key"))]


@pytest.mark.parametrize(
    "arguments",
    [("ask", "a", "b"), ("aks", "a"), ("chat", "--nope"), ("emulator", "--port", "x"), ("login", "x")],
)
def test_a_mistake_in_the_command_line_is_a_usage_error(command: Command, arguments: tuple[str, ...]) -> None:
    """What cannot be understood is an error on stderr, and the exit code is 2."""
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err


def test_options_come_before_the_environment(
    command: Command, service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--backend and --endpoint replace what the environment says."""
    monkeypatch.setenv("BING_LLM_BACKEND", "nonsense")
    monkeypatch.setenv("BING_LLM_ENDPOINT", "http://127.0.0.1:1")
    service.brain = Scripted([["Hello."]])
    assert command("ask", "Hi", "--backend", "chathub", "--endpoint", service.url) == Outcome(0, "Hello.\n", "")


def test_the_emulator_needs_nothing(command: Command) -> None:
    """On a machine without any setting `--backend emulator` answers."""
    done = command("ask", "--backend", "emulator", "Hello")
    assert (done.code, done.err) == (0, "")
    assert done.out.strip()


@pytest.mark.parametrize("name", ["ask", "chat"])
def test_verbose_logs_to_stderr(
    command: Command, service: Emulator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """--verbose shows the frames on stderr, without cookies and on printable lines; stdout stays the answer's."""
    monkeypatch.setenv("BING_COOKIES", "_U=very-secret-value")
    service.brain = Scripted([["Hello."]])
    done = command(*((name, "Hi", "--verbose") if name == "ask" else (name, "--verbose")), stdin=b"Hi\n")
    assert done.code == 0
    assert done.out.startswith("Hello.\n")
    assert "DEBUG bing_llm.backends." in done.err
    assert "very-secret-value" not in done.err
    assert done.err.replace("\n", "").replace("\t", "").isprintable()
    assert logging.getLogger("bing_llm").level == logging.DEBUG


def test_a_chat_needs_a_configuration_too(command: Command) -> None:
    """A chat on a machine without any setting ends at once with the five lines."""
    assert command("chat") == Outcome(2, "", NOT_CONFIGURED.replace("backend=", "--backend") + "\n")


# --- Work IQ ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def work_iq(bing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Work IQ, as the service that the environment names, on a machine in Tokyo."""
    monkeypatch.setenv("BING_LLM_BACKEND", "workiq")
    monkeypatch.setenv("BING_LLM_ENDPOINT", bing_emulator.workiq_url)
    monkeypatch.setenv("WORKIQ_TOKEN", bing_emulator.token)
    monkeypatch.setitem(sys.modules, "tzlocal", SimpleNamespace(get_localzone_name=lambda: "Asia/Tokyo"))
    return bing_emulator


def test_help_names_the_backends(command: Command) -> None:
    """So that nobody has to look them up."""
    assert "chathub, emulator, workiq" in " ".join(command("ask", "--help").out.split())


def test_work_iq_is_asked(command: Command, work_iq: Emulator) -> None:
    """The answer with its sources; the time zone is the machine's, and `--no-search` searches no web."""
    source = events.Citation(1, "https://contoso.sharepoint.com/plan.docx", "Plan.docx")
    work_iq.brain = Scripted([["Hello.[^1^]", events.TurnCompleted(events.Reply(citations=(source,)))]])
    assert command("ask", "Hi", "--no-search", "--model", "copilot") == Outcome(
        0, "Hello.[^1^]\n\n[^1^] Plan.docx https://contoso.sharepoint.com/plan.docx\n", ""
    )
    body = work_iq.requests[-1].body
    assert body["locationHint"]["timeZone"] == "Asia/Tokyo"
    assert body["contextualResources"]["webContext"] == {"isWebEnabled": False}


@pytest.mark.parametrize("given", [("ask", "Hi"), ("chat",)], ids=["ask", "chat"])
def test_the_time_zone_may_be_named(command: Command, work_iq: Emulator, given: tuple[str, ...]) -> None:
    """It goes before the machine's, and the name that Windows has for it is refused."""
    assert command(*given, "--time-zone", "Europe/Zurich", stdin=b"Hi\n").code == 0
    assert work_iq.requests[-1].body["locationHint"]["timeZone"] == "Europe/Zurich"
    refused = command(*given, "--time-zone", "Romance Standard Time", stdin=b"Hi\n")
    assert refused.code == 2
    assert "IANA" in refused.err


def test_work_iq_holds_a_conversation(command: Command, work_iq: Emulator) -> None:
    """Each line is a turn of one conversation, and /model names the models that there are."""
    work_iq.brain = Scripted([["Hello."], ["Your name is Ada."]])
    done = command("chat", stdin=b"My name is Ada.\nWhat is my name?\n/model\n")
    assert (done.code, done.out) == (0, "Hello.\nYour name is Ada.\n")
    assert done.err == "The model is copilot; there are copilot.\n"
    assert [request.kind for request in work_iq.requests] == ["creation", "chat", "chat"]


def test_work_iq_without_a_token_says_where_to_get_one(
    command: Command, work_iq: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent, so the exit code is that of a wrong configuration."""
    monkeypatch.delenv("WORKIQ_TOKEN")
    done = command("ask", "Hi")
    assert (done.code, done.out) == (2, "")
    assert "bing-llm login" in done.err
    assert work_iq.requests == []


def test_verbose_does_not_log_the_token(command: Command, work_iq: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was received goes to stderr; stdout has only the answer."""
    work_iq.token = "very-secret-value"
    monkeypatch.setenv("WORKIQ_TOKEN", work_iq.token)
    work_iq.brain = Scripted([["Hello."]])
    done = command("ask", "Hi", "--verbose")
    assert (done.code, done.out) == (0, "Hello.\n")
    assert "DEBUG bing_llm.backends." in done.err
    assert "very-secret-value" not in done.err


def test_login_signs_in(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its options reach the sign-in, which says whose it was; a failure is one line on stderr."""
    asked: list[Any] = []

    def sign_in(*args: Any, **options: Any) -> str:
        asked.append((args, options["scope"], options["plain_cache"]))
        return "ada@contoso.com"

    monkeypatch.setattr(login_module, "sign_in", sign_in)
    graph = "https://graph.microsoft.com/beta/copilot"
    done = command("login", "--client-id", "app", "--tenant-id", "t", "--endpoint", graph, "--plain-cache")
    assert (done.code, done.err) == (0, "")
    assert "Signed in as ada@contoso.com." in done.out
    assert asked == [(("app", "t"), "https://graph.microsoft.com/.default", True)]
    done = command("login")
    assert (done.code, done.out) == (2, "")
    assert "--client-id" in done.err
