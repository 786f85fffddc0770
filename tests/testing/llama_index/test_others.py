"""The suite over the adapters of others, each asking a server of this machine that speaks as its service does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms import LLM
from llama_index.llms.ollama import Ollama
from llama_index.llms.openai_like import OpenAILike

from bing_llm.testing.llama_index import BLOCK_KINDS, LLMConformance, Subject
from tests.testing.llama_index.running import fails, hushed
from tests.testing.llama_index.servers import Server, serving

pytestmark = [
    pytest.mark.system,  # of what tests tests, not of the product
    # Their clients stay open until the process ends, and warn of that in whatever test comes next.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class _Served(Subject):
    """An LLM over the small model."""

    can_fail = True
    can_be_scripted = True
    server: ClassVar[Server]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def service(cls) -> Iterator[None]:
        """One server for the whole class."""
        with serving() as cls.server:
            yield

    @pytest.fixture(autouse=True)
    def rules(self) -> None:
        """A model that was asked nothing."""
        self.server.reset()

    def make_failing_llm(self, **settings: Any) -> LLM:
        """One whose service fails."""
        self.server.failing = True
        return self.make_llm(**settings)

    def make_scripted_llm(self, *answers: str, **settings: Any) -> LLM:
        """One whose model says this."""
        self.server.script = list(answers)
        return self.make_llm(**settings)

    def make_code_act_llm(self) -> Any:
        """Scripted: the model writes no code."""
        return self.make_scripted_llm("<execute>\nprint(add(2, 3))\n</execute>", "It is 5.")

    def heard(self, events: Sequence[BaseEvent]) -> str:
        """What reached the server."""
        del events
        return "\n".join(self.server.sent)


class OpenAILikeSuite(_Served, LLMConformance):
    """All tests, for llama-index-llms-openai-like."""

    block_kinds = BLOCK_KINDS - {"cache", "citable", "citation", "video"}
    reads_objects_from_text = False

    def make_llm(self, **settings: Any) -> LLM:
        """One that asks the server."""
        given = {"api_key": "none", "is_chat_model": True, "is_function_calling_model": True, "max_retries": 0}
        llm: LLM = OpenAILike(**{"model": "small", "api_base": f"{self.server.url}/v1", **given, **settings})
        return llm

    def secret_settings(self, secret: str) -> dict[str, Any]:
        """Its key."""
        return {"api_key": secret}


class OllamaSuite(_Served, LLMConformance):
    """All tests, for llama-index-llms-ollama."""

    block_kinds = frozenset({"image", "text", "thinking", "tool_call"})
    repairs_objects = False

    def make_llm(self, **settings: Any) -> LLM:
        """One that asks the server."""
        llm: LLM = Ollama(**{"model": "small", "base_url": self.server.url, "context_window": 8000, **settings})
        return llm


ONE_LOOP = "its client belongs to the first event loop that it was used on"
HISTORY = "it appends the question to the caller's history"
LOST = "LlamaIndex's function program loses the system prompt in its asynchronous form"

OF_OPENAI_LIKE = {
    "test_a_copy_answers": "deepcopy: cannot pickle '_thread.RLock' object",
    "test_an_error_is_seen_through_the_helper": ONE_LOOP,
    "test_an_llm_answers_again": ONE_LOOP,
    "test_an_object_is_given": "in the mode LLM, it sends tool_choice without tools, which OpenAI refuses",
    "test_every_loop_is_served": ONE_LOOP,
    "test_no_call_is_an_error_or_an_answer": ONE_LOOP,
    "test_no_dump_holds_a_secret": "to_dict holds the key",
    "test_no_object_is_an_error": "LlamaIndex's function program streams a blank object",
    "test_no_pickle_holds_a_secret": "a pickle holds the key",
    "test_parallel_calls_are_made_where_allowed": "in a stream, only the first call is kept",
    "test_preparing_leaves_the_history_alone": HISTORY,
    "test_the_helper_of_llama_index_works": ONE_LOOP,
    "test_the_history_is_left_alone": HISTORY,
    "test_the_system_prompt_is_not_lost": LOST,
    "test_threads_are_served": ONE_LOOP,
}
TWICE = "complete calls chat, so that observers and counters see two calls"

OF_OLLAMA = {
    "test_a_call_is_reported_once": TWICE,
    "test_a_copy_answers": "deepcopy: cannot pickle '_thread.RLock' object",
    "test_a_failed_call_is_reported": TWICE,
    "test_a_prediction_is_reported": "its own structured_predict reports nothing",
    "test_a_required_call_is_made": "it ignores tool_required, which Ollama does not know",
    "test_a_stream_may_change_its_task": ONE_LOOP,
    "test_an_asynchronous_stream_can_be_left": ONE_LOOP,
    "test_an_error_is_seen_through_the_helper": ONE_LOOP,
    "test_an_llm_answers_again": ONE_LOOP,
    "test_an_object_is_found_in_text": "the text must be JSON and nothing else",
    "test_an_object_is_given": "in the mode FUNCTION, streams end with a blank object",
    "test_arguments_may_be_text": "a call whose arguments are text is made without arguments",
    "test_calls_are_one_at_a_time_unless_allowed": "a stream keeps all calls",
    "test_every_loop_is_served": ONE_LOOP,
    "test_ids_are_unique": "the id of a call is the name of its tool",
    "test_legacy_callbacks_are_called_once": TWICE,
    "test_no_call_is_an_error_or_an_answer": ONE_LOOP,
    "test_no_object_is_an_error": "streams end with a blank object",
    "test_parallel_calls_are_made_where_allowed": "the id of a call is the name of its tool",
    "test_preparing_leaves_the_history_alone": HISTORY,
    "test_the_helper_of_llama_index_works": ONE_LOOP,
    "test_the_history_is_left_alone": HISTORY,
    "test_the_rate_limiter_is_asked_once": TWICE,
    "test_the_system_prompt_is_not_lost": LOST,
    "test_threads_are_served": ONE_LOOP,
    "test_tokens_can_be_counted": TWICE,
}


class TestOpenAILike(OpenAILikeSuite):
    """llama-index-llms-openai-like, but for what it does not do."""

    left_out = OF_OPENAI_LIKE


class TestOllama(OllamaSuite):
    """llama-index-llms-ollama, but for what it does not do."""

    left_out = OF_OLLAMA


@pytest.mark.parametrize(
    ("suite", "name"),
    [
        *((OpenAILikeSuite, name) for name in OF_OPENAI_LIKE),
        *((OllamaSuite, name) for name in OF_OLLAMA),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_is_left_out_fails(suite: type[_Served], name: str) -> None:
    """A test that is left out fails: else the adapter has been mended, and the test is due."""
    with serving() as suite.server, hushed():
        assert fails(suite, name, before_each=suite.server.reset)
