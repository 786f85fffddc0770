"""Packages whose names are loaded when they are first used (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Extra(NamedTuple):
    """What a package needs that may not be installed.

    Attributes:
        framework: The package to import, such as `langchain_core`.
        name: The extra of `bing-llm` that installs it.
    """

    framework: str
    name: str


def lazy_exports(
    package: str, owners: Mapping[str, str], *, modules: Mapping[str, str] | None = None, needs: Extra | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package.

        __getattr__, __dir__ = lazy_exports(__name__, {"BingClient": "client"})

    Args:
        package: The name of the package.
        owners: The names, each with the module of the package that defines it.
        modules: Names that stand for a whole module of the package.
        needs: What may not be installed, for an ImportError that says how to install it; None for nothing.
    """
    modules = modules or {}

    def load(name: str) -> Any:
        module_name = modules.get(name) or owners.get(name)
        if module_name is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = importlib.import_module(f"{package}.{module_name}")
        except ModuleNotFoundError as exc:
            if needs is None or not (exc.name or "").startswith(needs.framework):
                raise
            distribution = needs.framework.replace("_", "-").replace(".", "-")
            msg = f'{name} needs {distribution}. Install it with: pip install "bing-llm[{needs.name}]"'
            raise ImportError(msg) from exc
        value = module if name in modules else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *owners, *modules})

    return load, names
