"""Objects of a pydantic class, from answers that are JSON, or from calls of a function that takes the object."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Generic, Protocol, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictInProgressEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms import LLM
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import from_json

from bing_llm.completion.validation import describe_misfit, validation_problems
from bing_llm.errors import ContentFiltered
from bing_llm.tools.calls import JsonObject, Tool, Toolbox
from bing_llm.tools.prompt import ToolPrompt
from bing_llm.tools.schemas import ROOT, root_schema

_dispatcher = get_dispatcher(__name__)

M = TypeVar("M", bound=BaseModel)

_OF_PROGRAMS = ("tool_required", "tool_choice", "allow_parallel_tool_calls")
"""Options that LlamaIndex's own programs take out, since they set them."""


class Form(Protocol):
    """How the model is asked for an object, and where its JSON is in the answer."""

    @property
    def options(self) -> dict[str, object]:
        """Options of `chat`, as plain data: events hold them, and traces write events as JSON."""

    missing: str
    """What is wrong with an answer that has no JSON, in one sentence."""

    def json_in(self, answer: ChatResponse) -> str:
        """The JSON of the object, as far as it has come; "" for none."""

    def repair_request(self, problem: str) -> str:
        """The user's next message if the object does not fit.

        Args:
            problem: What is wrong, in one sentence.
        """


class JsonForm:
    """The answer itself is the JSON, which can be streamed."""

    missing = "The answer is empty."

    def __init__(self, output_cls: type[BaseModel], tool_prompt: ToolPrompt) -> None:
        self._tool_prompt = tool_prompt
        schema = {"name": output_cls.__name__, "schema": output_cls.model_json_schema()}
        self.options: dict[str, object] = {"response_format": {"type": "json_schema", "json_schema": schema}}

    def json_in(self, answer: ChatResponse) -> str:
        """The text of the answer."""
        return answer.message.content or ""

    def repair_request(self, problem: str) -> str:
        """Ask for the JSON again."""
        return self._tool_prompt.repair_json(problem)


class CallForm:
    """The object is the arguments of a call, which come in one piece. That of a `RootModel` is the argument `root`."""

    def __init__(self, output_cls: type[BaseModel], tool_prompt: ToolPrompt) -> None:
        self._tool_prompt = tool_prompt
        schema = output_cls.model_json_schema()
        self._has_root = issubclass(output_cls, RootModel)
        schema = root_schema(schema) if self._has_root else schema
        self.missing = f"The model made no call of {output_cls.__name__}."
        tool = Tool(output_cls.__name__, inspect.getdoc(output_cls) or "", schema)
        self._toolbox = Toolbox(tools=(tool,), only=tool.name)
        function = {"name": tool.name, "description": tool.description, "parameters": schema}
        self.options: dict[str, object] = {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": tool.name,
            "parallel_tool_calls": False,
        }

    def json_in(self, answer: ChatResponse) -> str:
        """The arguments of the call; "" if there is none."""
        calls = (block for block in answer.message.blocks if isinstance(block, ToolCallBlock))
        call = next(calls, None)
        if call is None or isinstance(call.tool_kwargs, str):
            return "" if call is None else str(call.tool_kwargs)
        return json.dumps(call.tool_kwargs.get(ROOT) if self._has_root else call.tool_kwargs)

    def repair_request(self, problem: str) -> str:
        """Ask for the call again."""
        return self._tool_prompt.repair_call(self._toolbox, problem)


