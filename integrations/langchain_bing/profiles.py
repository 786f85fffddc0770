"""What LangChain may know of our models beforehand."""

from __future__ import annotations

from langchain_core.language_models import ModelProfile

from bing_llm.tokens import CONTEXT_TOKENS

__all__ = ["profile_of"]


def profile_of(model: str) -> ModelProfile:
    """The profile of a model; all of ours have the same abilities.

    `structured_output` is False, as it means a service's own: agents then ask by a tool call, which is asked for twice
    if it does not come.
    """
    return ModelProfile(
        name=model,
        max_input_tokens=CONTEXT_TOKENS,
        text_inputs=True,
        image_inputs=True,
        image_url_inputs=True,
        pdf_inputs=False,
        audio_inputs=False,
        video_inputs=False,
        image_tool_message=False,
        pdf_tool_message=False,
        text_outputs=True,
        image_outputs=True,
        audio_outputs=False,
        video_outputs=False,
        reasoning_output=False,
        tool_calling=True,
        tool_choice=True,
        structured_output=False,
    )
