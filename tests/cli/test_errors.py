"""Exit codes, and what goes to stderr."""

from __future__ import annotations

import base64
import errno
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bing_llm.cli
from bing_llm import errors
from bing_llm.cli.app import app
from bing_llm.cli.errors import ExitCode, exit_code_of, print_error
from bing_llm.limits import Limits
from bing_llm.services import NOT_CONFIGURED
from tests.cli.conftest import Command

NOT_CHOSEN = NOT_CONFIGURED.replace("backend=", "--backend") + "\n"


def failing(error: BaseException) -> Callable[[], ExitCode]:
    """A command that raises."""

    def work() -> ExitCode:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.Throttled("Too many.", hint="Wait."), 1, "bing-llm: Too many. Wait.\n"),
        (errors.Throttled(hint=""), 1, "bing-llm: Throttled\n"),
        (errors.ServiceError("a\nb\x1b[2J", hint=""), 1, "bing-llm: a b\\u001b[2J\n"),
        (errors.ConfigurationError("No.", hint="Yes."), 2, "bing-llm: No. Yes.\n"),
        (errors.ConfigurationError(NOT_CONFIGURED, hint=""), 2, NOT_CHOSEN),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, ""),
        (OSError(errno.ENOSPC, "No space left"), 1, "bing-llm: The output cannot be written: No space left.\n"),
    ],
)
def test_each_failure_has_its_code_and_its_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went wrong is one line on stderr (five where nothing is configured) and an exit code."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # a real one would be led to nowhere
    assert exit_code_of(failing(error)) == code
    assert capsys.readouterr().err == line


def test_a_command_that_works_has_its_own_code() -> None:
    """A command's own exit code is kept."""
    assert exit_code_of(lambda: ExitCode.FAILED) is ExitCode.FAILED


def test_a_mistake_of_ours_is_not_hidden() -> None:
    """Anything else is a bug and shows its traceback."""
    with pytest.raises(LookupError):
        exit_code_of(failing(LookupError()))


def test_the_codes_are_documented() -> None:
    """The table in the docstring and the end of --help name each code."""
    table = [line.split()[0] for line in (bing_llm.cli.__doc__ or "").splitlines() if line[:1].isdigit()]
    epilog = str(app.info.epilog)
    assert table == [str(int(code)) for code in ExitCode]
    assert all(f" {int(code)} " in epilog for code in ExitCode)


def test_nobody_needs_to_read_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is closed or broken an error goes nowhere: not to stdout, and without an error."""

    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    for stderr in (None, Broken()):
        monkeypatch.setattr(sys, "stderr", stderr)
        print_error("Nobody reads this.")
        print_error(errors.Throttled("Nor this."))
    assert capsys.readouterr().out == ""


# --- the errors that a user of the command line meets -----------------------------------------------------------------


def jwt(**claims: object) -> str:
    """A token with these claims."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims)]
    return ".".join([*parts, "signature"])


