"""Structured output: objects instead of text, by all ways that LlamaIndex has."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any, ClassVar

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.instrumentation.events.llm import LLMChatStartEvent, LLMCompletionStartEvent
from llama_index.core.llms import LLM
from llama_index.core.program import LLMTextCompletionProgram
from llama_index.core.prompts import BasePromptTemplate, ChatPromptTemplate, PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, Field

from bing_llm.testing.llama_index.calls import acall, call, run, user
from bing_llm.testing.llama_index.recording import recorded
from bing_llm.testing.llama_index.subject import Subject, needs, smoke

PREDICTIONS = (
    "structured_predict",
    "astructured_predict",
    "stream_structured_predict",
    "astream_structured_predict",
)
MODES = (PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM)

TEXT_STREAMS = "stream_call" in vars(LLMTextCompletionProgram)  # from LlamaIndex 0.14.22 on

each_prediction = pytest.mark.parametrize("method", PREDICTIONS)
each_form = pytest.mark.parametrize(
    "form",
    [
        (method, mode)
        for method in PREDICTIONS
        for mode in MODES
        if TEXT_STREAMS or mode is not PydanticProgramMode.LLM or "stream" not in method
    ],
    ids=lambda form: f"{form[0]}-{form[1].value}",
)


class City(BaseModel):
    """A city."""

    name: str = Field(description="The name of the city.")
    country: str = Field(description="The country it is in.")


class Journey(BaseModel):
    """A journey through cities."""

    title: str
    stops: list[City]
    days: int | None = None


PARIS = {"name": "Paris", "country": "France"}

TEXTS = {
    "clean": json.dumps(PARIS),
    "fenced": f"```json\n{json.dumps(PARIS, indent=2)}\n```",
    "prose": f"Here is the city:\n\n{json.dumps(PARIS)}\n\nIs there anything else?",
    "braces": f"I fill the {{name}} and the {{country}}: {json.dumps(PARIS)}. Tell me if {{anything}} is wrong.",
    "fenced in prose": f"Sure!\n\n```json\n{json.dumps(PARIS)}\n```\nThat is {{all}}.",
}
"""How models write an object."""


async def _apredicted(llm: LLM, method: str, output: type[BaseModel], prompt: Any, **values: Any) -> list[Any]:
    answer = await getattr(llm, method)(output, prompt, **values)
    return [made async for made in answer] if "stream" in method else [answer]


def objects(llm: LLM, method: str, output: type[BaseModel], prompt: BasePromptTemplate, **values: Any) -> list[Any]:
    """Everything that `structured_predict` or one of its forms gives."""
    if method.startswith("a"):
        return run(_apredicted(llm, method, output, prompt, **values))
    answer = getattr(llm, method)(output, prompt, **values)
    return list(answer) if "stream" in method else [answer]


@pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.PydanticDeprecationWarning"
)  # StructuredLLM streams by `.json()`
@needs("gives_objects")
class StructuredConformance(Subject):
    """An LLM that answers with objects, by function calls or by text."""

    object_prompt: ClassVar[str] = "Describe {city}."
    """A template that is answered by a `City`, where `city` is Paris."""

    system_prompt = "You are the keeper of the lighthouse."

    def is_paris(self, made: object) -> bool:
        """Whether this is the object that was asked for. Default: a `City` that is called Paris."""
        return isinstance(made, City) and "paris" in made.name.lower()

    def _template(self) -> PromptTemplate:
        return PromptTemplate(self.object_prompt)

    def _messages(self) -> list[ChatMessage]:
        return [user(self.object_prompt.format(city="Paris"))]

    # --- structured_predict and its forms -----------------------------------------------------------------------------

    @smoke
    @each_form
    def test_an_object_is_given(self, form: tuple[str, PydanticProgramMode]) -> None:
        """Each form gives the object, in each mode: the one asked for, valid, and not a blank or a list."""
        method, mode = form
        made = objects(self.make_llm(pydantic_program_mode=mode), method, City, self._template(), city="Paris")
        assert made, f"{method} gave nothing"
        assert all(isinstance(one, BaseModel) for one in made), f"{method} gave {[type(one) for one in made]}"
        assert self.is_paris(made[-1]), f"{method} gave {made[-1]!r} in the end"

    @pytest.mark.parametrize("method", ["stream_structured_predict", "astream_structured_predict"])
    def test_a_streamed_object_grows(self, method: str) -> None:
        """Of an object that is streamed, what is known of a field is never lost again."""
        made = objects(self.make_llm(), method, City, self._template(), city="Paris")
        known = [{name for name, value in one.model_dump().items() if value is not None} for one in made]
        assert all(earlier <= later for earlier, later in itertools.pairwise(known)), f"{method} gave {made}"

    @each_prediction
    def test_an_object_may_be_deep(self, method: str) -> None:
        """A schema may have lists, objects in them, and fields that may be missing."""
        prompt = PromptTemplate("Plan a journey with the title Grand Tour through Paris in France.")
        last = objects(self.make_llm(), method, Journey, prompt)[-1]
        assert isinstance(last, Journey), f"{method} gave {last!r} in the end"

    @each_prediction
    def test_a_template_may_be_of_messages(self, method: str) -> None:
        """A template of messages is filled, heard whole, and left as it was."""
        template = ChatPromptTemplate(
            [ChatMessage(role="system", content="Speak as a sailor."), user(self.object_prompt)]
        )
        before = copy.deepcopy(template.message_templates)
        with recorded() as events:
            made = objects(self.make_llm(), method, City, template, city="Paris")
            heard = self.heard(events)
        assert self.is_paris(made[-1]), f"{method} gave {made[-1]!r} in the end"
        assert "Speak as a sailor." in heard
        assert template.message_templates == before

    @each_form
    def test_the_system_prompt_is_not_lost(self, form: tuple[str, PydanticProgramMode]) -> None:
        """The `system_prompt` goes to the model, once a call, in each form and mode.

        LlamaIndex's own function program loses it in its asynchronous form.
        """
        method, mode = form
        llm = self.make_llm(system_prompt=self.system_prompt, pydantic_program_mode=mode)
        with recorded() as events:
            objects(llm, method, City, self._template(), city="Paris")
            heard = self.heard(events)
        calls = len([event for event in events if isinstance(event, LLMChatStartEvent | LLMCompletionStartEvent)])
        assert heard.count(self.system_prompt) == max(calls, 1), f"{method} sent the system prompt so many times"

    @each_prediction
    def test_options_are_left_as_they_were(self, method: str) -> None:
        """`llm_kwargs` may be given, and is not changed."""
        options: dict[str, Any] = {}
        objects(self.make_llm(), method, City, self._template(), llm_kwargs=options, city="Paris")
        assert options == {}

    @each_prediction
    def test_a_prediction_is_reported(self, method: str) -> None:
        """Observers hear of a start and an end, and the end has the object."""
        with recorded() as events:
            objects(self.make_llm(), method, City, self._template(), city="Paris")
        predictions = [event for event in events if type(event).__name__.startswith("LLMStructuredPredict")]
        assert [type(predictions[0]).__name__, type(predictions[-1]).__name__] == [
            "LLMStructuredPredictStartEvent",
            "LLMStructuredPredictEndEvent",
        ]
        assert self.is_paris(getattr(predictions[-1], "output", None))

    # --- as_structured_llm --------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("method", ["chat", "stream_chat", "achat", "astream_chat", "complete", "acomplete"])
    def test_a_structured_llm_answers(self, method: str) -> None:
        """`as_structured_llm` gives the object as `raw`, and its JSON as text."""
        llm = self.make_llm().as_structured_llm(City)
        prompt = self.object_prompt.format(city="Paris")
        last = call(llm, method, prompt)[-1]
        assert self.is_paris(last.raw), f"{method} gave {last.raw!r}"
        text = last.message.content if isinstance(last, ChatResponse) else last.text
        assert self.is_paris(City.model_validate_json(text or ""))

    def test_a_structured_llm_works_inside_a_loop(self) -> None:
        """Both forms may be mixed on one loop."""
        llm = self.make_llm().as_structured_llm(City)

        async def mixed() -> list[Any]:
            first = await acall(llm, "achat", self._messages())
            second = call(llm, "chat", self._messages())
            return [first[-1].raw, second[-1].raw]

        assert all(self.is_paris(made) for made in run(mixed()))

    # --- what models write --------------------------------------------------------------------------------------------

    @needs("can_be_scripted")
    @needs("reads_objects_from_text")
    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    @each_prediction
    def test_an_object_is_found_in_text(self, method: str, text: str) -> None:
        """An object is found in a fence, between sentences, and beside braces that are no JSON."""
        made = objects(self.make_scripted_llm(text), method, City, self._template(), city="Paris")
        assert made[-1] == City(**PARIS)

    @needs("can_be_scripted")
    @needs("reads_objects_from_text")
    @needs("repairs_objects")
    @pytest.mark.parametrize("wrong", ['{"name": "Paris"}', "It is in France.", '{"name": "Paris", "coun'])
    @each_prediction
    def test_an_object_is_asked_for_again(self, method: str, wrong: str) -> None:
        """Where the model's object does not fit, it is asked once more, and its second answer counts."""
        llm = self.make_scripted_llm(wrong, json.dumps(PARIS))
        assert objects(llm, method, City, self._template(), city="Paris")[-1] == City(**PARIS)

    @needs("can_be_scripted")
    @each_prediction
    def test_no_object_is_an_error(self, method: str) -> None:
        """Where the model gives no object at all, that is an error, and never a blank object."""
        llm = self.make_scripted_llm(*["I would rather not."] * 3)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the LLM's own affair
            objects(llm, method, City, self._template(), city="Paris")
        assert not isinstance(caught.value, RuntimeError | AssertionError), f"{method} raises {caught.value!r}"
