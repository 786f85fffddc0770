"""What LangChain may know of our models beforehand."""

from __future__ import annotations

from langchain_core.language_models import ModelProfile

from bing_llm.tokens import CONTEXT_TOKENS

__all__ = ["profile_of"]

_WORKIQ = "copilot"


def profile_of(model: str) -> ModelProfile:
    """The profile of a model. All have the same abilities, but that `copilot` takes and makes no pictures.

    `structured_output` is False, as it means a service's own: agents then ask by a tool call, which is asked for twice
    if it does not come.
    """
    is_workiq = model == _WORKIQ
    profile = ModelProfile(
        name=model,
        text_inputs=True,
        image_inputs=not is_workiq,
        image_url_inputs=not is_workiq,
        pdf_inputs=False,
        audio_inputs=False,
        video_inputs=False,
        image_tool_message=False,
        pdf_tool_message=False,
        text_outputs=True,
        image_outputs=not is_workiq,
        audio_outputs=False,
        video_outputs=False,
        reasoning_output=False,
        tool_calling=True,
        tool_choice=True,
        structured_output=False,
    )
    if not is_workiq:  # nobody knows how much that one takes
        profile["max_input_tokens"] = CONTEXT_TOKENS
    return profile
