"""The client with the emulator, over sockets."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import threading
import warnings

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.client import BingClient
from bing_llm.emulator import Emulator, Fault, Scripted
from bing_llm.errors import (
    BingError,
    ConfigurationError,
    ConnectionLost,
    ContentFiltered,
    ConversationEnded,
    InvalidRequest,
    PromptTooLong,
    ServiceError,
    SessionExpired,
    Throttled,
    TimedOut,
    TurnLimitReached,
)
from bing_llm.messages import convert
from bing_llm.turn import TurnStream
from tests.client.helpers import PNG, SECRET, kinds, name_of, script
from tests.fakes import FakeBackend, Time, client_of


async def test_a_turn_from_end_to_end(bing_emulator: Emulator) -> None:
    """Context, image and prompt arrive; search, text, citations, suggestions and quota come back."""
    cited = ev.Citation(1, "https://example.org/a", "A", ((8, 13),))
    whole = ev.Reply(text="It rains[^1^].", citations=(cited,), suggestions=("Why?",))
    result = ev.SearchResult("A", "https://example.org/a", ("rain",))
    bing_emulator.brain = script(
        [ev.SearchStarted("weather"), ev.SearchResults((result,)), "It ", "rains[^1^].", ev.TurnCompleted(whole)]
    )
    context = convert([{"role": "user", "content": "I am in Rome."}])
    async with BingClient(endpoint=bing_emulator.url) as bing:
        reply = await bing.ask("Weather?", context=context, images=[PNG])
    assert (reply.text, reply.citations, reply.suggestions) == ("It rains[^1^].", (cited,), ("Why?",))
    assert reply.searches == (ev.Search("weather", (result,)),)
    assert (reply.quota, reply.finish_reason, reply.revoked, reply.revised) == (ev.Quota(1, 30), "stop", False, False)
    assert kinds(bing_emulator) == ["creation", "upload", "chat"]
    assert (bing_emulator.requests[-1].text, bing_emulator.requests[-1].context) == ("Weather?", context)


@pytest.mark.parametrize(
    ("line", "kind", "attempts"),
    [
        (ContentFiltered("No."), ContentFiltered, 1),
        (ConversationEnded(), ConversationEnded, 1),
        (TurnLimitReached(), TurnLimitReached, 1),
        (PromptTooLong(), ConnectionLost, 2),
        (ConnectionLost(), ConnectionLost, 2),
        (errors.ProtocolError(), errors.ProtocolError, 1),
        (Throttled(), Throttled, 1),
        (errors.CaptchaRequired(), errors.CaptchaRequired, 1),
        (SessionExpired(), SessionExpired, 2),
        (errors.Unauthorized(), errors.Unauthorized, 1),
        (InvalidRequest(), InvalidRequest, 1),
        (ServiceError(), ServiceError, 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BingError) else None,
)
async def test_what_the_service_says_before_any_text(
    bing_emulator: Emulator, line: BingError, kind: type[BingError], attempts: int
) -> None:
    """Each failure comes as its own class, with a hint, and is tried again only where that may help."""
    bing_emulator.brain = script([line], [line])
    async with BingClient(endpoint=bing_emulator.url, retries=Time().retries(attempts=2)) as bing:
        with pytest.raises(BingError) as caught:
            await bing.ask("Hello")
    assert type(caught.value) is kind
    assert caught.value.hint
    assert caught.value.partial_text == ""
    assert kinds(bing_emulator).count("chat") == kinds(bing_emulator).count("creation") == attempts


async def test_a_silent_refusal_of_a_long_prompt(bing_emulator: Emulator) -> None:
    """Closed without a word on over 4,000 characters of prompt and context: PromptTooLong, not tried again."""
    bing_emulator.brain = script([PromptTooLong()])
    async with BingClient(endpoint=bing_emulator.url) as bing:
        with pytest.raises(PromptTooLong):
            await bing.ask("Hello", context="x" * 4000)
    assert kinds(bing_emulator) == ["creation", "chat"]


@pytest.mark.parametrize("line", [ServiceError(), ConnectionLost(), Throttled()], ids=name_of)
async def test_what_the_service_says_after_text(bing_emulator: Emulator, line: BingError) -> None:
    """After text the error is raised with the text that had come, after one attempt."""
    bing_emulator.brain = script(["Once ", "upon", line])
    pieces = []
    async with BingClient(endpoint=bing_emulator.url) as bing, bing.stream("Hello") as turn:
        with pytest.raises(type(line)) as caught:
            pieces.extend([piece async for piece in turn.text])
    assert caught.value.partial_text == "Once upon"
    assert kinds(bing_emulator) == ["creation", "chat"]


@pytest.mark.parametrize("ended", [False, True])
async def test_a_revocation_after_text(bing_emulator: Emulator, ended: bool) -> None:  # noqa: FBT001
    """Apology and Disengaged after text return what had come, and say that it was revoked."""
    bing_emulator.brain = script(["Once ", "upon", ev.TextRevoked("Sorry.", ended=ended)])
    async with BingClient(endpoint=bing_emulator.url) as bing, bing.stream("Hello") as turn:
        events = [event async for event in turn]
        reply = await turn.reply()
    assert [event.ended for event in events if isinstance(event, ev.TextRevoked)] == [ended]
    assert (reply.text, reply.finish_reason, reply.revoked, reply.conversation_ended) == (
        "Once upon",
        "content_filter",
        True,
        ended,
    )


async def test_stop_on_the_wire(bing_emulator: Emulator) -> None:
    """The service is asked to stop, and what came is the answer."""
    bing_emulator.brain = script(["one", TimedOut()])
    async with BingClient(endpoint=bing_emulator.url) as bing, bing.stream("Hello") as turn:
        assert await anext(turn.text) == "one"
        await turn.stop()
        assert (await turn.reply()).text == "one"
    assert kinds(bing_emulator) == ["creation", "chat", "stop"]


async def test_secrets_stay_out_of_logs_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    """Cookies and signatures are in no log line, at any level, and in no error; the retry is logged at INFO."""
    caplog.set_level(logging.DEBUG)
    failures = [Fault(ServiceError(), "creation"), Fault(Throttled(retry_after=1), "creation")]
    async with Emulator(script([ServiceError()], ["Hi"], [Throttled()]), faults=failures) as emulator:
        async with BingClient(endpoint=emulator.url, cookies=f"_U={SECRET}", retries=Time().retries()) as bing:
            await bing.ask("Hello")
            with pytest.raises(Throttled) as caught:
                await bing.ask("Hello")
        sent = [value for request in emulator.requests for value in request.query.values()]
    signatures = [value for value in sent if len(value) > 20]
    assert signatures
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("bing_llm")]
    output = "\n".join([*lines, repr(caught.value), str(caught.value), repr(vars(caught.value))])
    assert not [secret for secret in (SECRET, *signatures) if secret in output]
    retries = [record for record in caplog.records if record.name == "bing_llm._retry"]
    assert [record.levelname for record in retries] == ["INFO"] * 3


async def test_all_log_lines_of_a_turn_name_it(bing_emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Retries and frames of one turn begin with the same label, those of another turn with another one."""
    caplog.set_level(logging.DEBUG)
    bing_emulator.brain = script([ServiceError()], ["Hi"], [ServiceError()], ["Hi"])
    labels = []
    async with BingClient(endpoint=bing_emulator.url, retries=Time().retries()) as bing:
        for _ in range(2):
            caplog.clear()
            await bing.ask("Hello")
            lines = [
                record for record in caplog.records if record.name.startswith(("bing_llm._retry", "bing_llm.back"))
            ]
            assert {record.name.rpartition(".")[2] for record in lines} == {"_retry", "channel"}
            labels += sorted({record.getMessage().partition("]")[0] for record in lines})
    assert [label.startswith("[turn ") for label in labels] == [True, True]
    assert len(set(labels)) == 2


