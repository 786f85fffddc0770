"""Tasks of a single turn: what is asked, with which tools, and what is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Literal, TypeAlias

import msgspec
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from benchmarks.tools import catalogue as have
from benchmarks.tools.checks import Check, JsonObject, any_order, calls, exactly, has, one_of, says

Kind: TypeAlias = Literal["single", "choose", "nested", "strings", "parallel", "none", "required", "results", "turns"]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a model with tools.

    Attributes:
        kind: What it tries.
        messages: The history, the question last.
        tools: In OpenAI's form.
        check: What is right.
        choice: `tool_choice`: auto, any, or a tool's name.
    """

    kind: Kind
    messages: tuple[AnyMessage, ...]
    tools: tuple[JsonObject, ...]
    check: Check
    choice: str = "auto"

    @property
    def question(self) -> str:
        """The newest message as a line for a table."""
        return " ".join(str(self.messages[-1].content).split())


def _ask(
    kind: Kind, question: str | Sequence[AnyMessage], tools: Sequence[JsonObject], check: Check, choice: str = "auto"
) -> Task:
    messages = (HumanMessage(question),) if isinstance(question, str) else tuple(question)
    return Task(kind=kind, messages=messages, tools=tuple(tools), check=check, choice=choice)


def _called(*made: tuple[str, Mapping[str, object]], text: str = "") -> AIMessage:
    """A message of the model with calls, whose ids are c0, c1, ..."""
    known = [{"name": name, "args": dict(args), "id": f"c{index}"} for index, (name, args) in enumerate(made)]
    return AIMessage(text, tool_calls=known)


def _result(content: str, number: int = 0, *, failed: bool = False) -> ToolMessage:
    return ToolMessage(content, tool_call_id=f"c{number}", status="error" if failed else "success")


SINGLE = [
    _ask(
        "single", "What is the weather in Paris right now?", [have.WEATHER], calls(("get_weather", {"city": "Paris"}))
    ),
    _ask(
        "single",
        "Turn off the light in the kitchen.",
        [have.LIGHT],
        calls(("set_light", {"room": "kitchen", "on": False})),
    ),
    _ask(
        "single",
        "Wake me at half past six in the morning.",
        [have.ALARM],
        calls(("set_alarm", {"time": one_of("06:30", "6:30")})),
    ),
    _ask(
        "single",
        "Remind me to call mum in two hours.",
        [have.REMIND],
        calls(("set_reminder", {"text": has("call"), "minutes": 120})),
    ),
    _ask(
        "single",
        "How much is 250 US dollars in euros today?",
        [have.CONVERT],
        calls(
            (
                "convert_currency",
                {
                    "amount": 250,
                    "source": one_of("USD", "US dollars", "US dollar"),
                    "target": one_of("EUR", "euros", "euro"),
                },
            )
        ),
    ),
    _ask(
        "single",
        "Will it rain in Lisbon in the next three days?",
        [have.FORECAST],
        calls(("get_forecast", {"city": "Lisbon", "days": 3})),
    ),
    _ask(
        "single",
        "Find flights from Berlin to Rome on the 5th of March 2027.",
        [have.FLIGHTS],
        calls(("search_flights", {"origin": "Berlin", "destination": "Rome", "date": "2027-03-05"})),
    ),
    _ask(
        "single",
        "Book a hotel in Vienna for two people, four nights.",
        [have.HOTEL],
        calls(("book_hotel", {"city": "Vienna", "nights": 4, "guests": 2})),
    ),
]

CHOOSE = [
    _ask("choose", "What time is it in Tokyo?", have.TEN, calls(("get_time", {"city": "Tokyo"}))),
    _ask("choose", "What is 1234 times 5678?", have.TEN, calls(("calculate", {"expression": has("1234", "5678")}))),
    _ask(
        "choose",
        "How do you say 'good morning' in Finnish? Use the translator.",
        have.TEN,
        calls(("translate", {"text": has("good morning"), "language": one_of("Finnish", "fi")})),
    ),
    _ask(
        "choose",
        "What is a Microsoft share worth at the moment?",
        have.TEN,
        calls(("get_stock_price", {"symbol": "MSFT"})),
    ),
    _ask(
        "choose", "Who won last night's election in Norway?", have.TEN, calls(("web_search", {"query": has("Norway")}))
    ),
    _ask("choose", "Put on some songs by Nina Simone.", have.TEN, calls(("play_music", {"artist": "Nina Simone"}))),
    _ask("choose", "Do I need an umbrella in Bergen today?", have.TEN, calls(("get_weather", {"city": "Bergen"}))),
    _ask(
        "choose",
        "In 45 minutes I must take the bread out of the oven. Don't let me forget.",
        have.TEN,
        calls(("set_reminder", {"text": has("bread"), "minutes": 45})),
    ),
]

