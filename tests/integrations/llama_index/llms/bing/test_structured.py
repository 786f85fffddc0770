"""Objects of a pydantic class, out of answers that are JSON."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, Field, RootModel, field_validator

from bing_llm import events as ev
from bing_llm.errors import ContentFiltered
from bing_llm.sync import run
from llama_index.llms.bing import Bing
from tests.fakes import FakeBackend, Line
from tests.integrations.llama_index.llms.bing.models import llm_of
from tests.integrations.turns import turn


class City(BaseModel):
    """A city."""

    name: str
    people: int = Field(gt=0)


DESCRIBE = PromptTemplate("Describe {name}.")
PARIS = City(name="Paris", people=2_000_000)
GOOD = PARIS.model_dump_json()
UNFIT = '{"name": "Paris", "people": 0}'

PREDICTS = ("structured_predict", "astructured_predict")
STREAMS = ("stream_structured_predict", "astream_structured_predict")
WAYS = PREDICTS + STREAMS


async def objects_of(llm: Bing, way: str, prompt: Any = DESCRIBE, output_cls: Any = City, **options: Any) -> list[Any]:
    """All objects that a way of asking gives; one where it does not stream."""
    answer = getattr(llm, way)(output_cls, prompt, llm_kwargs=options, name="Paris")
    if inspect.isawaitable(answer):
        answer = await answer
    if way in PREDICTS:
        return [answer]
    return [each async for each in answer] if way.startswith("a") else list(answer)


async def last_of(llm: Bing, way: str, **more: Any) -> Any:
    """The object at last."""
    return (await objects_of(llm, way, **more))[-1]


ANSWERS = {
    "clean": GOOD,
    "fenced": f"```json\n{GOOD}\n```",
    "in prose": f"Use {{curly}} braces: {GOOD} That is all.",
    "indented": PARIS.model_dump_json(indent=4),
}


@pytest.mark.parametrize("form", ANSWERS)
@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_is_read_in_every_form(way: str, form: str) -> None:
    """Models write fences and prose around JSON, whatever the prompt says."""
    backend = FakeBackend(turn(*ANSWERS[form]))
    assert await last_of(llm_of(backend), way) == PARIS
    assert len(backend.prompts) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", [UNFIT, "I cannot do that."], ids=["unfit", "no JSON"])
async def test_what_does_not_fit_is_asked_for_once_more(first: str, way: str) -> None:
    """The repair prompt, sent in the same conversation, says what was wrong."""
    backend = FakeBackend(turn(first), turn(GOOD))
    assert await last_of(llm_of(backend), way) == PARIS
    question, again = backend.prompts
    assert "Describe Paris." in question.text
    assert backend.calls == ["create", "turn 0 of conversation-1", "turn 1 of conversation-1"]
    assert again.context is None
    if first is UNFIT:
        assert "people" in again.text.splitlines()[0]


class Capital(BaseModel):
    """A city whose name a validator checks, which no schema says."""

    name: str

    @field_validator("name")
    @classmethod
    def _is_a_capital(cls, name: str) -> str:
        if name != "Paris":
            raise ValueError("it is no capital")
        return name


@pytest.mark.parametrize("mode", [PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION])
@pytest.mark.parametrize("way", WAYS)
async def test_what_only_a_validator_refuses_is_asked_for_once_more(way: str, mode: PydanticProgramMode) -> None:
    """It fits the schema, so only the class can say what is wrong; a second such answer is an error."""
    wrong, right = '{"name": "Lyon"}', '{"name": "Paris"}'
    if mode is PydanticProgramMode.FUNCTION:
        wrong, right = (f'{{"name": "Capital", "arguments": {arguments}}}' for arguments in (wrong, right))
    backend = FakeBackend(turn(wrong), turn(right), turn(wrong), turn(wrong))
    llm = llm_of(backend, pydantic_program_mode=mode)
    assert await last_of(llm, way, output_cls=Capital) == Capital(name="Paris")
    assert "it is no capital" in backend.prompts[1].text
    with pytest.raises(ValueError, match=r"it is no capital.*asked once more"):
        await objects_of(llm, way, output_cls=Capital)
    assert len(backend.prompts) == 4


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", [UNFIT, "I cannot do that."], ids=["unfit", "no JSON"])
async def test_a_second_answer_that_does_not_fit_is_an_error(first: str, way: str) -> None:
    """The service is asked no third time; the error says what was wrong and shows the answer."""
    backend = FakeBackend(turn(first), turn(UNFIT), turn(GOOD))
    with pytest.raises(
        ValueError, match=r"schema City: .* people: .*\. It is '\{\"name\": \"Paris\".*asked once more"
    ) as failed:
        await objects_of(llm_of(backend), way)
    assert not isinstance(failed.value, RuntimeError)
    assert len(backend.prompts) == 2


@pytest.mark.parametrize("way", WAYS)
async def test_a_withdrawn_answer_is_not_an_object(way: str) -> None:
    """Whole or not: nothing is asked again, and the text that had come is in the error."""
    lines: list[Line] = [ev.TextDelta(GOOD), ev.TextRevoked("Let us talk of something else.")]
    backend = FakeBackend(turn(*lines, revoked=True, finish_reason="content_filter", notice="No."), turn(GOOD))
    with pytest.raises(ContentFiltered) as filtered:
        await objects_of(llm_of(backend), way)
    assert (filtered.value.partial_text, filtered.value.service_message) == (GOOD, "No.")
    assert len(backend.prompts) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_that_was_cut_is_not_asked_for_again(way: str) -> None:
    """It would be cut again; the error names what cuts it."""
    backend = FakeBackend(turn(GOOD), turn(GOOD))
    with pytest.raises(ValueError, match=r"schema City: .*cut at max_tokens"):
        await objects_of(llm_of(backend, max_tokens=2), way)
    assert len(backend.prompts) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_picture_goes_with_the_second_question_too(way: str) -> None:
    """The service has none of the first turn."""
    backend = FakeBackend(turn(UNFIT), turn(GOOD))
    asked = ChatMessage([ImageBlock(image=b"\x89PNG\r\n\x1a\nx"), TextBlock(text="Which city?")])
    await objects_of(llm_of(backend), way, prompt=ChatPromptTemplate([asked]))
    assert [len(prompt.images) for prompt in backend.prompts] == [1, 1]


@pytest.mark.parametrize("way", STREAMS)
async def test_a_stream_gives_what_is_known_so_far(way: str) -> None:
    """Each time that it is more, and the object itself once, at last."""
    backend = FakeBackend(turn('{"name": "Pa', 'ris", ', '"people": 2', "000000", "}"))
    known = await objects_of(llm_of(backend, join_deltas=False), way)
    values = [(each.name, each.people) for each in known]
    assert values == [("Pa", None), ("Paris", None), ("Paris", 2), ("Paris", 2_000_000)]
    assert known[-1] == PARIS
    assert [each for each in known if each == PARIS] == [PARIS]


@pytest.mark.parametrize("way", STREAMS)
async def test_a_rewritten_answer_is_the_one_that_counts(way: str) -> None:
    """What was streamed of the old one is replaced by the object at last."""
    lines: list[Line] = [ev.TextDelta('{"name": "Rome", "people": 3}'), ev.TextRevised(GOOD)]
    assert await last_of(llm_of(FakeBackend(turn(*lines, revised=True))), way) == PARIS


@pytest.mark.parametrize("way", WAYS)
async def test_the_system_prompt_is_kept(way: str) -> None:
    """In the async forms too, where LlamaIndex's own program drops it."""
    backend = FakeBackend(turn(GOOD))
    await objects_of(llm_of(backend, system_prompt="Be exact."), way)
    assert "[system](#message)\nBe exact." in (backend.prompts[0].context or "")


