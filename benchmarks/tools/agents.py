"""Problems for an agent: several calls, one after another, until it answers.

A problem makes its tools anew for each run, so that a run sees nothing of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from benchmarks.tools.checks import has_words

Tool: TypeAlias = Callable[..., str]
World: TypeAlias = dict[str, Any]
"""What the tools of one run have changed."""


class Problem(msgspec.Struct, frozen=True):
    """What an agent is asked.

    Attributes:
        question: The user's message.
        tools: Makes the tools over a world.
        solved: Whether the last text and the world are right.
    """

    question: str
    tools: Callable[[World], Sequence[Tool]]
    solved: Callable[[str, World], bool]


def _says(*words: str) -> Callable[[str, World], bool]:
    return lambda text, _: all(has_words(text, word) for word in words)


def _lookup(table: dict[str, str], key: str, unknown: str) -> str:
    return next((value for name, value in table.items() if name.casefold() == key.strip().casefold()), unknown)


def _temperatures(_: World) -> Sequence[Tool]:
    def get_temperature(city: str) -> str:
        """Get the current temperature in a city, in degrees Celsius."""
        return _lookup({"Oslo": "4", "Lisbon": "21", "Berlin": "11"}, city, "unknown city")

    return [get_temperature]


def _prices(_: World) -> Sequence[Tool]:
    def get_price(product: str) -> str:
        """Get the price of a product in euros."""
        singular = product.strip().casefold().removesuffix("s")
        return _lookup({"apple": "0.50", "melon": "3.20", "bread": "2.75"}, singular, "unknown product")

    return [get_price]


def _arithmetic(_: World) -> Sequence[Tool]:
    def add(a: float, b: float) -> str:
        """Add two numbers."""
        return f"{a + b:g}"

    def multiply(a: float, b: float) -> str:
        """Multiply two numbers."""
        return f"{a * b:g}"

    return [add, multiply]


def _orders(_: World) -> Sequence[Tool]:
    def find_order(customer: str) -> str:
        """Find the number of a customer's last order."""
        return _lookup({"Ada": "A-17", "Bo": "A-23"}, customer, "no such customer")

    def get_order_status(order: str) -> str:
        """Get the status of an order by its number."""
        return _lookup({"A-17": "delivered on Monday", "A-23": "waiting for payment"}, order, "no such order")

    return [find_order, get_order_status]


def _mail(world: World) -> Sequence[Tool]:
    world["sent"] = []

    def find_contact(name: str) -> str:
        """Find a person's email address."""
        return _lookup({"Kim": "kim@example.org", "Lee": "lee@example.net"}, name, "no such person")

    def send_email(to: str, subject: str, body: str) -> str:
        """Send an email."""
        world["sent"].append((to, subject, body))
        return "sent"

    return [find_contact, send_email]


def _mailed(address: str, word: str) -> Callable[[str, World], bool]:
    def solved(_: str, world: World) -> bool:
        return [to for to, *_rest in world["sent"]] == [address] and word in str(world["sent"]).casefold()

    return solved


def _calendar(world: World) -> Sequence[Tool]:
    world["events"] = []

    def list_events(day: str) -> str:
        """List the events of a weekday."""
        return _lookup({"Monday": "10:00 Planning", "Tuesday": "09:00 Stand-up, 14:00 Dentist"}, day, "none")

    def create_event(day: str, time: str, title: str) -> str:
        """Create an event on a weekday at a time, HH:MM."""
        world["events"].append((day, time, title))
        return "created"

    return [list_events, create_event]


def _files(world: World) -> Sequence[Tool]:
    world["files"] = {
        "plan.txt": "The deadline is the 14th of June.",
        "old.txt": "nothing of use",
        "list.txt": "milk, bread, tea",
    }

    def list_files() -> str:
        """List the names of all files."""
        return ", ".join(world["files"])

    def read_file(name: str) -> str:
        """Read a file."""
        return _lookup(world["files"], name, "no such file")

    def delete_file(name: str) -> str:
        """Delete a file for good."""
        return "deleted" if world["files"].pop(name, None) is not None else "no such file"

    return [list_files, read_file, delete_file]


def _shares(_: World) -> Sequence[Tool]:
    def get_share_price(symbol: str) -> str:
        """Get the price of a share by its ticker symbol."""
        unknown = "Error: unknown symbol. Use find_symbol first."
        return _lookup({"VOLV-B": "251", "ERIC-B": "83"}, symbol, unknown)

    def find_symbol(company: str) -> str:
        """Find the ticker symbol of a company."""
        return _lookup({"Volvo": "VOLV-B", "Ericsson": "ERIC-B"}, company, "unknown company")

    return [get_share_price, find_symbol]


def _todos(world: World) -> Sequence[Tool]:
    world["todos"] = []

    def add_todo(text: str) -> str:
        """Add an entry to the to-do list."""
        world["todos"].append(text.casefold())
        return f"added, {len(world['todos'])} in all"

    return [add_todo]


def _flights(world: World) -> Sequence[Tool]:
    world["booked"] = []

    def search_flights(origin: str, destination: str) -> str:  # noqa: ARG001 - the model chooses by it
        """Search flights. Returns their numbers and prices."""
        return "LH12: 240 euros; SK90: 185 euros; BA33: 310 euros"

    def book_flight(number: str) -> str:
        """Book a flight by its number."""
        world["booked"].append(number)
        return "booked"

    return [search_flights, book_flight]


def _population(_: World) -> Sequence[Tool]:
    def get_population(city: str) -> str:
        """Get the population of a city."""
        return _lookup({"Bergen": "291940", "Tampere": "260180", "Aarhus": "295688"}, city, "unknown city")

    return [get_population]


