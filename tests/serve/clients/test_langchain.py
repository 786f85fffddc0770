"""LangChain's standard suites through ChatOpenAI, with both of OpenAI's APIs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from bing_llm.emulator import Emulator, Obedient
from tests.integrations.langchain_bing.test_standard_integration import PICTURE
from tests.serve.clients.conftest import KEY
from tests.serve.clients.running import client_of, running

pytestmark = [
    pytest.mark.system,
    # Their clients stay open until the process ends, and warn of that in whatever test comes next.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Theirs: the SDK's own generic classes, and what their adapter does with pydantic 1.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema:UserWarning"),
]


class _Suite(ChatModelIntegrationTests):
    """The suite's own tests."""

    url: ClassVar[str]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def service(cls) -> Iterator[None]:
        """One front for the whole class."""
        with Emulator(Obedient(pace=0)) as emulator, running(client_of(emulator), key=KEY) as cls.url:
            yield

    @pytest.fixture(autouse=True)
    def local_pictures(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The suite downloads a picture; here it is one of ours."""
        monkeypatch.setattr(httpx, "get", lambda *_args, **_options: httpx.Response(200, content=PICTURE))

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """The class under test."""
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Where the model asks."""
        return {"base_url": self.url, "api_key": KEY, "model": "bing-balanced", "stream_usage": True}

    @property
    def supports_image_inputs(self) -> bool:
        """Pictures by base64."""
        return True

    @property
    def supports_image_urls(self) -> bool:
        """Pictures by URL."""
        return True

    @property
    def supports_json_mode(self) -> bool:
        """`method="json_mode"`."""
        return True

    @property
    def supports_model_override(self) -> bool:
        """`invoke(..., model=...)`."""
        return True

    @property
    def model_override_value(self) -> str:
        """Another model of the service."""
        return "bing-precise"


class TestChatCompletions(_Suite):
    """Through `/v1/chat/completions`."""


class TestResponses(_Suite):
    """Through `/v1/responses`."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Where the model asks, by the other API."""
        return {**super().chat_model_params, "use_responses_api": True}
