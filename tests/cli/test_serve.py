"""`bing-llm serve`."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bing_llm.cli.serve import KEY_VARIABLE, read_key
from bing_llm.emulator import Emulator
from bing_llm.errors import ConfigurationError
from bing_llm.serve.server import Server
from tests.cli.conftest import Command
from tests.cli.test_process import ENVIRONMENT, START, TIMEOUT_S

KEY = "a-key-of-the-front"


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user presses Ctrl-C a moment after the server has begun to listen."""
    start = Server.start

    async def started(server: Server) -> None:
        await start(server)
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)

    monkeypatch.setattr(Server, "start", started)


@pytest.mark.usefixtures("interrupted", "service")
def test_it_says_where_it_is_and_runs_until_ctrl_c(command: Command) -> None:
    """It prints its URL and what clients need, and ends with 0 at Ctrl-C."""
    done = command("serve", "--port", "0")
    assert done.code == 0
    url = re.findall(r"http://127\.0\.0\.1:\d+/v1", done.out)[0]
    assert done.out.splitlines() == [
        f"The server listens on {url} (Ctrl-C ends it).",
        f"For clients: base_url={url}, model=bing-balanced",
        "",
        "The server has ended.",
    ]
    assert done.err == "bing-llm: Running answers end, new requests get 503. A second signal ends at once.\n"


@pytest.mark.usefixtures("interrupted", "service")
def test_on_all_addresses_it_names_one_that_clients_can_use(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says that the key and all texts go unencrypted."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    done = command("serve", "--port", "0", "--host", "0.0.0.0")  # noqa: S104 - what the test is about
    assert done.code == 0
    assert re.search(r"^For clients: base_url=http://127\.0\.0\.1:\d+/v1, model=bing-balanced$", done.out, re.MULTILINE)
    assert "It speaks plain http" in done.err
    assert KEY not in done.out + done.err


def test_a_service_must_be_chosen(command: Command) -> None:
    """As for each command."""
    done = command("serve", "--port", "0")
    assert done.code == 2
    assert "No backend is chosen" in done.err


@pytest.mark.usefixtures("service")
def test_beyond_loopback_a_key_is_required(command: Command) -> None:
    """One line says so, in the words of the command."""
    done = command("serve", "--port", "0", "--host", "0.0.0.0")  # noqa: S104 - what the test is about
    assert (done.code, done.out) == (2, "")
    assert "it has no key. Set BING_LLM_SERVE_KEY or use --key-file" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.usefixtures("service")
def test_a_taken_port_is_one_line(command: Command) -> None:
    """Where it cannot listen, it says where once, and the exit code is 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("serve", "--port", str(port))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bing-llm: The server cannot listen on 127.0.0.1, port {port}: ")
    assert done.err.count("127.0.0.1") == 1


@pytest.mark.parametrize(("option", "value"), [("--key", KEY), ("--api-key", KEY)])
@pytest.mark.usefixtures("service")
def test_no_option_has_the_key(command: Command, option: str, value: str) -> None:
    """A list of processes would show it."""
    assert command("serve", option, value).code == 2


def test_the_key_is_that_of_the_environment_or_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file's may have a line feed after it."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n", encoding="utf-8")
    assert read_key(None) is None
    assert read_key(file) == KEY
    monkeypatch.setenv(KEY_VARIABLE, "another-key-of-it")
    assert read_key(None) == "another-key-of-it"
    with pytest.raises(ConfigurationError, match="both given"):
        read_key(file)


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such permissions")
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_file_that_other_users_can_read_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int, *, warned: bool
) -> None:
    """It is taken all the same, as containers mount their secrets so; the key is not in the warning."""
    file = tmp_path / "key"
    file.write_text(KEY, encoding="utf-8")
    file.chmod(mode)
    assert read_key(file) == KEY
    said = capsys.readouterr().err
    assert ("Other users of this machine can read the key file" in said) == warned
    assert KEY not in said


@pytest.mark.usefixtures("service")
def test_agents_of_a_service_without_any_are_refused_in_the_words_of_the_command(command: Command) -> None:
    """The option is named, not the argument that Python has."""
    done = command("serve", "--port", "0", "--offer-agent", "P_writer")
    assert done.code == 2
    assert "Leave --offer-agent out, or use workiq." in done.err
    assert "agents=" not in done.err


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_key_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    """It is named; an empty key would let everybody in."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="The key file"):
        read_key(file)


@pytest.fixture
def process(service: Emulator, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, with a key."""
    file = tmp_path / "key"
    file.write_text(KEY, encoding="utf-8")
    file.chmod(0o600)
    env = {**ENVIRONMENT, "BING_LLM_BACKEND": "chathub", "BING_LLM_ENDPOINT": service.url}
    child = subprocess.Popen(
        [*START, "serve", "--port", "0", "--key-file", str(file)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        yield child
        child.kill()


class Waiting:
    """A brain that begins to answer, and goes on when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def answer(self, _question: Any) -> Any:
        """Two words, and a wait between them."""
        from bing_llm import events as ev  # noqa: PLC0415 - of this brain alone

        yield ev.TextDelta("Hello ")
        await self.go.wait()
        yield ev.TextDelta("you.")


@pytest.mark.system
@pytest.mark.parametrize("signals", [1, 2])
async def test_sigterm_lets_running_answers_end(
    service: Emulator, process: subprocess.Popen[str], signals: int
) -> None:
    """New requests get 503 meanwhile; a second signal ends at once. The log has a line each, without the key."""
    service.brain = brain = Waiting()
    assert process.stdout is not None
    url = re.findall(r"http\S+/v1", await asyncio.to_thread(process.stdout.readline))[0]
    body = {"messages": [{"role": "user", "content": "a secret question"}], "stream": True}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as http,
        http.post(f"{url}/chat/completions", json=body) as response,
    ):
        assert b"Hello" in await response.content.readany()
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "Running answers end" in await asyncio.to_thread(process.stderr.readline)
        refused = await http.post(f"{url}/chat/completions", json=body)
        assert refused.status == 503
        if signals == 2:
            process.send_signal(signal.SIGTERM)
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()
        else:
            service_loop_set(brain.go)
            assert b"[DONE]" in await response.content.read()
    out, err = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
    service_loop_set(brain.go)
    assert process.returncode == 0
    assert out.endswith("The server has ended.\n")
    assert "POST /v1/chat/completions " in err
    assert "secret" not in err
    assert KEY not in out + err


def service_loop_set(event: asyncio.Event) -> None:
    """Set an event of the loop on which the emulator runs."""
    from bing_llm.sync import background_loop  # noqa: PLC0415 - of this alone

    background_loop().call_soon_threadsafe(event.set)
