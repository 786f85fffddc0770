"""The conformance suite for LlamaIndex LLMs, inherited, over real sockets of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest
from llama_index.core.instrumentation.events import BaseEvent

from bing_llm.emulator import Emulator, Obedient, Scripted
from bing_llm.testing.llama_index import (
    BLOCK_KINDS,
    LLMConformance,
    Subject,
)
from llama_index.llms.bing import Bing
from tests.integrations.turns import call

WORKIQ_PROCESS = """
from bing_llm.emulator import Emulator
from llama_index.llms.bing import Bing
emulator = Emulator().__enter__()
llm = Bing(backend="workiq", endpoint=emulator.workiq_url, token=emulator.token, time_zone="Europe/Zurich")
"""

NOBODY = "http://127.0.0.1:9"
"""An address where nobody listens."""


class _BingSubject(Subject):
    """Bing, asking an emulator that answers by its rules, or says what a test wrote down."""

    can_fail = True
    can_be_scripted = True
    block_kinds = BLOCK_KINDS - {"audio", "video"}
    thinking_prompt = "What is the latest news?"
    object_prompt = "Describe the city with the name '{city}'."
    process_source = 'from llama_index.llms.bing import Bing\nllm = Bing(backend="emulator")'

    emulator: ClassVar[Emulator]
    made: ClassVar[list[Bing]] = []

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def service(cls) -> Iterator[None]:
        """One service for the whole class, on a socket of this machine."""
        with Emulator() as cls.emulator:
            yield

    @pytest.fixture(autouse=True)
    def rules(self) -> Iterator[None]:
        """For each test, a service that answers by its rules and was asked nothing; its models are closed."""
        self.emulator.brain = Obedient(pace=0)
        self.emulator.clear()
        yield
        while self.made:
            self.made.pop().close()

    def make_llm(self, **settings: Any) -> Bing:
        """One that asks the emulator of the test."""
        return self._made(endpoint=self.emulator.url, **settings)

    def make_failing_llm(self, **settings: Any) -> Bing:
        """One that asks nobody."""
        return self._made(endpoint=NOBODY, max_retries=0, **settings)

    def make_scripted_llm(self, *answers: str, **settings: Any) -> Bing:
        """One whose service says this."""
        self.emulator.brain = Scripted([[answer] for answer in answers])
        return self.make_llm(**settings)

    def secret_settings(self, secret: str) -> dict[str, Any]:
        """Cookies are what it knows of credentials."""
        return {"cookies": f"_U={secret}"}

    def plain_settings(self) -> dict[str, Any]:
        """Those of Bing and those of LlamaIndex."""
        return {
            **super().plain_settings(),
            "model": "bing-precise",
            "search": False,
            "timeout": 12.0,
            "max_retries": 1,
            "stop": ["END"],
            "max_tokens": 100,
        }

    def make_code_act_llm(self) -> Bing:
        """Scripted: the emulator's rules write no code."""
        return self.make_scripted_llm("<execute>\nprint(add(2, 3))\n</execute>", "It is 5.")

    def make_handoff_llm(self) -> Bing:
        """Scripted: the emulator's rules take the words of a handoff for the answer."""
        handoff = call("handoff", to_agent="calculator", reason="It adds.")
        return self.make_scripted_llm(handoff, call("add", a=2, b=3), "2 + 3 is 5.")

    def heard(self, events: Sequence[BaseEvent]) -> str:
        """What reached the service."""
        del events
        return "\n".join(f"{request.context}\n{request.text}" for request in self.emulator.requests)

    def _made(self, **settings: Any) -> Bing:
        # Each piece of text as it was sent: else those that wait are joined, and may be one.
        self.made.append(Bing(**{"join_deltas": False, **settings}))
        return self.made[-1]


class _WorkIQSubject(_BingSubject):
    """The same over Work IQ, which takes no pictures and tells nothing of what it thinks."""

    block_kinds = _BingSubject.block_kinds - {"image"}
    thinking_prompt = ""
    process_source = WORKIQ_PROCESS

    @pytest.fixture(autouse=True)
    def access(self, rules: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """The token, also for copies out of a pickle, which have none with them."""
        del rules
        token = self.emulator.token
        monkeypatch.setenv("WORKIQ_TOKEN", token)
        yield
        self.emulator.token = token

    def make_llm(self, **settings: Any) -> Bing:
        """One that asks the emulator of the test."""
        settings = {"backend": "workiq", "token": self.emulator.token, "time_zone": "Europe/Zurich", **settings}
        return self._made(endpoint=self.emulator.workiq_url, **settings)

    def make_failing_llm(self, **settings: Any) -> Bing:
        """One that asks nobody."""
        settings = {"backend": "workiq", "token": "x", "time_zone": "Europe/Zurich", **settings}
        return self._made(endpoint=NOBODY, max_retries=0, **settings)

    def secret_settings(self, secret: str) -> dict[str, Any]:
        """A token is what it knows of credentials."""
        self.emulator.token = secret
        return {"token": secret}

    def plain_settings(self) -> dict[str, Any]:
        """Those of both, and those of Work IQ."""
        return {
            **super().plain_settings(),
            "model": "copilot",
            "files": ["https://contoso.sharepoint.com/sites/x/plan.docx"],
            "entity_tags": "strip",
        }


class _A2ASubject(_WorkIQSubject):
    """The same over A2A, from an agent: one test for each thing that an LLM does, as all else is above the wire."""

    smoke_only = True
    process_source = WORKIQ_PROCESS.replace('"workiq",', '"workiq", agent="P_writer.emulator",')

    def make_llm(self, **settings: Any) -> Bing:
        """One that asks an agent of the emulator."""
        return super().make_llm(**{"agent": "P_writer.emulator", **settings})

    def plain_settings(self) -> dict[str, Any]:
        """Those of both, without those of REST."""
        settings = {**super().plain_settings(), "agent": "P_writer.emulator", "protocol": "a2a"}
        del settings["files"], settings["search"]
        return settings


class TestBing(_BingSubject, LLMConformance):
    """Bing over ChatHub."""

    @pytest.mark.system
    def test_nested_loops_are_served(self) -> None:
        """Nested loops work; the test starts a Python with LlamaIndex in it."""
        super().test_nested_loops_are_served()


@pytest.mark.system
class TestWorkIQ(_WorkIQSubject, LLMConformance):
    """Bing over Work IQ."""


@pytest.mark.system
class TestA2A(_A2ASubject, LLMConformance):
    """Bing over A2A."""