NESTED = [
    _ask(
        "nested",
        "Order 3 lamps and 1 table for Ada Lovelace, ada@example.org.",
        [have.CREATE_ORDER],
        calls(
            (
                "create_order",
                {
                    "customer": {"name": "Ada Lovelace", "email": "ada@example.org"},
                    "items": any_order(
                        {"product": one_of("lamp", "lamps"), "quantity": 3},
                        {"product": one_of("table", "tables"), "quantity": 1},
                    ),
                },
            )
        ),
    ),
    _ask(
        "nested",
        "Put 'Budget review' into my calendar on 2027-02-11 at 14:00, 90 minutes, with Bo and Cy.",
        [have.CREATE_EVENT],
        calls(
            (
                "create_event",
                {
                    "title": "Budget review",
                    "when": {"date": "2027-02-11", "start": "14:00", "minutes": 90},
                    "attendees": any_order("Bo", "Cy"),
                },
            )
        ),
    ),
    _ask(
        "nested",
        "Show me products under 50 with a rating over 4, the cheapest first.",
        [have.FILTER],
        calls(
            (
                "filter_products",
                {
                    "filters": any_order(
                        {"field": "price", "op": "<", "value": "50"}, {"field": "rating", "op": ">", "value": "4"}
                    ),
                    "sort": {"by": "price", "descending": False},
                },
            )
        ),
    ),
    _ask(
        "nested",
        "Draw a filled red circle at x 10, y 20.",
        [have.DRAW],
        calls(
            (
                "draw_shape",
                {"shape": "circle", "position": {"x": 10, "y": 20}, "style": {"color": "red", "filled": True}},
            )
        ),
    ),
    _ask(
        "nested",
        "Send an express order of 12 pencils to Max Planck (max@example.net).",
        have.SHOP,
        calls(
            (
                "create_order",
                {
                    "customer": {"name": "Max Planck", "email": "max@example.net"},
                    "items": [{"product": one_of("pencil", "pencils"), "quantity": 12}],
                    "express": True,
                },
            )
        ),
    ),
    _ask(
        "nested",
        "Which products of the brand Acme are there?",
        [have.FILTER],
        calls(("filter_products", {"filters": [{"field": "brand", "op": "=", "value": "Acme"}]})),
    ),
]

STRINGS = [
    _ask(
        "strings",
        'Write the text She said "no". to the file quote.txt.',
        have.FILES,
        calls(("write_file", {"path": "quote.txt", "content": has('She said "no"')})),
    ),
    _ask(
        "strings",
        r"Read the file C:\temp\new\report.txt",
        have.FILES,
        calls(("read_file", {"path": exactly(r"C:\temp\new\report.txt")})),
    ),
    _ask(
        "strings",
        "Run Python code that prints the numbers 1 to 3, each on a line, with a for loop.",
        [have.RUN_PYTHON],
        calls(("run_python", {"code": has("for", "range", "print")})),
    ),
    _ask(
        "strings",
        "Write a file todo.md with two lines: the first is '- milk', the second is '- bread'.",
        have.FILES,
        calls(("write_file", {"path": "todo.md", "content": one_of("- milk - bread")})),
    ),
    _ask(
        "strings",
        "Translate 'Où est la bibliothèque ?' into English with the tool.",
        [have.TRANSLATE],
        calls(("translate", {"text": has("Où est la bibliothèque"), "language": one_of("English", "en")})),
    ),
    _ask(
        "strings",
        "Count the orders of the customer named O'Brien in the table orders; the column is customer.",
        [have.RUN_SQL],
        calls(("run_sql", {"query": has("count", "orders", "customer", "Brien")})),
    ),
]

