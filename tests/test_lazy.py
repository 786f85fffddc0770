"""Packages whose names are loaded when they are first used."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = """
from bing_llm._lazy import Extra, lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__, {"Thing": "things", "Lost": "lost", "Broken": "broken"}, modules={"Old": "things"},
    needs=Extra("a_framework.core", "framework"),
)
"""


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A package with a module, one that needs a framework, and one that lacks something else."""
    folder = tmp_path / "lazy_package"
    folder.mkdir()
    sources = {
        "__init__": PACKAGE,
        "things": "class Thing: ...",
        "lost": "import a_framework.core.parts",
        "broken": "import something_else",
    }
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    framework = ModuleType("a_framework")
    framework.__path__ = []
    monkeypatch.setitem(sys.modules, "a_framework", framework)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("lazy_package", *(f"lazy_package.{module}" for module in sources)):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("lazy_package")


def test_a_name_is_loaded_when_it_is_first_used(package: ModuleType) -> None:
    """And only once; a name may stand for a whole module."""
    assert "lazy_package.things" not in sys.modules
    assert package.Thing.__module__ == "lazy_package.things"
    assert vars(package)["Thing"] is package.Thing
    assert package.Old is sys.modules["lazy_package.things"]


def test_all_names_are_listed(package: ModuleType) -> None:
    """Those that were not used yet too."""
    assert {"Thing", "Lost", "Old", "__name__"} <= set(dir(package))


def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    """In Python's own words."""
    with pytest.raises(AttributeError, match="module 'lazy_package' has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


def test_what_is_not_installed_is_named_with_its_extra(package: ModuleType) -> None:
    """Only the framework that the package needs; what else is missing is raised as it is."""
    with pytest.raises(ImportError, match=r"Lost needs a-framework-core.*pip install \"bing-llm\[framework\]\""):
        package.Lost  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match="something_else"):
        package.Broken  # noqa: B018
