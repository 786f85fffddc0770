"""Bing and Copilot chat for LangChain: `from langchain_bing import ChatBing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bing_llm import __version__
from bing_llm._lazy import Extra, lazy_exports

if TYPE_CHECKING:
    from langchain_bing.chat_models import ChatBing
    from langchain_bing.messages import convert

__all__ = ["ChatBing", "__version__", "convert"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"ChatBing": "chat_models", "convert": "messages"}, needs=Extra("langchain_core", "langchain")
)
