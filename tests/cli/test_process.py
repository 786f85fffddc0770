"""The command as a process: pipes that end early, streams that are closed, and what must not be left open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from bing_llm.emulator import Emulator, Scripted

START = [sys.executable, "-W", "error", "-c", "from bing_llm.cli import main; main()"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}  # it logs slow steps
TIMEOUT_S = 60.0
"""Far beyond what any of these needs: reached only by one that hangs."""


def run(
    *arguments: str, stdin: bytes = b"", stdout: int = subprocess.PIPE, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `bing-llm` with warnings as errors."""
    service = {name: os.environ[name] for name in ("BING_LLM_BACKEND", "BING_LLM_ENDPOINT") if name in os.environ}
    return subprocess.run(
        [*START, *arguments],
        input=stdin,
        env={**ENVIRONMENT, **service, **(env or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("ask", "-", "--json"), b"Hello"),
        (("ask", "Hello", "--backend", "emulator"), b""),
        (("chat", "--backend", "emulator"), b"Hello\n/new\nHello\n/model bing-precise\nHello\n"),
    ],
)
def test_it_ends_without_a_trace(service: Emulator, arguments: Sequence[str], stdin: bytes) -> None:
    """No socket, task or loop is left open: with warnings as errors stderr has only what commands of a chat say."""
    done = run(*arguments, stdin=stdin)
    said = b"A new conversation begins.\nThe model is bing-precise.\nA new conversation begins.\n"
    assert (done.returncode, done.stderr) == (0, said if "chat" in arguments else b"")
    assert done.stdout
    assert bool(service.requests) == ("emulator" not in arguments)


@pytest.mark.system
@pytest.mark.parametrize("arguments", [("ask", "Hi"), ("chat",)])
def test_a_reader_that_has_had_enough_is_not_an_error(service: Emulator, arguments: Sequence[str]) -> None:
    """A pipe that nobody reads any more ends the command in silence, with 0."""
    service.brain = Scripted(lambda _: ["Hello. "] * 3)
    read, write = os.pipe()
    os.close(read)
    try:
        done = run(*arguments, stdin=b"Hi\n", stdout=write)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.system
def test_a_batch_whose_reader_leaves_is_not_complete(service: Emulator) -> None:
    """`bing-llm batch rows - | head -2` ends with 1, and says so: the reader does not have all rows."""
    service.brain = Scripted(lambda _: ["Hello."])
    read, write = os.pipe()
    os.close(read)
    try:
        done = run("batch", "-", "-", stdin=b'{"prompt": "Hi"}\n' * 50, stdout=write)
    finally:
        os.close(write)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(b"bing-llm: The output cannot be written: Broken pipe.")


@pytest.mark.system
def test_a_pipe_gets_no_escape_sequence(service: Emulator) -> None:
    """Without a terminal, or with a dumb, narrow one, there are no colours and nothing is drawn."""
    service.brain = Scripted(lambda _: ["**Hello** \x1b[31m."])
    done = run("chat", stdin=b"Hi\n/help\n", env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "40"})
    assert (done.returncode, done.stdout) == (0, b"**Hello** \\u001b[31m.\n")
    assert b"/new" in done.stderr
    assert b"\x1b" not in done.stderr


@pytest.mark.system
def test_few_characters_are_enough(service: Emulator) -> None:
    """Where stdout has an encoding of 256 characters, as pipes on Windows do, the others are written as escapes."""
    service.brain = Scripted([["é 🌊"]])
    done = run("ask", "Hi", env={"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"})
    assert (done.returncode, done.stdout.rstrip(), done.stderr) == (0, b"\xe9 \\U0001f30a", b"")


INTERRUPTED_IMPORT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "bing_llm.cli.app":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from bing_llm.cli import main
main()
"""

INTERRUPTED_EXIT = """
import atexit, os, signal
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
from bing_llm.cli import main
main()
"""


@pytest.mark.system
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send it to a process")
@pytest.mark.parametrize(("code", "out"), [(INTERRUPTED_IMPORT, b""), (INTERRUPTED_EXIT, b"bing-llm 0")])
def test_ctrl_c_before_and_after_the_command_has_no_traceback(code: str, out: bytes) -> None:
    """It ends with 130, and what was printed stays."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "--version"], capture_output=True, timeout=TIMEOUT_S, check=False
    )
    assert (done.returncode, done.stderr) == (130, b"")
    assert done.stdout.startswith(out)
