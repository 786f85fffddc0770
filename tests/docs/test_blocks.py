"""The code blocks of the README and of the site do what the pages say.

Python blocks run here, in the environment of these tests, with the emulator as the service.
`tests/docs/test_environments.py` runs the shell's, and runs both in the environments that the pages name.
"""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bing_llm.emulator import Emulator
from tests.snippets import README, ROOT, Block, blocks_of, compiled, pages, run

PAGES = pages()
LANGUAGES = {"", "json", "python", "sh", "text", "yaml"}
REASONED = ("types only; ", "not run; ")
"""The marks of blocks that do not run; the reason follows."""
MARKS = ("workiq", "a2a", "cluster", *REASONED)


def of_language(language: str) -> Iterator[tuple[str, Block]]:
    """The blocks of this language that run or are checked, each with its page."""
    for page, blocks in PAGES.items():
        yield from ((page, block) for block in blocks if block.language == language)


def that_run() -> Iterator[Any]:
    """The Python blocks that run; those that need Ray have its marker."""
    for page, block in of_language("python"):
        if not block.mark.startswith(REASONED):
            marks = pytest.mark.cluster if block.mark == "cluster" else ()
            yield pytest.param(page, block, id=f"{page}:{block.line + 1}", marks=marks)


def test_every_page_has_known_blocks() -> None:
    """Each block has a language that a test knows, and each mark is a known one; none is left over."""
    blocks = [(page, block) for page, blocks in PAGES.items() for block in blocks]
    assert len(blocks) > 30
    assert [each for each in blocks if not each[1].language.startswith("{") and each[1].language not in LANGUAGES] == []
    assert [place for place in blocks if place[1].mark and not place[1].mark.startswith(MARKS)] == []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert text.count("<!-- test: ") == sum(bool(block.mark) for block in PAGES[page]), page


def service_settings(mark: str, emulator: Emulator) -> dict[str, str]:
    """The environment variables by which a block reaches the emulator as the service that its mark names."""
    if mark == "cluster":  # under `uv run` Ray would copy the checkout, and build it again
        return {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    endpoints = {"workiq": emulator.workiq_url, "a2a": emulator.a2a_url}
    if mark not in endpoints:
        return {"BING_LLM_BACKEND": "chathub", "BING_LLM_ENDPOINT": emulator.url}
    settings = {"BING_LLM_BACKEND": "workiq", "BING_LLM_ENDPOINT": endpoints[mark], "WORKIQ_TOKEN": emulator.token}
    return {**settings, "TZ": "Europe/Zurich"}


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")  # LlamaIndex's agents look at all
@pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning")
@pytest.mark.parametrize(("page", "block"), list(that_run()))
async def test_a_python_block_runs(  # noqa: PLR0917 - fixtures
    page: str,
    block: Block,
    bing_emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each runs as it stands, in an empty folder, and shows something or defines tests."""
    monkeypatch.chdir(tmp_path)
    for name, value in service_settings(block.mark, bing_emulator).items():
        monkeypatch.setenv(name, value)
    code = compiled(ROOT / page, block.line, block.code)
    tests = await asyncio.to_thread(run, code, bing_emulator=bing_emulator)
    assert tests or capsys.readouterr().out.strip()


@pytest.mark.system  # mypy takes some seconds
def test_blocks_that_do_not_run_have_right_types(tmp_path: Path) -> None:
    """What needs a tenant of Microsoft 365, or a server beside it, is checked by mypy."""
    from mypy import api as mypy  # noqa: PLC0415 - only this test needs it

    found = [each for each in of_language("python") if each[1].mark.startswith("types only; ")]
    for page, block in found:
        (tmp_path / f"{page.replace('/', '_').removesuffix('.md')}_{block.line}.py").write_text(block.code)
    output, errors, code = mypy.run(
        ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache"), str(tmp_path)]
    )
    assert code == 0, output + errors


def test_python_blocks_read_well() -> None:
    """They parse, and their lines are not longer than the code's own."""
    found = list(of_language("python"))
    assert len(found) > 40
    for page, block in found:
        ast.parse(block.code, page)
    assert [place for place in found if max(map(len, place[1].code.splitlines())) > 120] == []


def test_json_blocks_parse() -> None:
    """Each is one value, or one value a line."""
    for page, block in of_language("json"):
        try:
            json.loads(block.code)
        except json.JSONDecodeError:
            assert [json.loads(line) for line in block.code.splitlines()], page


def test_each_page_says_what_its_blocks_need() -> None:
    """A `pip install` stands above each block that a reader runs, so that fresh environments can prove it."""
    blocks = [(page, *block) for page, blocks in PAGES.items() for block in blocks if not block.install]
    assert [each for each in blocks if each[2] in {"python", "sh"} and not each[-1].startswith("not run; ")] == []


def test_readme_opens_with_two_commands() -> None:
    """Two sh blocks of one command each, to try it and to test it, stand before the first Python block."""
    first, second, third, *_ = PAGES["README.md"]
    assert (first.language, second.language, third.language) == ("sh", "sh", "python")
    assert all(block.code.count("\n") == 1 for block in (first, second))


def test_a_block_may_define_tests() -> None:
    """A test that a block defines runs too, with the fixtures that it names."""
    code = compiled(README, 0, "def test_it(bing_emulator):\n    raise bing_emulator\n")
    with pytest.raises(LookupError):
        run(code, bing_emulator=LookupError)


def test_a_block_may_await_and_its_traceback_shows_the_page() -> None:
    """A block may await outside functions, and an error in it is placed on the page's line."""
    [block] = blocks_of("\n```python\nimport asyncio\nawait asyncio.sleep(0)\nraise LookupError\n```\n")
    with pytest.raises(LookupError) as caught:
        run(compiled(README, block.line, block.code))
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno) == (README, 4)


def test_a_mark_belongs_to_the_next_block() -> None:
    """The line above a fence says how the block is checked; the block after it has none."""
    first, second = blocks_of("<!-- test: a2a -->\n```python\n1\n```\n\n```sh\n2\n```\n")
    assert (first.mark, second.mark) == ("a2a", "")
