"""`with_structured_output`: three methods, each kind of schema, called and streamed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, assert_type

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator
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


SCHEMA: dict[str, Any] = {**Person.model_json_schema(), "title": "PersonSchema"}
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
    assert isinstance(result["parsing_error"], OutputParserException)
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


# What a model may write instead of the object, once or twice.
UNFIT: dict[str, dict[Method, str]] = {
    "wrong type": {method: written(method, "Person", {"name": "Ada", "age": "old"}) for method in METHODS},
    "missing": dict.fromkeys(METHODS, "I would rather not."),
    "unreadable": {
        "function_calling": '<tool_call>{"name": "Person", "arguments": {"name":</tool_call>',
        "json_schema": '{"name": "Ada", "age": 36',
        "json_mode": '```json\n{"name": Ada}\n```',
    },
}


def results_of(asked: Any) -> list[Callable[[], Any]]:
    """The ways to ask synchronously: called, and the last part of a stream."""
    return [lambda: asked().invoke("Ada is 36."), lambda: list(asked().stream("Ada is 36."))[-1]]


@pytest.mark.parametrize("kind", ["Person", "PersonV1", "PersonDict", "PersonSchema"])
@pytest.mark.parametrize("fault", UNFIT)
@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_fit_is_asked_for_once_more(method: Method, fault: str, kind: str) -> None:
    """In every method, for each kind of schema, called and streamed; with what is wrong."""
    wrong = UNFIT[fault][method].replace("Person", kind)
    backends: list[FakeBackend] = []

    def asked() -> Any:
        backends.append(FakeBackend(turn(*wrong), turn(written(method, kind))))
        return model_of(backends[-1], join_deltas=False).with_structured_output(SCHEMAS[kind], method=method)

    for result in results_of(asked):
        assert as_dict(result()) == ADA
    for backend in backends:
        _, repair = backend.prompts
        assert repair.text.startswith("Your last reply")
        assert ("age" in repair.text.splitlines()[0]) == (fault == "wrong type")


@pytest.mark.parametrize("fault", UNFIT)
@pytest.mark.parametrize("method", METHODS)
async def test_what_never_fits_is_an_error_of_the_parser(method: Method, fault: str) -> None:
    """Whatever the cause, called and streamed; with `include_raw` it is in `parsing_error`; fallbacks notice it."""
    wrong = UNFIT[fault][method]

    def asked(**more: Any) -> Any:
        model = model_of(FakeBackend(turn(*wrong), turn(*wrong)), join_deltas=False)
        return model.with_structured_output(Person, method=method, **more)

    for result in results_of(asked):
        with pytest.raises(OutputParserException, match=r"answer does not fit the schema Person: .*\. It is "):
            result()
    with pytest.raises(OutputParserException):
        await asked().ainvoke("Ada is 36.")
    with pytest.raises(OutputParserException):
        _ = [part async for part in asked().astream("Ada is 36.")]
    raw = asked(include_raw=True).invoke("Ada is 36.")
    assert (raw["parsed"], type(raw["parsing_error"])) == (None, OutputParserException)
    second = model_of(FakeBackend(turn(call("Person", **ADA)))).with_structured_output(Person)
    assert asked().with_fallbacks([second]).invoke("Ada is 36.") == Person(name="Ada", age=36)


@pytest.mark.parametrize("fault", [*UNFIT, ""])
@pytest.mark.parametrize("method", METHODS)
async def test_a_raw_stream_ends_with_the_outcome(method: Method, fault: str) -> None:
    """A stream ends as `invoke` does: the object and no error, or no object and the error, which is not raised."""
    answer = UNFIT[fault][method] if fault else written(method, "Person")

    def asked() -> Any:
        model = model_of(FakeBackend(turn(*answer), turn(*answer)), join_deltas=False)
        return model.with_structured_output(Person, method=method, include_raw=True)

    whole = asked().invoke("Ada is 36.")
    for parts in (list(asked().stream("Ada is 36.")), [part async for part in asked().astream("Ada is 36.")]):
        last = next(part for part in reversed(parts) if "parsed" in part)
        assert last["parsed"] == whole["parsed"]
        assert [*parts[-1]] == ["parsing_error"]
        error = parts[-1]["parsing_error"]
        assert (type(error), str(error)) == (type(whole["parsing_error"]), str(whole["parsing_error"]))
        assert isinstance(error, OutputParserException) == bool(fault)
        raw = sum((part["raw"] for part in parts[1:] if "raw" in part), parts[0]["raw"])
        assert raw.text == whole["raw"].text or "final_text" in raw.response_metadata


@pytest.mark.parametrize("method", METHODS)
def test_the_own_rules_of_a_class_count(method: Method) -> None:
    """A validator says what no JSON schema can, and the model reads what it said."""

    class Even(BaseModel):
        """An even number."""

        n: int

        @field_validator("n")
        @classmethod
        def check(cls, n: int) -> int:
            if n % 2:
                msg = f"{n} is odd"
                raise ValueError(msg)
            return n

    backend = FakeBackend(turn(written(method, "Even", {"n": 3})), turn(written(method, "Even", {"n": 4})))
    assert model_of(backend).with_structured_output(Even, method=method).invoke("Which?") == Even(n=4)
    assert "n: Value error, 3 is odd" in backend.prompts[1].text


@pytest.mark.parametrize("method", METHODS)
def test_a_withdrawn_answer_is_an_error_of_the_parser(method: Method) -> None:
    """It is not asked for again, because it would be withdrawn again."""
    lines = [*turn(written(method, "Person"))[:-1], ev.TextRevoked("I cannot talk about that.")]
    reply = ev.Reply(text=written(method, "Person"), revoked=True, finish_reason="content_filter", notice="No.")
    backend = FakeBackend([*lines, ev.TurnCompleted(reply)])
    with pytest.raises(OutputParserException, match=r"the service withdrew it\. No\."):
        model_of(backend).with_structured_output(Person, method=method).invoke("Ada is 36.")
    assert len(backend.prompts) == 1


# --- kinds of schemas -------------------------------------------------------------------------------------------------


class Numbers(RootModel[list[int]]):
    """Some numbers."""


class City(BaseModel):
    """A city."""

    city: str


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("schema", "name", "value", "expected"),
    [
        (Numbers, "Numbers", [1, 2], Numbers([1, 2])),
        (list[int], "answer", [1, 2], [1, 2]),
        (Person | City, "answer", {"city": "Bern"}, City(city="Bern")),
        ({"title": "Sizes", "type": "array", "items": {"type": "integer"}}, "Sizes", [1, 2], [1, 2]),
    ],
    ids=["RootModel", "list", "union", "array schema"],
)
def test_a_value_that_is_not_an_object_is_the_argument_root(
    method: Method, schema: Any, name: str, value: Any, expected: Any
) -> None:
    """A call has the one argument `root`; as JSON it is the value itself. What is inside is checked too."""
    answer = {"root": value} if method == "function_calling" else value
    wrong = {"root": "x"} if method == "function_calling" else ["x"]
    backend = FakeBackend(turn(written(method, name, wrong)), turn(written(method, name, answer)))
    assert model_of(backend).with_structured_output(schema, method=method).invoke("Which?") == expected
    assert len(backend.prompts) == 2


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "json_schema", "json_schema": {"name": "Person", "schema": SCHEMA, "strict": True}},
        {"type": "json_schema", "name": "Person", "schema": SCHEMA},
        {"name": "Person", "schema": SCHEMA},
    ],
    ids=["chat completions", "responses", "inner"],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_schema_in_openais_form_is_a_schema(method: Method, schema: dict[str, Any]) -> None:
    """OpenAI's dict for `response_format` is a schema."""
    model = model_of(FakeBackend(turn(written(method, "Person"))))
    assert model.with_structured_output(schema, method=method).invoke("Ada is 36.") == ADA


