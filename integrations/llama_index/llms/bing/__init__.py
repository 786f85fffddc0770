"""Bing and Copilot chat for LlamaIndex: `from llama_index.llms.bing import Bing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bing_llm import __version__
from bing_llm._lazy import Extra, lazy_exports

if TYPE_CHECKING:
    from llama_index.llms.bing.base import Bing
    from llama_index.llms.bing.messages import convert

__all__ = ["Bing", "__version__", "convert"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"Bing": "base", "convert": "messages"}, needs=Extra("llama_index.core", "llama-index")
)
