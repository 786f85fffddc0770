"""Public clients of both services, each in a virtual environment of its own and driven as a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Talk = Callable[..., list[dict[str, Any]]]
"""`talk(base_url, way, *prompts)`: puts the prompts in one conversation and returns one answer each."""

DRIVERS = Path(__file__).parent / "drivers"
INSTALL_TIMEOUT_S = 240.0  # a cold download on a slow line; faulthandler ends the run at 300
TALK_TIMEOUT_S = 120.0  # far beyond a turn on loopback: reached only if a client hangs


@pytest.fixture(scope="session")
def talk_with_sydney_py(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """Drives sydney-py."""
    return _install(tmp_path_factory.mktemp("sydney-py"), "drive_sydney_py.py", "sydney-py==0.23.1")


@pytest.fixture(scope="session")
def talk_with_re_edge_gpt(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """Drives re-edge-gpt."""
    place = tmp_path_factory.mktemp("re-edge-gpt")
    # It gives httpx a `proxies` argument, which 0.28 removed; its metadata does not say so.
    return _install(place, "drive_re_edge_gpt.py", "re-edge-gpt==0.0.46", "httpx<0.28")


@pytest.fixture(scope="session")
def talk_with_m365copilot(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """Drives Microsoft's SDK for the Copilot Chat API."""
    place = tmp_path_factory.mktemp("m365copilot")
    return _install(place, "drive_m365copilot.py", "microsoft-agents-m365copilot-beta==1.0.0rc22")


def _install(place: Path, driver: str, *requirements: str) -> Talk:
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    _run(sys.executable, "-m", "venv", place, env=os.environ, timeout_s=INSTALL_TIMEOUT_S)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    _run(*pip, *requirements, env=os.environ, timeout_s=INSTALL_TIMEOUT_S)

    def talk(base_url: str, way: str, *prompts: str) -> list[dict[str, Any]]:
        written = _run(python, DRIVERS / driver, base_url, way, *prompts, env=_bare(), timeout_s=TALK_TIMEOUT_S)
        answers: list[dict[str, Any]] = json.loads(written)
        return answers

    return talk


def _bare() -> dict[str, str]:
    """An environment without proxies, cookies and settings of this Python: the clients would heed them."""
    return {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}


def _run(*command: str | Path, env: Mapping[str, str], timeout_s: float) -> str:
    done = subprocess.run(command, env=env, timeout=timeout_s, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{command[0]} exited with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout
