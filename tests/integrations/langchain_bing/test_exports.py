"""The top of the package: found when it is first used, and nothing loaded before."""

from __future__ import annotations

import subprocess

import pytest

import bing_llm
import langchain_bing
from tests.children import run_python


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own."""
    return run_python("-c", code)


def loaded_after(code: str) -> set[str]:
    """The modules that are loaded when a program of its own has run this code."""
    done = run(f"import sys; {code}; print(*sorted(sys.modules))")
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def test_importing_the_package_loads_neither_langchain_nor_network_code() -> None:
    """It costs next to nothing where it is not used."""
    loaded = loaded_after("import langchain_bing; langchain_bing.__version__; dir(langchain_bing)")
    assert "langchain_bing" in loaded
    assert {"langchain_core", "langchain_bing.chat_models", "pydantic", "aiohttp", "asyncio"} & loaded == set()


def test_a_model_that_asks_nothing_loads_no_network_code() -> None:
    """Nor the emulator, nor what `strict=True` needs: each comes with its first use."""
    make = "from langchain_bing import ChatBing; ChatBing(backend='emulator').bind_tools([{'name': 'now'}])"
    assert {"aiohttp", "bing_llm.emulator", "jsonschema"} & loaded_after(make) == set()


def test_without_langchain_the_error_says_what_to_install() -> None:
    """The exact line to type."""
    done = run("import sys; sys.modules['langchain_core'] = None; from langchain_bing import ChatBing")
    assert done.returncode == 1
    line = 'ImportError: ChatBing needs langchain-core. Install it with: pip install "bing-llm[langchain]"'
    assert done.stderr.splitlines()[-1] == line


@pytest.mark.system
def test_another_missing_module_is_not_taken_for_langchain() -> None:
    """A broken installation shows what it lacks."""
    done = run("import sys; sys.modules['msgspec'] = None; from langchain_bing import ChatBing")
    assert "ModuleNotFoundError: import of msgspec halted" in done.stderr.splitlines()[-1]


def test_the_public_names() -> None:
    """One class, the mapping of messages, and the version, which is that of the distribution."""
    assert langchain_bing.__all__ == ["ChatBing", "__version__", "convert"]
    assert set(langchain_bing.__all__) <= set(dir(langchain_bing))
    assert langchain_bing.__version__ == bing_llm.__version__
    assert langchain_bing.ChatBing.__module__ == "langchain_bing.chat_models"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The message names package and attribute, as Python's own does."""
    with pytest.raises(AttributeError, match=r"module 'langchain_bing' has no attribute 'ChatBling'"):
        langchain_bing.ChatBling  # noqa: B018
