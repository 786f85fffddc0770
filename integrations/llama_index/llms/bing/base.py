"""`Bing`, the LLM."""

from __future__ import annotations

import logging
import pickle
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.constants import DEFAULT_NUM_OUTPUTS
from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.types import PydanticProgramMode
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, Field, ValidationInfo, field_validator

from bing_llm.completion.fields import Names, ServiceFields
from bing_llm.completion.prompt import History
from bing_llm.completion.stream import Completion
from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message
from bing_llm.sync import run
from bing_llm.tools.prompt import ToolPrompt
from llama_index.llms.bing.dumps import dump_owner, dump_prompt, refuse_dumped
from llama_index.llms.bing.messages import to_history
from llama_index.llms.bing.responses import ChatResponses, CompletionResponses
from llama_index.llms.bing.streams import StreamedCall, aclosing_now, closing
from llama_index.llms.bing.structured import (
    CallForm,
    Form,
    JsonForm,
    StructuredCall,
    areport_objects,
    report_objects,
)
from llama_index.llms.bing.tool_calls import AnyTool, as_openai_tool, schema_of, selections

if TYPE_CHECKING:
    from llama_index.core.llms.llm import ToolSelection
    from llama_index.core.prompts import BasePromptTemplate, PromptTemplate


_dispatcher = get_dispatcher(__name__)
_log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)

_FORMS: dict[PydanticProgramMode, Callable[[type[BaseModel], ToolPrompt], Form]] = {
    PydanticProgramMode.DEFAULT: JsonForm,
    PydanticProgramMode.LLM: JsonForm,
    PydanticProgramMode.FUNCTION: CallForm,
}
"""How the model is asked for an object in each mode that needs no other package."""

CONTEXT_WINDOW = 5_500
"""Tokens of a prompt and of an answer as LlamaIndex counts them, by the tokenizer of GPT-3.5.

A ChatHub refused about 8,000 tokens (docs/protocol/chathub.md, section b); the emulator refuses 32,000 characters.
LlamaIndex leaves 256 tokens of the window for the answer. At 5.6 characters a token, the rest is 29,400 characters.
English prose has 4 to 5, the densest of 400 pieces of Python 5.4. So 2,600 characters are left for what LlamaIndex does
not count: the headers of messages, the description of tools, and a schema."""

_NEVER_PICKLED = ("cookies", "token", "client", "service")


