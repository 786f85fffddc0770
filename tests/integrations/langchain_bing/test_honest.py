"""The emulator's rules give what grades, routes, chooses or queries no answer that looks right."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel, Field, ValidationError

from bing_llm.emulator import Emulator
from bing_llm.emulator.brains.schemas import NO_MODEL
from langchain_bing import ChatBing

GRADE = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            "You grade the relevance of a document. Give a binary score 'yes' or 'no' to show whether it is.",
        ),
        (
            "human",
            "Retrieved document:\n\nThe moon is made of cheese, yes.\n\nUser question: What is the moon made of?",
        ),
    ]
)
NAMED = ChatPromptTemplate.from_messages([("human", "Score this: 4. Or route it to the vectorstore.")])
ROUTE = ChatPromptTemplate.from_messages(
    [("system", "You route a question to a vectorstore or a websearch."), ("human", "Is the vectorstore slow today?")]
)


class Grade(BaseModel):
    """A binary score for the relevance of a document."""

    binary_score: Literal["yes", "no"]


class Score(BaseModel):
    """How good an answer is."""

    score: int = Field(ge=1, le=5)
    correct: bool


class Route(BaseModel):
    """The most relevant source for a question."""

    datasource: Literal["vectorstore", "websearch"]


@pytest.fixture
def model(bing_emulator: Emulator) -> ChatBing:
    """A model whose service has the rules alone."""
    return ChatBing(endpoint=bing_emulator.url)


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
@pytest.mark.parametrize(
    ("schema", "prompt"), [(Grade, GRADE), (Score, GRADE), (Route, ROUTE), (Score, NAMED), (Route, NAMED)]
)
def test_nothing_is_graded_or_routed(schema: Any, prompt: ChatPromptTemplate, method: Any, model: ChatBing) -> None:
    """The framework's own error is raised: no object comes, or none that the schema takes."""
    chain = prompt | model.with_structured_output(schema, method=method)
    with pytest.raises((OutputParserException, ValidationError)):
        chain.invoke({})


def test_a_parser_of_a_chain_finds_nothing(model: ChatBing) -> None:
    """Also where the schema is written by LangChain, in the prompt."""
    parser = PydanticOutputParser(pydantic_object=Score)
    prompt = ChatPromptTemplate.from_template("Rate the answer.\n{form}\nAnswer: 2 + 2 = 5, score 5, correct: true")
    with pytest.raises(OutputParserException):
        (prompt.partial(form=parser.get_format_instructions()) | model | parser).invoke({})


@pytest.mark.parametrize(
    "prompt",
    [
        "Is the moon made of cheese? Answer with yes or no.",
        "Rate this answer from 1 to 5: it is 4.",
        "Choose the best of these: (A) the sea (B) the quay.",
        "Write an SQL query that counts the boats: SELECT",
        "Classify the sentiment of 'I love boats' as positive or negative.",
        "Context: The moon is made of cheese, yes.\nQuestion: Is it? Answer YES or NO.\nAnswer:",
    ],
)
def test_what_asks_for_a_verdict_gets_the_line(prompt: str, model: ChatBing) -> None:
    """One line that says that there is no model, without a word of the prompt."""
    assert model.invoke(prompt).text == NO_MODEL


def test_a_question_about_given_text_is_answered_from_it(model: ChatBing) -> None:
    """By the sentence that has its words, in the usual forms of a prompt."""
    notes = "The tide gauge is read at six.\nMy mooring is number 12."
    for messages in (
        [("system", f"Answer from this context:\n\n{notes}"), ("human", "What is my mooring?")],
        [("human", f"Use the following context.\nQuestion: What is my mooring?\nContext: {notes}\nAnswer:")],
        [("human", f"Answer from the context alone:\n{notes}\n\nQuestion: What is my mooring?")],
    ):
        assert model.invoke(messages).text == "The context says: “My mooring is number 12.”"
