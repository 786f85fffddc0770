"""`bing-llm emulator`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bing_llm.cli import emulator as module
from bing_llm.cli.app import UPSTREAM_KEY
from bing_llm.cli.emulator import choose_brain
from bing_llm.emulator import Brain, Cut, Emulator, Fault, Obedient, Scripted, Upstream
from bing_llm.emulator.request_log import frames_log, requests_log
from bing_llm.errors import ConfigurationError
from tests.children import LIMIT_S
from tests.cli.conftest import Command, Outcome
from tests.cli.test_process import START


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
    """It prints its URL, what to paste into another shell, and ends with 0 at Ctrl-C."""
    monkeypatch.setenv("BING_LLM_EMULATOR_TOKEN", "emulator-token")
    done = command("emulator", "--port", "0")
    assert (done.code, done.err) == (0, "")
    url = re.findall(r"http://127\.0\.0\.1:\d+", done.out)[0]
    assert done.out.splitlines() == [
        f"The emulator listens on {url} (Ctrl-C ends it). Paste into another shell:",
        "",
        "# ChatHub",
        f"export BING_LLM_BACKEND=chathub BING_LLM_ENDPOINT={url}",
        'bing-llm ask "What is new in Python?"',
        "",
        "# Work IQ, over REST",
        f"export BING_LLM_BACKEND=workiq BING_LLM_ENDPOINT={url}/rest WORKIQ_TOKEN=emulator-token",
        'bing-llm ask --time-zone UTC "What is new in Python?"',
        "",
        "# An agent of Work IQ, over A2A",
        f"export BING_LLM_BACKEND=workiq BING_LLM_ENDPOINT={url}/a2a/ WORKIQ_TOKEN=emulator-token",
        'bing-llm ask --agent P_writer.emulator --time-zone UTC "What is 6 * 7?"',
        "",
        "# What the emulator was sent",
        f"curl -gs {url}/_emulator/requests",
        "",
        "",
        "The emulator has ended.",
    ]


@pytest.mark.usefixtures("interrupted")
def test_on_windows_the_lines_are_those_of_powershell(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """They set the same variables there."""
    monkeypatch.setattr(module, "_IS_WINDOWS", True)
    lines = command("emulator", "--port", "0").out.splitlines()
    url = re.findall(r"http://127\.0\.0\.1:\d+", lines[0])[0]
    assert lines[3] == f"$env:BING_LLM_BACKEND='chathub'; $env:BING_LLM_ENDPOINT='{url}'"
    assert f"Invoke-RestMethod {url}/_emulator/requests" in lines


@pytest.mark.usefixtures("interrupted")
def test_an_address_that_a_shell_would_read_is_quoted(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets are a pattern to zsh."""
    monkeypatch.setattr(Emulator, "url", "http://[::1]:8765")
    out = command("emulator", "--port", "0").out
    for path in ("", "/rest", "/a2a/"):
        assert f"BING_LLM_ENDPOINT='http://[::1]:8765{path}'" in out
    assert "curl -gs 'http://[::1]:8765/_emulator/requests'" in out


@pytest.mark.usefixtures("interrupted")
def test_an_open_address_is_pointed_out(command: Command) -> None:
    """On an address that others reach it says plainly that they can use it; here, loopback is what a client takes."""
    done = command("emulator", "--port", "0", "--host", "0.0.0.0")  # noqa: S104 - what the test is about
    assert done.code == 0
    assert done.err.startswith("bing-llm: 0.0.0.0 is not a loopback address: anyone who can reach it can use this ")
    assert done.err.count("\n") == 1
    assert "listens on http://0.0.0.0:" in done.out
    assert "BING_LLM_ENDPOINT=http://127.0.0.1:" in done.out


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


# --- scripts ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A file of two answers and a fault."""
    path = tmp_path / "answers.yaml"
    path.write_text("answers: [One, Two]\nfaults: [{fault: cut, step: mid, after: 9}]", encoding="utf-8")
    return path


