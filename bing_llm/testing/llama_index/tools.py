"""Tools: calls, their ids, their results, and the settings that rule them."""

from __future__ import annotations

import copy
import json
from typing import Any, ClassVar

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ToolCallBlock
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import FunctionTool

from bing_llm.testing.llama_index.calls import each_chat, run, said, text_of, user
from bing_llm.testing.llama_index.recording import recorded
from bing_llm.testing.llama_index.subject import Subject, needs, smoke

TOOL_CHATS = ("chat_with_tools", "achat_with_tools", "stream_chat_with_tools", "astream_chat_with_tools")
each_tool_chat = pytest.mark.parametrize("method", TOOL_CHATS)

LIKE_CALLS = (
    '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>',
    '{"name": "add", "arguments": {"a": 2, "b": 3}}',
    '[{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]',
    'Thought: I need a tool.\nAction: add\nAction Input: {"a": 2, "b": 3}',
    "add(a=2, b=3)",
)
"""Texts that look like calls in one form or another."""


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return f"It is sunny in {city}, 21 degrees."


ADD = FunctionTool.from_defaults(add)
WEATHER = FunctionTool.from_defaults(get_weather)


class ToolSubject(Subject):
    """What the tests of tools and agents ask. The tools are `add` and `get_weather`, the latter of a city."""

    tool_prompt: ClassVar[str] = "What is 2 + 3? Use the tool add."
    """A question that is answered by one call of `add`."""

    tool_kwargs: ClassVar[dict[str, Any]] = {"a": 2, "b": 3}
    """The arguments of that call."""

    tool_result: ClassVar[str] = "5"
    """What that call gives, which the answer must contain."""

    parallel_prompt: ClassVar[str] = "What is the weather in Paris and London?"
    """A question that is answered by two calls of `get_weather` or more."""

    def make_tool_llm(self, **settings: Any) -> FunctionCallingLLM:
        """A new LLM that calls tools; `make_llm` makes it, unless overridden."""
        llm = self.make_llm(**settings)
        assert isinstance(llm, FunctionCallingLLM), f"{type(llm).__name__} is no FunctionCallingLLM"
        return llm


async def _achat(llm: FunctionCallingLLM, method: str, tools: list[Any], **options: Any) -> list[ChatResponse]:
    answer = await getattr(llm, method)(tools, **options)
    return [chunk async for chunk in answer] if "stream" in method else [answer]


def with_tools(llm: FunctionCallingLLM, method: str, tools: list[Any], **options: Any) -> list[ChatResponse]:
    """All responses of `chat_with_tools` or one of its forms."""
    if method.startswith("a"):
        return run(_achat(llm, method, tools, **options))
    answer = getattr(llm, method)(tools, **options)
    return list(answer) if "stream" in method else [answer]


def called(llm: FunctionCallingLLM, response: ChatResponse) -> list[ToolSelection]:
    """The calls in a response, which may have none."""
    return llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)


def predicted_and_called(llm: FunctionCallingLLM, method: str, tools: list[Any], **options: Any) -> AgentChatResponse:
    """The response of `predict_and_call`, or of `apredict_and_call`."""
    if not method.startswith("a"):
        return llm.predict_and_call(tools, **options)

    async def awaited() -> AgentChatResponse:
        return await llm.apredict_and_call(tools, **options)

    return run(awaited())