@dataclass
class Point:
    """A point."""

    x: int
    y: int = 0


@pytest.mark.parametrize("method", METHODS)
def test_a_dataclass_gives_its_objects(method: Method) -> None:
    """Every type that pydantic knows is a schema."""
    backend = FakeBackend(turn(written(method, "Point", {"x": "a"})), turn(written(method, "Point", {"x": 1})))
    assert model_of(backend).with_structured_output(Point, method=method).invoke("Where?") == Point(1)


@pytest.mark.parametrize("method", METHODS)
def test_aliases_and_kinds_are_those_of_the_class(method: Method) -> None:
    """The model writes the names and the values that the schema has."""

    class Color(Enum):
        RED = "red"

    class Car(BaseModel):
        model_config = ConfigDict(extra="forbid")
        color: Color
        built: date = Field(alias="yearBuilt")
        tags: set[str] = set()

    value = {"color": "red", "yearBuilt": "2024-05-17", "tags": ["a", "a"]}
    turns = [turn(written(method, "Car", {**value, "more": 1})), turn(written(method, "Car", value))]
    made = model_of(FakeBackend(*turns)).with_structured_output(Car, method=method).invoke("Which?")
    assert (made.color, made.built, made.tags) == (Color.RED, date(2024, 5, 17), {"a"})


def test_a_result_has_the_type_of_its_schema() -> None:
    """Mypy checks this: no cast where a class is given."""
    model = model_of(FakeBackend(turn(call("Person", **ADA)), turn(call("PersonDict", **ADA)), turn(call("Person"))))
    assert_type(model.with_structured_output(Person).invoke("Who?"), Person)
    assert_type(model.with_structured_output(PersonDict).invoke("Who?"), PersonDict)
    assert_type(model.with_structured_output(Person, include_raw=True), Runnable[LanguageModelInput, dict[str, Any]])


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
    assert "look_up(name: string)" in backend.prompts[0].text


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
