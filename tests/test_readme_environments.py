"""README.md and the examples run in the environments that they name.

Each is a fresh virtual environment with what the nearest `pip install` above the code brings, and nothing else.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environments import INSTALL_TIMEOUT_S, RUN_TIMEOUT_S, install_into, output_of, reader, run
from tests.snippets import Block, blocks_of, install_of_example

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

pytestmark = [pytest.mark.system, pytest.mark.timeout(2 * (INSTALL_TIMEOUT_S + RUN_TIMEOUT_S))]

NOT_RUN = {
    '.try/bin/pip install --quiet ".[cli]"': "the gate runs it as it stands, which downloads without a cache",
    ".uv/bin/uv run pytest": "it runs these tests, and the gate runs it as it stands",
}
"""The blocks that do not run here, each by a part of its code, with the reason."""

SERVES = "bing-llm emulator"
"""The command that runs until Ctrl-C."""

HELLO = '{"prompt": "Hello"}'

Environment = Callable[[str], Path]
"""Takes the arguments of a `pip install`; returns the folder of an environment that holds what it brings."""


def skipped(block: Block) -> bool:
    """Whether `NOT_RUN` names the block."""
    return any(part in block.code for part in NOT_RUN)


BLOCKS = blocks_of(README)
RUN = {f"line {block.line + 1}": block for block in BLOCKS if not skipped(block)}


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, network: dict[str, str]) -> Environment:
    """Virtual environments, one for each installation."""
    made: dict[str, Path] = {}

    def make(install: str) -> Path:
        assert install, "no `pip install` above it says what it needs"
        if install not in made:
            folder = tmp_path_factory.mktemp("environment") / "venv"
            install_into(folder, shlex.split(install), network)
            made[install] = folder
        return made[install]

    return make


def serve(command: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a server until it has written its first line, then press Ctrl-C."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        limit = threading.Timer(RUN_TIMEOUT_S, os.killpg, (child.pid, signal.SIGKILL))
        limit.start()
        try:
            output = child.stdout.readline()
            os.killpg(child.pid, signal.SIGINT)
            output += child.stdout.read()
        finally:
            limit.cancel()
            limit.join()
    return subprocess.CompletedProcess(command, child.returncode, output, "")


def commands(block: Block, folder: Path) -> list[list[str]]:
    """How to run a block: a shell runs each line, Python a script, and pytest what defines tests."""
    if block.language == "sh":
        return [["sh", "-c", line] for line in block.code.splitlines()]
    script = folder / "test_snippet.py"
    script.write_text(block.code, encoding="utf-8")
    if "\ndef test_" in block.code:
        return [["python", "-m", "pytest", "-q", "-W", "error", script.name]]
    return [["python", script.name]]


@pytest.mark.parametrize("block", RUN.values(), ids=RUN)
def test_a_block_runs_in_the_environment_that_the_readme_names(
    block: Block, environment: Environment, tmp_path: Path
) -> None:
    """Each block runs as it stands in a folder of its own, with no setting but what the block says."""
    venv = environment(block.install)
    (tmp_path / ".try").symlink_to(venv)  # where the first command of the README has put it
    for command in commands(block, tmp_path):
        if SERVES in command[-1]:
            free = re.sub(r"--port \d+", "--port 0", command[-1])  # the README's may be taken
            done = serve([*command[:-1], f"exec {free}"], tmp_path, reader(venv, tmp_path))
        else:
            done = run(command, tmp_path, reader(venv, tmp_path))
        assert done.returncode == 0, output_of(done)
        assert block.language == "sh" or not done.stderr, output_of(done)  # the command line reports there, too


def test_the_blocks_that_do_not_run_are_listed() -> None:
    """Every block runs, but for those that `NOT_RUN` names; and each part there is of one block."""
    assert {block.language for block in RUN.values()} == {"sh", "python"}
    assert len(RUN) == len(BLOCKS) - len(NOT_RUN)
    assert all(sum(part in block.code for block in BLOCKS) == 1 for part in NOT_RUN)
    assert README.count("\n```") == 2 * len(BLOCKS)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.name)
def test_an_example_runs_in_the_environment_that_it_names(
    script: Path, environment: Environment, tmp_path: Path
) -> None:
    """Each example runs with what its docstring says to install, or with the package alone."""
    venv = environment(install_of_example(script))
    done = run(["python", str(script)], tmp_path, reader(venv, tmp_path, BING_LLM_BACKEND="emulator"))
    assert done.returncode == 0, output_of(done)
    assert done.stdout.strip(), output_of(done)


# --- an extra that is missing -----------------------------------------------------------------------------------------

SIGN_IN = re.search(r"`(bing-llm login [^`]+)`", README)
WORK_IQ = """python -c 'from bing_llm import SyncBingClient
from bing_llm.emulator import Emulator
with Emulator() as it, SyncBingClient(backend="workiq", endpoint=it.workiq_url, token=it.token) as bing:
    print(bing.ask("Hello").text)'"""


@pytest.mark.parametrize(
    ("installed", "command", "extra"),
    [
        (".", "bing-llm ask --backend emulator Hello", "cli"),
        (".", "python -c 'from langchain_bing import ChatBing'", "langchain"),
        (".", "python -c 'from llama_index.llms.bing import Bing'", "llama-index"),
        (".", WORK_IQ, "workiq"),
        (".", "python -c 'from bing_llm import batch; batch.run([], \"out.csv\")'", "batch"),
        ('".[cli]"', f"echo '{HELLO}' | bing-llm batch --backend emulator --rate 600 - out.jsonl", "batch"),
    ],
)
def test_what_is_missing_is_named_by_its_command(
    installed: str, command: str, extra: str, environment: Environment, tmp_path: Path
) -> None:
    """Without its extra, a part ends with the exact command that installs it; with the extra, it works."""
    shell = ["sh", "-c", command]
    lacking, whole = environment(installed), environment(f'".[{extra}]"')
    settings = {"BING_LLM_BACKEND": "emulator", "TZ": "Europe/Zurich"}
    done = run(shell, tmp_path, reader(lacking, tmp_path, **settings))
    assert done.returncode != 0, output_of(done)
    assert f'pip install "bing-llm[{extra}]"' in done.stderr, output_of(done)
    done = run(shell, tmp_path, reader(whole, tmp_path, **settings))
    assert done.returncode == 0, output_of(done)


def test_who_signs_in_needs_work_iq(environment: Environment, tmp_path: Path) -> None:
    """The README's sign-in gets as far as the network with the extra `workiq`; the extra `cli` alone names it."""
    assert SIGN_IN
    sign_in = ["sh", "-c", f"{SIGN_IN[1]} --plain-cache"]  # there may be no key store here
    settings = {"HTTPS_PROXY": "http://127.0.0.1:1"}  # nobody listens there
    done = run(sign_in, tmp_path, reader(environment('".[cli]"'), tmp_path, **settings))
    assert done.returncode == 2, output_of(done)
    assert 'pip install "bing-llm[workiq]"' in done.stderr, output_of(done)
    done = run(sign_in, tmp_path, reader(environment('".[workiq]"'), tmp_path, **settings))
    assert done.returncode == 1, output_of(done)
    assert "pip install" not in done.stderr, output_of(done)