class StructuredCall(Generic[M]):
    """One question whose answer is an object. If the answer is not such an object, the model is asked once more.

    It uses the LLM's own `chat` and `stream_chat`, so that callbacks, limits and events apply.

    Args:
        llm: The LLM.
        output_cls: The class of the object.
        messages: What is asked.
        options: Options of `chat`.
        form: How the model is asked.
    """

    def __init__(
        self,
        llm: LLM,
        output_cls: type[M],
        messages: Sequence[ChatMessage],
        options: Mapping[str, object],
        form: Form,
    ) -> None:
        self._llm = llm
        self._output_cls = output_cls
        self._messages = list(messages)
        self._form = form
        kept = {name: value for name, value in options.items() if name not in _OF_PROGRAMS}
        self._options = {**self._form.options, **kept}
        self._is_second = False
        self._answers: AsyncIterator[ChatResponse] | None = None

    def predict(self) -> M:
        """The object.

        Raises:
            ContentFiltered: The service withdrew the answer.
            ValueError: Neither the answer nor a second one is such an object.
        """
        return self._final(self._llm.chat(self._messages, **self._options))

    async def apredict(self) -> M:
        """The object; asks on the caller's loop. Raises what `predict` raises."""
        return await self._afinal(await self._llm.achat(self._messages, **self._options))

    def stream(self) -> Generator[M | FlexibleModel, None, None]:
        """The object as far as it is known, each time that it grows; then the final object.

        Raises:
            ValueError: As of `predict`.
        """
        growing = _GrowingObject(self._output_cls, self._form)
        answer = ChatResponse(message=ChatMessage())
        with closing(self._llm.stream_chat(self._messages, **self._options)) as answers:
            for answer in answers:
                known = growing.update(answer)
                if known is not None:
                    yield known
        final = self._final(answer)
        if final != growing.known:
            yield final

    async def astream(self) -> AsyncGenerator[M | FlexibleModel, None]:
        """What is known of the object, as `stream` yields it; asks on the caller's loop."""
        growing = _GrowingObject(self._output_cls, self._form)
        answer = ChatResponse(message=ChatMessage())
        # Only `self` holds the answers: to let go of them, as `close` does, closes their socket at once.
        self._answers = await self._llm.astream_chat(self._messages, **self._options)
        while (found := await anext(self._answers, None)) is not None:
            answer = found
            known = growing.update(answer)
            if known is not None:
                yield known
        final = await self._afinal(answer)
        if final != growing.known:
            yield final

    def close(self) -> None:
        """Close the socket of `astream` now. May be called twice, and from any thread."""
        self._answers = None

    def _final(self, answer: ChatResponse) -> M:
        """The object of an answer, or of a second one."""
        try:
            return self._read(answer)
        except _Misfit as exc:
            again = self._repair_messages(answer, exc)
        return self._read_again(self._llm.chat(again, **self._options))

    async def _afinal(self, answer: ChatResponse) -> M:
        try:
            return self._read(answer)
        except _Misfit as exc:
            again = self._repair_messages(answer, exc)
        return self._read_again(await self._llm.achat(again, **self._options))

    def _read(self, answer: ChatResponse) -> M:
        raw = answer.raw or {}
        if raw.get("finish_reason") == "content_filter":
            msg = "The service withdrew its answer."
            raise ContentFiltered(msg, service_message=raw.get("notice") or "", partial_text=_text(answer))
        written = self._form.json_in(answer)
        if not written:
            raise _Misfit(self._form.missing)
        try:
            return self._output_cls.model_validate_json(written)
        except ValidationError as exc:
            msg = f"The JSON does not fit the schema: {validation_problems(exc)}."
            raise _Misfit(msg) from exc

    def _read_again(self, answer: ChatResponse) -> M:
        self._is_second = True
        try:
            return self._read(answer)
        except _Misfit as exc:
            raise self._failure(answer, exc) from exc

    def _repair_messages(self, answer: ChatResponse, misfit: _Misfit) -> list[ChatMessage]:
        """The question, the answer, and what is wrong with it; pictures of the question are sent again.

        Raises:
            ContentFiltered: The service withdrew the answer.
            ValueError: It was cut at `max_tokens`, or is already a second one because the first was not JSON.
        """
        raw = answer.raw or {}
        if raw.get("turns", 1) > 1 or raw.get("finish_reason") == "length":
            raise self._failure(answer, misfit) from misfit
        request = self._form.repair_request(str(misfit))
        said = [block for block in answer.message.blocks if isinstance(block, TextBlock | ToolCallBlock)]
        return [
            *self._messages,
            ChatMessage(said, role=MessageRole.ASSISTANT),
            ChatMessage([*self._pictures(), TextBlock(text=request)], role=MessageRole.USER),
        ]

    def _pictures(self) -> list[ImageBlock]:
        asked = next((message for message in reversed(self._messages) if message.role == MessageRole.USER), None)
        return [] if asked is None else [block for block in asked.blocks if isinstance(block, ImageBlock)]

    def _failure(self, answer: ChatResponse, misfit: _Misfit) -> ValueError:
        raw = answer.raw or {}
        if raw.get("finish_reason") == "length":
            how = " It was cut at max_tokens."
        else:
            how = " The model was asked once more." if raw.get("turns", 1) > 1 or self._is_second else ""
        shown = self._form.json_in(answer) or _text(answer)
        return ValueError(describe_misfit(self._output_cls.__name__, f"{misfit}", shown) + how)


class _Misfit(ValueError):
    """An answer that is not the object: what is wrong, in one sentence."""


class _GrowingObject(Generic[M]):
    """What is known of an object while its JSON streams."""

    def __init__(self, output_cls: type[M], form: Form) -> None:
        self._output_cls = output_cls
        self._form = form
        self._read: object = {}
        self.known: M | FlexibleModel | None = None

    def update(self, answer: ChatResponse) -> M | FlexibleModel | None:
        """What is known now; None if that has not grown."""
        try:
            read = from_json(self._form.json_in(answer), allow_partial="trailing-strings")
        except ValueError:  # no JSON yet
            return None
        if read == self._read or not isinstance(read, dict):
            return None
        self._read = read
        self.known = self._object(read)
        return self.known

    def _object(self, read: JsonObject) -> M | FlexibleModel:
        try:
            return self._output_cls.model_validate(read)
        except ValidationError:
            return create_flexible_model(self._output_cls).model_validate(read)


# --- reports ----------------------------------------------------------------------------------------------------------
# LlamaIndex's methods report each object to handlers of events, so ours do.


def report_objects(
    objects: Generator[Any, None, None], start: LLMStructuredPredictStartEvent
) -> Generator[Any, None, None]:
    """The objects; handlers hear of the start, of each object, and of the last one as the end."""
    _dispatcher.event(start)
    known = None
    for known in objects:
        _dispatcher.event(LLMStructuredPredictInProgressEvent(output=known))
        yield known
    _dispatcher.event(LLMStructuredPredictEndEvent(output=known))


async def areport_objects(
    objects: AsyncGenerator[Any, None], start: LLMStructuredPredictStartEvent
) -> AsyncGenerator[Any, None]:
    """The objects, as `report_objects` yields them."""
    _dispatcher.event(start)
    known = None
    async for known in objects:
        _dispatcher.event(LLMStructuredPredictInProgressEvent(output=known))
        yield known
    _dispatcher.event(LLMStructuredPredictEndEvent(output=known))


def _text(answer: ChatResponse) -> str:
    return answer.message.content or ""
