"""README.md does what it says: its Python blocks run, against the emulator."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"
FENCED = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> dict[int, str]:
    """The fenced blocks of one language: the number of the line before the code, and the code."""
    return {
        text.count("\n", 0, match.start("code")): match["code"]
        for match in FENCED.finditer(text)
        if match["language"] == language
    }


PYTHON = blocks(README.read_text(encoding="utf-8"), "python")


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
    text = README.read_text(encoding="utf-8")
    opening = [code for line, code in blocks(text, "sh").items() if line < min(PYTHON, default=len(text))]
    assert len(opening) == 2
    assert all(code.count("\n") == 1 for code in opening)


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
    code = blocks("\n```python\nimport asyncio\nawait asyncio.sleep(0)\nraise LookupError\n```\n", "python")
    with pytest.raises(LookupError) as caught:
        run(compiled(*next(iter(code.items()))))
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno) == (README, 4)
