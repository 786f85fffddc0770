"""The conformance suite itself: what conforms passes, and what does not fails the test that speaks of it."""

from __future__ import annotations

import ast
import inspect
import pathlib
import sys
from typing import Any, ClassVar

import pytest
from llama_index.core.llms import LLM, MockLLM
from llama_index.core.llms.mock import MockFunctionCallingLLM

from bing_llm.testing import llama_index as suite
from bing_llm.testing.llama_index import (
    AgentConformance,
    AnswerConformance,
    LLMConformance,
    StructuredConformance,
    Subject,
    ToolConformance,
)
from tests.integrations.llama_index_version import MOCKS_TOOLS_BETTER
from tests.testing.llama_index.faults import answers, life, structured, tools
from tests.testing.llama_index.faults.answers import Faulty
from tests.testing.llama_index.reference import Reference
from tests.testing.llama_index.running import fails, failures, hushed, names_of

pytestmark = pytest.mark.system  # the suite over its own reference: of what tests tests, not of the product


class _ReferenceSubject(Subject):
    """The small LLM that conforms, or one made from it."""

    llm_class: ClassVar[type[Reference]] = Reference

    can_fail = True
    can_be_scripted = True
    thinking_prompt = "Think of the sky."
    process_source = "from tests.testing.llama_index.reference import Reference\nllm = Reference()"

    def make_llm(self, **settings: Any) -> LLM:
        """A new one."""
        self.llm = self.llm_class(**settings)
        return self.llm

    def make_failing_llm(self, **settings: Any) -> LLM:
        """One that fails."""
        return self.make_llm(failing=True, **settings)

    def make_scripted_llm(self, *answers: str, **settings: Any) -> LLM:
        """One that says this."""
        return self.make_llm(script=list(answers), **settings)

    def secret_settings(self, secret: str) -> dict[str, Any]:
        """Its key."""
        return {"api_key": secret}

    def plain_settings(self) -> dict[str, Any]:
        """Its settings."""
        return {**super().plain_settings(), "model": "another"}

    def heard(self, events: Any) -> str:
        """What was sent to the model."""
        del events
        return self.llm.sent


class TestReference(_ReferenceSubject, LLMConformance):
    """What conforms passes. Of objects, as far as LlamaIndex's own programs go."""

    reads_objects_from_text = False
    left_out: ClassVar[dict[str, str]] = {
        "test_no_object_is_an_error": "the programs of LlamaIndex stream a blank object",
        "test_the_system_prompt_is_not_lost": "the programs of LlamaIndex lose it in one form",
    }

    def make_react_llm(self) -> LLM:
        """One that says what ReActAgent reads."""
        first = 'Thought: I need a tool.\nAction: add\nAction Input: {"a": 2, "b": 3}'
        return self.make_scripted_llm(first, "Thought: I can answer.\nAnswer: It is 5.")

    def make_code_act_llm(self) -> LLM:
        """One that writes code."""
        return self.make_scripted_llm("I compute it.\n<execute>\nprint(add(2, 3))\n</execute>", "It is 5.")


class StructuredSuite(_ReferenceSubject, StructuredConformance):
    """All tests of objects, for LlamaIndex's own programs."""


class MockSuite(LLMConformance):
    """LlamaIndex's MockLLM."""

    calls_tools = False
    gives_objects = False

    native_async = False  # it has nothing to wait for

    def make_llm(self, **settings: Any) -> LLM:
        """A new one."""
        return MockLLM(**settings)


class MockToolSuite(AnswerConformance, ToolConformance):
    """LlamaIndex's MockFunctionCallingLLM."""

    def make_llm(self, **settings: Any) -> LLM:
        """A new one."""
        return MockFunctionCallingLLM(**settings)


class MuteProcessSuite(_ReferenceSubject, LLMConformance):
    """An LLM that cannot be made in another process."""

    process_source = "raise SystemExit('no LLM here')"


# --- what does not conform --------------------------------------------------------------------------------------------

SUITES: tuple[type[Subject], ...] = (StructuredSuite, TestReference)

FAULTS = {
    name: fault
    for module in (answers, life, structured, tools)
    for name, fault in vars(module).items()
    if isinstance(fault, type) and issubclass(fault, Faulty) and fault.caught_by
}

OF_LLAMA_INDEX = {
    MockSuite: {
        "test_a_call_is_reported_once",  # its chat calls complete, and its async methods call the others
        "test_a_chunk_holds_the_text_so_far",  # each chunk holds the whole text
        "test_async_is_not_sync_in_disguise",
        "test_chunks_are_objects_of_their_own",
        "test_legacy_callbacks_are_called_once",
        "test_the_methods_agree",  # it repeats its prompt, which is another one for a chat
        "test_the_output_parser_is_used",  # its constructor takes neither this
        "test_the_rate_limiter_is_asked_once",  # nor this
        "test_the_system_prompt_is_heard",  # sent twice: by chat, and by complete
        "test_tokens_can_be_counted",  # counted twice, for the same reason
    },
    MockToolSuite: {
        "test_a_call_is_made",  # it calls every tool, with no arguments
        "test_a_call_is_a_block",
        "test_a_result_ends_the_calls",
        "test_a_result_finds_its_call",
        "test_a_stream_comes_in_pieces",
        "test_a_tool_is_predicted_and_called",
        "test_no_call_is_an_error_or_an_answer",
        "test_no_call_is_an_error_unless_allowed",  # it never is
        "test_one_of_several_calls_is_kept",
        "test_parallel_calls_are_made_where_allowed",
        "test_several_calls_are_made_where_allowed",
        "test_tools_may_be_of_no_use",
    },
    StructuredSuite: {
        "test_an_object_is_asked_for_again",
        "test_an_object_is_found_in_text",
        "test_no_object_is_an_error",  # streams end with a blank object instead
        "test_the_system_prompt_is_not_lost",  # lost by the function program's `acall`
    },
}
"""What fails for LlamaIndex's own mocks and programs."""

