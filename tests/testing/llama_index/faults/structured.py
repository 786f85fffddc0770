"""LLMs with one fault each, in the objects that they give."""

# ruff: noqa: D102 - what a method does wrong, its class says

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.prompts.base import BasePromptTemplate

from tests.testing.llama_index.faults.answers import Faulty


class Forgetful(Faulty):
    """Gives the object first, and a blank one after it."""

    caught_by = ("test_a_streamed_object_grows", "test_an_object_is_given")

    def _structured_stream_call(
        self,
        output_cls: type[Any],
        prompt: Any,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        made: Any
        for made in super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args):
            yield made
            yield made.model_copy(update=dict.fromkeys(type(made).model_fields))


class FlatObjects(Faulty):
    """Leaves out the objects in an object."""

    caught_by = ("test_an_object_may_be_deep",)

    def calls(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> list[ToolCallBlock]:
        calls = super().calls(messages, options)
        for call in calls:
            assert isinstance(call.tool_kwargs, dict)
            call.tool_kwargs.pop("stops", None)
        return calls


class FillsTemplates(Faulty):
    """Writes the values into the caller's template."""

    caught_by = ("test_a_template_may_be_of_messages",)

    def structured_predict(
        self,
        output_cls: type[Any],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        assert isinstance(prompt, ChatPromptTemplate)
        prompt.message_templates[:] = prompt.format_messages(**prompt_args)
        return super().structured_predict(output_cls, prompt, llm_kwargs)


class Untold(Faulty):
    """Tells nobody of an object."""

    caught_by = ("test_a_prediction_is_reported",)

    def structured_predict(
        self,
        output_cls: type[Any],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        program = FunctionCallingProgram.from_defaults(output_cls, llm=self, prompt=prompt)
        return program(llm_kwargs=llm_kwargs, **prompt_args)


class KeepsOptions(Faulty):
    """Writes its own options among the caller's."""

    caught_by = ("test_options_are_left_as_they_were",)

    def structured_predict(
        self,
        output_cls: type[Any],
        prompt: Any,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        if llm_kwargs is not None:
            llm_kwargs["seed"] = 1
        return super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
