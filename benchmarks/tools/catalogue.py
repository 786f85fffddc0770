"""The tools that the tasks offer, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.tools.checks import JsonObject

TEXT: JsonObject = {"type": "string"}
WHOLE: JsonObject = {"type": "integer"}
NUMBER: JsonObject = {"type": "number"}
FLAG: JsonObject = {"type": "boolean"}


def described(kind: JsonObject, description: str) -> JsonObject:
    """The type with a description."""
    return {**kind, "description": description}


def choice(*values: str) -> JsonObject:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def items(kind: JsonObject) -> JsonObject:
    """A list of this."""
    return {"type": "array", "items": kind}


def record(properties: Mapping[str, JsonObject], *optional: str) -> JsonObject:
    """An object with these properties, all required but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


def tool(name: str, description: str, properties: Mapping[str, JsonObject], *optional: str) -> JsonObject:
    """A tool in OpenAI's form."""
    function = {"name": name, "description": description, "parameters": record(properties, *optional)}
    return {"type": "function", "function": function}


WEATHER = tool("get_weather", "Get the current weather in a city.", {"city": TEXT})
FORECAST = tool(
    "get_forecast",
    "Get the weather forecast of a city for the coming days.",
    {"city": TEXT, "days": described(WHOLE, "How many days, 1 to 14.")},
)
TIME = tool("get_time", "Get the current local time in a city.", {"city": TEXT})
SEARCH = tool("web_search", "Search the web for current information.", {"query": TEXT})
CALCULATE = tool(
    "calculate", "Evaluate an arithmetic expression.", {"expression": described(TEXT, "Such as 2 * (3 + 4)")}
)
CONVERT = tool("convert_currency", "Convert an amount of money.", {"amount": NUMBER, "source": TEXT, "target": TEXT})
STOCK = tool("get_stock_price", "Get the latest price of a share by its ticker symbol.", {"symbol": TEXT})
EMAIL = tool("send_email", "Send an email.", {"to": TEXT, "subject": TEXT, "body": TEXT})
TRANSLATE = tool("translate", "Translate a text.", {"text": TEXT, "language": described(TEXT, "The target language.")})
REMIND = tool(
    "set_reminder", "Set a reminder.", {"text": TEXT, "minutes": described(WHOLE, "In how many minutes from now.")}
)
LIGHT = tool("set_light", "Switch the light of a room.", {"room": TEXT, "on": FLAG})
ALARM = tool("set_alarm", "Set an alarm.", {"time": described(TEXT, "24-hour time, HH:MM.")})
PLAY = tool("play_music", "Play music by an artist.", {"artist": TEXT, "shuffle": FLAG}, "shuffle")
CONTACT = tool("find_contact", "Find the email address of a person in the address book.", {"name": TEXT})
FLIGHTS = tool(
    "search_flights", "Search flights.", {"origin": TEXT, "destination": TEXT, "date": described(TEXT, "YYYY-MM-DD")}
)
HOTEL = tool("book_hotel", "Book a hotel.", {"city": TEXT, "nights": WHOLE, "guests": WHOLE})
READ_FILE = tool("read_file", "Read a file.", {"path": TEXT})
WRITE_FILE = tool("write_file", "Write a text to a file. Replaces what was there.", {"path": TEXT, "content": TEXT})
DELETE_FILES = tool(
    "delete_files",
    "Delete the files of a folder that are older than some days.",
    {"folder": TEXT, "older_than_days": WHOLE},
)
RUN_SQL = tool("run_sql", "Run an SQL query on the shop's database.", {"query": TEXT})
RUN_PYTHON = tool("run_python", "Run Python code and return what it prints.", {"code": TEXT})
RECIPE = tool(
    "find_recipe", "Find a recipe by its ingredients.", {"ingredients": items(TEXT), "vegetarian": FLAG}, "vegetarian"
)
ORDER_STATUS = tool("get_order_status", "Get the status of an order by its number.", {"order_id": TEXT})
REFUND = tool("refund_order", "Refund an order.", {"order_id": TEXT, "reason": TEXT})

CREATE_ORDER = tool(
    "create_order",
    "Create an order for a customer.",
    {
        "customer": record({"name": TEXT, "email": TEXT}),
        "items": items(record({"product": TEXT, "quantity": WHOLE})),
        "express": FLAG,
    },
    "express",
)
CREATE_EVENT = tool(
    "create_event",
    "Create an event in the calendar.",
    {
        "title": TEXT,
        "when": record({"date": described(TEXT, "YYYY-MM-DD"), "start": described(TEXT, "HH:MM"), "minutes": WHOLE}),
        "attendees": items(TEXT),
    },
)
FILTER = tool(
    "filter_products",
    "List products that pass all filters.",
    {
        "filters": items(
            record({"field": choice("price", "rating", "brand"), "op": choice("<", ">", "="), "value": TEXT})
        ),
        "sort": record({"by": choice("price", "rating"), "descending": FLAG}),
    },
    "sort",
)
DRAW = tool(
    "draw_shape",
    "Draw a shape.",
    {
        "shape": choice("circle", "rectangle"),
        "position": record({"x": WHOLE, "y": WHOLE}),
        "style": record({"color": TEXT, "filled": FLAG}, "filled"),
    },
    "style",
)

TEN = [WEATHER, TIME, SEARCH, CALCULATE, CONVERT, STOCK, EMAIL, TRANSLATE, REMIND, PLAY]
"""Ten tools to choose from."""

HOME = [LIGHT, ALARM, PLAY, REMIND]
FILES = [READ_FILE, WRITE_FILE, DELETE_FILES]
SHOP = [ORDER_STATUS, REFUND, CREATE_ORDER]
