"""The top of the package: every public name, found when it is first used, and nothing loaded before."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import bing_llm
from bing_llm import _OWNERS, errors, events
from tests.children import run_python

HEAVY = ("aiohttp", "asyncio", "certifi", "msgspec", "ssl", "tenacity", "bing_llm.client", "bing_llm.emulator")
"""What `import bing_llm` has no use for."""


def imported_for_type_checkers() -> dict[str, str]:
    """The names that the package's `TYPE_CHECKING` block imports, each with the module it comes from."""
    tree = ast.parse(Path(bing_llm.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name: node.module or ""
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def loaded_after(code: str) -> set[str]:
    """The modules that are loaded when a program of its own has run this code."""
    code = f"import sys; before = set(sys.modules); {code}; print(*sorted(set(sys.modules) - before))"
    done = run_python("-W", "error", "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def test_all_is_sorted() -> None:
    """`__all__` is in order and has no name twice."""
    assert bing_llm.__all__ == sorted(set(bing_llm.__all__))


def test_the_three_lists_of_names_agree() -> None:
    """What type checkers see, what is found at run time and what `__all__` says are the same names and modules."""
    seen = imported_for_type_checkers()
    assert set(seen) | {"__version__"} == set(bing_llm.__all__)
    assert {name: f"bing_llm.{owner}" for name, owner in _OWNERS.items()} == {
        name: module for name, module in seen.items() if name != "Bing"
    }
    assert seen["Bing"] == "bing_llm"


@pytest.mark.parametrize("name", bing_llm.__all__)
def test_every_name_is_what_its_module_defines(name: str) -> None:
    """A name of the package is the very object of its module."""
    value = getattr(bing_llm, name)
    if name in _OWNERS:
        owner = importlib.import_module(f"bing_llm.{_OWNERS[name]}")
        assert value is getattr(owner, name)
    else:
        assert name in {"Bing", "__version__"}


def test_every_error_and_event_is_public() -> None:
    """Whoever catches errors or matches events needs nothing but the package."""
    assert set(errors.__all__) <= set(bing_llm.__all__)
    assert set(events.__all__) <= set(bing_llm.__all__)


def test_what_the_public_api_takes_and_gives_is_public() -> None:
    """The classes of the client, of their arguments and of their results."""
    names = (
        "BingClient Conversation TurnStream SyncBingClient SyncConversation SyncTurnStream Bing "  # the client
        "Image Location ChatHub WorkIQ Emulated Service Timeouts Retries Message Prompt convert "  # what it takes
        "ConversationInfo Reply Event Citation Fold Extension"  # what it gives
    )
    assert [name for name in names.split() if name not in bing_llm.__all__] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The message names package and attribute, as Python's own does."""
    with pytest.raises(AttributeError, match=r"module 'bing_llm' has no attribute 'BingClinet'"):
        bing_llm.BingClinet  # noqa: B018
    with pytest.raises(ImportError, match="BingClinet"):
        exec("from bing_llm import BingClinet")  # noqa: S102


def test_dir_lists_the_public_names() -> None:
    """`dir()` and completion show every public name."""
    assert set(bing_llm.__all__) <= set(dir(bing_llm))


def test_importing_the_package_loads_next_to_nothing() -> None:
    """`import bing_llm` waits for no network code, no event loop and no other dependency."""
    loaded = loaded_after("import bing_llm")
    assert "bing_llm" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_a_name_loads_what_it_needs_and_no_more() -> None:
    """Errors, events and a new client come without the network code; the client brings it when it is used."""
    assert "aiohttp" not in loaded_after("from bing_llm import ConnectionLost, Reply, TextDelta, convert")
    for name in ("chathub", "emulator"):
        make = (
            f"from bing_llm import BingClient; client = BingClient(backend={name!r}).with_options(model='bing-precise')"
        )
        assert "aiohttp" not in loaded_after(make)
        loaded = loaded_after(f"{make}; client.stream('Hello')")
        assert "aiohttp" in loaded
        assert "bing_llm.emulator" not in loaded


def test_the_version_is_that_of_the_distribution() -> None:
    """`__version__` is a release number, and needs no metadata to be read."""
    assert bing_llm.__version__.split(".")[0].isdigit()
    assert "importlib.metadata" not in loaded_after("import bing_llm; bing_llm.__version__")
