"""Answers as objects of a pydantic class: whole, and growing as they stream.

Needs `pip install ".[llama-index]"`.
"""

from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel, Field

from llama_index.llms.bing import Bing


class Person(BaseModel):
    """Somebody who is mentioned."""

    name: str
    age: int = Field(description="In years.")
    city: str


class Packing(BaseModel):
    """What to take on a trip."""

    destination: str
    things: list[str]


PROMPT = PromptTemplate("{text}")
TRIP = 'I travel to my destination "Oslo". I must not forget "boots", "a map" and "a warm hat".'

with Bing(search=False) as llm:
    print(llm.structured_predict(Person, PROMPT, text='Her name is "Ada", her age is 36, and her city is "London".'))
    for packing in llm.stream_structured_predict(Packing, PROMPT, text=TRIP):
        print(packing)
