"""Frameworks that know no Bing, each as its users run it: they are only given the URL of the front and its key.

Their packages are the dependency group `clients`. They have an environment of their own, without bing-llm.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.environments import INSTALL_TIMEOUT_S, ROOT, RUN_TIMEOUT_S, install_into, output_of, reader, run
from tests.serve.clients.conftest import KEY

SCRIPTS = Path(__file__).with_name("scripts")

pytestmark = [pytest.mark.system, pytest.mark.timeout(2 * (INSTALL_TIMEOUT_S + RUN_TIMEOUT_S))]

NEWS = "Example News has a short report on this [^1^] and Example Overview has the background [^2^]. "
ADA = {"name": "Ada", "age": 36}
CALLED = {"called": [[2, 3]], "answer": "add gave back: 5", "follow_up": "42"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, network: dict[str, str]) -> Path:
    """A virtual environment with the group `clients`."""
    folder = tmp_path_factory.mktemp("clients") / "venv"
    # Not by --group, which not every pip knows.
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    install_into(folder, groups["clients"], network)
    return folder


def shown(script: str, base_url: str, environment: Path, folder: Path) -> Any:
    """What a script prints about the front."""
    done = run(["python", str(SCRIPTS / script), base_url, KEY], folder, reader(environment, folder))
    assert done.returncode == 0, output_of(done)
    return json.loads(done.stdout)


def test_pydantic_ai(base_url: str, environment: Path, tmp_path: Path) -> None:
    """Tools, a history, objects by a call and by a schema, and a stream, by both APIs."""
    seen = shown("with_pydantic_ai.py", base_url, environment, tmp_path)
    for api in ("chat", "responses"):
        assert seen[api].pop("streamed").startswith(NEWS)
        assert seen[api] == {**CALLED, "by_call": ADA, "by_schema": ADA, "pieces": True}


def test_openai_agents(base_url: str, environment: Path, tmp_path: Path) -> None:
    """Tools, a history, objects and a stream, by both APIs."""
    seen = shown("with_openai_agents.py", base_url, environment, tmp_path)
    for api in ("chat", "responses"):
        assert seen[api] == {**CALLED, "person": ADA, "streamed": True, "pieces": True}


def test_llm(base_url: str, environment: Path, tmp_path: Path) -> None:
    """As one of its OpenAI-compatible models: a prompt, a stream, a schema, a chain of tools, a conversation."""
    seen = shown("with_llm.py", base_url, environment, tmp_path)
    assert seen.pop("streamed").startswith(NEWS)
    assert seen == {"answer": "42", "pieces": True, "person": ADA, "chain": "add gave back: 5", "follow_up": "42"}
