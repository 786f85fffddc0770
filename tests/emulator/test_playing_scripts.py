"""A script as a client of each service sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bing_llm import BingClient, BingError, ChatHub, Reply, Service, WorkIQ
from bing_llm import events as ev
from bing_llm.emulator import Emulator, Script
from bing_llm.emulator.script import ERRORS
from bing_llm.errors import ConnectionLost, ProtocolError, ServiceError, Throttled, TimedOut
from bing_llm.limits import Retries, Timeouts

TOKEN = "the-token-of-work-iq"
ONCE: dict[str, Any] = {"retries": Retries(attempts=1)}
IMPATIENT: dict[str, Any] = {**ONCE, "timeouts": Timeouts(silence=0.2, answer=0.2)}
"""Of a client that waits for what never comes."""

SERVICES: dict[str, Callable[[Emulator], Service]] = {
    "chathub": lambda emulator: ChatHub(endpoint=emulator.url),
    "workiq": lambda emulator: WorkIQ(endpoint=emulator.workiq_url, token=TOKEN, time_zone="UTC"),
    "a2a": lambda emulator: WorkIQ(endpoint=emulator.a2a_url, token=TOKEN, agent="P_writer.emulator", time_zone="UTC"),
}

ANSWER = """
answers:
  - text: "It rained [^1^], and snowed [^2^]."
    searches:
      - query: weather
        results: [{url: "https://www.example.com/found", title: Found, snippets: [Something]}]
    citations:
      - {url: "https://www.example.com/rain", title: Rain}
      - https://www.example.com/snow
    suggestions: [And tomorrow?]
    pace: 0.001