def test_a_client_works_on_several_loops(bing_emulator: Emulator) -> None:
    """One client serves loops one after another, and loops side by side in threads; each closes its own sockets."""
    bing_emulator.brain = Scripted(lambda question: [f"You said {question.text}"])
    bing = BingClient(endpoint=bing_emulator.url)

    async def ask(prompt: str) -> str:
        return (await bing.ask(prompt)).text

    assert [asyncio.run(ask(prompt)) for prompt in ("one", "two")] == ["You said one", "You said two"]
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(ask("three")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["You said three"] * 4
    asyncio.run(bing.aclose())


def test_a_turn_that_is_dropped_as_its_loop_ends(bing_emulator: Emulator) -> None:
    """A stream that was left early, without closing it, leaves no socket open when the loop ends at once."""
    bing_emulator.brain = script(["one", TimedOut()])
    bing = BingClient(endpoint=bing_emulator.url)

    async def leave() -> None:
        async for piece in bing.stream("Hello").text:
            assert piece == "one"
            break

    asyncio.run(leave())


async def test_an_own_ssl_context_is_taken(bing_emulator: Emulator) -> None:
    """`ssl_context` reaches the connections; on plain loopback it changes nothing."""
    context = ssl.create_default_context()
    async with BingClient(endpoint=bing_emulator.url, ssl_context=context, trust_env=True) as bing:
        assert (await bing.ask("Hello")).text


async def test_the_emulator_backend_starts_one_emulator_and_ends_it() -> None:
    """Turns and conversations share the server that the client started; closing the client ends it."""
    async with BingClient(backend="emulator") as bing:
        chat = await bing.create_conversation()
        assert (await chat.ask("Hello")).text
        assert (await bing.ask("Hello")).text
        assert chat.id in [info.id for info in await bing.list_conversations()]


async def test_a_closed_client_takes_no_further_call() -> None:
    """After aclose every call is refused, and a running turn is not opened again; closing again is fine."""
    backend = FakeBackend()
    client = client_of(backend)
    chat = await client.create_conversation()
    await client.aclose()
    await client.aclose()
    for call in (client.ask("Hello"), client.create_conversation(), client.list_conversations(), chat.ask("Hello")):
        with pytest.raises(ConfigurationError, match="This client was closed"):
            await call


def test_a_stream_that_outlives_its_loop_leaves_nothing_open(bing_emulator: Emulator) -> None:
    """Its socket ends with the loop, also while somebody keeps the stream, as a traceback may."""
    client, kept = BingClient(endpoint=bing_emulator.url), list[TurnStream]()

    async def leave() -> None:
        kept.append(client.stream("Hello"))
        await anext(kept[0])

    asyncio.run(leave())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        kept.clear()
        gc.collect()
    assert [str(warning.message) for warning in warned] == []