if not MOCKS_TOOLS_BETTER:
    OF_LLAMA_INDEX[MockToolSuite] -= {"test_tools_may_be_of_no_use"}
    OF_LLAMA_INDEX[MockToolSuite] |= {
        "test_a_required_call_is_made",
        "test_a_result_may_be_of_blocks",
        "test_calls_are_one_at_a_time_unless_allowed",
        "test_every_chunk_can_be_asked_for_calls",
        "test_ids_are_unique",
    }


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_caught(fault: type[Faulty]) -> None:
    """An LLM with one fault fails the tests that speak of it."""
    with hushed():
        passed = [name for name in fault.caught_by if not fails(_suite_of(fault, name), name)]
    assert not passed, f"{inspect.getdoc(fault)} Nothing of that is seen by {passed}."


def _suite_of(fault: type[Faulty], name: str) -> type[Subject]:
    """The suite with this test, for this LLM."""
    suite = next(suite for suite in SUITES if getattr(suite, name, None) is not None)
    return type("FaultySuite", (suite,), {"llm_class": fault})


@pytest.mark.parametrize("suite", OF_LLAMA_INDEX)
def test_the_faults_of_llama_index_are_found(suite: type[Subject]) -> None:
    """LlamaIndex's own mocks and programs fail these tests, and pass all others."""
    assert failures(suite) == OF_LLAMA_INDEX[suite]


def test_a_process_that_fails_is_a_failure() -> None:
    """What goes wrong in a process of its own is seen."""
    assert fails(MuteProcessSuite, "test_nested_loops_are_served")


def test_every_test_can_fail() -> None:
    """There is no test in the suite that nothing fails."""
    caught = {name for fault in FAULTS.values() for name in fault.caught_by}.union(*OF_LLAMA_INDEX.values())
    assert names_of(*SUITES) - caught == {"test_nested_loops_are_served"}  # its failure is above


# --- how it is used ---------------------------------------------------------------------------------------------------


def test_what_an_llm_cannot_do_is_not_tested() -> None:
    """A test that needs a capability which the subject has not is not there, and the others are."""

    class Plain(_ReferenceSubject, AnswerConformance):
        streams_in_pieces = False

    assert names_of(AnswerConformance) - names_of(Plain) == {"test_a_stream_comes_in_pieces"}


def test_a_test_is_left_out_by_its_name() -> None:
    """A test that is named in `left_out` is not there; a name of no test is an error."""

    class Without(_ReferenceSubject, AnswerConformance):
        left_out: ClassVar[dict[str, str]] = {"test_raw_can_be_read": "it has none"}

    assert names_of(AnswerConformance) - names_of(Without) == {"test_raw_can_be_read"}
    with pytest.raises(TypeError, match="test_raw_can_be_eaten"):
        type("Wrong", (_ReferenceSubject, AnswerConformance), {"left_out": {"test_raw_can_be_eaten": "it is raw"}})


def test_a_subject_must_make_its_llm() -> None:
    """A subject without a factory says which one it has to have, also for what it says it can."""
    for name in ("make_llm", "make_failing_llm", "make_scripted_llm"):
        with pytest.raises(NotImplementedError, match=name):
            getattr(Subject(), name)()


def test_a_subclass_can_do_more() -> None:
    """A capability that a base class lacks and a subclass has brings its tests back."""

    class Less(_ReferenceSubject, AnswerConformance):
        streams_in_pieces = False

    class More(Less):
        streams_in_pieces = True

    assert names_of(More) == names_of(AnswerConformance)


def test_the_smoke_part_has_each_thing_that_an_llm_does() -> None:
    """With `smoke_only` a few tests are left, of each part of the suite."""

    class Smoke(_ReferenceSubject, LLMConformance):
        smoke_only = True

    kept = names_of(Smoke)
    parts = [part for part in LLMConformance.__bases__ if not kept & vars(part).keys()]
    assert not parts
    assert len(kept) < len(names_of(LLMConformance)) / 4


def test_an_llm_without_tools_has_no_tests_of_tools() -> None:
    """Without tools there is no test of a tool or an agent; without objects there is none of an object."""

    class Plain(_ReferenceSubject, LLMConformance):
        calls_tools = False
        gives_objects = False

    of_both = names_of(ToolConformance, AgentConformance, StructuredConformance)
    assert names_of(LLMConformance) - names_of(Plain) == of_both


def test_the_suite_stands_alone() -> None:
    """The suite imports pytest, pydantic and LlamaIndex's core, and nothing of Bing: it is for any LLM."""
    files = [*pathlib.Path(suite.__file__).parent.rglob("*.py")]
    imported = {
        name
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [f"{'.' * node.level}{node.module or ''}"]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.split(".")[0] not in sys.stdlib_module_names
    }
    allowed = ("bing_llm.testing.llama_index", "llama_index.core", "pydantic", "pytest")
    assert len(files) > 10
    assert [name for name in imported if not name.startswith(allowed)] == []