def test_a_script_is_played(command: Command, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start, in place of the built-in answers."""
    played: list[tuple[Brain, list[Fault]]] = []

    def serve(emulator: Emulator, _host: str) -> object:
        played.append((emulator.brain, emulator.faults))
        return asyncio.sleep(0)

    monkeypatch.setattr(module, "_serve", serve)
    assert command("emulator", "--port", "0", "--script", str(script)).code == 0
    [(brain, faults)] = played
    assert isinstance(brain, Scripted)
    assert (brain.left, faults) == (2, [Fault(Cut(), "mid", after=9)])


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("answers: [{txt: a}]", (), "a.yaml, line 1: answers[0] has the key 'txt'; it may have: text, searches, "),
        ("answers: [a]", ("--upstream", "http://127.0.0.1:1/v1", "--upstream-model", "m"),
         "The script has answers, so --upstream would have none to give. Leave out --upstream, or let the script"),
        ("answers: [a]", ("--pace", "0.1"), "--pace is of the built-in answers, and the script has its own. Leave it"),
    ],
)  # fmt: skip
def test_a_wrong_script_is_one_line(
    command: Command, tmp_path: Path, text: str, options: tuple[str, ...], said: str
) -> None:
    """And so are options that it would leave without effect; the exit code is 2."""
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    done = command("emulator", "--port", "0", "--script", str(path), *options)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.usefixtures("interrupted")
def test_a_script_of_faults_goes_with_any_brain(command: Command, tmp_path: Path) -> None:
    """An upstream, or a pace."""
    path = tmp_path / "a.json"
    path.write_text('{"faults": [{"fault": "throttled", "step": "creation"}]}', encoding="utf-8")
    upstream = ("--upstream", "http://127.0.0.1:1/v1", "--upstream-model", "m")
    assert command("emulator", "--port", "0", "--script", str(path), *upstream).code == 0
    assert command("emulator", "--port", "0", "--script", str(path), "--pace", "0").code == 0


# --- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verbose", [False, True])
def test_requests_are_logged_to_stderr(command: Command, monkeypatch: pytest.MonkeyPatch, *, verbose: bool) -> None:
    """With the time, one line each; with --verbose, their frames too. Nothing of it stays when the command ends."""
    start = Emulator.start

    async def started(emulator: Emulator) -> None:
        await start(emulator)
        async with aiohttp.ClientSession() as http, http.get(f"{emulator.url}/turing/conversation/create"):
            asyncio.get_running_loop().call_later(0, signal.raise_signal, signal.SIGINT)

    monkeypatch.setattr(Emulator, "start", started)
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in (requests_log, frames_log)]
    err = command("emulator", "--port", "0", *(["--verbose"] if verbose else [])).err
    ours = [line for line in err.splitlines() if re.match(r"\d\d:", line)]
    sent = r'\d\d:\d\d:\d\d GET /turing/conversation/create sent {"conversationId":".*}}'
    line = r"\d\d:\d\d:\d\d GET /turing/conversation/create creation conversation=\.\.\.\w{8} ok"
    assert re.fullmatch("\n".join([sent, line] if verbose else [line]), "\n".join(ours))
    assert [(logger.handlers, logger.level, logger.propagate) for logger in (requests_log, frames_log)] == before


# --- as a process -----------------------------------------------------------------------------------------------------


class Server:
    """`bing-llm emulator` as a process.

    Attributes:
        url: Where it listens.
        lines: What it prints after its first line, to be pasted into a shell.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._log = folder / "requests.log"
        scripts = Path(sys.executable).parent
        self._environment = {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*START, "emulator", "--port", "0", *options],
                cwd=folder,
                env={**self._environment, "PYTHONUNBUFFERED": "1", "BING_LLM_EMULATOR_TOKEN": "the-token"},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        watch = threading.Timer(LIMIT_S, self._process.kill)
        watch.start()
        first = self._process.stdout.readline().decode()
        self.url = re.findall(r"http://[^ ]+", first)[0]
        self.lines = "".join(self._until_curl())
        watch.cancel()
        watch.join()

    def _until_curl(self) -> Iterator[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            yield line.decode()
            if line.startswith(b"curl "):
                return

    @property
    def log(self) -> list[str]:
        """The lines of requests so far, without their times and conversations."""
        return [re.sub(r"conversation=\S+", "conversation=ID", line[9:]) for line in self._log.read_text().splitlines()]

    def run(self, code: str) -> str:
        """What this code prints in a bash of its own, without any setting; each of its commands must succeed."""
        command = ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, code: str) -> Any:
        """The JSON that this code prints."""
        return json.loads(self.run(code))

    def close(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        out, _ = self._process.communicate(timeout=LIMIT_S)
        assert (self._process.returncode, out.strip()) == (0, b"The emulator has ended.")


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers, which end with the test."""
    started: list[Server] = []

    def start(*options: str) -> Server:
        started.append(Server(tmp_path, *options))
        return started[-1]

    yield start
    for server in started:
        server.close()


bash = pytest.mark.skipif(shutil.which("bash") is None or shutil.which("curl") is None, reason="needs bash and curl")


@bash
@pytest.mark.system
def test_the_set_up_lines_run_word_for_word(serve: Serve) -> None:
    """All of them in one bash, and each part alone: they reach ChatHub, Work IQ over REST, and an agent over A2A."""
    server = serve()
    everything = server.run(server.lines)
    assert everything.count("Example News has a short report") == 2
    assert "\n42\n" in everything
    assert '"text": "What is 6 * 7?"' in everything
    parts = re.split(r"\n(?=#)", server.lines)
    assert [part.splitlines()[0] for part in parts if part.strip()] == [
        "# ChatHub",
        "# Work IQ, over REST",
        "# An agent of Work IQ, over A2A",
        "# What the emulator was sent",
    ]
    assert all(server.run(part) for part in parts if part.strip())
    outcomes = [line.rpartition(" ")[2] for line in server.log]
    assert outcomes == ["ok"] * len(outcomes)
    paths = " ".join(server.log)
    assert all(path in paths for path in ("/sydney/ChatHub", "/chatOverStream", "/a2a/P_writer.emulator/"))


SCRIPT = """\
answers:
  - Hello from a file.
  - text: "It rained [^1^]."
    searches: [rain]
    citations: [{url: "https://www.example.com/rain", title: Rain}]
  - error: {name: throttled, message: Not now., retry_after: 7}
faults:
  - {step: request, turn: 2, fault: http answer, status: 502, body: Bad gateway}
"""

BY_CURL = """\
call() { curl -s -X POST -H "Authorization: Bearer the-token" -d "$2" "$URL/rest/conversations$1"; }
ID=$(call "" "{}" | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
ask() { call "/$ID/chat" '{"message": {"text": "'"$1"'"}, "locationHint": {"timeZone": "UTC"}}'; echo; }
"""


@bash
@pytest.mark.system
def test_a_script_is_driven_from_curl(serve: Serve, tmp_path: Path) -> None:
    """Without Python: answers, faults, errors, inspection, reset and another script; and a line of the log for each."""
    (tmp_path / "answers.yaml").write_text(SCRIPT, encoding="utf-8")
    server = serve("--script", "answers.yaml", "--verbose")
    begin = f"URL={server.url}\n{BY_CURL}"
    first, second, third, fourth, fifth = server.run(f"{begin}for each in 1 2 3 4 5; do ask $each; done").splitlines()
    assert json.loads(first)["messages"][-1]["text"] == "Hello from a file."
    assert second == "Bad gateway"
    assert "It rained [1](https://www.example.com/rain#" in json.loads(third)["messages"][-1]["text"]
    assert json.loads(fourth)["error"]["message"] == "Not now."
    assert json.loads(fifth)["error"]["message"] == "The script of the emulator has no turn number 4; it has 3."

    requests = server.json(f"curl -s {server.url}/_emulator/requests")["requests"]
    assert [(each["kind"], each["text"], each["outcome"], each["detail"]) for each in requests] == [
        ("creation", "", "ok", ""),
        ("chat", "1", "ok", ""),
        ("chat", "2", "fault", "http answer 502 at request"),
        ("chat", "3", "ok", ""),
        ("chat", "4", "error", "throttled: Not now."),
        ("chat", "5", "error", "invalid request: The script of the emulator has no turn number 4; it has 3."),
    ]
    server.run(f"curl -s -X DELETE {server.url}/_emulator/requests")
    assert server.json(f"curl -s {server.url}/_emulator/requests") == {"requests": []}

    play = f"curl -s --data-binary @answers.yaml {server.url}/_emulator/script"
    assert server.json(play)["answers_left"] == 3
    assert "Hello from a file." in server.run(f"{begin}ask again")
    wrong = server.json(f"curl -s -d 'answer: [a]' {server.url}/_emulator/script")
    assert wrong["error"].startswith("The script, line 1: the script has the key 'answer'; it may have: answers, ")
    assert server.json(f"curl -s {server.url}/_emulator/script")["answers_left"] == 2

    lines = [line for line in server.log if not re.search(" (received|sent) |^[A-Z]+ bing_llm", line)]
    shown = [re.sub(r"POST /rest/conversations/\S+/chat chat conversation=ID", "CHAT", line) for line in lines]
    assert shown == [
        "POST /rest/conversations creation conversation=ID ok",
        "CHAT turn=1 ok",
        "CHAT fault: http answer 502 at request",
        "CHAT turn=2 ok",
        "CHAT turn=3 error: throttled: Not now.",
        "CHAT turn=3 error: invalid request: The script of the emulator has no turn number 4; it has 3.",
        "GET /_emulator/requests ok",
        "DELETE /_emulator/requests ok",
        "GET /_emulator/requests ok",
        "POST /_emulator/script ok",
        "POST /rest/conversations creation conversation=ID ok",
        "CHAT turn=1 ok",
        "POST /_emulator/script error: HTTP 400",
        "GET /_emulator/script ok",
    ]
    assert any(re.search(r'/chat sent {"id":.*Hello from a file', line) for line in server.log)
    assert "the-token" not in "\n".join(server.log)
