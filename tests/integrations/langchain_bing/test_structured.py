"""`with_structured_output`: three methods, each kind of schema, called and streamed."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.tools import tool
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from bing_llm import events as ev
from bing_llm.emulator import Emulator, Scripted
from langchain_bing import ChatBing
from langchain_bing.structured import METHODS, Method
from tests.fakes import FakeBackend
from tests.integrations.langchain_bing.models import model_of
from tests.integrations.turns import call, turn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pydantic.v1 import BaseModel as BaseModelV1


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class PersonV1(BaseModelV1):
    """A person."""

    name: str
    age: int


class PersonDict(TypedDict):
    """A person."""

    name: str
    age: int


SCHEMA = {**Person.model_json_schema(), "title": "PersonSchema"}
ADA = {"name": "Ada", "age": 36}
SCHEMAS: dict[str, Any] = {"Person": Person, "PersonV1": PersonV1, "PersonDict": PersonDict, "PersonSchema": SCHEMA}


def written(method: Method, name: str, value: Any = None) -> str:
    """The answer of a model that does what the prompt says."""
    value = ADA if value is None else value
    return call(name, **value) if method == "function_calling" else json.dumps(value)


def as_dict(result: Any) -> Any:
    """What the result says, of whatever kind it is."""
    return result if isinstance(result, dict) else {"name": result.name, "age": result.age}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SCHEMAS)
async def test_every_method_takes_every_schema(method: Method, name: str) -> None:
    """A class gives its objects, the others give dicts; called and streamed."""
    schema = SCHEMAS[name]

    def asked() -> Any:
        return model_of(FakeBackend(turn(written(method, name)))).with_structured_output(schema, method=method)

    kind = schema if isinstance(schema, type) and schema is not PersonDict else dict
    results = [
        asked().invoke("Ada is 36."),
        await asked().ainvoke("Ada is 36."),
        list(asked().stream("Ada is 36."))[-1],
        [part async for part in asked().astream("Ada is 36.")][-1],
    ]
    for result in results:
        assert isinstance(result, kind)
        assert as_dict(result) == ADA


@pytest.mark.parametrize(
    "wrapped", ["Here it is:\n```json\n{}\n```\nDone.", "```\n{}\n```", " {}\n", "It is {} as asked."]
)
def test_what_stands_around_the_json_is_left_out(wrapped: str) -> None:
    """A plain `json.loads` of the message works, as agents do it."""
    text = wrapped.replace("{}", json.dumps(ADA))
    bound = model_of(FakeBackend(turn(*text))).bind_tools([], response_format=SCHEMA)
    assert json.loads(bound.invoke("Ada is 36.").text) == ADA


def test_a_stream_of_json_grows() -> None:
    """What is a part of the object already can be shown."""
    pieces = ['{"name": ', '"Ada", ', '"age": ', "36}"]
    model = model_of(FakeBackend(turn(*pieces)), join_deltas=False)
    parts = list(model.with_structured_output(PersonDict, method="json_schema").stream("Ada is 36."))
    assert len(parts) > 1
    assert parts[-1] == ADA
    assert all(part.items() <= ADA.items() for part in parts)


@pytest.mark.parametrize("method", METHODS)
def test_raw_answers_come_with_what_was_read_of_them(method: Method) -> None:
    """`include_raw` gives message, object and no error."""
    model = model_of(FakeBackend(turn(written(method, "Person"))))
    result = model.with_structured_output(Person, method=method, include_raw=True).invoke("Ada is 36.")
    assert result["parsed"] == Person(name="Ada", age=36)
    assert result["parsing_error"] is None
    assert result["raw"].response_metadata["model_name"] == "bing-balanced"


@pytest.mark.parametrize("method", METHODS)
def test_raw_answers_come_with_the_error(method: Method) -> None:
    """With `include_raw`, an answer that does not fit is not an exception."""
    wrong = written(method, "Person", {"name": "Ada", "age": "old"})
    model = model_of(FakeBackend(turn(wrong), turn(wrong)))
    result = model.with_structured_output(Person, method=method, include_raw=True).invoke("Ada is old.")
    assert result["parsed"] is None
    assert isinstance(result["parsing_error"], OutputParserException | ValidationError)
    assert result["raw"].text or result["raw"].tool_calls


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_an_answer_that_is_not_json_is_asked_for_once_more(method: Method) -> None:
    """The model is asked once more, as for a call; its first answer is not given out."""
    backend = FakeBackend(turn("Ada is 36."), turn(json.dumps(ADA)))
    result = model_of(backend).with_structured_output(Person, method=method).invoke("Ada is 36.")
    assert result == Person(name="Ada", age=36)
    assert len(backend.prompts) == 2


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_an_answer_that_never_is_json_is_an_error_of_the_parser(method: Method) -> None:
    """LangChain's own, which its retry parsers know."""
    model = model_of(FakeBackend(turn("No."), turn("No!")))
    with pytest.raises(OutputParserException, match="No!"):
        model.with_structured_output(Person, method=method).invoke("Ada is 36.")


