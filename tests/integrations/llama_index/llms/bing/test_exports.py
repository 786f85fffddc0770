"""The top of the package: found when it is first used, and nothing loaded before."""

from __future__ import annotations

import importlib.util
import subprocess

import pytest

import bing_llm
from llama_index.llms import bing
from tests.children import run_python


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own."""
    return run_python("-c", code)


def loaded_after(code: str) -> set[str]:
    """The modules that are loaded when a program of its own has run this code."""
    done = run(f"import sys; {code}; print(*sorted(sys.modules))")
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def test_importing_the_package_loads_neither_llama_index_nor_network_code() -> None:
    """It costs next to nothing where it is not used."""
    loaded = loaded_after("import llama_index.llms.bing as bing; bing.__version__; dir(bing)")
    assert "llama_index.llms.bing" in loaded
    assert {"llama_index.core", "llama_index.llms.bing.base", "pydantic", "aiohttp", "asyncio"} & loaded == set()


def test_an_llm_that_asks_nothing_starts_no_emulator() -> None:
    """LlamaIndex itself loads network code; the emulator comes with the first question."""
    make = "from llama_index.llms.bing import Bing; Bing(backend='emulator').metadata"
    assert {"bing_llm.emulator", "jsonschema"} & loaded_after(make) == set()


def test_without_llama_index_the_error_says_what_to_install() -> None:
    """The exact line to type."""
    done = run("import sys; sys.modules['llama_index.core'] = None; from llama_index.llms.bing import Bing")
    assert done.returncode == 1
    line = 'ImportError: Bing needs llama-index-core. Install it with: pip install "bing-llm[llama-index]"'
    assert done.stderr.splitlines()[-1] == line


@pytest.mark.system
def test_another_missing_module_is_not_taken_for_llama_index() -> None:
    """A broken installation shows what it lacks."""
    done = run("import sys; sys.modules['msgspec'] = None; from llama_index.llms.bing import Bing")
    assert "ModuleNotFoundError: import of msgspec halted" in done.stderr.splitlines()[-1]


def test_the_namespace_is_shared() -> None:
    """Other distributions put their packages beside ours, so neither folder above it is a package of its own."""
    for name in ("llama_index", "llama_index.llms"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is None


def test_the_public_names() -> None:
    """One class, the mapping of messages, and the version, which is that of the distribution."""
    assert bing.__all__ == ["Bing", "__version__", "convert"]
    assert set(bing.__all__) <= set(dir(bing))
    assert bing.__version__ == bing_llm.__version__
    assert bing.Bing.__module__ == "llama_index.llms.bing.base"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The message names package and attribute, as Python's own does."""
    with pytest.raises(AttributeError, match=r"module 'llama_index.llms.bing' has no attribute 'Bling'"):
        bing.Bling  # noqa: B018
