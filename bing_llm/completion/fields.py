"""The pydantic fields that the models of both adapters share, and the client that is made from them.

Only the adapters import this module, because pydantic comes with their frameworks.
"""

from __future__ import annotations

import copy
import inspect
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal, Self

import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    Secret,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from bing_llm._checks import cookie_header
from bing_llm._secrets import SecretStruct
from bing_llm.client import BingClient
from bing_llm.completion.prompt import History
from bing_llm.completion.request import build_request
from bing_llm.completion.stream import Completion
from bing_llm.errors import ConfigurationError
from bing_llm.limits import Retries, Timeouts
from bing_llm.services import SERVICES, Endpoint, Service, ServiceSettings, credential_of, describe
from bing_llm.sync import run
from bing_llm.tools.calls import JsonObject
from bing_llm.tools.prompt import DEFAULT_PROMPT, ToolPrompt

SERVICE_FIELDS = (
    "backend",
    "endpoint",
    "cookies",
    "token",
    "agent",
    "protocol",
    "search",
    "locale",
    "time_zone",
    "files",
    "entity_tags",
    "citation_markers",
)
"""The fields that make a service, beside `model`."""

CLIENT_FIELDS = ("timeout", "continue_conversations", "max_concurrency", "warm")
"""The fields that are settings of the client itself."""

_OF_A_CLIENT = frozenset({*inspect.signature(BingClient).parameters, *ServiceSettings.__annotations__} - {"settings"})


_ALIASES = {"model_name": "model", "base_url": "endpoint"}
"""What these fields are called by the models of other providers."""

_connecting = threading.Lock()  # so that threads that share a model share its client too


class Names:
    """Which names an adapter's model and its calls take, and the errors and warnings about all others.

    Args:
        owner: The adapter's class, for the messages.
        of_a_call: The options of a call, also those that the framework passes for its own use.
        of_a_model: The adapter's own fields that are not options of a call.
    """

    def __init__(self, owner: str, *, of_a_call: Iterable[str], of_a_model: Iterable[str] = ()) -> None:
        self.of_a_call = frozenset(of_a_call)
        self._owner = owner
        own = {"api_key", "client", "join_deltas", "max_retries", "timeout", *_ALIASES, *of_a_model}
        self._of_a_model = (_OF_A_CLIENT | own) - self.of_a_call
        self._warned_of: set[str] = set()

    def check_options(self, names: Iterable[str]) -> None:
        """Check the options of a call; warn about unknown ones.

        Raises:
            ConfigurationError: One of them is a setting of the model, which a call cannot change.
        """
        others = {*names} - self.of_a_call
        for name in sorted(others & self._of_a_model):
            msg = f"{name} is a setting of the model, and was given as an option of a call."
            raise ConfigurationError(msg, hint=f"Make a model for it: {self._owner}({name}=...).")
        self.warn_of_unused(others)

    def check_fields(self, names: Iterable[str]) -> None:
        """Check the arguments of a constructor that are not fields; warn about unknown ones.

        Raises:
            ConfigurationError: One of them is a setting that only the client takes.
        """
        others = set(names)
        for name in sorted(others & _OF_A_CLIENT):
            msg = f"{self._owner} does not take {name}, which is a setting of the client."
            hint = f"Make the client yourself: {self._owner}(client=BingClient({name}=...))."
            raise ConfigurationError(msg, hint=hint)
        self.warn_of_unused(others)

    def warn_of_unused(self, names: Iterable[str]) -> None:
        """Warn of each unknown name once in a process, because agents pass the same names with each call."""
        for name in sorted({*names} - self._warned_of):
            msg = f"{self._owner} does not use {name!r}: it knows no such setting, or the service has nothing like it."
            warnings.warn(msg, UserWarning, stacklevel=3)
            self._warned_of.add(name)  # only now: the line above raises if warnings are errors


class Connected(SecretStruct, frozen=True):
    """A client and the fields from which it was made. Frozen: copies of a model share it until a field differs."""

    client: BingClient
    fields: tuple[object, ...]
    is_own: bool
    """Whether the model made the client, and therefore closes it."""


