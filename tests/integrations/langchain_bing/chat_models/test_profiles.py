"""What LangChain may know of our models beforehand."""

from __future__ import annotations

import pytest
from langchain_core.language_models import ModelProfile

from bing_llm.emulator import Emulator
from langchain_bing import ChatBing
from langchain_bing.chat_models import profile_of


def test_a_profile_has_only_what_langchain_knows() -> None:
    """An unknown key would warn in every program."""
    assert profile_of("bing-balanced").keys() <= ModelProfile.__annotations__.keys()


@pytest.mark.parametrize("model", ["bing-creative", "bing-balanced", "bing-precise"])
def test_a_model_finds_its_profile(model: str) -> None:
    """It is there without being asked for; summarization needs `max_input_tokens`."""
    profile = ChatBing(model=model, backend="emulator").profile
    assert profile is not None
    assert profile["name"] == model
    assert profile["max_input_tokens"] > 0


def test_a_work_account_has_its_own_profile() -> None:
    """It takes no pictures, and nobody knows how much text."""
    profile = profile_of("copilot")
    for pictures in (profile["image_inputs"], profile["image_url_inputs"], profile["image_outputs"]):
        assert not pictures
    assert "max_input_tokens" not in profile
    assert profile["tool_calling"]


def test_agents_ask_for_structure_by_tools() -> None:
    """`structured_output` means a service's own, which agents would trust without a second try."""
    profile = profile_of("bing-balanced")
    assert profile["tool_calling"]
    assert profile["tool_choice"]
    assert not profile["structured_output"]


def test_the_input_fits_what_the_service_takes() -> None:
    """The emulator closes the socket where the service was seen to; the profile promises no more than that."""
    from bing_llm.emulator.server import CONTEXT_LIMIT  # noqa: PLC0415

    assert profile_of("bing-balanced")["max_input_tokens"] * 4 <= CONTEXT_LIMIT


def test_a_profile_of_your_own_counts(bing_emulator: Emulator) -> None:
    """Whoever knows better says so."""
    assert ChatBing(endpoint=bing_emulator.url, profile={"max_input_tokens": 7}).profile == {"max_input_tokens": 7}
