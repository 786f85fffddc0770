"""LlamaIndex's conformance suite through OpenAILike: one test for each thing that an LLM does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from llama_index.core.llms import LLM
from llama_index.llms.openai_like import OpenAILike

from bing_llm.emulator import Emulator, Obedient
from bing_llm.testing.llama_index import BLOCK_KINDS, LLMConformance
from tests.serve.clients.conftest import KEY
from tests.serve.clients.running import client_of, running
from tests.testing.llama_index.test_others import OF_OPENAI_LIKE

pytestmark = [
    pytest.mark.system,
    # Their clients stay open until the process ends, and warn of that in whatever test comes next.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class TestOpenAILike(LLMConformance):
    """What is left out, the adapter does not do over any server: `test_others.py` shows that it fails there, too."""

    smoke_only = True
    left_out: ClassVar[dict[str, str]] = OF_OPENAI_LIKE
    block_kinds = BLOCK_KINDS - {"cache", "citable", "citation", "video"}
    reads_objects_from_text = False
    url: ClassVar[str]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def service(cls) -> Iterator[None]:
        """One front for the whole class."""
        with Emulator(Obedient(pace=0)) as emulator, running(client_of(emulator), key=KEY) as cls.url:
            yield

    def make_llm(self, **settings: Any) -> LLM:
        """One that asks the front."""
        given = {"api_key": KEY, "is_chat_model": True, "is_function_calling_model": True, "max_retries": 0}
        llm: LLM = OpenAILike(**{"model": "bing-balanced", "api_base": self.url, **given, **settings})
        return llm
