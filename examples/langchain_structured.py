"""Answers as objects: a pydantic class, filled by a tool call; and a JSON schema, whose object grows as it streams.

Needs `pip install ".[langchain]"`.
"""

from pydantic import BaseModel, Field

from langchain_bing import ChatBing


class Person(BaseModel):
    """Somebody who is mentioned."""

    name: str
    age: int = Field(description="In years.")
    city: str


PACKING = {
    "title": "Packing",
    "type": "object",
    "properties": {"destination": {"type": "string"}, "things": {"type": "array", "items": {"type": "string"}}},
    "required": ["destination", "things"],
}

with ChatBing(search=False) as model:
    print(model.with_structured_output(Person).invoke('Her name is "Ada", her age is 36, and her city is "London".'))

    trip = 'I travel to my destination "Oslo". I must not forget "boots", "a map" and "a warm hat".'
    for packing in model.with_structured_output(PACKING, method="json_schema").stream(trip):
        print(packing)
