"""Every fault at every step, asked in every way: the whole answer or the documented error, and nothing left open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bing_llm import errors
from bing_llm.backends.http import ByteStream, Socket
from bing_llm.client import BingClient
from bing_llm.emulator import Cut, Emulator, Fault, FaultPoint
from bing_llm.emulator.fault_plan import FaultKind, Service
from bing_llm.emulator.received import Kind
from bing_llm.limits import Retries, Timeouts
from bing_llm.sync import run
from tests.faults.table import TEXT, Ends, Row, rows, silences
from tests.faults.ways import WAYS, History, Seen, Way
from tests.pairwise import pairwise

QUESTION = "Wer jagt?"
ATTEMPTS = 2
GRACE_S = 5.0
"""How long a cancelled task may take to end, in seconds; only a leak waits that long."""

LIMIT_S = 0.5
"""How long a service may be silent in these tests, in seconds; each is over as soon as that has passed."""


class Trial(NamedTuple):
    """One row, with a service that fails once, or each time."""

    row: Row
    each_time: bool

    def __str__(self) -> str:
        how_often = " each time" if self.each_time else ""
        return f"{self.row.service}: {self.row.name} at {self.row.step}{how_often}"


SILENCES = list(silences())

TRIALS = [
    Trial(row, each_time)
    for row in rows()
    for each_time in ((False, True) if row.ends.again and not row.partial else (False,))
]
"""What would be tried again is shown twice: to fail once, and each time."""


class Asked:
    """Calls of one new client, in one way: what the last one saw, what it raised, and the waits between attempts."""

    def __init__(self, way: Way, settings: dict[str, Any], *histories: History) -> None:
        self.seen = Seen()
        self.error: errors.BingError | None = None
        self.waits: list[float] = []
        retries = Retries(attempts=ATTEMPTS, first_wait=0.0, sleep=self._sleep)
        self._client = BingClient(retries=retries, **settings)
        if way.is_async:
            asyncio.run(self._call_async(way, histories))
        else:
            self._call(way, histories)

    def _call(self, way: Way, histories: Sequence[History]) -> None:
        try:
            for history in histories:
                self.seen = Seen()
                way.call(self._client, history, self.seen)
        except errors.BingError as exc:
            self.error = exc
        finally:
            run(close_unused(self._client))

    async def _call_async(self, way: Way, histories: Sequence[History]) -> None:
        try:
            for history in histories:
                self.seen = Seen()
                await way.call(self._client, history, self.seen)  # type: ignore[misc]
        except errors.BingError as exc:
            self.error = exc
        finally:
            await close_unused(self._client)
            await check_idle()

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


async def close_unused(client: BingClient) -> None:
    """Close a client whose turns are over: no socket of theirs may be open."""
    backend: Any = client.backend
    left_open = [one for session in backend._http._sessions for one in session.sockets if is_open(one)]
    await client.aclose()
    assert not left_open


async def check_idle() -> None:
    """No task of a client may run on this loop."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:  # cancelled a moment ago
        _, tasks = await asyncio.wait(tasks, timeout=GRACE_S)
    assert not tasks


def is_open(held: Socket | ByteStream) -> bool:
    """Whether a turn still has its connection."""
    if isinstance(held, Socket):
        return not held._socket.transport.is_closing()
    connection = held._response.connection
    return connection is not None and connection.transport is not None and not connection.transport.is_closing()


@pytest.fixture(autouse=True)
def idle_background() -> Iterator[None]:
    """No test leaves a task on the loop of all synchronous calls."""
    yield
    run(check_idle())


def settings_of(emulator: Emulator, service: Service, **more: Any) -> dict[str, Any]:
    """What makes a client of this service of the emulator."""
    workiq = {"backend": "workiq", "token": emulator.token, "time_zone": "Europe/Zurich"}
    own: dict[Service, dict[str, Any]] = {
        "chathub": {"backend": "chathub", "endpoint": emulator.url},
        "workiq": {**workiq, "endpoint": emulator.workiq_url},
        "a2a": {**workiq, "endpoint": emulator.a2a_url, "agent": "P_researcher.emulator"},
    }
    return {**own[service], **more}