def test_a_call_that_never_comes_is_nothing() -> None:
    """The parser of calls gives None, as in every model of LangChain."""
    model = model_of(FakeBackend(turn("No."), turn("No!")))
    assert model.with_structured_output(Person).invoke("Ada is 36.") is None


def test_strict_calls_must_fit() -> None:
    """An argument of another type makes the call invalid, and it is asked for once more."""
    backend = FakeBackend(turn(call("PersonDict", name="Ada", age="old")), turn(call("PersonDict", **ADA)))
    assert model_of(backend).with_structured_output(PersonDict, strict=True).invoke("Ada is 36.") == ADA
    assert "age" in backend.prompts[1].text


def test_a_rewritten_answer_is_read_as_it_is_in_the_end() -> None:
    """`invoke` reads the final text."""
    final = json.dumps(ADA)
    lines = turn('{"name": "Bob"', ev.TextRevised(final))
    result = model_of(FakeBackend(lines)).with_structured_output(Person, method="json_schema").invoke("Ada is 36.")
    assert result == Person(name="Ada", age=36)


@tool
def look_up(name: str) -> str:
    """Look somebody up."""
    return name


def test_other_tools_may_be_bound() -> None:
    """`tools` are offered beside the schema, where the method allows a choice."""
    backend = FakeBackend(turn(json.dumps(ADA)))
    asked = model_of(backend).with_structured_output(Person, method="json_schema", tools=[look_up])
    assert asked.invoke("Ada is 36.") == Person(name="Ada", age=36)
    assert '"look_up"' in backend.prompts[0].text


def test_options_are_passed_on() -> None:
    """To `bind`, as everywhere."""
    backend = FakeBackend(turn(call("Person", **ADA)))
    model_of(backend).with_structured_output(Person, model="bing-precise").invoke("Ada is 36.")
    assert backend.models == ["bing-precise"]


@pytest.mark.parametrize("method", ["functions", "", None])
def test_an_unknown_method_is_refused(method: Any) -> None:
    """The error lists those that there are."""
    with pytest.raises(ValueError, match="allowed: function_calling, json_schema, json_mode"):
        ChatBing(backend="emulator").with_structured_output(Person, method=method)


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_a_schema_is_needed(method: Method) -> None:
    """Only with `json_mode` the prompt says the shape."""
    with pytest.raises(ValueError, match="needs a schema"):
        ChatBing(backend="emulator").with_structured_output(method=method)
    assert model_of(FakeBackend(turn('{"a": 1}'))).with_structured_output(method="json_mode").invoke("Hi") == {"a": 1}


def test_a_chain_over_a_socket(bing_emulator: Emulator) -> None:
    """The whole way, with a model that answers in a fence, in pieces."""
    bing_emulator.brain = Scripted([["```json\n", '{"name": "Ada",', ' "age": 36}', "\n```"]])
    model = ChatBing(endpoint=bing_emulator.url)
    assert model.with_structured_output(Person, method="json_schema").invoke("Who?") == Person(name="Ada", age=36)


def test_other_tools_may_be_called_beside_a_schema_that_is_a_tool() -> None:
    """Then any of them may be called, and `include_raw` has the call."""
    backend = FakeBackend(turn(call("look_up", name="Ada")))
    asked = model_of(backend).with_structured_output(Person, tools=[look_up], include_raw=True)
    answer = asked.invoke("Who is Ada?")
    assert [made["name"] for made in answer["raw"].tool_calls] == ["look_up"]
    assert len(backend.prompts) == 1
    assert "Person" in backend.prompts[0].text
