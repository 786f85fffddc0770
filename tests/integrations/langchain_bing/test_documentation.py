"""The class docstring of `ChatBing`, which `help` shows, does what it says."""

from __future__ import annotations

import asyncio
import inspect
import re
import textwrap
from pathlib import Path

import pytest

from bing_llm.completion.fields import ServiceFields
from bing_llm.emulator import Emulator
from langchain_bing import ChatBing, convert
from tests.snippets import README, compiled

DOCUMENTATION = inspect.getdoc(ChatBing) or ""
BLOCKS = re.findall(r"^    ```python\n(.*?)^    ```$", DOCUMENTATION, re.MULTILINE | re.DOTALL)


async def test_the_documentation_runs(bing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks run in their order, as one program, with the emulator as the configured service."""
    monkeypatch.setenv("BING_LLM_ENDPOINT", bing_emulator.url)
    namespace: dict[str, object] = {}
    assert len(BLOCKS) == DOCUMENTATION.count("```python") > 0
    for block in BLOCKS:
        outcome = eval(compiled(README, 0, textwrap.dedent(block)), namespace)  # noqa: S307 - our own documentation
        if inspect.iscoroutine(outcome):
            await asyncio.wait_for(outcome, 60)


def test_every_field_of_ours_is_documented() -> None:
    """A new field needs a word in the documentation."""
    ours = {*ServiceFields.model_fields, *ChatBing.__annotations__} & ChatBing.model_fields.keys()
    assert sorted(name for name in ours if f"`{name}`" not in DOCUMENTATION) == []


GUIDE = Path(__file__).parents[3] / "docs" / "langchain.md"


def test_the_guide_has_the_table_of_the_function() -> None:
    """What becomes of each message stands in both, in the same words."""
    documented = " ".join((convert.__doc__ or "").split())
    rows = [line.strip("| ").split(" | ") for line in GUIDE.read_text(encoding="utf-8").splitlines() if " | " in line]
    kinds = {row[0]: row[1] for row in rows if len(row) == 2}
    for kind in ("system, human, AI", "chat", "tool, function", "remove", "text"):
        assert f"{kind} {kinds[kind]}" in documented
    assert kinds["other content of AI messages"] in documented