@needs("calls_tools")
class ToolConformance(ToolSubject):
    """An LLM that calls tools: what its calls look like, and which there are."""

    # --- what is prepared ---------------------------------------------------------------------------------------------

    def test_the_metadata_says_so(self) -> None:
        """Agents and programs look at `is_function_calling_model`, not at the class."""
        assert self.make_tool_llm().metadata.is_function_calling_model

    @pytest.mark.parametrize("form", ["none", "text", "message"])
    def test_preparing_leaves_the_history_alone(self, form: str) -> None:
        """What is prepared for a call is a list of its own: the caller's history and message stay as they were."""
        history = [user("Hello."), ChatMessage(role="assistant", content="Hello!")]
        forms: dict[str, str | ChatMessage | None] = {
            "none": None,
            "text": self.tool_prompt,
            "message": user(self.tool_prompt),
        }
        given = forms[form]
        before = copy.deepcopy((history, given))
        prepared = self.make_tool_llm()._prepare_chat_with_tools([ADD], user_msg=given, chat_history=history)
        assert (history, given) == before, "the caller's history was changed"
        assert prepared["messages"] is not history, "what is prepared would change with the caller's list"
        expected = ["Hello.", "Hello!"] + ([] if given is None else [self.tool_prompt])
        assert [message.content for message in prepared["messages"]] == expected

    @each_tool_chat
    def test_the_history_is_left_alone(self, method: str) -> None:
        """A whole call leaves the history, the message and the list of tools as they were."""
        history, message, tools = [user("Hello."), ChatMessage(role="assistant")], user(self.tool_prompt), [ADD]
        before = copy.deepcopy((history, message))
        with_tools(self.make_tool_llm(), method, tools, user_msg=message, chat_history=history)
        assert (history, message) == before, f"{method} changed what it was given"
        assert tools == [ADD]

    # --- calls --------------------------------------------------------------------------------------------------------

    @smoke
    @each_tool_chat
    @pytest.mark.parametrize("form", ["none", "text", "message"])
    def test_a_call_is_made(self, method: str, form: str) -> None:
        """The right tool is called with the right arguments, whether the question comes as text, message or history."""
        asked: dict[str, dict[str, Any]] = {
            "none": {"chat_history": [user(self.tool_prompt)]},
            "text": {"user_msg": self.tool_prompt},
            "message": {"user_msg": user(self.tool_prompt), "chat_history": [user("Hello.")]},
        }
        llm = self.make_tool_llm()
        calls = called(llm, with_tools(llm, method, [ADD, WEATHER], **asked[form])[-1])
        assert [(made.tool_name, made.tool_kwargs) for made in calls] == [("add", self.tool_kwargs)]

    @each_tool_chat
    def test_every_chunk_can_be_asked_for_calls(self, method: str) -> None:
        """Agents ask every chunk for its calls: each gives a list, and the last one has them all."""
        llm = self.make_tool_llm()
        calls = [called(llm, chunk) for chunk in with_tools(llm, method, [ADD], user_msg=self.tool_prompt)]
        assert all(isinstance(made, list) for made in calls)
        assert len(calls[-1]) == 1, f"the last chunk of {method} has {len(calls[-1])} calls"

    @needs("gives_whole_calls")
    @each_tool_chat
    def test_a_call_is_given_when_it_is_whole(self, method: str) -> None:
        """No chunk gives a call of which only a part has come: who acts on chunks would act on that."""
        llm = self.make_tool_llm()
        calls = [called(llm, chunk) for chunk in with_tools(llm, method, [ADD], user_msg=self.tool_prompt)]
        assert all(made in calls[-1] for chunk in calls for made in chunk), "a call was given before it was whole"

    @each_tool_chat
    def test_text_and_calls_do_not_mix(self, method: str) -> None:
        """What the model wrote to make a call is not shown as text: the deltas of a stream are its text, too."""
        chunks = with_tools(self.make_tool_llm(), method, [ADD], user_msg=self.tool_prompt)
        assert "arguments" not in text_of(chunks[-1])
        if "stream" in method:
            assert "".join(chunk.delta or "" for chunk in chunks) == text_of(chunks[-1])

    @each_tool_chat
    def test_a_call_is_a_block(self, method: str) -> None:
        """A call is a ToolCallBlock of the message.

        `additional_kwargs["tool_calls"]` is optional. If it is there, it repeats the blocks.
        """
        message = with_tools(self.make_tool_llm(), method, [ADD], user_msg=self.tool_prompt)[-1].message
        blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
        assert len(blocks) == 1, f"the answer has {len(blocks)} ToolCallBlocks"
        assert blocks[0].tool_name == "add"
        arguments = blocks[0].tool_kwargs
        assert (json.loads(arguments) if isinstance(arguments, str) else arguments) == self.tool_kwargs
        assert len(message.additional_kwargs.get("tool_calls") or blocks) == 1, "tool_calls and blocks differ"

    def test_no_call_is_an_error_unless_allowed(self) -> None:
        """Where a response has no call, that is a ValueError by default, and an empty list where it is allowed."""
        llm = self.make_tool_llm()
        plain = ChatResponse(message=ChatMessage(role="assistant", content="No tool is needed."))
        assert llm.get_tool_calls_from_response(plain, error_on_no_tool_call=False) == []
        with pytest.raises(ValueError, match=r"."):
            llm.get_tool_calls_from_response(plain, error_on_no_tool_call=True)
        with pytest.raises(ValueError, match=r"."):
            llm.get_tool_calls_from_response(plain)

    @pytest.mark.parametrize("text", LIKE_CALLS)
    def test_text_is_not_read_as_a_call(self, text: str) -> None:
        """A message whose text looks like a call has none: calls are what the LLM put there, not what text says."""
        message = ChatMessage(role="assistant", content=text)
        assert called(self.make_tool_llm(), ChatResponse(message=message)) == []

    def test_arguments_may_be_text(self) -> None:
        """A ToolCallBlock may hold its arguments as JSON text, which is read.

        Text that is no JSON, as of a call that was cut off, raises nothing: an agent would end by that. What is made
        of it is the LLM's own affair; it is a call of `add` only where its arguments say no more than was written.
        """
        llm = self.make_tool_llm()
        [made] = called(llm, _response_with('{"a": 2, "b": 3}'))
        assert (made.tool_name, made.tool_kwargs) == ("add", {"a": 2, "b": 3})
        cut_off = called(llm, _response_with('{"a": 2, "b'))
        assert all(made.tool_name != "add" or made.tool_kwargs in ({}, {"a": 2}) for made in cut_off)

    # --- ids and results ----------------------------------------------------------------------------------------------

    def test_ids_are_unique(self) -> None:
        """Each call has an id of its own, also beyond one answer; block, entry and selection agree on it."""
        llm, ids = self.make_tool_llm(), list[str]()
        for _ in range(3):
            response = llm.chat_with_tools([ADD], user_msg=self.tool_prompt)
            selected = [made.tool_id for made in called(llm, response)]
            blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
            assert [block.tool_call_id for block in blocks] == selected
            ids += selected
        assert all(ids), "a call has no id"
        assert len(set(ids)) == len(ids) == 3, f"ids: {ids}"

    @smoke
    @each_chat
    @pytest.mark.parametrize("stored", [False, True], ids=["kept", "stored"])
    def test_a_result_finds_its_call(self, method: str, stored: bool) -> None:  # noqa: FBT001 - a parameter
        """The result of a call, marked by its id, goes back to the model, which answers from it.

        The same where the message with the call has been stored as JSON between.
        """
        llm = self.make_tool_llm()
        message = with_tools(llm, "chat_with_tools", [ADD], user_msg=self.tool_prompt)[-1].message
        [made] = called(llm, ChatResponse(message=message))
        if stored:
            message = ChatMessage.model_validate_json(message.model_dump_json())
        result = ChatMessage(
            role="tool", content=str(add(**made.tool_kwargs)), additional_kwargs={"tool_call_id": made.tool_id}
        )
        assert self.tool_result in said(llm, method, [user(self.tool_prompt), message, result])

    @each_tool_chat
    def test_a_result_ends_the_calls(self, method: str) -> None:
        """After the result, with the tools still offered, the model answers in text and does not call again."""
        llm = self.make_tool_llm()
        message = llm.chat_with_tools([ADD], user_msg=self.tool_prompt).message
        [made] = called(llm, ChatResponse(message=message))
        result = ChatMessage(role="tool", content=self.tool_result, additional_kwargs={"tool_call_id": made.tool_id})
        last = with_tools(llm, method, [ADD], chat_history=[user(self.tool_prompt), message, result])[-1]
        assert called(llm, last) == []
        assert self.tool_result in text_of(last)

    def test_a_result_may_be_of_blocks(self) -> None:
        """A result may come as several blocks, as tools give it; the model hears all of them."""
        llm = self.make_tool_llm()
        message = llm.chat_with_tools([ADD], user_msg=self.tool_prompt).message
        [made] = called(llm, ChatResponse(message=message))
        blocks = [TextBlock(text=f"The sum is {self.tool_result}."), TextBlock(text="Computed in Zanzibar.")]
        result = ChatMessage(role="tool", blocks=blocks, additional_kwargs={"tool_call_id": made.tool_id})
        with recorded() as events:
            said(llm, "chat", [user(self.tool_prompt), message, result])
            assert "Zanzibar" in self.heard(events)

    # --- settings -----------------------------------------------------------------------------------------------------

    @each_tool_chat
    def test_a_required_call_is_made(self, method: str) -> None:
        """With `tool_required` there is a call, also for a question that needs none."""
        llm = self.make_tool_llm()
        last = with_tools(llm, method, [ADD], user_msg=self.prompt, tool_required=True)[-1]
        assert called(llm, last), f"{method} made no call where one was required"

    @each_tool_chat
    def test_calls_are_one_at_a_time_unless_allowed(self, method: str) -> None:
        """Without `allow_parallel_tool_calls` there is at most one call, in both of its places."""
        llm = self.make_tool_llm()
        last = with_tools(llm, method, [WEATHER], user_msg=self.parallel_prompt, allow_parallel_tool_calls=False)[-1]
        assert len(called(llm, last)) == 1
        assert len(last.message.additional_kwargs.get("tool_calls") or ()) <= 1
        assert len([block for block in last.message.blocks if isinstance(block, ToolCallBlock)]) == 1

    @needs("makes_parallel_calls")
    @each_tool_chat
    def test_parallel_calls_are_made_where_allowed(self, method: str) -> None:
        """With `allow_parallel_tool_calls` one answer may have several calls, each with its own id."""
        llm = self.make_tool_llm()
        last = with_tools(llm, method, [WEATHER], user_msg=self.parallel_prompt, allow_parallel_tool_calls=True)[-1]
        calls = called(llm, last)
        assert len(calls) >= 2, f"{method} made {len(calls)} calls"
        assert len({made.tool_id for made in calls}) == len(calls)

    @each_tool_chat
    def test_there_may_be_no_tools(self, method: str) -> None:
        """An empty list of tools is an ordinary question: agents without tools ask so."""
        llm = self.make_tool_llm()
        last = with_tools(llm, method, [], user_msg=self.prompt)[-1]
        assert self.is_answer(text_of(last))
        assert called(llm, last) == []

    @each_tool_chat
    def test_tools_may_be_of_no_use(self, method: str) -> None:
        """A question that no tool helps with is answered in text."""
        llm = self.make_tool_llm()
        last = with_tools(llm, method, [ADD, WEATHER], user_msg=self.prompt)[-1]
        assert called(llm, last) == []
        assert self.is_answer(text_of(last))

    # --- predict and call ---------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("method", ["predict_and_call", "apredict_and_call"])
    def test_a_tool_is_predicted_and_called(self, method: str) -> None:
        """`predict_and_call` calls the tool that the model chose, and gives its output with its source."""
        response = predicted_and_called(self.make_tool_llm(), method, [ADD, WEATHER], user_msg=self.tool_prompt)
        assert response.response == self.tool_result
        assert [source.tool_name for source in response.sources] == ["add"]

    @pytest.mark.parametrize("method", ["predict_and_call", "apredict_and_call"])
    def test_one_of_several_calls_is_kept(self, method: str) -> None:
        """Of several calls one is kept where parallel ones are not allowed: with two, LlamaIndex raises "Invalid"."""
        response = predicted_and_called(self.make_tool_llm(), method, [WEATHER], user_msg=self.parallel_prompt)
        assert len(response.sources) == 1
        assert "21 degrees" in response.response

    @needs("makes_parallel_calls")
    @pytest.mark.parametrize("method", ["predict_and_call", "apredict_and_call"])
    def test_several_calls_are_made_where_allowed(self, method: str) -> None:
        """Where parallel calls are allowed, each is made."""
        response = predicted_and_called(
            self.make_tool_llm(), method, [WEATHER], user_msg=self.parallel_prompt, allow_parallel_tool_calls=True
        )
        assert "Paris" in response.response
        assert "London" in response.response

    @pytest.mark.parametrize("method", ["predict_and_call", "apredict_and_call"])
    def test_no_call_is_an_error_or_an_answer(self, method: str) -> None:
        """Without a call, `predict_and_call` raises ValueError, or gives the text where that is allowed."""
        llm = self.make_tool_llm()
        with pytest.raises(ValueError, match=r"."):
            predicted_and_called(llm, method, [ADD], user_msg=self.prompt)
        response = predicted_and_called(llm, method, [ADD], user_msg=self.prompt, error_on_no_tool_call=False)
        assert self.is_answer(response.response)
        assert response.sources == []


def _response_with(arguments: str) -> ChatResponse:
    """A call of `add` with arguments as text."""
    block = ToolCallBlock(tool_call_id="call_1", tool_name="add", tool_kwargs=arguments)
    return ChatResponse(message=ChatMessage(role="assistant", blocks=[block]))