def _wiki(_: World) -> Sequence[Tool]:
    def search_wiki(query: str) -> str:  # noqa: ARG001 - one result fits all
        """Search the wiki. Returns titles of pages."""
        return "Harbour bridge; Old harbour"

    def open_page(title: str) -> str:
        """Open a page of the wiki by its title."""
        pages = {
            "Harbour bridge": "The bridge was opened in 1937. It is 212 metres long.",
            "Old harbour": "The old harbour was closed in 1951.",
        }
        return _lookup(pages, title, "no such page")

    return [search_wiki, open_page]


def _thermostat(world: World) -> Sequence[Tool]:
    world["degrees"] = 19

    def get_thermostat() -> str:
        """Get the temperature to which the thermostat is set."""
        return str(world["degrees"])

    def set_thermostat(degrees: int) -> str:
        """Set the thermostat."""
        world["degrees"] = degrees
        return "set"

    return [get_thermostat, set_thermostat]


def _stock(world: World) -> Sequence[Tool]:
    world["ordered"] = []

    def get_stock(product: str) -> str:
        """Get how many pieces of a product are in stock."""
        singular = product.strip().casefold().removesuffix("s")
        return _lookup({"bolt": "3", "nut": "80"}, singular, "unknown product")

    def order_product(product: str, pieces: int) -> str:
        """Order more pieces of a product."""
        world["ordered"].append((product.casefold().removesuffix("s"), pieces))
        return "ordered"

    return [get_stock, order_product]


def _staff(_: World) -> Sequence[Tool]:
    def get_manager(person: str) -> str:
        """Get the manager of a person."""
        return _lookup({"Kim": "Lee", "Lee": "Ines", "Ines": "Omar"}, person, "nobody")

    def get_phone(person: str) -> str:
        """Get the phone number of a person."""
        return _lookup({"Ines": "555-0142", "Lee": "555-0111", "Omar": "555-0199"}, person, "unknown")

    return [get_manager, get_phone]


def _shipping(_: World) -> Sequence[Tool]:
    def get_weight(product: str) -> str:
        """Get the weight of a product in kilograms."""
        return _lookup({"anvil": "42", "feather": "0.01"}, product, "unknown product")

    def get_shipping_cost(kilograms: float) -> str:
        """Get the cost of shipping a weight, in euros."""
        return f"{5 + 2 * kilograms:g}"

    return [get_weight, get_shipping_cost]


def _scores(_: World) -> Sequence[Tool]:
    def get_scores(student: str) -> str:
        """Get the scores of a student."""
        return _lookup({"Mia": "70, 80, 90", "Tom": "60, 65, 85"}, student, "unknown student")

    def average(numbers: list[float]) -> str:
        """Compute the average of numbers."""
        return f"{sum(numbers) / max(len(numbers), 1):g}"

    return [get_scores, average]


PROBLEMS = (
    Problem("Where is it warmer now, in Oslo or in Lisbon?", _temperatures, _says("Lisbon")),
    Problem("What are the temperatures in Berlin and Oslo?", _temperatures, _says("11", "4")),
    Problem("What does a melon cost?", _prices, _says("3.20|3.2")),
    Problem("What do a melon and a bread cost together?", _prices, _says("5.95")),
    Problem("Compute 17 * 23 + 4 with the tools.", _arithmetic, _says("395")),
    Problem("Multiply 12.5 by 8, then add 1. Use the tools.", _arithmetic, _says("101")),
    Problem("Has Ada's last order been delivered?", _orders, _says("delivered|yes")),
    Problem("What is the status of Bo's last order?", _orders, _says("payment")),
    Problem("Write an email to Kim that the lunch is at noon.", _mail, _mailed("kim@example.org", "noon")),
    Problem("Ask Lee by email for the report.", _mail, _mailed("lee@example.net", "report")),
    Problem("What is in my calendar on Tuesday?", _calendar, _says("Dentist", "Stand-up")),
    Problem(
        "Create an event 'Review' on Monday at 15:00.",
        _calendar,
        lambda _, world: [(day, time) for day, time, _title in world["events"]] == [("Monday", "15:00")],
    ),
    Problem("Which date is the deadline? It is written in one of the files.", _files, _says("June", "14|14th")),
    Problem(
        "Delete the file old.txt and nothing else.",
        _files,
        lambda _, world: sorted(world["files"]) == ["list.txt", "plan.txt"],
    ),
    Problem("What is a share of Volvo worth?", _shares, _says("251")),
    Problem(
        "Put milk and bread on my to-do list, each as an entry of its own.",
        _todos,
        lambda _, world: sorted(entry.split()[-1] for entry in world["todos"]) == ["bread", "milk"],
    ),
    Problem("Book the cheapest flight from Berlin to Oslo.", _flights, lambda _, world: world["booked"] == ["SK90"]),
    Problem("Which of Bergen, Tampere and Aarhus has the most people?", _population, _says("Aarhus")),
    Problem("In which year was the harbour bridge opened? Look it up in the wiki.", _wiki, _says("1937")),
    Problem(
        "Make it two degrees warmer than the thermostat is set now.",
        _thermostat,
        lambda _, world: str(world["degrees"]) == "21",
    ),
    Problem(
        "If there are fewer than 10 bolts in stock, order 100.",
        _stock,
        lambda _, world: world["ordered"] == [("bolt", 100)],
    ),
    Problem("What is the phone number of the manager of Kim's manager?", _staff, _says("555-0142")),
    Problem("What does it cost to ship an anvil?", _shipping, _says("89")),
    Problem("What is the average of Tom's scores?", _scores, _says("70")),
)
"""The even ones are for tuning, the odd ones are set aside."""