WORKIQ = {"BING_LLM_BACKEND": "workiq", "WORKIQ_TOKEN": "token"}
SAYS = {
    "nothing": ("ask Hi", {}, "Pass --backend or set BING_LLM_BACKEND"),
    "an unknown backend": ("ask Hi --backend bong", {}, "allowed: chathub, emulator, workiq"),
    "an endpoint of the emulator": (
        "ask Hi --backend emulator --endpoint http://127.0.0.1:1",
        {},
        "Leave --endpoint out, or pass --backend chathub",
    ),
    "two variables that contradict": (
        "ask Hi",
        {"BING_LLM_BACKEND": "emulator", "BING_LLM_ENDPOINT": "http://127.0.0.1:1"},
        "set BING_LLM_BACKEND to chathub or workiq",
    ),
    "a setting of another backend": (
        "chat --backend chathub --time-zone UTC",
        {},
        "Leave --time-zone out, or pass --backend workiq.",
    ),
    "an unknown model": ("ask Hi --backend emulator --model gpt", {}, "allowed: bing-creative, bing-balanced"),
    "an endpoint that is not a URL": ("ask Hi --endpoint nonsense", {}, "'http://127.0.0.1:8765'."),
    "an endpoint without TLS": ("ask Hi --endpoint http://example.com", {}, "Use https."),
    "cookies in an endpoint": ("ask Hi --endpoint https://u:p@example.com", {}, "credentials as BING_COOKIES."),
    "a token in an endpoint": ("ask Hi --endpoint https://example.com?t=1", WORKIQ, "credentials as WORKIQ_TOKEN."),
    "no token": ("ask Hi --backend workiq --time-zone UTC", {}, "Set WORKIQ_TOKEN, or run `bing-llm login`."),
    "no token, and no time zone either": (
        "ask Hi --backend workiq",
        {"without": "tzlocal"},
        "Set WORKIQ_TOKEN, or run `bing-llm login`.",
    ),
    "nothing to ask": ("ask --backend emulator", {}, "There is no prompt. Write it after ask"),
    "a conversation that is not there": ("ask Hi --conversation 7", {}, "The log has no conversation 7."),
    "a token that is not one": ("ask Hi", {**WORKIQ, "WORKIQ_TOKEN": "Bearer x"}, "without 'Bearer'"),
    "a token that has expired": (
        "ask Hi",
        {**WORKIQ, "WORKIQ_TOKEN": jwt(exp=1, aud="api://workiq.svc.cloud.microsoft", scp="WorkIQAgent.Ask")},
        "Get a new one.",
    ),
    "an unknown time zone": ("ask Hi --time-zone Bielefeld", WORKIQ, "such as 'Europe/Zurich'"),
    "no time zone": ("ask Hi", {**WORKIQ, "without": "tzlocal"}, "Pass --time-zone with an IANA name"),
    "cookies that are none": ("ask Hi --backend chathub", {"BING_COOKIES": "abc"}, "'_U=...; MUID=...'"),
    "an image that is not there": ("ask Hi --backend emulator --image none.png", {}, "an http(s) URL."),
    "an image for Work IQ": ("ask Hi --image https://example.com/a.png --time-zone UTC", WORKIQ, "Leave them out."),
    "workers without Ray": (
        "batch a.jsonl b.jsonl --workers 2 --backend emulator",
        {},
        "Pass --ray too, or leave --workers out.",
    ),
    "no rate": ("batch a.jsonl b.jsonl --rate 0 --backend emulator", {}, "--rate is 0.0"),
    "no patience": ("batch a.jsonl b.jsonl --patience 0 --backend emulator", {}, "--patience is 0.0"),
    "an order of rows that are gone": ("batch a.jsonl - --ordered --backend emulator", {}, "--ordered needs rows"),
    "failed rows that are gone": (
        "batch a.jsonl - --retry-failed --backend emulator",
        {},
        "--retry-failed needs rows",
    ),
    "no app to sign in with": ("login", {}, "pass --client-id or set AZURE_CLIENT_ID."),
    "an endpoint to sign in for": (
        "login --client-id app --endpoint https://u:p@example.com",
        {},
        "credentials as WORKIQ_TOKEN.",
    ),
    "a sign-in without its extra": ("login --client-id app", {"without": "azure.identity"}, "or set WORKIQ_TOKEN."),
    "half an upstream": ("emulator --upstream-model m", {}, "--upstream and --upstream-model go together."),
    "an upstream that is not a URL": (
        "emulator --upstream nonsense --upstream-model m",
        {},
        "'http://127.0.0.1:11434/v1'.",
    ),
}
"""A command, its environment (and a module that is not installed), and what its error must say."""


@pytest.fixture
def nothing_saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without files and without a login."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bing_llm.services.saved_login", lambda: None)


@pytest.mark.parametrize(("arguments", "environment", "says"), SAYS.values(), ids=SAYS)
@pytest.mark.usefixtures("nothing_saved")
def test_what_cannot_work_is_said_in_options(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: str, environment: dict[str, str], says: str
) -> None:
    """Each error of the settings names options and variables, never arguments of Python, and the exit code is 2."""
    for name, value in environment.items():
        if name == "without":
            monkeypatch.setitem(sys.modules, value, None)
        else:
            monkeypatch.setenv(name, value)
    done = command(*arguments.split())
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert not re.search(r"(?<!['\w-])(?!name=)[a-z][a-z_]+=|\bin Python\b|\bNone\b", done.err)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        (errors.TimedOut, "Ask again."),
        (
            errors.CaptchaRequired,
            "Solve the captcha in a browser with the same account, then pass its cookies as BING_COOKIES.",
        ),
        (errors.ProtocolError, "The endpoint may be wrong, or the protocol has changed; --verbose shows the frames."),
    ],
)
def test_hints_of_the_services_too(kind: type[errors.BingError], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a service can answer with."""
    print_error(kind("No."))
    assert capsys.readouterr().err == f"bing-llm: No. {hint}\n"


def test_a_limit_that_only_python_can_raise_is_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line has no option for it."""
    print_error(Limits().exceeded("citations", "citations"))
    assert capsys.readouterr().err.endswith(" citations (limits.citations). No answer should need so much.\n")
