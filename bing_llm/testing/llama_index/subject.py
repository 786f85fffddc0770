"""What the suite has to know of the LLM under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from llama_index.core.base.llms.types import MessageRole
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatStartEvent, LLMCompletionStartEvent
from llama_index.core.llms import LLM

Test = TypeVar("Test", bound=Callable[..., None])
Marked = TypeVar("Marked", bound=Callable[..., Any])

BLOCK_KINDS = frozenset(
    {"audio", "cache", "citable", "citation", "document", "image", "text", "thinking", "tool_call", "video"}
)
"""The `block_type` of every content block of LlamaIndex."""


def needs(capability: str) -> Callable[[Marked], Marked]:
    """Mark a test, or every test of a class, as one for LLMs with a capability.

    Args:
        capability: The name of an attribute of `Subject` that must be true.
    """

    def mark(marked: Marked) -> Marked:
        for test in _tests_in(marked) if isinstance(marked, type) else [marked]:
            test.__dict__.setdefault("needs", []).append(capability)
        return marked

    return mark


def smoke(test: Test) -> Test:
    """Mark a test as one of the few that a `smoke_only` suite keeps: one for each thing that an LLM does."""
    test.__dict__["is_smoke"] = True
    return test


def _tests_in(owner: type) -> Iterator[Callable[..., None]]:
    return (value for name, value in vars(owner).items() if name.startswith("test_") and callable(value))


class Subject:
    """The LLM under test: how to make it, what it can do, what to ask it, and how to know a right answer.

    `make_llm` must be overridden. Everything else has a default that suits an LLM that can do all this; override
    what differs. A test that needs a capability which is false is not collected for that LLM: no skips, no noise.

    The tests are plain synchronous methods, and run each asynchronous call on a loop of its own: no plugin for
    asynchronous tests is needed, and any may be there. An LLM that must be closed is best closed by a fixture of
    the subclass, for instance one that closes what `make_llm` made.
    """

    # --- what it can do -----------------------------------------------------------------------------------------------

    calls_tools: ClassVar[bool] = True
    """Whether it calls tools, so that `metadata.is_function_calling_model` is true. False also leaves out agents."""

    drives_agents: ClassVar[bool] = True
    """Whether its model is good enough for agents: a small one may call a tool, but not answer from the result."""

    gives_objects: ClassVar[bool] = True
    """Whether `structured_predict` and its forms give objects."""

    native_async: ClassVar[bool] = True
    """Whether its asynchronous methods give the loop back while they wait. False only for models in memory, which
    have nothing to wait for."""

    streams_in_pieces: ClassVar[bool] = True
    """Whether the answer to `prompt` comes in more than one piece."""

    is_repeatable: ClassVar[bool] = True
    """Whether the same question has the same answer each time. False for a model that draws lots."""

    can_fail: ClassVar[bool] = False
    """Whether `make_failing_llm` is overridden."""

    can_be_scripted: ClassVar[bool] = False
    """Whether `make_scripted_llm` is overridden."""

    makes_parallel_calls: ClassVar[bool] = True
    """Whether it makes more than one call in one answer, where it is asked to by `parallel_prompt`."""

    gives_whole_calls: ClassVar[bool] = True
    """Whether a stream gives a call once it is whole. False for an LLM that streams the arguments as they come."""

    reads_objects_from_text: ClassVar[bool] = True
    """Whether it finds an object in what the model wrote. False for an LLM whose objects are calls of functions."""

    repairs_objects: ClassVar[bool] = True
    """Whether it asks the model once more for an object that does not fit the schema."""

    pickles_no_secrets: ClassVar[bool] = True
    """Whether a pickle is free of credentials. Then the copy must find them where it runs, as in the environment."""

    roles: ClassVar[frozenset[MessageRole]] = frozenset(MessageRole)
    """The roles of the messages that it takes."""

    block_kinds: ClassVar[frozenset[str]] = BLOCK_KINDS
    """The `block_type` of the content blocks that it takes; the others it must refuse, not lose."""

    smoke_only: ClassVar[bool] = False
    """Whether only the tests marked `smoke` are collected: one for each thing that an LLM does, for a quick look."""

    left_out: ClassVar[Mapping[str, str]] = {}
    """The names of tests that do not apply to this LLM, each with the reason."""

    process_source: ClassVar[str] = ""
    """Python source that binds `llm`, for tests that need a fresh process; empty for none, which leaves them out."""

    # --- how to make it -----------------------------------------------------------------------------------------------

    def make_llm(self, **settings: Any) -> LLM:
        """A new LLM with these settings, which are fields of `LLM`: `system_prompt`, `callback_manager`, ..."""
        msg = f"{type(self).__name__} must override make_llm."
        raise NotImplementedError(msg)

    def make_failing_llm(self, **settings: Any) -> LLM:
        """A new LLM whose service fails every call, by an error or because nobody listens."""
        msg = f"{type(self).__name__} says can_fail, so it must override make_failing_llm."
        raise NotImplementedError(msg)

    def make_scripted_llm(self, *answers: str, **settings: Any) -> LLM:
        """A new LLM whose model says exactly these texts, one a turn; what the LLM makes of them is under test."""
        msg = f"{type(self).__name__} says can_be_scripted, so it must override make_scripted_llm."
        raise NotImplementedError(msg)

    def secret_settings(self, secret: str) -> dict[str, Any]:
        """Settings for `make_llm` with `secret` wherever credentials go; {} for an LLM that takes none."""
        del secret
        return {}

    def plain_settings(self) -> dict[str, Any]:
        """Settings for `make_llm`, none of them a default or a secret, that copies and dumps must keep."""
        return {"system_prompt": "Answer in one word."}

    # --- what to ask it -----------------------------------------------------------------------------------------------

    prompt: ClassVar[str] = "Why is the sky blue? Answer in one sentence."
    """A question that every model answers with some words."""

    thinking_prompt: ClassVar[str] = ""
    """A question before whose answer the model shows what it thinks; empty where it shows nothing of that."""

    def is_answer(self, text: str) -> bool:
        """Whether `text` may be the answer to `prompt`. Default: it is not blank."""
        return bool(text.strip())

    def heard(self, events: Sequence[BaseEvent]) -> str:
        """All text that the model was given, as one string, in the calls during which `events` were recorded.

        Default: the messages and prompts of the start events. Better is what reached the service, where a test can
        see it: that also tells whether the LLM sends all that it is given.
        """
        parts: list[str] = []
        for event in events:
            if isinstance(event, LLMChatStartEvent):
                parts += [message.model_dump_json() for message in event.messages]
            elif isinstance(event, LLMCompletionStartEvent):
                parts.append(event.prompt)
        return "\n".join(parts)

    def __init_subclass__(cls, **options: Any) -> None:
        """Select the tests that apply. pytest collects callables only, so the others become None."""
        super().__init_subclass__(**options)
        if cls.make_llm is Subject.make_llm:
            return  # a part of the suite, which is not a test class yet
        tests = _all_tests(cls)
        unknown = sorted(cls.left_out.keys() - tests.keys())
        if unknown:
            msg = f"{cls.__name__} leaves out {unknown}, which are not tests of it."
            raise TypeError(msg)
        for name, test in tests.items():
            if not cls._applies(name, test):
                setattr(cls, name, None)
            elif getattr(cls, name) is None:  # a base class cannot do it, but this one can
                setattr(cls, name, test)

    @classmethod
    def _applies(cls, name: str, test: Callable[..., None]) -> bool:
        if name in cls.left_out or (cls.smoke_only and not getattr(test, "is_smoke", False)):
            return False
        return all(getattr(cls, capability) for capability in getattr(test, "needs", ()))


def _all_tests(suite: type) -> dict[str, Callable[..., None]]:
    """The tests of a suite by name, those included that do not apply to one of its base classes."""
    found: dict[str, Callable[..., None]] = {}
    for owner in suite.__mro__:
        for name, value in vars(owner).items():
            if name.startswith("test_") and callable(value):
                found.setdefault(name, value)
    return found
