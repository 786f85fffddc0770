"""`bing-llm emulator`."""

from __future__ import annotations

import asyncio
import re
import signal
import socket

import pytest

from bing_llm.cli import emulator as module
from bing_llm.cli.app import UPSTREAM_KEY
from bing_llm.cli.emulator import choose_brain
from bing_llm.emulator import Emulator, Obedient, Upstream
from bing_llm.errors import ConfigurationError
from tests.cli.conftest import Command, Outcome


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user presses Ctrl-C a moment after the emulator has begun to listen."""
    start = Emulator.start

    async def started(emulator: Emulator) -> None:
        await start(emulator)
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)

    monkeypatch.setattr(Emulator, "start", started)


@pytest.mark.usefixtures("interrupted")
def test_it_says_how_to_use_it_and_runs_until_ctrl_c(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints its URL, the ways to use it, and ends with 0 at Ctrl-C."""
    monkeypatch.setenv("BING_LLM_EMULATOR_TOKEN", "emulator-token")
    done = command("emulator", "--port", "0")
    assert (done.code, done.err) == (0, "")
    [url, *others] = re.findall(r"http://127\.0\.0\.1:\d+", done.out)
    assert others == [url] * 3
    assert done.out.splitlines() == [
        f"The emulator listens on {url} (Ctrl-C ends it).",
        f'Try it:       bing-llm ask --backend chathub --endpoint {url} "What is new in Python?"',
        f"For programs: export BING_LLM_BACKEND=chathub BING_LLM_ENDPOINT={url}",
        f"As Work IQ:   export BING_LLM_BACKEND=workiq BING_LLM_ENDPOINT={url}/rest WORKIQ_TOKEN=emulator-token",
        'An agent:     as Work IQ, with: bing-llm ask --agent P_writer.emulator "What is 6 * 7?"',
        "",
        "The emulator has ended.",
    ]


@pytest.mark.usefixtures("interrupted")
def test_on_windows_the_lines_are_those_of_powershell(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """They set the same variables there."""
    monkeypatch.setattr(module, "_IS_WINDOWS", True)
    lines = command("emulator", "--port", "0").out.splitlines()
    url = re.findall(r"http://127\.0\.0\.1:\d+", lines[0])[0]
    assert lines[2] == f"For programs: $env:BING_LLM_BACKEND='chathub'; $env:BING_LLM_ENDPOINT='{url}'"


@pytest.mark.usefixtures("interrupted")
def test_an_address_that_a_shell_would_read_is_quoted(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets are a pattern to zsh."""
    monkeypatch.setattr(Emulator, "url", "http://[::1]:8765")
    out = command("emulator", "--port", "0").out
    assert "--endpoint 'http://[::1]:8765' " in out
    assert "BING_LLM_ENDPOINT='http://[::1]:8765/rest' " in out


@pytest.mark.usefixtures("interrupted")
def test_an_open_address_is_pointed_out(command: Command) -> None:
    """On an address that others reach it says plainly that they can use it; here, loopback is what a client takes."""
    done = command("emulator", "--port", "0", "--host", "0.0.0.0")  # noqa: S104 - what the test is about
    assert done.code == 0
    assert done.err.startswith("bing-llm: 0.0.0.0 is not a loopback address: anyone who can reach it can use this ")
    assert done.err.count("\n") == 1
    assert "listens on http://0.0.0.0:" in done.out
    assert "--endpoint http://127.0.0.1:" in done.out


def test_a_taken_port_is_one_line(command: Command) -> None:
    """Where it cannot listen, one line says so, and the exit code is 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("emulator", "--port", str(port))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bing-llm: The emulator cannot listen on 127.0.0.1, port {port}: ")
    assert done.err.count("\n") == 1


def test_half_an_upstream_is_refused(command: Command) -> None:
    """URL and model of an upstream go together."""
    for half in (("--upstream", "http://127.0.0.1:1/v1"), ("--upstream-model", "m")):
        done = command("emulator", *half)
        assert done == Outcome(2, "", "bing-llm: --upstream and --upstream-model go together. Give both, or none.\n")


def test_brains() -> None:
    """Without an upstream the built-in brain answers; with one its model does."""
    assert isinstance(choose_brain(upstream=None, model=None, api_key="k", pace=0), Obedient)
    upstream = choose_brain(upstream="http://127.0.0.1:11434/v1", model="tiny", api_key="a-secret-key", pace=0)
    assert isinstance(upstream, Upstream)
    assert "a-secret-key" not in repr(upstream)
    with pytest.raises(ConfigurationError):
        choose_brain(upstream="nonsense", model="tiny", api_key=None, pace=0)


@pytest.mark.usefixtures("interrupted")
def test_the_environment_has_the_key_of_the_upstream(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of processes would show an option."""
    made: list[tuple[str, str, str | None]] = []

    def upstream(url: str, model: str, *, api_key: str | None) -> Obedient:
        made.append((url, model, api_key))
        return Obedient()

    monkeypatch.setattr(module, "Upstream", upstream)
    monkeypatch.setenv(UPSTREAM_KEY, "a-secret-key")
    done = command("emulator", "--port", "0", "--upstream", "http://127.0.0.1:1/v1", "--upstream-model", "tiny")
    assert (done.code, made) == (0, [("http://127.0.0.1:1/v1", "tiny", "a-secret-key")])
    assert "a-secret-key" not in done.out + done.err
