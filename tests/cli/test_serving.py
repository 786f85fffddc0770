"""`bing-llm emulator`."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Callable

import pytest

from bing_llm.cli.serving import choose_brain
from bing_llm.cli.settings import UPSTREAM_KEY
from bing_llm.emulator import Emulator, Obedient, Upstream
from bing_llm.errors import ConfigurationError
from tests.cli.conftest import Outcome

Command = Callable[..., Outcome]


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user presses Ctrl-C a moment after the emulator has begun to listen."""
    start = Emulator.start

    async def started(emulator: Emulator) -> None:
        await start(emulator)
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)

    monkeypatch.setattr(Emulator, "start", started)


@pytest.mark.usefixtures("interrupted")
def test_it_says_how_to_use_it_and_runs_until_ctrl_c(command: Command) -> None:
    """It prints its URL, the ways to use it, and ends with 0 at Ctrl-C."""
    done = command("emulator", "--port", "0")
    assert (done.code, done.err) == (0, "")
    urls = re.findall(r"http://127\.0\.0\.1:\d+", done.out)
    assert urls == urls[:1] * 4
    assert f"BING_LLM_ENDPOINT={urls[0]}\n" in done.out
    assert f"BING_LLM_ENDPOINT={urls[0]}/rest and WORKIQ_TOKEN=emulator-token\n" in done.out
    assert f"bing-llm ask --endpoint {urls[0]} " in done.out


@pytest.mark.usefixtures("interrupted")
def test_an_open_address_is_told(command: Command) -> None:
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


def test_brains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an upstream the built-in brain answers; with one its model does, with the key of the environment."""
    monkeypatch.setenv(UPSTREAM_KEY, "a-secret-key")
    assert isinstance(choose_brain(upstream=None, upstream_model=None, pace=0), Obedient)
    upstream = choose_brain(upstream="http://127.0.0.1:11434/v1", upstream_model="tiny", pace=0)
    assert isinstance(upstream, Upstream)
    assert "a-secret-key" not in repr(upstream)
    with pytest.raises(ConfigurationError):
        choose_brain(upstream="nonsense", upstream_model="tiny", pace=0)
