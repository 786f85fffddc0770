"""Prompts: `predict` and its three forms, with the settings that every LLM inherits."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index.core.prompts import BasePromptTemplate, ChatPromptTemplate, PromptTemplate

from bing_llm.testing.llama_index.calls import run
from bing_llm.testing.llama_index.recording import MarkingParser, recorded
from bing_llm.testing.llama_index.subject import Subject, needs, smoke

PREDICTIONS = ("predict", "stream", "apredict", "astream")
each_prediction = pytest.mark.parametrize("method", PREDICTIONS)


async def _apredicted(llm: LLM, method: str, template: BasePromptTemplate, **values: str) -> str:
    answer = await getattr(llm, method)(template, **values)
    return answer if isinstance(answer, str) else "".join([token async for token in answer])


def predicted(llm: LLM, method: str, template: BasePromptTemplate, **values: str) -> str:
    """The text that `predict` or one of its forms gives for a template."""
    if method.startswith("a"):
        return run(_apredicted(llm, method, template, **values))
    answer = getattr(llm, method)(template, **values)
    return answer if isinstance(answer, str) else "".join(answer)


class PromptConformance(Subject):
    """What query engines, extractors and chat engines call, with what they set."""

    system_prompt = "You are the keeper of the lighthouse."

    @smoke
    @each_prediction
    def test_a_template_is_answered(self, method: str) -> None:
        """`predict` fills a template and gives text; its streaming forms give the same text in tokens."""
        text = predicted(self.make_llm(), method, PromptTemplate("{question}"), question=self.prompt)
        assert self.is_answer(text), f"{method} gave {text!r}"

    @each_prediction
    def test_a_template_of_messages_is_answered(self, method: str) -> None:
        """A template may be of messages, with a system message among them, which is heard."""
        template = ChatPromptTemplate(
            [ChatMessage(role="system", content="Speak as a {who}."), ChatMessage(role="user", content="{question}")]
        )
        with recorded() as events:
            text = predicted(self.make_llm(), method, template, question=self.prompt, who="sailor")
            heard = self.heard(events)
        assert self.is_answer(text), f"{method} gave {text!r}"
        assert "Speak as a sailor." in heard

    @needs("is_repeatable")
    @each_prediction
    def test_predictions_agree(self, method: str) -> None:
        """The four forms give the same text."""
        llm, template = self.make_llm(), PromptTemplate("{question}")
        expected = predicted(llm, "predict", template, question=self.prompt)
        assert predicted(llm, method, template, question=self.prompt) == expected

    @smoke
    @each_prediction
    def test_the_system_prompt_is_heard(self, method: str) -> None:
        """The `system_prompt` goes to the model with every prediction, exactly once."""
        with recorded() as events:
            predicted(self.make_llm(system_prompt=self.system_prompt), method, PromptTemplate(self.prompt))
            heard = self.heard(events)
        assert heard.count(self.system_prompt) == 1, f"{method} sent the system prompt so many times"

    @pytest.mark.parametrize("method", ["predict", "apredict"])
    def test_the_output_parser_is_used(self, method: str) -> None:
        """An `output_parser` adds its wish to the prompt, and what it makes of the text is the prediction."""
        with recorded() as events:
            text = predicted(self.make_llm(output_parser=MarkingParser()), method, PromptTemplate(self.prompt))
            heard = self.heard(events)
        assert MarkingParser.asks in heard, "the parser's wish did not reach the model"
        assert text.startswith("*"), f"{method} did not parse its output"
        assert text.endswith("*")