@pytest.mark.parametrize("way", WAYS)
async def test_the_schema_is_sent(way: str) -> None:
    """With the prompt; so are options."""
    backend = FakeBackend(turn(GOOD))
    llm = llm_of(backend)
    chat = ChatPromptTemplate([ChatMessage("Be brief.", role="system"), ChatMessage("Describe {name}.")])
    options = {"tool_choice": "x", "tool_required": True, "allow_parallel_tool_calls": True, "max_tokens": 100}
    await objects_of(llm, way, prompt=chat, **options)
    (prompt,) = backend.prompts
    assert "\n\nDescribe Paris.\n\n" in prompt.text
    assert '"people"' in prompt.text
    assert "Be brief." in (prompt.context or "")


@pytest.mark.parametrize("way", PREDICTS)
async def test_an_option_of_a_call_reaches_it(way: str) -> None:
    """Here one that cuts the JSON off."""
    with pytest.raises(ValueError, match="does not fit the schema City"):
        await objects_of(llm_of(FakeBackend(turn(GOOD))), way, max_tokens=2)


MODES = ("default", "llm", "function")
"""The modes that need no other package."""


def in_mode(mode: str, arguments: str, name: str = "City") -> str:
    """What a model writes: JSON, or a call with it."""
    return (
        f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'
        if mode == "function"
        else arguments
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
async def test_every_mode_gives_the_object(way: str, mode: str) -> None:
    """By JSON or by a call, the system prompt kept in each."""
    backend = FakeBackend(turn(in_mode(mode, GOOD)))
    assert await last_of(llm_of(backend, system_prompt="Be exact.", pydantic_program_mode=mode), way) == PARIS
    assert f"{backend.prompts[0].context}{backend.prompts[0].text}".count("Be exact.") == 1


FAILURES = {"a wrong type": UNFIT, "a field is missing": "{}", "text": "It is in France.", "cut": '{"name": "Pa'}


@pytest.mark.parametrize("first", FAILURES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
async def test_every_mode_asks_once_more(way: str, mode: str, first: str) -> None:
    """Whatever was wrong, the second answer counts; it is asked for with what was wrong, and a call as a call."""
    wrong = FAILURES[first] if first == "text" else in_mode(mode, FAILURES[first])
    backend = FakeBackend(turn(wrong), turn(in_mode(mode, GOOD)))
    assert await last_of(llm_of(backend, pydantic_program_mode=mode), way) == PARIS
    _, again = backend.prompts
    assert ("with only a call of the tool" if mode == "function" else "with only the JSON object") in again.text


@pytest.mark.parametrize("first", FAILURES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
async def test_no_mode_ends_in_silence(way: str, mode: str, first: str) -> None:
    """A second failure is a ValueError, so that fallbacks take over, and never a blank object."""
    wrong = FAILURES[first] if first == "text" else in_mode(mode, FAILURES[first])
    backend = FakeBackend(turn(wrong), turn(wrong), turn(in_mode(mode, GOOD)))
    with pytest.raises(ValueError, match=r"schema City: .*asked once more"):
        await objects_of(llm_of(backend, pydantic_program_mode=mode), way)
    assert len(backend.prompts) == 2


@pytest.mark.parametrize("way", WAYS)
async def test_an_error_says_that_no_call_was_made(way: str) -> None:
    """Not that the arguments of a call that is not there are invalid JSON."""
    backend = FakeBackend(turn("It is in France."), turn("It is in France."))
    with pytest.raises(ValueError, match="does not fit the schema City: The model made no call of City") as failed:
        await objects_of(llm_of(backend, pydantic_program_mode="function"), way)
    assert "JSON" not in str(failed.value)
    assert "It is 'It is in France.'. The model was asked once more." in str(failed.value)


class Cities(RootModel[list[City]]):
    """Cities."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
async def test_an_object_may_be_a_list(way: str, mode: str) -> None:
    """The JSON of a RootModel is its value; a call has it as the argument `root`."""
    written = in_mode(mode, f'{{"root": [{GOOD}]}}' if mode == "function" else f"[{GOOD}]", "Cities")
    backend = FakeBackend(turn(written))
    made = await last_of(llm_of(backend, pydantic_program_mode=mode), way, output_cls=Cities)
    assert made == Cities([PARIS])
    assert '"people"' in backend.prompts[0].text


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")  # in agents
@pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning")
async def test_an_agent_gets_the_object_or_says_so() -> None:
    """`output_cls` of an agent is `as_structured_llm` after its answer."""
    backend = FakeBackend(turn("Paris has two million people."), turn(UNFIT), turn(GOOD))
    output: Any = await FunctionAgent(llm=llm_of(backend), output_cls=City, streaming=False).run("How big is Paris?")
    assert output.get_pydantic_model(City) == PARIS


class Falsy(BaseModel):
    """An object that is falsy."""

    name: str

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("way", WAYS)
async def test_an_object_may_be_false(way: str) -> None:
    """It is an object all the same."""
    backend = FakeBackend(turn('{"name": "x"}'))
    assert await last_of(llm_of(backend), way, output_cls=Falsy) == Falsy(name="x")


@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")  # LlamaIndex's
@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
async def test_a_structured_llm_answers_with_the_object(way: str) -> None:
    """The object is JSON in the message, and itself in `raw`."""
    llm = llm_of(FakeBackend(turn(GOOD))).as_structured_llm(City)
    answer = getattr(llm, way)([ChatMessage("Describe Paris.")])
    if inspect.isawaitable(answer):
        answer = await answer
    if "stream" in way:
        answer = [each async for each in answer][-1] if way.startswith("a") else list(answer)[-1]
    assert answer.raw == PARIS
    assert City.model_validate_json(answer.message.content) == PARIS


@pytest.mark.parametrize("way", STREAMS)
async def test_a_structured_stream_that_is_left_closes_its_socket(way: str) -> None:
    """By closing it."""
    backend = FakeBackend(turn('{"name": "Paris"', *", " * 50))
    answer = getattr(llm_of(backend, join_deltas=False), way)(City, DESCRIBE, name="Paris")
    if way.startswith("a"):
        answer = await answer
        await anext(answer)
        await answer.aclose()
    else:
        next(answer)
        answer.close()
        run(asyncio.sleep(0))  # the background loop has closed it by then
    assert backend.open_channels == 0
