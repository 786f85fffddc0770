"""README.md does what it says: its Python blocks run, against the emulator.

Here they run in the environment of these tests. `tests/test_readme_environments.py` runs them in those that the
README names.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.snippets import blocks_of

README = Path(__file__).parents[1] / "README.md"
BLOCKS = blocks_of(README.read_text(encoding="utf-8"))
PYTHON = {block.line: block.code for block in BLOCKS if block.language == "python"}


def compiled(line: int, code: str) -> CodeType:
    """The block as a program that may await outside functions and whose traceback shows the README's line."""
    padded = "\n" * line + code
    block: CodeType = compile(padded, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return block


def run(code: CodeType, **fixtures: Any) -> None:
    """Run a block as a reader would, in a namespace of its own; then the tests that it defines, as pytest would."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    outcome = eval(code, namespace)  # noqa: S307 - our own README
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)
    for name, value in namespace.items():
        if name.startswith("test_"):
            value(**{fixture: fixtures[fixture] for fixture in inspect.signature(value).parameters})


def test_readme_opens_with_two_commands() -> None:
    """Two sh blocks of one command each, to try it and to test it, stand before the first Python block."""
    first, second, third, *_ = BLOCKS
    assert (first.language, second.language, third.language) == ("sh", "sh", "python")
    assert all(block.code.count("\n") == 1 for block in (first, second))


def test_readme_shows_python() -> None:
    """There is at least one Python block; without one the test below would run nothing."""
    assert PYTHON


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")  # LlamaIndex's agents look at all
@pytest.mark.parametrize(("line", "code"), PYTHON.items(), ids=[f"line {line + 1}" for line in PYTHON])
async def test_python_block_runs(
    line: int, code: str, bing_emulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Python block of the README runs as it stands, in an empty folder, with the emulator as the service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BING_LLM_BACKEND", "chathub")
    monkeypatch.setenv("BING_LLM_ENDPOINT", bing_emulator.url)
    await asyncio.to_thread(run, compiled(line, code), bing_emulator=bing_emulator)


def test_a_block_may_define_tests() -> None:
    """A test that a block defines runs too, with the fixtures that it names."""
    with pytest.raises(LookupError):
        run(compiled(0, "def test_it(bing_emulator):\n    raise bing_emulator\n"), bing_emulator=LookupError)


def test_a_block_may_await_and_its_traceback_shows_the_readme() -> None:
    """A block may await outside functions, and an error in it is placed on the README's line."""
    [block] = blocks_of("\n```python\nimport asyncio\nawait asyncio.sleep(0)\nraise LookupError\n```\n")
    with pytest.raises(LookupError) as caught:
        run(compiled(block.line, block.code))
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno) == (README, 4)
