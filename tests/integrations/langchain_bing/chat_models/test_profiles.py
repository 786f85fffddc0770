"""What LangChain may know of our models beforehand."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.language_models import ModelProfile
from langchain_core.messages import HumanMessage

from bing_llm import ChatHub, Emulated, Service, WorkIQ
from bing_llm.emulator import Emulator
from langchain_bing import ChatBing
from langchain_bing.chat_models import profile_of

WORK_IQ = WorkIQ(token="x", time_zone="UTC")
SERVICES: list[Service] = [ChatHub(endpoint="https://example.com"), WORK_IQ, Emulated()]


@pytest.mark.parametrize("service", SERVICES)
def test_a_profile_has_only_what_langchain_knows(service: Service) -> None:
    """An unknown key would warn in every program."""
    assert profile_of(service).keys() <= ModelProfile.__annotations__.keys()


@pytest.mark.parametrize("model", ["bing-creative", "bing-balanced", "bing-precise"])
def test_a_model_finds_its_profile(model: str) -> None:
    """It is there without being asked for."""
    profile = ChatBing(model=model, backend="emulator").profile
    assert profile is not None
    assert profile["name"] == model


@pytest.mark.parametrize("service", SERVICES)
def test_a_profile_says_what_every_service_can(service: Service) -> None:
    """Summarization by a fraction needs `max_input_tokens`; agents use tools for structure; there is no temperature."""
    profile = ChatBing(service=service).profile
    assert profile is not None
    assert profile["max_input_tokens"] > 0
    assert profile["tool_calling"]
    assert profile["tool_choice"]
    assert profile["structured_output"] is False
    assert profile["temperature"] is False


def test_pictures_are_those_of_the_service() -> None:
    """Work IQ takes text alone."""
    for service in SERVICES:
        profile = profile_of(service)
        for key in ("image_inputs", "image_url_inputs", "image_tool_message"):
            assert profile[key] is (service.name != "workiq")


def test_the_input_fits_what_the_service_takes() -> None:
    """The emulator closes the socket where the service was seen to; the profile promises no more than that."""
    from bing_llm.emulator.server import CONTEXT_LIMIT  # noqa: PLC0415

    assert profile_of(Emulated())["max_input_tokens"] * 4 <= CONTEXT_LIMIT


def test_summarization_by_a_fraction_works(bing_emulator: Emulator) -> None:
    """On both services: the middleware asks the profile for the size of the window."""
    for model in (
        ChatBing(endpoint=bing_emulator.url),
        ChatBing(endpoint=bing_emulator.workiq_url, token=bing_emulator.token, time_zone="UTC"),
    ):
        agent: Any = create_agent(model, middleware=[SummarizationMiddleware(model, trigger=("fraction", 0.8))])
        assert agent.invoke({"messages": [HumanMessage("Hello")]})["messages"][-1].content


def test_a_profile_of_your_own_counts(bing_emulator: Emulator) -> None:
    """Whoever knows better says so."""
    assert ChatBing(endpoint=bing_emulator.url, profile={"max_input_tokens": 7}).profile == {"max_input_tokens": 7}
