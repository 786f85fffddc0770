"""`ChatBing`, the chat model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload
from uuid import uuid4

from langchain_core.language_models import BaseChatModel, LangSmithParams, ModelProfile
from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils import secret_from_env
from pydantic import Field, SecretStr

from bing_llm import __version__
from bing_llm.completion.fields import SERVICE_FIELDS, Names, ServiceFields
from bing_llm.completion.request import ToolChoice, read_allowed_tools, read_choice, read_toolbox
from bing_llm.completion.stream import Completion
from bing_llm.completion.tokens import CONTEXT_TOKENS, count_tokens, token_ids
from bing_llm.services import Service, describe, fingerprint
from bing_llm.sync import iterate, run
from bing_llm.tools.prompt import ToolPrompt, render_instructions
from langchain_bing.blocks import PROVIDER
from langchain_bing.chunks import BlockChunks, ChunkStream, TextChunks, result_of
from langchain_bing.errors import model_errors
from langchain_bing.messages import convert, to_history
from langchain_bing.schemas import AnyTool, as_openai_tool, json_schema_of

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage

    from langchain_bing.schemas import Schema
    from langchain_bing.structured import Method

T = TypeVar("T")

_known_prompts: dict[int, tuple[ToolPrompt, str]] = {}  # kept, since an id may be given again to another object
_cookies_from_environment: Callable[[], SecretStr | None] = secret_from_env("BING_COOKIES", default=None)


class ChatBing(ServiceFields, BaseChatModel):
    """Microsoft's Bing and Copilot chat as a LangChain chat model.

    Setup:
        ```sh
        pip install "bing-llm[langchain]"
        export BING_LLM_BACKEND=emulator  # a local server, to try it; or BING_LLM_ENDPOINT and BING_COOKIES
        ```

    Instantiate:
        ```python
        from langchain_bing import ChatBing

        model = ChatBing(model="bing-precise", search=False)
        ```

    Settings:
        - `model`: `bing-creative`, `bing-balanced` (the default) or `bing-precise`; also as an option of each call
        - `backend`, `endpoint`, `cookies`, `search`, `locale`: the settings of a service, as in `BingClient`; for
          Work IQ also `token`, `agent`, `protocol`, `time_zone`, `files`, `entity_tags`, `citation_markers`
        - `api_key`: the credential of the chosen service: `cookies` for ChatHub, `token` for Work IQ
        - `service`: a service value such as `WorkIQ(...)`, or a service of your own. It replaces all the settings
          above, except `model`
        - `timeout`: the time for a whole turn, in seconds; 900; also as an option of each call
        - `max_retries`: how often a turn without text yet is tried again; 4
        - `continue_conversations`, `max_concurrency`, `warm`: as in `BingClient`, for speed
        - `client`: a `BingClient` of your own, which you close. It replaces all the settings above, except `model` and
          `max_retries`
        - `stop`, `max_tokens`: where the answer ends; also as options of each call
        - `temperature`: accepted, but not used, because the service has no such setting
        - `estimate_usage`: whether messages have an estimated `usage_metadata`; the service counts no tokens
        - `streaming`: whether `invoke` streams, for callbacks that want tokens
        - `join_deltas`: whether text that has already arrived is joined into one chunk
        - `tool_prompt`: your own wording of tools, calls and JSON in the prompt, a `bing_llm.tools.ToolPrompt`; None
          for the wording that did best with real models
        - the settings of every LangChain model: `cache`, `rate_limiter`, `callbacks`, `output_version`,
          `disable_streaming`

    Invoke:
        ```python
        messages = [("system", "Answer in one sentence."), ("human", "Why is the sea salty?")]
        answer = model.invoke(messages)
        print(answer.content)
        ```

    Stream:
        ```python
        for chunk in model.stream("Tell me a story about the sea."):
            print(chunk.content, end="", flush=True)
        ```

    Async:
        ```python
        answer = await model.ainvoke("Hello")
        async for chunk in model.astream("Hello"):
            print(chunk.content, end="")
        ```

    Tool calling:
        The service does not support tools. So the prompt describes them, and calls are parsed from the answer. If a
        required call is missing, or a call cannot be parsed, the model is asked once more. What tools return may hold
        pictures and files: what the service does not take becomes a word.

        ```python
        def add(a: int, b: int) -> int:
            '''Add two numbers.'''
            return a + b


        answer = model.bind_tools([add]).invoke("What is 2 + 3?")
        print(answer.tool_calls)
        ```

    Structured output:
        ```python
        from pydantic import BaseModel


        class Person(BaseModel):
            name: str
            age: int


        person = model.with_structured_output(Person).invoke('Her name is "Ada" and her age is 36.')
        print(person)
        ```

    More than text:
        `content_blocks` has citations as annotations of the text, with their places, searches, reasoning, pictures and
        suggestions. `response_metadata` has them too, and also `finish_reason`, `model_name`, `conversation_id` and
        `quota`. With `output_version="v1"` the content itself is these blocks.

        ```python
        answer = ChatBing(search=True).invoke("What is new in Python?")
        print(answer.content_blocks)
        print(answer.response_metadata["citations"])
        ```

    Stop sequences and lengths:
        The service supports neither. So the client cuts the answer at `stop` or `max_tokens`, and ends the turn.

    Errors:
        Each error is from `bing_llm.errors`. If the installed langchain-core has the `ModelError` family, the error
        belongs to that family too. Streamed text is never taken back. If the service rewrites it, the last chunk's
        `response_metadata["final_text"]` has the new text, and `invoke` returns the new text.

    Raises:
        ConfigurationError: A setting is not allowed, or no backend is chosen; nothing was sent.
    """

    names: ClassVar[Names] = Names(
        "ChatBing",
        of_a_call=(
            *(
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
            "checks",  # of `with_structured_output`
            *("ls_structured_output_format", "stream"),  # LangChain's own, for itself
        ),
        of_a_model=["estimate_usage"],
    )

    # LangChain's way with secrets: a field that is read in the environment, and written as the name of its variable.
    cookies: SecretStr | None = Field(default_factory=_cookies_from_environment, description=describe("cookies"))

    streaming: bool = Field(default=False, description="Whether `invoke` streams too, for callbacks that want tokens.")
    estimate_usage: bool = Field(
        default=False,
        description="Whether messages carry `usage_metadata`. The service counts no tokens, so it is an estimate and "
        "marked as one.",
    )

    def _after_connecting(self) -> None:
        self._add_version("langchain-bing", __version__)
        if self.profile is None:  # LangChain asked for it before the model had a name
            self.profile = self._resolve_model_profile()

    # --- one call -------------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain itself reports the chunks
        **kwargs: object,
    ) -> ChatResult:
        with model_errors(self._attempts):
            completion, chunks = self._begin(messages, stop, kwargs)
            return result_of(chunks, run(completion.whole()))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as in _generate
        **kwargs: object,
    ) -> ChatResult:
        with model_errors(self._attempts):
            completion, chunks = self._begin(messages, stop, kwargs)
            return result_of(chunks, await completion.whole())

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as in _generate
        **kwargs: object,
    ) -> Iterator[ChatGenerationChunk]:
        with model_errors(self._attempts):
            completion, chunks = self._begin(messages, stop, kwargs)
            with closing(iterate(completion)) as items:
                for item in items:
                    if chunk := chunks.add(item):
                        yield chunk

    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as in _generate
        **kwargs: object,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with model_errors(self._attempts):
            return ChunkStream(*self._begin(messages, stop, kwargs), self._attempts)

    def _begin(
        self, messages: list[BaseMessage], stop: list[str] | None, options: Mapping[str, object]
    ) -> tuple[Completion, TextChunks]:
        """The completion of one call, and what makes LangChain's chunks of it."""
        completion = self._begin_completion(
            to_history(messages, self._tool_prompt),
            options if stop is None else {**options, "stop": stop},
            to_openai_tool=as_openai_tool,
            to_json_schema=json_schema_of,
        )
        make = BlockChunks if self.output_version == "v1" else TextChunks
        return completion, make(completion.model, estimate_usage=self.estimate_usage)

    def _attempts(self) -> int:
        """How often the client tries a turn; for errors only, since it looks at all settings."""
        return self._retries.attempts

    # --- tools and formats ----------------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[AnyTool],
        *,
        tool_choice: ToolChoice = None,
        parallel_tool_calls: bool | None = None,
        strict: bool | None = None,
        response_format: object = None,
        **kwargs: object,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools.

        The service does not support tools. So the prompt describes them, and calls are parsed from the answer. If a
        required call is missing, a call cannot be parsed, or its arguments do not fit their schema, the model is asked
        once more.

        Args:
            tools: Tools, functions, pydantic classes, `TypedDict`s, JSON schemas or runnables.
            tool_choice: `auto` (None, False), `any` (`required`, True), `none`, or a tool's name, also in OpenAI's or
                Anthropic's form of a dict; or OpenAI's `{"type": "allowed_tools", ...}`.
            parallel_tool_calls: False for at most one call an answer.
            strict: True: a call whose arguments do not fit their schema, even when the model was asked once more, is
                invalid. Otherwise it is then given as the model wrote it, because a tool may take "5" for 5.
            response_format: A schema for an answer without calls; see `with_structured_output`.
            **kwargs: For `bind`.

        Raises:
            ValueError: `tool_choice` does not name one of these tools.
        """
        formatted = [as_openai_tool(tool, strict=strict) for tool in tools]
        names = [tool["function"]["name"] for tool in formatted]
        if tool_choice is not None and read_allowed_tools(tool_choice, names) is None:
            tool_choice = read_choice(tool_choice, names)
        given = {
            "tool_choice": tool_choice,
            "parallel_tool_calls": parallel_tool_calls,
            "strict": strict,
            "response_format": response_format,
        }
        return self.bind(tools=formatted, **{key: value for key, value in given.items() if value is not None}, **kwargs)

    @overload
    def with_structured_output(
        self, schema: type[T], *, method: Method = ..., include_raw: Literal[False] = ..., **kwargs: Any
    ) -> Runnable[LanguageModelInput, T]: ...

    @overload
    def with_structured_output(
        self, schema: dict[str, Any], *, method: Method = ..., include_raw: Literal[False] = ..., **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...

    @overload
    def with_structured_output(
        self, schema: Schema | None = ..., *, method: Method = ..., include_raw: Literal[True], **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...

    @overload
    def with_structured_output(
        self, schema: Schema | None = ..., *, method: Method = ..., include_raw: bool = ..., **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]: ...

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: Method = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        tools: Sequence[AnyTool] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The model with its answer parsed.

        An answer that is missing, cannot be read or does not fit the schema is asked for once more, with what is wrong.
        If the second one does not fit either, LangChain's `OutputParserException` is raised, so that fallbacks work.

        Args:
            schema: A pydantic class (of version 2 or `pydantic.v1`), which gives an instance; a `TypedDict` or a JSON
                schema (also in OpenAI's form, `{"type": "json_schema", ...}`), which gives a dict; or another type that
                pydantic knows, such as a union or a list, which gives its value.
            method: `function_calling` (the default): a stream gives one object at its end. `json_schema`: the answer
                is the JSON itself, so a streamed object grows. `json_mode`: the same, in the shape that your prompt
                asks for.
            include_raw: Whether the result is a dict of `raw` (the message), `parsed` and `parsing_error`.
            strict: As in `bind_tools`, for the other tools; the answer is always checked.
            tools: Other tools that may be called.
            **kwargs: For `bind`.

        Raises:
            ValueError: The method is unknown, or needs a schema.
        """
        from langchain_bing.structured import structured_runnable  # noqa: PLC0415 - the parsers are slow to import

        bind = partial(self.bind_tools, **kwargs)
        return structured_runnable(bind, schema, method=method, include_raw=include_raw, strict=strict, tools=tools)

    def with_retry(self, **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that LangChain retries. Our own retries are switched off, because two budgets would multiply.

        A turn that the service may charge for is not sent again, whatever `retry_if_exception_type` says.
        """
        from langchain_bing.retry import Retry  # noqa: PLC0415 - brings tenacity, which is slow to import

        return Retry.of(BaseChatModel.with_retry(self.model_copy(update={"max_retries": 0}), **kwargs))

    # --- tokens ---------------------------------------------------------------------------------------------------

    def get_token_ids(self, text: str) -> list[int]:
        """One number per token: from `custom_get_token_ids` if it is set, else by the same estimate as elsewhere."""
        return token_ids(text) if self.custom_get_token_ids is None else self.custom_get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """An estimate: one token for four bytes of UTF-8, because the service's tokenizer is unknown."""
        return count_tokens(text) if self.custom_get_token_ids is None else len(self.custom_get_token_ids(text))

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[AnyTool] | None = None) -> int:
        """An estimate for the messages in the form in which they are sent, with the description of the tools."""
        toolbox = read_toolbox(map(as_openai_tool, tools or ()), None, parallel=None)
        instructions = render_instructions(toolbox, tool_prompt=self._tool_prompt)
        texts = [instructions.prefix, instructions.reminder, convert(messages)]
        return sum(self.get_num_tokens(text) for text in texts)

    # --- what LangChain asks of a model ---------------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "bing-chat"

    @property
    def _identifying_params(self) -> dict[str, object]:
        return {
            "model": self.model,
            "backend": self.backend if self.service is None else self.service.name,
            # An endpoint with a user or a query was refused, so it cannot hold a secret.
            **{name: getattr(self, name) for name in SERVICE_FIELDS if name not in {"backend", "cookies", "token"}},
            "stop": self.stop,
            "max_tokens": self.max_tokens,
        }

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # The key of LangChain's caches, made of what it may serialize. Service, client and secrets are left out there.
        own = None if self.tool_prompt is None else _key_of(self.tool_prompt)
        settings = (*self._identifying_params.items(), self.output_version, self.estimate_usage, own)
        return f"{super()._get_llm_string(stop, **kwargs)}---{settings}---{fingerprint(self._connection.service)}"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider=PROVIDER, ls_model_name=kwargs.get("model") or self.model, ls_model_type="chat"
        )
        temperature = kwargs.get("temperature", self.temperature)
        max_tokens = kwargs.get("max_tokens", self.max_tokens)
        stops = [*(self.stop or ()), *(stop or ())]
        if temperature is not None:
            params["ls_temperature"] = temperature
        if max_tokens is not None:
            params["ls_max_tokens"] = max_tokens
        if stops:
            params["ls_stop"] = stops
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self._connection.service) if self.model else None

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain may serialize it; secrets are left out."""
        return True

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """What LangChain writes of it, also into traces.

        With a `service`, a `client` or a `tool_prompt` of your own, only that it is one: they cannot be written, and a
        model that is read again without them would ask differently. Reading it again is then an error of LangChain.
        """
        is_own = any(own is not None for own in (self.service, self.client, self.tool_prompt))
        return self.to_json_not_implemented() if is_own else super().to_json()

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where LangChain finds the class again."""
        return ["langchain_bing"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The fields that are secret, with the environment variables that hold them."""
        return {"cookies": "BING_COOKIES", "token": "WORKIQ_TOKEN"}

    # --- life -----------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[object, object]:
        for name in ("client", "service"):
            if getattr(self, name) is not None:
                raise TypeError(
                    f"A ChatBing with a {name} of your own is not pickled: give it settings instead of a {name}."
                )
        state = super().__getstate__()
        fields = {**state["__dict__"], "cookies": None, "token": None}  # they are read from the environment again
        return {**state, "__dict__": fields, "__pydantic_private__": {"_connected": None}}

    def __setstate__(self, state: dict[object, object]) -> None:
        super().__setstate__(state)
        self.cookies = _cookies_from_environment()


def _key_of(tool_prompt: ToolPrompt) -> str:
    """A name for this very wording, which no other one has: a cache may outlive it, and the process."""
    return _known_prompts.setdefault(id(tool_prompt), (tool_prompt, uuid4().hex))[1]


def profile_of(service: Service) -> ModelProfile:
    """What LangChain can know about a model before a call.

    Tools are ours, made of text, so they are there with every service. `structured_output` is False, because True would
    mean a service's own: agents then trust one answer, and refuse unions. By a tool call they ask until it fits.
    """
    images = getattr(service, "images_per_turn", 0) > 0
    return ModelProfile(
        name=service.model,
        max_input_tokens=CONTEXT_TOKENS,
        text_inputs=True,
        image_inputs=images,
        image_url_inputs=images,
        pdf_inputs=False,
        audio_inputs=False,
        video_inputs=False,
        image_tool_message=images,
        pdf_tool_message=False,
        text_outputs=True,
        image_outputs=images,
        audio_outputs=False,
        video_outputs=False,
        reasoning_output=True,
        tool_calling=True,
        tool_choice=True,
        structured_output=False,
        temperature=False,
    )