def attempts(emulator: Emulator, row: Row) -> int:
    """How often the turn was tried: an agent's card is asked for once, and is the first call of a turn."""
    first: Kind = "creation" if row.service != "a2a" else "card" if row.step == "creation" else "chat"
    return [one.kind for one in emulator.requests].count(first)


def always(row: Row) -> Callable[[FaultPoint], FaultKind | None]:
    """A plan by which the fault of this row hits each time."""
    fault = row.faults[0]

    def choose(moment: FaultPoint) -> FaultKind | None:
        hits = (moment.service, moment.step, moment.after) == (row.service, fault.step, fault.after)
        return fault.what if hits else None

    return choose


def check_error(asked: Asked, row: Row, way: Way, *, partial: str = "") -> None:
    """It failed as the row says, with the text that had come; each character was given once."""
    error = asked.error
    assert row.ends.error is not None
    assert isinstance(error, row.ends.error), repr(error)
    assert str(error)
    assert error.partial_text == partial
    assert asked.seen.final is None
    assert asked.seen.given == (partial if way.streams else "")


def check_answer(asked: Asked, row: Row, way: Way) -> None:
    """It was answered as the row says; each character was given once."""
    ends = Ends() if row.ends.error is not None else row.ends  # another attempt was made
    final = row.partial if ends.final is None else ends.final
    assert asked.error is None, repr(asked.error)
    assert asked.seen.final == final
    assert asked.seen.given == ((ends.given if way.streams else None) or final)
    assert asked.seen.withdrawn is ends.withdrawn


def features(case: tuple[Trial, Way]) -> tuple[Hashable, ...]:
    """What makes up a case."""
    (row, each_time), way = case
    return row.service, row.name, row.step, each_time, way.name


CHOSEN = pairwise(product(TRIALS, WAYS), features)


@pytest.mark.parametrize(("trial", "way"), CHOSEN, ids=lambda part: part.name if isinstance(part, Way) else str(part))
def test_a_fault_has_its_documented_end(trial: Trial, way: Way, emulator: Emulator) -> None:
    """A turn ends as the table says, after as many attempts as it says, and leaves nothing open."""
    check(trial, way, emulator)


@pytest.mark.system
@pytest.mark.parametrize("trial", TRIALS, ids=str)
def test_each_fault_has_its_documented_end(trial: Trial, emulator: Emulator) -> None:
    """So does it in each way."""
    for way in WAYS:
        check(trial, way, emulator)


def check(trial: Trial, way: Way, emulator: Emulator) -> None:
    """Ask in this way, and look at how it ended."""
    row, each_time = trial
    emulator.clear()
    emulator.faults = always(row) if each_time else row.faults
    asked = Asked(way, settings_of(emulator, row.service), [QUESTION])
    tried_again = row.ends.again and not row.partial
    assert asked.waits == ([row.ends.wait or 0.0] if tried_again else [])
    assert emulator.faults == []
    assert attempts(emulator, row) == 1 + len(asked.waits)
    if row.ends.error is not None and (each_time or not tried_again):
        check_error(asked, row, way, partial=row.partial)
    else:
        check_answer(asked, row, way)


SILENT_IN_EACH_RUN = pairwise(SILENCES, lambda row: (row.service, row.name))


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=() if row in SILENT_IN_EACH_RUN else pytest.mark.system) for row in SILENCES],
    ids=lambda row: f"{row.service}: {row.name} at {row.step}",
)
def test_each_silence_has_its_limit(row: Row, emulator: Emulator) -> None:
    """Where nothing comes any more, or only pings, a turn ends when its limit has passed; all ways wait together."""
    emulator.faults = always(row)
    limits = Timeouts(connect=LIMIT_S, handshake=LIMIT_S, silence=LIMIT_S, answer=LIMIT_S)
    if row.partial:  # the text must have come by then, on a busy machine too
        limits = Timeouts(silence=2 * LIMIT_S, answer=2 * LIMIT_S)
    settings = settings_of(emulator, row.service, timeouts=limits)
    with ThreadPoolExecutor(len(WAYS)) as pool:
        calls = {way: pool.submit(Asked, way, settings, [QUESTION]) for way in WAYS}
    for way, call in calls.items():
        asked = call.result()
        check_error(asked, row, way, partial=row.partial)
        assert "timeouts." in str(asked.error)
        assert len(asked.waits) == (1 if row.ends.again and not row.partial else 0)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("where", ["creation", "creation of Work IQ", "card", "upgrade"])
