"""The entry point."""

from __future__ import annotations

import sys

import pytest

from bing_llm.cli import main
from tests.children import run_python


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_it_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where typer or rich is not installed, one line tells the command to type, and the exit code is 2."""
    for name in [name for name in sys.modules if name.startswith("bing_llm.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [missing, *(name for name in sys.modules if name.startswith(f"{missing}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as ended:
        main(["ask", "Hello"])
    assert ended.value.code == 2
    assert capsys.readouterr() == (
        "",
        'bing-llm: the command line needs its extra: pip install "bing-llm[cli]"\n',
    )


def test_another_missing_module_is_a_mistake_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the extra's own packages are excused."""
    monkeypatch.delitem(sys.modules, "bing_llm.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "bing_llm.cli.ask", None)
    with pytest.raises(ModuleNotFoundError, match=r"bing_llm\.cli\.ask"):
        main(["ask", "Hello"])


def test_ctrl_c_while_it_starts_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends it with 130 even while its modules are being loaded."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.__import__", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["ask", "Hello"])
    monkeypatch.undo()
    assert ended.value.code == 130


def test_it_runs_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It passes the arguments on, and ends with the command's exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("bing-llm ")


LOADED = """
import sys
import bing_llm.cli.app, bing_llm.cli.ask
print(*sys.modules)
"""


def test_ask_starts_fast() -> None:
    """It does not load what only other commands need, nor what is needed only after the answer."""
    loaded = set(run_python("-c", LOADED).stdout.split())
    assert "bing_llm.cli.ask" in loaded
    assert not loaded & {
        *("prompt_toolkit", "platformdirs", "sqlite3", "markdown_it", "rich.markdown", "rich.live", "aiohttp", "yaml"),
        *("bing_llm.cli.chat", "bing_llm.cli.log", "bing_llm.completion.prompt", "bing_llm.emulator", "bing_llm.serve"),
    }