PARALLEL = [
    _ask(
        "parallel",
        "What is the weather in Oslo and in Madrid?",
        [have.WEATHER],
        calls(("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Madrid"})),
    ),
    _ask(
        "parallel",
        "Switch the light on in the hall and off in the bedroom.",
        have.HOME,
        calls(("set_light", {"room": "hall", "on": True}), ("set_light", {"room": "bedroom", "on": False})),
    ),
    _ask(
        "parallel",
        "Give me the share prices of AAPL, NVDA and INTC.",
        [have.STOCK],
        calls(*(("get_stock_price", {"symbol": symbol}) for symbol in ("AAPL", "NVDA", "INTC"))),
    ),
    _ask(
        "parallel",
        "What time is it in Sydney, and what is the weather there?",
        have.TEN,
        calls(("get_time", {"city": "Sydney"}), ("get_weather", {"city": "Sydney"})),
    ),
    _ask(
        "parallel",
        "Set an alarm for 07:15 and play something by Miles Davis.",
        have.HOME,
        calls(("set_alarm", {"time": one_of("07:15", "7:15")}), ("play_music", {"artist": "Miles Davis"})),
    ),
    _ask(
        "parallel",
        "Read the files a.txt and b.txt.",
        have.FILES,
        calls(("read_file", {"path": "a.txt"}), ("read_file", {"path": "b.txt"})),
    ),
]

NONE = [
    _ask("none", "What is the capital of Italy?", [have.WEATHER, have.TIME], says("Rome")),
    _ask("none", "Hello! How are you?", have.TEN, says()),
    _ask("none", "Write one sentence about the sea.", have.HOME, says("sea|ocean|waves")),
    _ask("none", "Thanks, that was all.", have.SHOP, says()),
    _ask("none", "What tools can you use?", [have.WEATHER, have.EMAIL], says("weather|get_weather")),
    _ask("none", "How many legs does a spider have?", [have.STOCK, have.CONVERT], says("eight|8")),
]

REQUIRED = [
    _ask("required", "Hello!", [have.SEARCH], calls(("web_search", {})), "any"),
    _ask(
        "required",
        "Tell me about the weather in Rome.",
        [have.WEATHER, have.FORECAST],
        calls(("get_weather", {"city": "Rome"})),
        "get_weather",
    ),
    _ask(
        "required",
        "My order 8841 arrived broken. I want my money back.",
        have.SHOP,
        calls(("refund_order", {"order_id": "8841"})),
        "any",
    ),
    _ask(
        "required",
        "What is two plus two?",
        [have.CALCULATE],
        calls(("calculate", {"expression": lambda value: any(sign in str(value) for sign in "+24")})),
        "any",
    ),
    _ask(
        "required",
        "Say 'see you tomorrow' to Kim.",
        [have.EMAIL, have.CONTACT],
        calls(("find_contact", {"name": "Kim"})),
        "find_contact",
    ),
    _ask(
        "required",
        "Pasta, tomatoes, basil.",
        [have.RECIPE],
        calls(("find_recipe", {"ingredients": any_order("pasta", one_of("tomato", "tomatoes"), "basil")})),
        "any",
    ),
]

_WEATHER_QUESTION = HumanMessage("What is the weather in Oslo?")