def test_a_refused_connection(way: Way, where: str, emulator: Emulator, dead_url: str) -> None:
    """Where nobody listens, it fails as what was not sent, after all attempts."""
    services: dict[str, Service] = {"creation of Work IQ": "workiq", "card": "a2a"}
    service = services.get(where, "chathub")
    endpoint = (f"{emulator.url}/turing/conversation/create", f"{dead_url}/sydney/ChatHub".replace("http", "ws"))
    settings = {**settings_of(emulator, service), "endpoint": endpoint if where == "upgrade" else dead_url}
    asked = Asked(way, settings, [QUESTION])
    row = Row(service, "refused", (Fault(Cut(), "creation"),), Ends(errors.ConnectionFailed, again=True))
    check_error(asked, row, way)
    assert asked.waits == [0.0]


class Gone(NamedTuple):
    """What a service says in the second turn of a conversation that is gone, and the error that it is."""

    service: Service
    what: FaultKind
    error: type[errors.BingError]


LOST_CONVERSATIONS = [
    Gone("chathub", errors.SessionExpired(), errors.SessionExpired),
    Gone("chathub", errors.TurnLimitReached(), errors.TurnLimitReached),
    Gone("chathub", Cut(), errors.ConnectionLost),
    Gone("workiq", errors.SessionExpired(), errors.SessionExpired),
    Gone("workiq", errors.SessionExpired(value="400"), errors.SessionExpired),
    Gone("workiq", errors.SessionExpired(value="409"), errors.SessionExpired),
    Gone("workiq", errors.SessionExpired(value="410"), errors.SessionExpired),
    Gone("a2a", errors.SessionExpired(), errors.SessionExpired),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("gone", LOST_CONVERSATIONS)
def test_a_conversation_that_is_gone(way: Way, gone: Gone, emulator: Emulator) -> None:
    """A history goes on in a new conversation, and nobody notices; a conversation of one's own raises."""
    service, what, error = gone
    emulator.clear()
    emulator.faults = [Fault(what, "first", turn=2)]
    settings = settings_of(emulator, service)
    if way.name in {"ask", "stream"}:
        raised = asyncio.run(second_turn(way, settings))
        assert type(raised) is error
        return
    asked = Asked(way, settings, [QUESTION], [QUESTION, TEXT, "Und dann?"])
    assert asked.error is None
    assert (asked.seen.final, asked.seen.given, asked.waits) == (TEXT, TEXT, [])
    kinds = [one.kind for one in emulator.requests]
    assert kinds.count("chat") == 3 if service == "a2a" else kinds.count("creation") == 2
    assert emulator.faults == []


async def second_turn(way: Way, settings: dict[str, Any]) -> errors.BingError:
    """What the second turn of a conversation raises."""
    client = BingClient(**settings)
    conversation: Any = await client.create_conversation()
    try:
        await conversation.ask(QUESTION)
        with pytest.raises(errors.BingError) as caught:
            await way.call(conversation, ["Und dann?"], Seen())  # type: ignore[misc]
    finally:
        await close_unused(client)
        await check_idle()
    assert caught.value.partial_text == ""
    return caught.value


def test_the_guide_quotes_the_count() -> None:
    """The guide to tests names how many cases there are."""
    count = len(WAYS) * (len(TRIALS) + len(SILENCES) + 4 + len(LOST_CONVERSATIONS))
    guide = (Path(__file__).parents[2] / "docs/guides/testing.md").read_text(encoding="utf-8")
    assert f"{count:,} cases" in guide