"""


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """One whose token is known."""
    async with Emulator(token=TOKEN) as running:
        yield running


@pytest.fixture(params=SERVICES)
async def client(emulator: Emulator, request: pytest.FixtureRequest) -> AsyncIterator[BingClient]:
    """A client of each service, which tries once."""
    async with BingClient(SERVICES[request.param](emulator), **ONCE) as bing:
        yield bing


def play(emulator: Emulator, text: str) -> None:
    """Play a script."""
    emulator.play(Script.parse(text))


async def test_each_key_of_an_answer_arrives(emulator: Emulator, client: BingClient) -> None:
    """As far as the service has it: only the ChatHub shows searches and suggestions."""
    play(emulator, ANSWER)
    reply = await client.ask("Hello")
    on_chathub = emulator.requests[-1].path == "/sydney/ChatHub"
    rain, snow = reply.citations
    assert (rain.number, rain.url.partition("#")[0]) == (1, "https://www.example.com/rain")
    assert (snow.number, snow.url.partition("#")[0]) == (2, "https://www.example.com/snow")
    assert all(reply.text[start:end].startswith("[") for each in reply.citations for start, end in each.spans)
    assert reply.text.startswith("It rained [")
    found = ev.SearchResult("Found", "https://www.example.com/found", ("Something",))
    assert reply.searches == ((ev.Search("weather", (found,)),) if on_chathub else ())
    assert reply.suggestions == (("And tomorrow?",) if on_chathub else ())
    if not on_chathub:
        assert reply.text.startswith("It rained [1](https://www.example.com/rain")


async def test_answers_that_are_used_up_are_refused(emulator: Emulator, client: BingClient) -> None:
    """With words that say so."""
    play(emulator, "answers: [One]")
    assert (await client.ask("Hello")).text == "One"
    with pytest.raises(BingError, match="The script of the emulator has no turn number 2; it has 1"):
        await client.ask("Hello")


@pytest.mark.parametrize("name", [name for name in ERRORS if name != "timed out"])
async def test_each_error_arrives(emulator: Emulator, client: BingClient, name: str) -> None:
    """As the error of that name, where the service can tell it; after some text, with the text."""
    play(emulator, f"answers: [{{text: Half an answer, error: {name}}}]")
    outcome: Reply | BingError
    try:
        outcome = await client.ask("Hello")
    except BingError as exc:
        outcome = exc
    if isinstance(outcome, Reply):
        assert outcome.revoked or name in {"turn limit reached", "conversation ended", "content filtered"}
    else:
        assert outcome.partial_text in {"", "Half an answer"}
    assert "error" in {request.outcome for request in emulator.requests if request.kind == "chat"}


FAULTS: list[tuple[str, type[BingError] | str]] = [
    ("{step: creation, fault: service error}", ServiceError),
    ("{step: creation, fault: http answer, status: 503}", ServiceError),
    ("{step: creation, fault: split, size: 1}", "One two three."),
    ("{step: creation, fault: late, seconds: 0}", "One two three."),
    ("{step: first, fault: throttled}", Throttled),
    ("{step: first, fault: split, size: 99}", "One two three."),
    ("{step: first, fault: merge}", "One two three."),
    ("{step: mid, after: 2, fault: raw, text: '{'}", ProtocolError),
    ("{step: mid, after: 1, fault: text revised, text: Zero}", "Zerotwo three."),
    ("{step: last, fault: progress, text: Nearly}", "One two three."),
    ("{step: mid, after: 9, fault: cut}", "One two three."),
]


@pytest.mark.parametrize(("line", "came"), FAULTS, ids=[line for line, _ in FAULTS])
async def test_faults_hit_each_service(
    emulator: Emulator, client: BingClient, line: str, came: type[BingError] | str
) -> None:
    """A script names no service: a fault hits whichever is asked."""
    play(emulator, f"answers: [One two three.]\nfaults: [{line}]")
    if isinstance(came, str):
        assert (await client.ask("Hello")).text == came
    else:
        with pytest.raises(came):
            await client.ask("Hello")
    assert bool(emulator.faults) is ("after: 9" in line)


ONE_SERVICE: list[tuple[str, str, type[BingError]]] = [
    ("chathub", "{step: upgrade, fault: http answer, status: 500}", ServiceError),
    ("chathub", "{step: handshake, fault: handshake refused, error: Not today.}", ProtocolError),
    ("chathub", "{step: mid, fault: cut, how: close 1001}", ConnectionLost),
    ("chathub", "{step: mid, fault: cut, how: type 3}", ServiceError),
    ("workiq", "{step: request, fault: http answer, status: 504}", ServiceError),
    ("chathub", "{step: mid, after: 2, fault: cut}", ConnectionLost),
    ("workiq", "{step: mid, after: 2, fault: cut}", ConnectionLost),
    ("workiq", "{step: mid, fault: cut, how: end}", ConnectionLost),
    ("a2a", "{step: request, fault: http answer, status: 504}", ServiceError),
]


@pytest.mark.parametrize(("service", "line", "came"), ONE_SERVICE, ids=[line for _, line, _ in ONE_SERVICE])
async def test_faults_of_one_service(emulator: Emulator, service: str, line: str, came: type[BingError]) -> None:
    """Steps and ways that only one has."""
    play(emulator, f"answers: [One two three.]\nfaults: [{line}]")
    async with BingClient(SERVICES[service](emulator), **ONCE) as bing:
        with pytest.raises(came):
            await bing.ask("Hello")


@pytest.mark.parametrize("script", ["answers: [{error: timed out}]", "faults: [{step: last, fault: silence}]"])
@pytest.mark.parametrize("service", SERVICES)
async def test_what_never_comes(emulator: Emulator, service: str, script: str) -> None:
    """A client gives up on its own."""
    play(emulator, script)
    async with BingClient(SERVICES[service](emulator), **IMPATIENT) as bing:
        with pytest.raises(TimedOut):
            await bing.ask("Hello")


async def test_what_a_client_survives(emulator: Emulator) -> None:
    """A task of an agent goes on after the cut; a ChatHub's frames have the whole text each, so twice is once."""
    for service, fault in (("a2a", "cut"), ("chathub", "duplicate")):
        play(emulator, f"answers: [One two three.]\nfaults: [{{step: mid, fault: {fault}}}]")
        async with BingClient(SERVICES[service](emulator), **ONCE) as bing:
            assert (await bing.ask("Hello")).text == "One two three."
        assert emulator.faults == []


async def test_a_fault_of_a_turn_waits_for_it(emulator: Emulator, client: BingClient) -> None:
    """`turn` counts the turns since the script was played."""
    script = "answers: [One two, One two]\nfaults: [{step: mid, turn: 2, fault: service error}]"
    for _ in range(2):
        play(emulator, script)
        assert (await client.ask("Hello")).text == "One two"
        with pytest.raises(ServiceError):
            await client.ask("Hello")
