"""The ways to ask a model, each as a chat model: by our prompt, by the model's own template, by plain JSON."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from benchmarks.tools.cache import SILENCE_S
from bing_llm import BingClient, ChatHub, Retries, Timeouts
from bing_llm.emulator import Emulator, Upstream
from langchain_bing import ChatBing

Opened: TypeAlias = AsyncGenerator[BaseChatModel, None]

_WAITS = Timeouts(silence=SILENCE_S, answer=SILENCE_S, turn=2 * SILENCE_S)


@asynccontextmanager
async def bing(url: str, model: str) -> Opened:
    """ChatBing over the emulator, whose brain is the model."""
    brain = Upstream(url, model, silence=SILENCE_S)
    async with (
        Emulator(brain) as emulator,
        BingClient(ChatHub(endpoint=emulator.url), timeouts=_WAITS, retries=Retries(attempts=1)) as client,
    ):
        yield ChatBing(client=client)


@asynccontextmanager
async def native(url: str, model: str) -> Opened:
    """The server's own function calling, by the template of the model."""
    yield _chat_openai(url, model)


@asynccontextmanager
async def plain(url: str, model: str) -> Opened:
    """A prompt of a few lines, as people write it first."""
    yield PlainJson(inner=_chat_openai(url, model))


def _chat_openai(url: str, model: str) -> BaseChatModel:
    chat: BaseChatModel = importlib.import_module("langchain_openai").ChatOpenAI(
        base_url=url, model=model, api_key="none", max_retries=0, timeout=SILENCE_S
    )
    return chat


WAYS: dict[str, Callable[[str, str], Any]] = {"bing": bing, "native": native, "plain": plain}


class PlainJson(BaseChatModel):
    """Lists the tools in a system message, and reads a reply that is one JSON object with `tool` and `args`."""

    inner: BaseChatModel

    @property
    def _llm_type(self) -> str:
        return "plain-json"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], choice=tool_choice, **kwargs)

    def _generate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        raise TypeError("Only async calls are measured.")

    async def _agenerate(self, messages: list[BaseMessage], *_args: Any, **kwargs: Any) -> ChatResult:
        tools = kwargs.get("tools", ())
        said = [SystemMessage(_instructions(tools))] if tools else []
        reply = await self.inner.ainvoke([*said, *map(_as_text, messages)])
        names = {tool["function"]["name"] for tool in tools}
        return ChatResult(generations=[ChatGeneration(message=_read(str(reply.content), names))])


def _instructions(tools: Sequence[dict[str, Any]]) -> str:
    listed = "\n".join(json.dumps(tool["function"]) for tool in tools)
    form = '{"tool": "<name>", "args": {...}}'
    return f"You have these tools:\n{listed}\nTo use one, reply only with JSON: {form}. Otherwise reply with text."


def _as_text(message: BaseMessage) -> BaseMessage:
    match message:
        case AIMessage(tool_calls=[_, *_] as calls):
            return AIMessage("\n".join(json.dumps({"tool": call["name"], "args": call["args"]}) for call in calls))
        case ToolMessage():
            return HumanMessage(f"The tool returned: {message.text}")
        case _:
            return message


def _read(text: str, names: set[str]) -> AIMessage:
    bare = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        value = json.loads(bare)
    except ValueError:
        return AIMessage(text)
    if not isinstance(value, dict) or value.get("tool") not in names or not isinstance(value.get("args"), dict):
        return AIMessage(text)
    return AIMessage("", tool_calls=[{"name": value["tool"], "args": value["args"], "id": f"c{id(value)}"}])