class ServiceFields(BaseModel):
    """What `ChatBing` and LlamaIndex's `Bing` have in common: fields, their checks, the client, and its end."""

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)  # it may be a cookie

    names: ClassVar[Names]
    """The names that the adapter takes."""

    service: SkipJsonSchema[Service | None] = Field(
        default=None,
        exclude=True,
        repr=False,
        description="A service value, such as `WorkIQ(...)` or one of your own, instead of `backend` and the settings "
        "of services.",
    )
    client: SkipJsonSchema[BingClient | None] = Field(
        default=None,
        exclude=True,
        repr=False,
        description="A client of your own, in place of `service` and the settings of services and clients; "
        "you close it.",
    )
    backend: str | None = Field(
        default=None,
        description="`emulator`, `chathub` or `workiq`; None takes `BING_LLM_BACKEND`; without it, the other "
        "settings choose, and then the environment.",
    )
    api_key: SkipJsonSchema[SecretStr | str | None] = Field(
        default=None,
        exclude=True,
        repr=False,
        description="The credential of the chosen service, kept as `cookies` or `token`; refused beside either.",
    )

    # The settings of services. Their types and defaults are those of `bing_llm.services`; a test compares them.
    model: str = Field(default="", description=describe("model"))
    endpoint: Endpoint | None = Field(default=None, description=describe("endpoint"))
    cookies: SecretStr | None = Field(default=None, exclude=True, repr=False, description=describe("cookies"))
    token: Any = Field(default=None, exclude=True, repr=False, description=describe("token"))
    agent: str | None = Field(default=None, description=describe("agent"))
    protocol: Literal["rest", "a2a"] | None = Field(default=None, description=describe("protocol"))
    search: bool = Field(default=True, description=describe("search"))
    locale: str = Field(default="en-US", description=describe("locale"))
    time_zone: str | None = Field(default=None, description=describe("time_zone"))
    files: list[str] = Field(default_factory=list, description=describe("files"))
    entity_tags: Literal["keep", "strip"] = Field(default="keep", description=describe("entity_tags"))
    citation_markers: Literal["keep", "footnote"] = Field(default="keep", description=describe("citation_markers"))

    # The settings of the client.
    timeout: float | None = Field(
        default=None, gt=0, description="The time for a whole turn, retries included, in seconds; None for 900."
    )
    max_retries: int | None = Field(
        default=None,
        ge=0,
        description="How often a turn that has given no text is opened again; None for the client's 4.",
    )
    continue_conversations: bool = Field(
        default=True,
        description="Whether to continue a live conversation that already holds the beginning of the history, so "
        "that only the new messages are sent.",
    )
    max_concurrency: int | None = Field(
        default=None,
        description="How many turns of this model may be open at once; further turns wait in order. None: no limit.",
    )
    warm: int = Field(
        default=0,
        description="How many conversations are kept ready, so that the first text comes one round trip after its "
        "prompt, not three.",
    )

    # What each call begins with.
    stop: list[str] | None = Field(
        default=None, description="The answer ends before the first of these strings. Those of a call are added."
    )
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        description="The longest answer, at 4 characters a token; None for no limit. The client cuts it, because "
        "the service has no such setting.",
    )
    temperature: float | None = Field(
        default=None, description="Accepted, but not used, because the service has no such setting."
    )
    join_deltas: bool = Field(
        default=True,
        description="Whether text that has already arrived is joined into one chunk. It never waits for more.",
    )
    tool_prompt: SkipJsonSchema[ToolPrompt | None] = Field(
        default=None,
        exclude=True,
        repr=False,
        description="How the prompt words tools, calls and JSON; None for the wording that was chosen by measurement. "
        "See `bing_llm.tools.ToolPrompt`.",
    )

    _connected: Connected | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _read_names(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = _without_aliases(values)
        cls.names.check_fields(values.keys() - cls.model_fields.keys() - {"class_name"})  # LlamaIndex's dumps have it
        return _place_key(values)

    @field_validator("stop", mode="before")
    @classmethod
    def _as_list(cls, stop: Any) -> Any:
        return [stop] if isinstance(stop, str) else stop

    @field_validator("cookies", "token", mode="before")
    @classmethod
    def _wrap(cls, value: Any, info: ValidationInfo) -> Any:
        return wrap_secret(info.field_name, value)

    @model_validator(mode="after")
    def _connect_and_check(self) -> Self:
        if self.temperature is not None:
            self.names.warn_of_unused(["temperature"])
        self.model = self._connection.model
        self._after_connecting()
        return self

    def _after_connecting(self) -> None:
        """What an adapter adds to a new model, whose client is known. For subclasses."""

    def _refuse_beside(self, owner: str, names: Iterable[str]) -> None:
        """Refuse fields that would be ignored. A default is not refused, because frameworks pass every field on.

        Raises:
            ConfigurationError: One of these fields is not at its default.
        """
        fields = type(self).model_fields
        for name in names:
            if getattr(self, name) != fields[name].get_default(call_default_factory=True):
                msg = f"{owner} is given, and so is {name}, which is the {owner}'s."
                raise ConfigurationError(msg, hint=f"Give {name} to the {owner}, or leave {owner} out.")

    @property
    def _connection(self) -> BingClient:
        """The client for the current fields. A changed field gives a new client, but a changed `model` does not."""
        fields = tuple(_unwrap(getattr(self, name)) for name in ("client", "service", *SERVICE_FIELDS, *CLIENT_FIELDS))
        before = self._connected
        if before is not None and before.fields == fields:
            return before.client
        with _connecting:
            before = self._connected
            if before is None or before.fields != fields:  # another thread may have made it just now
                self._connected = before = Connected(self._connect(), fields, self.client is None)
        return before.client

    def _connect(self) -> BingClient:
        """A client of these fields. Nothing is sent.

        Raises:
            ConfigurationError: A value is not allowed, or no backend is chosen.
        """
        model = self.model or None
        if self.client is not None:
            self._refuse_beside("client", ("service", *SERVICE_FIELDS, *CLIENT_FIELDS))
            return self.client.with_options(model=model)
        timeouts = None if self.timeout is None else Timeouts(turn=self.timeout)
        of_the_client: dict[str, Any] = {name: getattr(self, name) for name in CLIENT_FIELDS if name != "timeout"}
        if self.service is not None:
            self._refuse_beside("service", SERVICE_FIELDS)
            service = self.service if model is None else self.service.with_model(model)
            return BingClient(service, timeouts=timeouts, **of_the_client)
        of_the_service: dict[str, Any] = {name: _unwrap(getattr(self, name)) for name in SERVICE_FIELDS}
        if of_the_service["cookies"] == os.environ.get("BING_COOKIES"):
            del of_the_service["cookies"]  # LangChain read them from there; the caller did not pass them
        return BingClient(model=model, timeouts=timeouts, **of_the_service, **of_the_client)

    @property
    def _tool_prompt(self) -> ToolPrompt:
        return DEFAULT_PROMPT if self.tool_prompt is None else self.tool_prompt  # which may be falsy

    @property
    def _retries(self) -> Retries:
        """The retries of this model's calls."""
        return self._retries_of(self._connection)

    def _retries_of(self, client: BingClient) -> Retries:
        """The retries of the client, with `max_retries` in place of their number if it is set."""
        retries = client.retries
        return retries if self.max_retries is None else msgspec.structs.replace(retries, attempts=self.max_retries + 1)

    def _begin_completion(
        self,
        history: History,
        options: Mapping[str, object],
        *,
        to_openai_tool: Callable[..., JsonObject],
        to_json_schema: Callable[..., JsonObject],
    ) -> Completion:
        """One call of the model. Nothing is sent until its first item is asked for.

        Args:
            history: What the messages say.
            options: The options of the call; see `build_request`.
            to_openai_tool: Converts any kind of tool of the framework to OpenAI's form.
            to_json_schema: Converts any kind of schema of the framework to a JSON schema.

        Raises:
            ConfigurationError: An option is a setting of the model, or the model is unknown.
            ValueError: `tool_choice` names an unknown tool, or a tool or schema is of an unknown kind.
            InvalidRequest: The call cannot be served.
        """
        self.names.check_options(options)
        request = build_request(
            history,
            options,
            to_openai_tool=to_openai_tool,
            to_json_schema=to_json_schema,
            stop=self.stop,
            max_tokens=self.max_tokens,
            tool_prompt=self._tool_prompt,
        )
        own = self._connection
        timeout: Any = options.get("timeout")
        client = own.with_options(
            model=str(options.get("model") or self.model), retries=self._retries_of(own), timeout=timeout
        )
        return Completion(client, request, join=self.join_deltas)

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """A copy. It shares the connections unless its settings differ; if it does, closing one closes both."""
        changed = {self._field_of(name): value for name, value in (update or {}).items()}
        update = {name: wrap_secret(name, value) for name, value in changed.items()}
        return super().model_copy(update=update, deep=deep)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with lists and dicts of its own. It shares the connections, which cannot be copied."""
        copied = copy.copy(self)
        own = {name: value for name, value in self.__dict__.items() if isinstance(value, list | dict | set)}
        copied.__dict__.update(copy.deepcopy(own, memo))
        return copied

    def __setattr__(self, name: str, value: object) -> None:
        name = self._field_of(name)
        super().__setattr__(name, wrap_secret(name, value))

    def _field_of(self, name: str) -> str:
        """The field that holds the value of this argument."""
        if name != "api_key":
            return name
        for owner in ("client", "service"):
            if getattr(self, owner) is not None:
                msg = f"api_key is set on a model with a {owner} of your own, which has its credential already."
                raise ConfigurationError(msg, hint=f"Make a model with another {owner}.")
        return SERVICES[self._connection.backend_name].credential

    def close(self) -> None:
        """Close every connection that this model opened. A client of your own stays open. May be called twice."""
        run(self.aclose())

    async def aclose(self) -> None:
        """Close every connection that this model opened. A client of your own stays open. May be called twice."""
        if self._connected is not None and self._connected.is_own:
            await self._connected.client.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _without_aliases(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a model, under the names of its fields.

    Raises:
        ConfigurationError: A field is given under both of its names.
    """
    for alias, name in _ALIASES.items():
        if alias not in values:
            continue
        if values.get(name):
            msg = f"{alias} and {name} are both given, and mean the same."
            raise ConfigurationError(msg, hint=f"Leave {alias} out.")
        values = {**{key: value for key, value in values.items() if key != alias}, name: values[alias]}
    return values


def _place_key(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a model, with `api_key` renamed to the credential that it means.

    Raises:
        ConfigurationError: A credential is given too, or a service or a client, which has its own.
    """
    key = values.get("api_key")
    others = {name: value for name, value in values.items() if name != "api_key"}
    if key is None:
        return others
    for name in ("client", "service"):
        if others.get(name) is not None:
            msg = f"{name} is given, and so is api_key, which is the {name}'s."
            raise ConfigurationError(msg, hint=f"Give the credential to the {name}, or leave {name} out.")
    for name in ("cookies", "token"):
        value = others.get(name)
        if value is not None and not (name == "cookies" and _unwrap(value) == os.environ.get("BING_COOKIES")):
            msg = f"{name} and api_key are both given; api_key means the credential of the chosen service."
            raise ConfigurationError(msg, hint=f"Leave {name} or api_key out.")
    settings = ServiceSettings(model=others.get("model"), endpoint=others.get("endpoint"), agent=others.get("agent"))
    return {**others, credential_of(others.get("backend"), settings): key}


def wrap_secret(name: str | None, value: Any) -> Any:
    """The value of a field. The secret fields are wrapped so that their values are never shown."""
    if name == "cookies" and value is not None and not isinstance(value, SecretStr):
        return SecretStr(cookie_header(value) or "")
    if name == "token" and value is not None and not isinstance(value, SecretStr | Secret):
        return SecretStr(value) if isinstance(value, str) else Secret(value)
    return value


def _unwrap(value: Any) -> Any:
    """The value of a field in the form that a client takes, which can also be compared."""
    if isinstance(value, SecretStr | Secret):
        return value.get_secret_value()
    return tuple(value) if isinstance(value, list) else value