RESULTS = [
    _ask(
        "results",
        [_WEATHER_QUESTION, _called(("get_weather", {"city": "Oslo"})), _result("-3 degrees, snow")],
        [have.WEATHER],
        says("-3|3|minus 3"),
    ),
    _ask(
        "results",
        [
            HumanMessage("Is it warmer in Oslo or in Rome?"),
            _called(("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"})),
            _result("4 degrees, cloudy", 0),
            _result("17 degrees, sunny", 1),
        ],
        [have.WEATHER, have.TIME],
        says("Rome"),
    ),
    _ask(
        "results",
        [HumanMessage("What is 37 * 43?"), _called(("calculate", {"expression": "37 * 43"})), _result("1591")],
        [have.CALCULATE],
        says("1591"),
    ),
    _ask(
        "results",
        [
            HumanMessage("Where is my order 5512?"),
            _called(("get_order_status", {"order_id": "5512"})),
            _result('{"status": "shipped", "carrier": "PostNord", "eta": "Thursday"}'),
        ],
        have.SHOP,
        says("Thursday"),
    ),
    _ask(
        "results",
        [
            HumanMessage("Email Kim that I am late."),
            _called(("find_contact", {"name": "Kim"})),
            _result("kim.larsen@example.org"),
        ],
        [have.CONTACT, have.EMAIL],
        calls(("send_email", {"to": "kim.larsen@example.org", "body": has("late")})),
    ),
    _ask(
        "results",
        [
            HumanMessage("What does notes.txt say?"),
            _called(("read_file", {"path": "notes.txt"})),
            _result("The meeting is moved to room B14."),
        ],
        have.FILES,
        says("B14"),
    ),
    _ask(
        "results",
        [
            HumanMessage("What is a share of Volvo worth?"),
            _called(("get_stock_price", {"symbol": "VOLVO"})),
            _result("Unknown symbol VOLVO. Did you mean VOLV-B?", failed=True),
        ],
        [have.STOCK],
        calls(("get_stock_price", {"symbol": "VOLV-B"})),
    ),
    _ask(
        "results",
        [
            HumanMessage("Switch on the light in the attic."),
            _called(("set_light", {"room": "attic", "on": True})),
            _result("ok"),
        ],
        have.HOME,
        says("on|switched|done|attic"),
    ),
]

TURNS = [
    _ask(
        "turns",
        [
            _WEATHER_QUESTION,
            _called(("get_weather", {"city": "Oslo"})),
            _result("-3 degrees, snow"),
            AIMessage("It is -3 degrees in Oslo, and it snows."),
            HumanMessage("And in Cairo?"),
        ],
        [have.WEATHER],
        calls(("get_weather", {"city": "Cairo"})),
    ),
    _ask(
        "turns",
        [
            _WEATHER_QUESTION,
            _called(("get_weather", {"city": "Oslo"})),
            _result("-3 degrees, snow"),
            AIMessage("It is -3 degrees in Oslo, and it snows."),
            HumanMessage("Should I wear a coat then?"),
        ],
        [have.WEATHER],
        says("yes|coat|jacket|warm"),
    ),
    _ask(
        "turns",
        [
            SystemMessage("You are the assistant of a shop."),
            HumanMessage("Hi, I am Bo."),
            AIMessage("Hello Bo! What can I do for you?"),
            HumanMessage("Has my order 7301 been shipped?"),
        ],
        have.SHOP,
        calls(("get_order_status", {"order_id": "7301"})),
    ),
    _ask(
        "turns",
        [
            HumanMessage("My name is Ines and I live in Porto."),
            AIMessage("Nice to meet you, Ines!"),
            HumanMessage("What is the weather where I live?"),
        ],
        have.TEN,
        calls(("get_weather", {"city": "Porto"})),
    ),
    _ask(
        "turns",
        [
            HumanMessage("Remind me in 10 minutes to drink water."),
            _called(("set_reminder", {"text": "drink water", "minutes": 10})),
            _result("reminder 1 set"),
            AIMessage("I will remind you in 10 minutes."),
            HumanMessage("Make another one in an hour: stretch."),
        ],
        have.HOME,
        calls(("set_reminder", {"text": has("stretch"), "minutes": 60})),
    ),
    _ask(
        "turns",
        [
            HumanMessage("My favourite colour is green."),
            AIMessage("Green is a lovely colour."),
            HumanMessage("What is my favourite colour?"),
        ],
        have.TEN,
        says("green"),
    ),
]

TASKS: tuple[Task, ...] = (*SINGLE, *CHOOSE, *NESTED, *STRINGS, *PARALLEL, *NONE, *REQUIRED, *RESULTS, *TURNS)


def halves(tasks: Sequence[Task]) -> tuple[list[Task], list[Task]]:
    """The tasks for tuning and those set aside: of each kind the first, third, ... and the second, fourth, ..."""
    kinds = [list(group) for _, group in groupby(tasks, lambda task: task.kind)]
    return [task for kind in kinds for task in kind[::2]], [task for kind in kinds for task in kind[1::2]]
