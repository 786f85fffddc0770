"""Bing and Copilot chat for LangChain: `from langchain_bing import ChatBing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bing_llm import __version__

if TYPE_CHECKING:
    from langchain_bing.chat_models import ChatBing

__all__ = ["ChatBing", "__version__"]


def __getattr__(name: str) -> object:
    if name != "ChatBing":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from langchain_bing.chat_models import ChatBing  # noqa: PLC0415 - LangChain takes seconds to import
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "langchain_core":
            raise
        msg = 'ChatBing needs langchain-core. Install it with: pip install "bing-llm[langchain]"'
        raise ImportError(msg) from exc
    globals()[name] = ChatBing
    return ChatBing


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
