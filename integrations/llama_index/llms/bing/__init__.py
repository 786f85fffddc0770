"""Bing and Copilot chat for LlamaIndex: `from llama_index.llms.bing import Bing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bing_llm import __version__

if TYPE_CHECKING:
    from llama_index.llms.bing.base import Bing

__all__ = ["Bing", "__version__"]


def __getattr__(name: str) -> object:
    if name != "Bing":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from llama_index.llms.bing.base import Bing  # noqa: PLC0415 - LlamaIndex takes seconds to import
    except ModuleNotFoundError as exc:
        if not (exc.name or "").startswith("llama_index.core"):
            raise
        msg = 'Bing needs llama-index-core. Install it with: pip install "bing-llm[llama-index]"'
        raise ImportError(msg) from exc
    globals()[name] = Bing
    return Bing


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
