"""Agents: those of LlamaIndex, each with the LLM under test."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
    ToolCallResult,
)
from llama_index.core.llms import LLM
from llama_index.core.workflow import Context
from pydantic import BaseModel

from bing_llm.testing.llama_index.calls import run
from bing_llm.testing.llama_index.subject import needs, smoke
from bing_llm.testing.llama_index.tools import ToolSubject, add, get_weather

each_streaming = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


class Sum(BaseModel):
    """The sum of two numbers."""

    total: int


@needs("calls_tools")
@needs("drives_agents")
# What agents and workflows do themselves, and warn of:
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
@pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key")
class AgentConformance(ToolSubject):
    """Agents find their tools, call them, and answer from what those gave.

    A model that cannot do one of these on its own may be scripted for it: override the method that makes its LLM.
    """

    handoff_prompt: ClassVar[str] = "What is 2 + 3? Hand off to the calculator, which uses the tool add."
    """A question that an agent without tools hands off to the agent `calculator`."""

    def make_react_llm(self) -> LLM:
        """An LLM for ReActAgent, which asks for `Thought:`, `Action:` and `Answer:`."""
        return self.make_llm()

    def make_code_act_llm(self) -> LLM:
        """An LLM for CodeActAgent, which asks for code between `<execute>` and `</execute>`."""
        return self.make_tool_llm()

    def make_handoff_llm(self) -> LLM:
        """An LLM for two agents, of which the first hands off to the second, by the tool `handoff`."""
        return self.make_tool_llm()

    # --- FunctionAgent ------------------------------------------------------------------------------------------------

    @smoke
    @each_streaming
    def test_a_function_agent_answers(self, streaming: bool) -> None:  # noqa: FBT001 - a parameter
        """FunctionAgent calls the tool once and answers with its result."""
        agent = FunctionAgent(tools=[add, get_weather], llm=self.make_tool_llm(), streaming=streaming)
        output, events = _run(agent, self.tool_prompt)
        assert _results(events) == [("add", self.tool_kwargs, self.tool_result)]
        assert self.tool_result in str(output)

    def test_a_function_agent_shows_its_answer_as_it_comes(self) -> None:
        """The deltas of the last step of a streaming agent are the answer."""
        output, events = _run(FunctionAgent(tools=[add], llm=self.make_tool_llm()), self.tool_prompt)
        last_result = max(index for index, event in enumerate(events) if isinstance(event, ToolCallResult))
        shown = "".join(event.delta for event in events[last_result:] if isinstance(event, AgentStream))
        assert shown == str(output)

    @each_streaming
    def test_a_function_agent_may_have_no_tools(self, streaming: bool) -> None:  # noqa: FBT001
        """Without tools it answers as the LLM does."""
        output, _events = _run(FunctionAgent(llm=self.make_tool_llm(), streaming=streaming), self.prompt)
        assert self.is_answer(str(output))

    def test_a_function_agent_may_be_given_its_first_tool(self) -> None:
        """With `initial_tool_choice` that tool is called first."""
        agent = FunctionAgent(tools=[add, get_weather], llm=self.make_tool_llm(), initial_tool_choice="add")
        _output, events = _run(agent, self.tool_prompt)
        assert _results(events)[0][0] == "add"

    def test_a_function_agent_goes_on(self) -> None:
        """With its context kept, an agent answers one question after another."""
        agent = FunctionAgent(tools=[add], llm=self.make_tool_llm())

        async def twice() -> list[str]:
            context = Context(agent)
            return [str(await agent.run(self.tool_prompt, ctx=context)) for _ in range(2)]

        assert all(answer.strip() for answer in run(twice()))

    @each_streaming
    def test_a_function_agent_gives_an_object(self, streaming: bool) -> None:  # noqa: FBT001
        """With `output_cls` there is an object beside the answer."""
        agent = FunctionAgent(tools=[add], llm=self.make_tool_llm(), output_cls=Sum, streaming=streaming)
        output, _events = _run(agent, self.tool_prompt)
        assert output.get_pydantic_model(Sum) is not None, "no object; a warning says why"

    @each_streaming
    def test_a_function_agent_stops_early(self, streaming: bool) -> None:  # noqa: FBT001
        """With `early_stopping_method="generate"` the last step allowed is an answer, not an error."""
        agent = FunctionAgent(
            tools=[add], llm=self.make_tool_llm(), early_stopping_method="generate", streaming=streaming
        )
        output, _events = _run(agent, self.tool_prompt, max_iterations=1)
        assert str(output).strip()

    # --- the others ---------------------------------------------------------------------------------------------------

    @each_streaming
    def test_a_react_agent_answers(self, streaming: bool) -> None:  # noqa: FBT001
        """ReActAgent, which needs text alone, calls the tool and answers with its result."""
        agent = ReActAgent(tools=[add], llm=self.make_react_llm(), streaming=streaming)
        output, events = _run(agent, self.tool_prompt)
        assert ("add", self.tool_kwargs, self.tool_result) in _results(events)
        assert self.tool_result in str(output)

    @each_streaming
    def test_a_code_act_agent_answers(self, streaming: bool) -> None:  # noqa: FBT001
        """CodeActAgent gets code that calls the function, and answers from what it printed.

        The code is not run here: whatever it is, it prints the result.
        """
        executed: list[str] = []

        def execute(code: str) -> str:
            """Run code."""
            executed.append(code)
            return self.tool_result

        agent = CodeActAgent(execute, tools=[add], llm=self.make_code_act_llm(), streaming=streaming)
        output, _events = _run(agent, self.tool_prompt)
        assert executed, "no code was written"
        assert "add" in executed[0]
        assert self.tool_result in str(output)
        assert "<execute>" not in str(output)

    def test_a_workflow_finds_its_agent(self) -> None:
        """`AgentWorkflow.from_tools_or_functions` takes the LLM for one that calls functions."""
        workflow = AgentWorkflow.from_tools_or_functions([add], llm=self.make_tool_llm())
        assert [type(agent) for agent in workflow.agents.values()] == [FunctionAgent]
        output, events = _run(workflow, self.tool_prompt)
        assert _results(events) == [("add", self.tool_kwargs, self.tool_result)]
        assert self.tool_result in str(output)

    def test_an_agent_hands_off(self) -> None:
        """In an AgentWorkflow one agent hands off to another, which calls its tool and answers."""
        llm = self.make_handoff_llm()
        reception = FunctionAgent(
            name="reception",
            description="Receives questions.",
            system_prompt="You hand each question off to the agent that can answer it.",
            llm=llm,
            can_handoff_to=["calculator"],
        )
        calculator = FunctionAgent(
            name="calculator", description="Adds numbers by the tool add.", llm=llm, tools=[add], can_handoff_to=[]
        )
        workflow = AgentWorkflow(agents=[reception, calculator], root_agent="reception")
        output, events = _run(workflow, self.handoff_prompt)
        names = [name for name, _kwargs, _output in _results(events)]
        assert names[0] == "handoff", f"tools called: {names}"
        assert "add" in names, f"tools called: {names}"
        assert output.current_agent_name == "calculator"
        assert self.tool_result in str(output)


def _run(agent: Any, prompt: str, **options: Any) -> tuple[AgentOutput, list[Any]]:
    """The output of a run on a new loop, and the events that it streamed."""

    async def whole() -> tuple[AgentOutput, list[Any]]:
        handler = agent.run(user_msg=prompt, **options)
        events = [event async for event in handler.stream_events()]
        output: AgentOutput = await handler
        return output, events

    return run(whole())


def _results(events: list[Any]) -> list[tuple[str, dict[str, Any], str]]:
    """What was called, in order: name, arguments, output."""
    return [
        (event.tool_name, event.tool_kwargs, event.tool_output.content)
        for event in events
        if isinstance(event, ToolCallResult)
    ]
