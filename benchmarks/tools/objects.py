"""Objects of twenty schemas: what is read out of a text, and what must come out."""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.tools.catalogue import FLAG, NUMBER, TEXT, WHOLE, choice, items, record
from benchmarks.tools.checks import Check, JsonObject, any_order, exactly, has, is_object, one_of


class Extraction(msgspec.Struct, frozen=True):
    """A text, the schema of the object to read out of it, and the check of that object."""

    question: str
    schema: JsonObject
    check: Check


def _read(name: str, question: str, schema: JsonObject, wanted: Any) -> Extraction:
    return Extraction(question, {"title": name, **schema}, is_object(wanted))


def _nullable(kind: JsonObject) -> JsonObject:
    return {"anyOf": [kind, {"type": "null"}]}


_ADDRESS = record({"street": TEXT, "city": TEXT, "postcode": TEXT})
_NODE: JsonObject = {
    "type": "object",
    "properties": {"name": TEXT, "children": items({"$ref": "#/$defs/Node"})},
    "required": ["name", "children"],
}

EXTRACTIONS = (
    _read(
        "Person",
        "Ada Lovelace was 36 years old.",
        record({"name": TEXT, "age": WHOLE}),
        {"name": "Ada Lovelace", "age": 36},
    ),
    _read(
        "Book",
        "Dune, by Frank Herbert, came out in 1965 and has 412 pages.",
        record({"title": TEXT, "author": TEXT, "year": WHOLE, "pages": WHOLE}),
        {"title": "Dune", "author": "Frank Herbert", "year": 1965, "pages": 412},
    ),
    _read(
        "Sentiment",
        "Classify the review: 'The battery died after a day. Never again.'",
        record({"label": choice("positive", "negative", "neutral")}),
        {"label": "negative"},
    ),
    _read(
        "Ticket",
        "Sort this ticket: 'I was charged twice this month, please fix it quickly!'",
        record({"category": choice("billing", "technical", "other"), "urgent": FLAG}),
        {"category": "billing", "urgent": True},
    ),
    _read(
        "Tags",
        "List the three fruits in: We bought apples, a cabbage, pears and cherries.",
        record({"fruits": items(TEXT)}),
        {"fruits": any_order(one_of("apple", "apples"), one_of("pear", "pears"), one_of("cherry", "cherries"))},
    ),
    _read(
        "Address",
        "Ship it to 10 Downing Street, London, SW1A 2AA.",
        record({"address": _ADDRESS}),
        {"address": {"street": "10 Downing Street", "city": "London", "postcode": "SW1A 2AA"}},
    ),
    _read(
        "Invoice",
        "Two chairs at 40 euros each and one desk at 120 euros: 200 euros in all.",
        record({"lines": items(record({"product": TEXT, "quantity": WHOLE, "price": NUMBER})), "total": NUMBER}),
        {
            "lines": any_order(
                {"product": one_of("chair", "chairs"), "quantity": 2, "price": 40},
                {"product": one_of("desk", "desks"), "quantity": 1, "price": 120},
            ),
            "total": 200,
        },
    ),
    _read(
        "Meeting",
        "The review is on 3 May 2027 at 9:30 in room B14.",
        record({"date": {"type": "string", "format": "date"}, "time": TEXT, "room": TEXT}),
        {"date": "2027-05-03", "time": one_of("09:30", "9:30"), "room": one_of("B14", "room B14")},
    ),
    _read(
        "Contact",
        "Reach Bo Chen at bo@example.org. No phone is known.",
        record({"name": TEXT, "email": TEXT, "phone": _nullable(TEXT)}),
        {"name": "Bo Chen", "email": "bo@example.org", "phone": lambda value: value is None},
    ),
    _read(
        "Coordinates",
        "The lighthouse stands at latitude 57.75 and longitude 10.6.",
        record({"latitude": NUMBER, "longitude": NUMBER}),
        {"latitude": 57.75, "longitude": 10.6},
    ),
    _read(
        "Poll",
        "42 people said yes, 17 said no, 3 did not answer.",
        record({"yes": WHOLE, "no": WHOLE, "missing": WHOLE}),
        {"yes": 42, "no": 17, "missing": 3},
    ),
    _read(
        "Answer",
        "What is 12 * 12? Give the result and say in one sentence how you got it.",
        record({"explanation": TEXT, "result": NUMBER}),
        {"result": 144, "explanation": has("12")},
    ),
    _read(
        "Translation",
        "Give 'thank you' in French and in German.",
        record({"french": TEXT, "german": TEXT}),
        {"french": "merci", "german": "danke"},
    ),
    _read(
        "Route",
        "We drive from Lyon through Dijon to Paris.",
        record({"start": TEXT, "stops": items(TEXT), "end": TEXT}),
        {"start": "Lyon", "stops": ["Dijon"], "end": "Paris"},
    ),
    _read(
        "Team",
        "The team is led by Kim; Lee and Max are members.",
        record({"lead": record({"name": TEXT}), "members": items(record({"name": TEXT}))}),
        {"lead": {"name": "Kim"}, "members": any_order({"name": "Lee"}, {"name": "Max"})},
    ),
    _read(
        "Settings",
        "Use the dark theme, font size 14, and do not save automatically.",
        record({"theme": choice("light", "dark"), "font_size": WHOLE, "autosave": FLAG}),
        {"theme": "dark", "font_size": 14, "autosave": False},
    ),
    _read(
        "Tree",
        "The folder docs has the folders guide and api; they are empty.",
        {"$ref": "#/$defs/Node", "$defs": {"Node": _NODE}},
        {"name": "docs", "children": any_order({"name": "guide", "children": []}, {"name": "api", "children": []})},
    ),
    _read(
        "Payment",
        "She paid 15.50 by card; the last four digits were 4242.",
        record(
            {
                "amount": NUMBER,
                "method": {
                    "anyOf": [
                        record({"kind": {"const": "card"}, "last_digits": TEXT}),
                        record({"kind": {"const": "cash"}}),
                    ]
                },
            }
        ),
        {"amount": 15.5, "method": {"kind": "card", "last_digits": "4242"}},
    ),
    _read(
        "Quote",
        'Who said what? Galileo said: "And yet it moves."',
        record({"speaker": TEXT, "quote": TEXT}),
        {"speaker": "Galileo", "quote": has("And yet it moves")},
    ),
    _read(
        "Snippet",
        "Give the Python expression for the square of x, by the operator **.",
        record({"language": choice("python", "javascript"), "code": TEXT}),
        {"language": "python", "code": one_of(exactly("x**2"), exactly("x ** 2"))},
    ),
)
