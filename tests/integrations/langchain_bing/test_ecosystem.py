"""What is built on LangChain's agents, each as its users run it: deepagents, a supervisor, a real MCP server.

Their packages are the dependency group `agents`. They have an environment of their own, because they bring the SDKs of
other providers.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.environments import INSTALL_TIMEOUT_S, ROOT, RUN_TIMEOUT_S, install_into, output_of, reader, run

SCRIPTS = Path(__file__).with_name("scripts")

pytestmark = [pytest.mark.system, pytest.mark.timeout(2 * (INSTALL_TIMEOUT_S + RUN_TIMEOUT_S))]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, network: dict[str, str]) -> Path:
    """A virtual environment with the group `agents`."""
    folder = tmp_path_factory.mktemp("agents") / "venv"
    # Not by --group, which not every pip knows.
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    install_into(folder, [need.replace("bing-llm", ".") for need in groups["agents"]], network)
    return folder


def shown(script: str, environment: Path, folder: Path) -> Any:
    """What a script prints; it ends well and warns of nothing."""
    done = run(["python", "-W", "error", str(SCRIPTS / script)], folder, reader(environment, folder))
    assert done.returncode == 0, output_of(done)
    assert not done.stderr, output_of(done)
    return json.loads(done.stdout)


def test_an_agent_uses_the_tools_of_an_mcp_server(environment: Path, tmp_path: Path) -> None:
    """Over stdio. A screenshot does not end the thread: ChatHub is sent the picture, Work IQ a word for it."""
    seen = shown("mcp_agent.py", environment, tmp_path)
    for service, uploads in (("chathub", 1), ("workiq", 0)):
        assert seen[service] == {
            "kinds": ["human", "ai", "tool", "ai", "human", "ai", "tool", "ai"],
            "answers": ["A white page.", "It is 5."],
            "uploads": uploads,
            "shown": True,
        }


def test_a_supervisor_hands_over_and_takes_back(environment: Path, tmp_path: Path) -> None:
    """Each agent's name stays with its messages, and the next one reads it."""
    assert shown("supervisor.py", environment, tmp_path) == {
        "names": [
            ["human", None],
            ["ai", "supervisor"],
            ["tool", "transfer_to_math"],
            ["ai", "math"],
            ["ai", "math"],
            ["tool", "transfer_back_to_supervisor"],
            ["ai", "supervisor"],
        ],
        "answer": "The math agent says 5.",
        "named": True,
    }


def test_a_deep_agent_works(environment: Path, tmp_path: Path) -> None:
    """It writes and reads a file, asks a subagent, and answers in an object that fits at the second attempt."""
    seen = shown("deep_agent.py", environment, tmp_path)
    assert [name for name, _ in seen["tools"]] == ["write_file", "task", "read_file", "Report"]
    assert seen["tools"][1][1] == "It is 5."
    assert "2 + 3" in seen["tools"][2][1]
    assert seen["report"] == {"title": "Sum", "pages": 5}