class Bing(ServiceFields, CustomLLM, FunctionCallingLLM):
    """Microsoft's Bing and Copilot chat as a LlamaIndex LLM.

    Setup:
        ```sh
        pip install "bing-llm[llama-index]"
        export BING_LLM_BACKEND=emulator  # a local server, to try it; or BING_LLM_ENDPOINT and BING_COOKIES
        ```

    Instantiate:
        ```python
        from llama_index.llms.bing import Bing

        llm = Bing(model="bing-precise", timeout=60)
        ```

    Settings:
        - `model`: `bing-creative`, `bing-balanced` (the default) or `bing-precise`; also as an option of each call
        - `backend`, `endpoint`, `cookies`, `search`, `locale`: the settings of a service, as in `BingClient`; for
          Work IQ also `token`, `agent`, `protocol`, `time_zone`, `files`, `entity_tags`, `citation_markers`
        - `api_key`: the credential of the chosen service: `cookies` for ChatHub, `token` for Work IQ
        - `service`: a service value such as `WorkIQ(...)`, or a service of your own. It replaces all the settings
          above, except `model`
        - `timeout`: the time for a whole turn, in seconds; 900
        - `max_retries`: how often a turn without text yet is tried again; 4
        - `continue_conversations`, `max_concurrency`, `warm`: as in `BingClient`, for speed
        - `client`: a `BingClient` of your own, which you close. It replaces all the settings above, except `model` and
          `max_retries`
        - `stop`, `max_tokens`: where the answer ends; also as options of each call
        - `temperature`: accepted, but not used, because the service has no such setting
        - `context_window`: the size to which LlamaIndex packs prompts, in tokens
        - `join_deltas`: whether text that has already arrived is joined into one chunk
        - `tool_prompt`: your own wording of tools, calls and JSON in the prompt, a `bing_llm.tools.ToolPrompt`; None
          for the wording that did best with real models
        - the settings of every LlamaIndex LLM: `system_prompt`, `callback_manager`, `rate_limiter`, `output_parser`,
          `completion_to_prompt`, `pydantic_program_mode`

    Complete and chat:
        ```python
        from llama_index.core.llms import ChatMessage

        print(llm.complete("Why is the sea salty?"))
        messages = [ChatMessage("Answer in one sentence.", role="system"), ChatMessage("Why is the sea salty?")]
        print(llm.chat(messages))
        ```

    Stream:
        ```python
        for chunk in llm.stream_chat(messages):
            print(chunk.delta, end="", flush=True)
        ```

    Async:
        ```python
        answer = await llm.achat(messages)
        async for chunk in await llm.astream_chat(messages):
            print(chunk.delta, end="")
        ```

    Tool calling:
        The service does not support tools. So the prompt describes them, and calls are parsed from the answer. If a
        required call is missing, or a call cannot be parsed, the model is asked once more. So LlamaIndex's agents work.

        ```python
        from llama_index.core.agent.workflow import FunctionAgent


        def add(a: int, b: int) -> int:
            '''Add two numbers.'''
            return a + b


        agent = FunctionAgent(tools=[add], llm=llm)
        print(await agent.run("What is 2 + 3?"))
        ```

    Structured output:
        ```python
        from llama_index.core.prompts import PromptTemplate
        from pydantic import BaseModel


        class City(BaseModel):
            name: str
            country: str


        city = llm.structured_predict(City, PromptTemplate("Describe {name}."), name="Paris")
        print(city)
        ```

    More than text:
        Citations, searches, pictures and suggestions are in `additional_kwargs` of the last response and of its
        message. Reasoning lines are a `ThinkingBlock`; in streams they come as `thinking_delta`. `raw` has all of
        this, and `finish_reason`, `conversation_id` and `quota`. A marker of a citation in the text also has a
        `CitationBlock` in the message, with its place. There is no usage, because the service counts no tokens. If the
        model made calls, `completion_tokens` in `additional_kwargs` is an estimate, as `tokens_are_estimated` says, so
        that `TokenCountingHandler` counts their arguments.

        ```python
        answer = llm.chat([ChatMessage("What is new in Python?")])
        print(answer.additional_kwargs.get("citations"))
        ```

    Stop sequences and lengths:
        The service supports neither. So the client cuts the answer at `stop` or `max_tokens`, and ends the turn.

    Errors:
        Each error is from `bing_llm.errors`. Streamed text is never taken back. If the service rewrites it, the deltas
        stay as they are, and the message of the last chunk has the new text, as `chat` returns it; then
        `raw["final_text"]` is set. Calls in an answer that the service withdrew are dropped.

    Raises:
        ConfigurationError: A setting is not allowed, or no backend is chosen; nothing was sent.
    """

    names: ClassVar[Names] = Names(
        "Bing",
        of_a_call=(
            "max_tokens",
            "model",
            "parallel_tool_calls",
            "response_format",
            "stop",
            "strict",
            "timeout",
            "tool_choice",
            "tools",
        ),
        of_a_model=["context_window"],
    )

    context_window: int = Field(
        default=CONTEXT_WINDOW,
        ge=1,
        description="The size to which LlamaIndex packs prompts, in tokens as LlamaIndex counts them.",
    )

    @classmethod
    def class_name(cls) -> str:
        """The name by which LlamaIndex knows the class in serialized data."""
        return "bing_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex needs to know about the model. Nothing is sent."""
        return LLMMetadata(
            context_window=self.context_window,
            # The services do not count the answer to the prompt, so it never takes all the room of one.
            num_output=min(self.max_tokens or DEFAULT_NUM_OUTPUTS, max(1, self.context_window // 4)),
            is_chat_model=True,
            is_function_calling_model=True,
            model_name=self.model,
        )

    # --- the eight ways of asking ---------------------------------------------------------------------------------

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: object) -> ChatResponse:
        """The answer to a history.

        Args:
            messages: The history, the oldest first; it is not changed.
            **kwargs: `tools` (LlamaIndex's, functions, or OpenAI's form), `tool_choice` (`auto`, `required`, `none` or
                a tool's name), `parallel_tool_calls`, `strict`, `response_format` (a pydantic class or a JSON schema,
                also in OpenAI's forms), `stop`, `max_tokens`, `model`, `timeout` (of this turn, in seconds).
                If the arguments of a call do not fit their schema, the model is asked once more; a call that still
                does not fit is invalid with `strict=True`, else it is given as the model wrote it.

        Raises:
            InvalidRequest: The history or an option cannot be served; nothing was sent.
            BingError: The turn failed.
        """
        completion, responses = self._chat(messages, kwargs)
        return responses.whole(run(completion.whole()))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: object) -> ChatResponse:
        """The answer to a history, asked on the caller's event loop. The arguments and errors are those of `chat`."""
        completion, responses = self._chat(messages, kwargs)
        return responses.whole(await completion.whole())

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: object) -> ChatResponseGen:
        """The answer to a history, piece by piece; arguments and errors as for `chat`.

        Closing or dropping the generator ends the turn.
        """
        call = StreamedCall[ChatResponse]()

        @llm_chat_callback()
        def stream(llm: Bing, messages: Sequence[ChatMessage], **kwargs: object) -> ChatResponseGen:
            return call.open(*llm._chat(messages, kwargs))

        return closing(stream(self, messages, **kwargs), call)

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: object) -> ChatResponseAsyncGen:
        """The answer to a history, piece by piece, on the caller's loop; arguments and errors as for `chat`."""
        call = StreamedCall[ChatResponse]()

        @llm_chat_callback()
        async def stream(llm: Bing, messages: Sequence[ChatMessage], **kwargs: object) -> ChatResponseAsyncGen:
            return call.aopen(*llm._chat(messages, kwargs))

        return aclosing_now(await stream(self, messages, **kwargs), call)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: object) -> CompletionResponse:  # noqa: FBT001, FBT002 - LlamaIndex's signature, here and below
        """The answer to one prompt.

        Args:
            prompt: The prompt.
            formatted: Whether `completion_to_prompt` was applied already.
            **kwargs: The options of `chat`.

        Raises:
            InvalidRequest: The prompt or an option cannot be served; nothing was sent.
            BingError: The turn failed.
        """
        completion, responses = self._complete(prompt, kwargs, formatted=formatted)
        return responses.whole(run(completion.whole()))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: object) -> CompletionResponse:  # noqa: FBT001, FBT002
        """The answer to one prompt, asked on the caller's event loop; arguments and errors as for `complete`."""
        completion, responses = self._complete(prompt, kwargs, formatted=formatted)
        return responses.whole(await completion.whole())

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: object) -> CompletionResponseGen:  # noqa: FBT001, FBT002
        """The answer to one prompt, piece by piece; arguments and errors as for `complete`.

        Closing or dropping the generator ends the turn.
        """
        call = StreamedCall[CompletionResponse]()

        @llm_completion_callback()
        def stream(llm: Bing, prompt: str, **kwargs: object) -> CompletionResponseGen:
            return call.open(*llm._complete(prompt, kwargs, formatted=formatted))

        return closing(stream(self, prompt, **kwargs), call)

    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 - as above
        **kwargs: object,
    ) -> CompletionResponseAsyncGen:
        """The answer to one prompt, piece by piece, on the caller's loop; arguments and errors as for `complete`."""
        call = StreamedCall[CompletionResponse]()

        @llm_completion_callback()
        async def stream(llm: Bing, prompt: str, **kwargs: object) -> CompletionResponseAsyncGen:
            return call.aopen(*llm._complete(prompt, kwargs, formatted=formatted))

        return aclosing_now(await stream(self, prompt, **kwargs), call)

    def _chat(self, messages: Sequence[ChatMessage], options: Mapping[str, object]) -> tuple[Completion, ChatResponses]:
        completion = self._begin(to_history(messages, self._tool_prompt), options)
        return completion, ChatResponses(completion.model)

    def _complete(
        self, prompt: str, options: Mapping[str, object], *, formatted: bool
    ) -> tuple[Completion, CompletionResponses]:
        if not isinstance(prompt, str):
            raise InvalidRequest(f"The prompt is a {type(prompt).__name__}; it must be a str.")
        to_prompt = self.completion_to_prompt
        text = prompt if formatted or to_prompt is None else to_prompt(prompt)
        completion = self._begin(History((Message("user", text),)), options)
        return completion, CompletionResponses(completion.model)

    def _begin(self, history: History, options: Mapping[str, object]) -> Completion:
        return self._begin_completion(history, options, to_openai_tool=as_openai_tool, to_json_schema=schema_of)

    # --- tools ----------------------------------------------------------------------------------------------------

    def _prepare_chat_with_tools(  # noqa: PLR0917 - LlamaIndex's signature
        self,
        tools: Sequence[AnyTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: FBT001, FBT002, ARG002
        allow_parallel_tool_calls: bool = False,  # noqa: FBT001, FBT002
        tool_required: bool = False,  # noqa: FBT001, FBT002
        tool_choice: object = None,
        **kwargs: object,
    ) -> dict[str, Any]:
        """The arguments of `chat` for a call with tools."""
        asked = ChatMessage(user_msg, role=MessageRole.USER) if isinstance(user_msg, str) else user_msg
        return {
            "messages": [*(chat_history or ()), *(() if asked is None else (asked,))],
            "tools": [as_openai_tool(tool) for tool in tools],
            "tool_choice": ("required" if tool_required else "auto") if tool_choice is None else tool_choice,
            "parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,  # noqa: FBT001, FBT002 - LlamaIndex's signature
        **kwargs: object,  # noqa: ARG002
    ) -> list[ToolSelection]:
        """The calls of a response. It is cheap, because agents ask for them with each chunk.

        Raises:
            ValueError: The response has no valid call, and `error_on_no_tool_call` is set.
        """
        return selections(response, error_on_no_tool_call=error_on_no_tool_call)

    # --- structured output ----------------------------------------------------------------------------------------
    # LlamaIndex's own programs do not ask again, and their streams end with an object that does not fit. So an answer
    # that is JSON, and a call of a function, are both read here; only the programs of other packages are theirs.

    def structured_predict(
        self,
        output_cls: type[M],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, object] | None = None,
        **prompt_args: object,
    ) -> M:
        """An object of a pydantic class. If the answer does not fit the class, the model is asked once more.

        The model answers with JSON, or calls a function if `pydantic_program_mode` is `FUNCTION`.

        Args:
            output_cls: The class.
            prompt: The prompt template; a chat template works too.
            llm_kwargs: Options of `chat`.
            **prompt_args: The variables of the template.

        Raises:
            ValueError: The model answered twice without such an object.
            BingError: The turn failed.
        """
        if self.pydantic_program_mode not in _FORMS:
            by_program: M = super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return by_program
        _dispatcher.event(_start_of(output_cls, prompt, prompt_args))
        made = self._structured(output_cls, prompt, llm_kwargs, prompt_args).predict()
        _dispatcher.event(LLMStructuredPredictEndEvent(output=made))
        return made

    async def astructured_predict(
        self,
        output_cls: type[M],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, object] | None = None,
        **prompt_args: object,
    ) -> M:
        """An object of a pydantic class, on the caller's loop; arguments and errors as for `structured_predict`."""
        if self.pydantic_program_mode not in _FORMS:
            by_program: M = await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return by_program
        _dispatcher.event(_start_of(output_cls, prompt, prompt_args))
        made = await self._structured(output_cls, prompt, llm_kwargs, prompt_args).apredict()
        _dispatcher.event(LLMStructuredPredictEndEvent(output=made))
        return made

    def stream_structured_predict(
        self,
        output_cls: type[M],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, object] | None = None,
        **prompt_args: object,
    ) -> Generator[Any, None, None]:
        """An object of a pydantic class as far as it is known, each time that it grows; then the final object.

        The arguments and errors are those of `structured_predict`.
        """
        if self.pydantic_program_mode not in _FORMS:
            return super().stream_structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        objects = self._structured(output_cls, prompt, llm_kwargs, prompt_args).stream()
        return report_objects(objects, _start_of(output_cls, prompt, prompt_args))

    async def astream_structured_predict(
        self,
        output_cls: type[M],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, object] | None = None,
        **prompt_args: object,
    ) -> AsyncGenerator[Any, None]:
        """What is known of an object, as `stream_structured_predict` yields it, on the caller's loop."""
        if self.pydantic_program_mode not in _FORMS:
            return await super().astream_structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        call = self._structured(output_cls, prompt, llm_kwargs, prompt_args)
        return aclosing_now(areport_objects(call.astream(), _start_of(output_cls, prompt, prompt_args)), call)

    def _structured(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: Mapping[str, object] | None,
        prompt_args: Mapping[str, object],
    ) -> StructuredCall[M]:
        messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
        form = _FORMS[self.pydantic_program_mode](output_cls, self._tool_prompt)
        return StructuredCall(self, output_cls, messages, llm_kwargs or {}, form)

    # --- dumps ----------------------------------------------------------------------------------------------------

    def to_dict(self, **kwargs: object) -> dict[str, Any]:
        """The settings, without secrets, for `from_dict`.

        A `service` of this package becomes `backend` and its settings. A service, a client or a tool prompt of your own
        cannot be stored: the dump names it, and `from_dict` is an error unless you pass it, as in
        `from_dict(dump, client=...)`.
        """
        return {**super().to_dict(**kwargs), **dump_owner(self.client, self.service), **dump_prompt(self.tool_prompt)}

    @field_validator("client", "service", "tool_prompt", mode="before")
    @classmethod
    def _refuse_dumped(cls, value: object, info: ValidationInfo) -> object:
        return refuse_dumped(info.field_name or "", value)

    # --- life -----------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """The settings, without secrets. What cannot be pickled is left out, as in LlamaIndex, but `self` keeps it.

        Raises:
            TypeError: It has a client or a service of your own.
        """
        for name in ("client", "service"):
            if getattr(self, name) is not None:
                raise TypeError(
                    f"A Bing with a {name} of your own is not pickled: give it settings instead of a {name}."
                )
        fields = {name: None if name in _NEVER_PICKLED else value for name, value in self.__dict__.items()}
        return {
            "__dict__": {name: value for name, value in fields.items() if _pickles(name, value)},
            "__pydantic_extra__": None,
            "__pydantic_fields_set__": set(self.model_fields_set),
            "__pydantic_private__": {"_connected": None},
        }


def _start_of(
    output_cls: type[BaseModel], prompt: PromptTemplate, args: dict[str, object]
) -> LLMStructuredPredictStartEvent:
    return LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=args)


def _pickles(name: str, value: object) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever a value raises, it does not pickle
        _log.warning("%s cannot be pickled and is left out", name)
        return False
    return True
