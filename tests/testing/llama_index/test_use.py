"""The suite as others use it: five lines in a file of their own, which pytest runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.children import run_python
from tests.snippets import blocks_of

pytestmark = pytest.mark.system  # a process of its own, with a framework in it

FIVE_LINES = """
from bing_llm.testing.llama_index import LLMConformance

class TestMyLLM(LLMConformance):
    def make_llm(self, **settings):
        return {llm}
"""
MOCK = "from llama_index.core.llms.mock import MockFunctionCallingLLM\n"
BING = "from llama_index.llms.bing import Bing\n"


def run_suite(folder: Path, source: str, *options: str) -> str:
    """What pytest prints of a file with this source, in a folder without any configuration."""
    (folder / "test_mine.py").write_text(source, encoding="utf-8")
    plain = ("-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(folder), "-q", "--tb=short")
    return run_python("-m", "pytest", *plain, *options, str(folder)).stdout


def test_five_lines_test_an_llm(tmp_path: Path) -> None:
    """With one method written, every part of the suite runs; a failure shows both sides of what it compared."""
    source = MOCK + FIVE_LINES.format(llm="MockFunctionCallingLLM(**settings)")
    output = run_suite(tmp_path, source, "-k", "test_a_call_is_made or test_every_method_answers", "-vv")
    assert "8 passed" in output or re.search(r"\d+ failed, 8 passed", output)
    assert re.search(r"^E +AssertionError: assert \[.*\] == \[\('add', ", output, re.MULTILINE)


def test_the_lines_that_the_guide_shows_pass(tmp_path: Path) -> None:
    """The lines pass as they are written: who copies them sees a suite that passes."""
    text = (Path(__file__).parents[3] / "docs/llama_index.md").read_text(encoding="utf-8")
    (source,) = (block.code for block in blocks_of(text) if "LLMConformance" in block.code)
    last = run_suite(tmp_path, source).strip().splitlines()[-1]
    assert re.match(r"\d\d+ passed", last), last
    assert "failed" not in last


def test_an_llm_that_conforms_passes(tmp_path: Path) -> None:
    """Some of the smoke part over Bing and the emulator; what is not of that part is not collected."""
    source = BING + FIVE_LINES.format(llm='Bing(backend="emulator", **settings)') + "    smoke_only = True\n"
    output = run_suite(tmp_path, source, "-k", "test_every_method_answers or test_metadata or test_raw_can_be_read")
    assert re.search(r"^9 passed", output, re.MULTILINE), output
