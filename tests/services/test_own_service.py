"""A service of one's own, which this test defines: it works everywhere without a change of the library."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Self

import msgspec
import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage

from bing_llm import BingClient, Service, SyncBingClient
from bing_llm import events as ev
from bing_llm.backends.base import AnyBackend, ConversationInfo
from bing_llm.errors import UNMETERED, ConfigurationError, InvalidRequest
from bing_llm.limits import Deadline, Limits, Timeouts
from bing_llm.messages import Prompt
from langchain_bing import ChatBing
from llama_index.llms.bing import Bing

MODELS = ("parrot", "owl")


class Talk(msgspec.Struct, frozen=True):
    """A conversation, and its warm form: it needs no connection."""

    id: str

    @property
    def handle(self) -> Talk:
        """The conversation."""
        return self

    def alive(self) -> bool:
        """Always."""
        return True

    async def keep_alive(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class Channel:
    """The events of one turn, out of a list."""

    def __init__(self, events: list[ev.Event]) -> None:
        self._events: Iterator[ev.Event] = iter(events)

    async def next_event(self) -> ev.Event:
        """The next one."""
        return next(self._events)

    def ready_event(self) -> ev.Event | None:
        """None is there without waiting."""
        return None

    async def stop(self) -> None:
        """The answer goes on."""

    def close(self) -> None:
        """Nothing to do."""


class Birds:
    """A backend that says each prompt back, word by word."""

    prompt_limit = 100
    keeps_context = True
    metering = UNMETERED

    def __init__(self, model: str, log: list[str], timeouts: Timeouts) -> None:
        self.model = model
        self.log = log
        self.timeouts = timeouts

    def with_model(self, model: str) -> Birds:
        """Another bird, with the same log."""
        return Birds(model, self.log, self.timeouts)

    def check_prompt(self, prompt: Prompt) -> None:
        """Birds say short things."""
        if len(prompt.text) > self.prompt_limit:
            raise InvalidRequest("Too long for a bird.")

    async def create_conversation(self, deadline: Deadline) -> Talk:
        """A new one."""
        del deadline
        self.log.append("create")
        return Talk(f"talk {len(self.log)}")

    async def open_conversation(self, conversation_id: str, deadline: Deadline) -> Talk:
        """The one of that name."""
        del deadline
        return Talk(conversation_id)

    async def open_turn(self, handle: Talk, prompt: Prompt, number: int, deadline: Deadline) -> Channel:
        """The words of the prompt."""
        del handle, number, deadline
        self.log.append(f"{self.model}: {prompt.text}")
        text = f"{self.model} says {prompt.text.splitlines()[-1]}"
        words = [ev.TextDelta(f"{word} ") for word in text.split()]
        return Channel([*words, ev.TurnCompleted(ev.Reply(text="".join(word.text for word in words)))])

    async def warm_up(self, deadline: Deadline) -> Talk:
        """A new one."""
        return await self.create_conversation(deadline)

    async def open_warm(self, warm: Talk, prompt: Prompt, deadline: Deadline) -> Channel:
        """Its first turn."""
        return await self.open_turn(warm, prompt, 0, deadline)

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:
        """None is kept."""
        del deadline
        return []

    async def delete_conversation(self, handle: Talk, deadline: Deadline) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        """Note it."""
        self.log.append("close")


class Aviary:
    """The service of these birds."""

    name = "aviary"
    models = MODELS

    def __init__(self, model: str = "parrot", log: list[str] | None = None) -> None:
        self.model = model
        self.log: list[str] = [] if log is None else log

    def with_model(self, model: str, /) -> Self:
        """The same aviary, another bird."""
        if model not in self.models:
            raise ConfigurationError(f"There is no {model}.")
        return type(self)(model, self.log)

    def open(self, *, timeouts: Timeouts, limits: Limits) -> AnyBackend:
        """The backend of the bird."""
        del limits
        self.log.append("open")
        return Birds(self.model, self.log, timeouts)


def test_it_is_a_service() -> None:
    """By what it has, not by its class."""
    assert isinstance(Aviary(), Service)


async def test_a_client_speaks_to_it() -> None:
    """In single turns, streams and conversations; it is opened once, when it is first used, and closed once."""
    service = Aviary()
    async with BingClient(service, timeouts=Timeouts(turn=7.0), warm=1) as client:
        assert (client.backend_name, client.model, client.prompt_limit) == ("aviary", "parrot", 100)
        assert client.service is service
        assert repr(client) == "BingClient(backend='aviary', model='parrot')"
        assert (await client.ask("Hello")).text == "parrot says Hello "
        async with client.stream("Hi") as turn:
            assert [piece async for piece in turn.text] == ["parrot ", "says ", "Hi "]
        chat = await client.create_conversation()
        assert (await chat.ask("Again")).text == "parrot says Again "
        with pytest.raises(InvalidRequest, match="Too long for a bird"):
            client.stream("x" * 101)
        backend: Any = client.backend
        assert backend.timeouts.turn == 7.0
    assert service.log.count("open") == service.log.count("close") == 1


async def test_another_model_of_it_shares_the_backend() -> None:
    """`with_options` asks the service for its model, and the backend for the same."""
    service = Aviary()
    async with BingClient(service) as client:
        owl = client.with_options(model="owl")
        assert (await owl.ask("Hello")).text == "owl says Hello "
        assert (await client.ask("Hello")).text == "parrot says Hello "
        with pytest.raises(ConfigurationError, match="There is no eagle"):
            client.with_options(model="eagle")
    assert [line for line in service.log if line in {"open", "close"}] == ["open", "close"]


def test_it_works_from_several_event_loops_and_from_none() -> None:
    """Like that of any service, the client belongs to no loop."""
    client = BingClient(Aviary())
    assert [asyncio.run(client.ask(text)).text for text in "ab"] == ["parrot says a ", "parrot says b "]
    with SyncBingClient(Aviary("owl")) as synchronous:
        assert synchronous.ask("c").text == "owl says c "
    asyncio.run(client.aclose())


async def test_langchain_speaks_to_it() -> None:
    """`ChatBing(service=...)` invokes and streams, sync and async, with another model for one call too."""
    service = Aviary()
    model = ChatBing(service=service)
    assert model.model == "parrot"
    assert (await model.ainvoke("Hello")).content == "parrot says Hello "
    assert [chunk.content async for chunk in model.astream("Hi") if chunk.content] == ["parrot ", "says ", "Hi "]
    assert (await model.ainvoke([HumanMessage("Hello")], model="owl")).content == "owl says Hello "
    assert (await asyncio.to_thread(model.invoke, "Bye")).content == "parrot says Bye "
    assert ChatBing(service=service, model="owl")._connection.service.model == "owl"
    with pytest.raises(ConfigurationError, match="There is no eagle"):
        ChatBing(service=service, model="eagle")
    await model.aclose()
    assert service.log[-1] == "close"


async def test_llama_index_speaks_to_it() -> None:
    """`Bing(service=...)` chats, completes and streams, sync and async."""
    service = Aviary("owl")
    llm = Bing(service=service)
    assert llm.metadata.model_name == "owl"
    assert (await llm.achat([ChatMessage("Hello")])).message.content == "owl says Hello "
    assert (await asyncio.to_thread(llm.complete, "Hi")).text == "owl says Hi "
    assert [chunk.delta async for chunk in await llm.astream_complete("Bye")][:3] == ["owl ", "says ", "Bye "]
    await llm.aclose()
    assert service.log[-1] == "close"


def test_adapters_work_from_several_event_loops() -> None:
    """The same model in one loop after the other."""
    model, llm = ChatBing(service=Aviary()), Bing(service=Aviary("owl"))
    for text in "ab":
        assert asyncio.run(model.ainvoke(text)).content == f"parrot says {text} "
        assert asyncio.run(llm.acomplete(text)).text == f"owl says {text} "
    model.close()
    llm.close()
