"""The README, the site's pages and the examples run in the environments that they name.

Each is a fresh virtual environment with what the nearest `pip install` above the code brings, and nothing else.
"""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environments import INSTALL_TIMEOUT_S, RUN_TIMEOUT_S, install_into, output_of, reader, run
from tests.snippets import ROOT, Block, install_of_example, pages

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

pytestmark = [pytest.mark.system, pytest.mark.timeout(2 * (INSTALL_TIMEOUT_S + RUN_TIMEOUT_S))]

SERVERS = re.compile(r"^((?:[A-Z_]+=\S+ )*bing-llm (?:emulator|serve)\b(?:[^\n]*\\\n)*[^\n]*[^&\n])$", re.MULTILINE)
"""The commands that run until Ctrl-C: they stay, beside the commands that follow, until their page ends."""

PORT = re.compile(r"(?<=--port )\d+")
"""The port of such a command. The one that a page names may be taken, so a free one replaces it on the whole page."""

STAYS = r"""serve '\1' """
"""What such a command becomes."""

BEGIN = """\
set -e
servers=
serve() {
    sh -c "exec $1" >server.log 2>&1 &
    servers="$servers $!"
    while ! grep -q . server.log; do kill -0 $! && sleep 0.05; done
}
trap 'kill $servers 2>&- || true; wait' EXIT
"""

HELLO = '{"prompt": "Hello"}'

Environment = Callable[[str], Path]
"""Takes the arguments of a `pip install`; returns the folder of an environment that holds what it brings."""


def first_of_each_installation(blocks: list[Block]) -> list[Block]:
    """The first Python block for each `pip install` of a page. The others need nothing more: they run elsewhere."""
    found: dict[str, Block] = {}
    for block in blocks:
        if block.language == "python" and not block.mark:
            found.setdefault(block.install, block)
    return list(found.values())


PAGES = pages()
PYTHON = {f"{page}:{block.line + 1}": block for page in PAGES for block in first_of_each_installation(PAGES[page])}
SHELL = {
    page: [block for block in blocks if block.language == "sh" and not block.mark.startswith("not run; ")]
    for page, blocks in PAGES.items()
}


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


@pytest.mark.parametrize("block", PYTHON.values(), ids=PYTHON)
def test_a_python_block_runs_in_the_environment_that_its_page_names(
    block: Block, environment: Environment, tmp_path: Path
) -> None:
    """It runs as it stands in a folder of its own; if it defines tests, pytest runs them."""
    script = tmp_path / "test_snippet.py"
    script.write_text(block.code, encoding="utf-8")
    command = ["python", script.name]
    if "\ndef test_" in block.code:
        command = ["python", "-m", "pytest", "-q", "-W", "error", script.name]
    venv = environment(block.install)
    done = run(command, tmp_path, reader(venv, tmp_path, BING_LLM_BACKEND="emulator"))
    assert (done.returncode, done.stderr) == (0, ""), output_of(done)


def free_port() -> str:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def script_of(blocks: list[Block], path_of: Callable[[str], str]) -> str:
    """All sh blocks of a page as one script: a reader types them in one folder, servers into a shell of their own.

    Args:
        blocks: The blocks.
        path_of: Takes what a page says to install; returns the `PATH` of a shell that has it.
    """
    parts = [BEGIN]
    for block in blocks:
        parts += [f"export PATH={shlex.quote(path_of(block.install))}\n", SERVERS.sub(STAYS, block.code)]
    script = "".join(parts)
    ports = {port: free_port() for port in PORT.findall(script)}
    for port, free in ports.items():
        script = script.replace(port, free)
    return script


@pytest.mark.parametrize("page", [page for page, blocks in SHELL.items() if blocks])
def test_the_commands_of_a_page_run(page: str, environment: Environment, tmp_path: Path) -> None:
    """The sh blocks of a page run in their order, with no setting but what they say."""

    def path_of(install: str) -> str:
        return reader(environment(install), tmp_path)["PATH"]

    script = script_of(SHELL[page], path_of)
    done = run(["sh", "-c", script], tmp_path, reader(environment("."), tmp_path))
    assert done.returncode == 0, script + output_of(done)


def test_a_script_of_commands_ends_at_the_first_that_fails(tmp_path: Path) -> None:
    """A failed command ends the script with its code, also where another would follow."""
    blocks = [Block(1, "sh", "true\nfalse\necho on\n", "."), Block(5, "sh", "true\n", ".")]
    done = run(["sh", "-c", script_of(blocks, lambda _: "/usr/bin:/bin")], tmp_path, {})
    assert (done.returncode, done.stdout) == (1, "")


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

SIGN_IN = re.search(r"`(bing-llm login [^`]+)`", (ROOT / "docs/guides/work-iq.md").read_text(encoding="utf-8"))
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
    """The sign-in of the guide gets as far as the network with the extra `workiq`; the extra `cli` alone names it."""
    assert SIGN_IN
    sign_in = ["sh", "-c", f"{SIGN_IN[1]} --plain-cache"]  # there may be no key store here
    settings = {"HTTPS_PROXY": "http://127.0.0.1:1"}  # nobody listens there
    done = run(sign_in, tmp_path, reader(environment('".[cli]"'), tmp_path, **settings))
    assert done.returncode == 2, output_of(done)
    assert 'pip install "bing-llm[workiq]"' in done.stderr, output_of(done)
    done = run(sign_in, tmp_path, reader(environment('".[workiq]"'), tmp_path, **settings))
    assert done.returncode == 1, output_of(done)
    assert "pip install" not in done.stderr, output_of(done)
