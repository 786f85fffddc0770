"""LangChain's standard integration tests of a chat model, inherited, over a real socket."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from bing_llm.emulator import Emulator, Obedient
from langchain_bing import ChatBing

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""


@pytest.mark.filterwarnings("ignore:ChatBing does not use .*'temperature':UserWarning")
class _Suite(ChatModelIntegrationTests):
    """The suite's own tests, against an emulator that answers by its rules."""

    emulator: ClassVar[Emulator]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def service(cls) -> Iterator[None]:
        """One service for the whole class, on a socket of this machine."""
        with Emulator(Obedient(pace=0)) as cls.emulator:
            yield

    @pytest.fixture(autouse=True)
    def local_pictures(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The suite downloads a picture; here it is one of ours."""
        monkeypatch.setattr(httpx, "get", lambda *_args, **_options: httpx.Response(200, content=PICTURE))

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """The class under test."""
        return ChatBing

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Where the model asks."""
        return {"endpoint": self.emulator.url}

    @property
    def supports_image_inputs(self) -> bool:
        """Pictures by base64."""
        return True

    @property
    def supports_image_urls(self) -> bool:
        """Pictures by URL."""
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        """A picture that a tool returned is uploaded with the turn."""
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        """Anthropic's blocks: calls, results and pictures inside content."""
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

    @property
    def returns_usage_metadata(self) -> bool:
        """The service counts no tokens."""
        return False


class TestStandardText(_Suite):
    """With text as content, which is the default."""


@pytest.mark.system
class TestStandardBlocks(_Suite):
    """With standard blocks as content."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """The parameters of the other suites, with LangChain's newer form of content."""
        return {**super().chat_model_params, "output_version": "v1"}


class _WorkIQSuite(_Suite):
    """The same over Work IQ, which takes no pictures and has one model."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Where the model asks, and as whom."""
        return {
            "backend": "workiq",
            "endpoint": self.emulator.workiq_url,
            "token": self.emulator.token,
            "time_zone": "Europe/Zurich",
        }

    @property
    def supports_image_inputs(self) -> bool:
        """The service takes none."""
        return False

    @property
    def supports_image_urls(self) -> bool:
        """The service takes no URL."""
        return False

    @property
    def supports_image_tool_message(self) -> bool:
        """What a tool shows is a word there."""
        return False

    @property
    def model_override_value(self) -> str:
        """There is no other."""
        return "copilot"


@pytest.mark.system
class TestWorkIQText(_WorkIQSuite):
    """With text as content."""


@pytest.mark.system
class TestWorkIQBlocks(_WorkIQSuite):
    """With standard blocks as content."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """The parameters of the other suites, with LangChain's newer form of content."""
        return {**super().chat_model_params, "output_version": "v1"}


class _A2ASuite(_WorkIQSuite):
    """The same over A2A, from an agent."""

    agent: ClassVar[str]

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Where the model asks, and whom."""
        return {**super().chat_model_params, "endpoint": self.emulator.a2a_url, "agent": self.agent}


@pytest.mark.system
class TestA2A(_A2ASuite):
    """Of an agent whose answers come whole, and grow."""

    agent = "P_researcher.emulator"


@pytest.mark.system
class TestA2AAppended(_A2ASuite):
    """Of an agent that appends, with standard blocks as content."""

    agent = "P_writer.emulator"

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """The parameters of the other suites, with LangChain's newer form of content."""
        return {**super().chat_model_params, "output_version": "v1"}


@pytest.mark.system
class TestStandardUsage(_Suite):
    """With an estimate of the tokens, as it is given on request."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """The parameters of the other suites, with an estimate of the usage."""
        return {**super().chat_model_params, "estimate_usage": True}

    @property
    def returns_usage_metadata(self) -> bool:
        """What it is asked for."""
        return True
