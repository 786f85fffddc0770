"""Tests for others to run: `bing_llm.testing.llama_index`, a conformance suite for LlamaIndex LLMs.

It needs pytest, which importing this module loads.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("bing_llm.testing.llama_index")  # before it is imported: failures show both sides
