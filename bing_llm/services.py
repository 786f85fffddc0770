"""The services that a client can use, each a value: `BingClient(WorkIQ(token=...))`.

Each setting of a service is declared here once: its type, default, description and environment variable in the struct,
its check beside it, and its keyword of `BingClient` in `ServiceSettings`.

**Where a setting comes from.** The argument, else its environment variable, else its default. The environment is read
once, when the value is made. A service reads only the variables of its own settings.

**Which service.** A service value, else `backend=`, else `BING_LLM_BACKEND`. Without any of these the arguments decide,
and then the environment variables: a token, an agent or the model `copilot` chooses Work IQ, else cookies or an
endpoint choose ChatHub. The emulator is used only if you ask for it. It starts a server of its own, so it has no
endpoint:

- `BING_LLM_BACKEND=emulator` with an endpoint argument: the argument wins.
- `BING_LLM_BACKEND=emulator` with `BING_LLM_ENDPOINT`: an error.
- `backend="emulator"` with `BING_LLM_ENDPOINT`: the argument wins.

A service of your own is any object with the attributes of `Service`.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    Self,
    TypeAlias,
    TypedDict,
    get_args,
    get_type_hints,
    runtime_checkable,
)

import msgspec

from bing_llm._checks import check_address, check_proxy, check_type, cookie_header
from bing_llm._secrets import SecretStruct, forget_frames
from bing_llm.backends.chathub import options as chathub
from bing_llm.backends.workiq import options as workiq
from bing_llm.backends.workiq.auth import Token, check_token
from bing_llm.backends.workiq.login import saved_login
from bing_llm.errors import ConfigurationError, InvalidRequest, PromptTooLong

if TYPE_CHECKING:
    from bing_llm.backends.base import AnyBackend
    from bing_llm.limits import Limits, Timeouts

Cookies: TypeAlias = str | Mapping[str, str]
Endpoint: TypeAlias = str | tuple[str, str]

NOT_CONFIGURED = """\
No backend is chosen. Pass backend= or set BING_LLM_BACKEND:
  emulator  a local server with the real protocol; needs nothing. Try it first.
  chathub   Bing Chat's protocol; needs BING_LLM_ENDPOINT, maybe BING_COOKIES.
  workiq    Microsoft 365 Copilot, with a work account; needs a token: WORKIQ_TOKEN or bing-llm login.
Nothing was sent. Bing's own public host was retired by March 2025."""


class Location(msgspec.Struct, frozen=True):
    """Where the user is, in degrees; `radius` in metres. The service uses it for local searches.

    Work IQ takes the coordinates alone.
    """

    latitude: float
    longitude: float
    radius: int = 1000
    hints: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"lat:{self.latitude};long:{self.longitude};re={self.radius}m;"


@runtime_checkable
class Service(Protocol):
    """What a client needs to know of a service.

    It may also have `time_limits`: a mapping from names of `Timeouts` to seconds, for the limits that nobody gave.
    """

    @property
    def name(self) -> str:
        """The service's name, such as `workiq`."""

    @property
    def model(self) -> str:
        """The name of the model that answers."""

    @property
    def models(self) -> Sequence[str]:
        """The names that `with_model` takes."""

    def with_model(self, model: str, /) -> Self:
        """The same service for another model.

        Raises:
            ConfigurationError: The model is not known.
        """

    def open(self, *, timeouts: Timeouts, limits: Limits) -> AnyBackend:
        """A backend that speaks to this service. It may import modules, but it does not wait or send anything.

        Args:
            timeouts: The time limits of each step.
            limits: How much data is accepted from the service.
        """


class Setting(NamedTuple):
    """What is known of a setting besides its type and its default.

    Attributes:
        doc: What it means, for help texts.
        variable: Its environment variable; "" for none.
        own_check: Whether the service checks the type too, with a better message than the general one.
    """

    doc: str
    variable: str = ""
    own_check: bool = False

    def __repr__(self) -> str:
        return "Setting(...)"  # short, as signatures show it in `help`; the documentation has the rest


# Settings that two services share, although these two have no base class of their own.
_ChatHubModel: TypeAlias = Annotated[
    str, Setting("`bing-creative`, `bing-balanced` (the default, as in the service's own client) or `bing-precise`.")
]
_Locale: TypeAlias = Annotated[str, Setting("Language and market, such as `en-US`.")]
_OptionSets: TypeAlias = Annotated[
    Sequence[str] | None,
    Setting("The service's own option names, in place of those that model, search and cookies imply."),
]
_ENDPOINT = Setting(
    "Base URL of the service; None takes the public one. In Python, of ChatHub also a pair (creation, socket URL).",
    variable="BING_LLM_ENDPOINT",
    own_check=True,
)


class _BuiltIn(SecretStruct, frozen=True, kw_only=True):
    """What the services of this package have in common."""

    SHOWN: ClassVar[tuple[str, ...]] = ("model", "search")

    name: ClassVar[str]
    title: ClassVar[str]
    """The name in texts."""
    credential: ClassVar[Literal["cookies", "token"]]
    """The setting that an `api_key` means."""
    prompt_limits: ClassVar[Mapping[str, int]]
    """The models, each with its longest prompt in characters."""
    images_per_turn: ClassVar[int]
    """How many pictures go with a turn."""
    time_limits: ClassVar[Mapping[str, float]] = MappingProxyType({})
    """The fields of `Timeouts` that differ from its defaults, in seconds."""

    search: Annotated[bool, Setting("Whether the service may search the web.")] = True
    location: Annotated[Location | None, Setting("Where the user is, for local searches; None leaves it out.")] = None
    prompt_limit: Annotated[
        int | None,
        Setting(
            "The longest prompt in characters; None takes the model's (bing-balanced 4,000, the other two of ChatHub "
            "8,000, Work IQ 16,000)."
        ),
    ] = None

    if TYPE_CHECKING:
        model: str  # which each service declares, with its own default

    def __post_init__(self) -> None:
        try:
            self._check()
        except ConfigurationError as exc:
            forget_frames(exc)  # with what was checked there
            raise exc from exc.__cause__

    def _check(self) -> None:
        for name, (annotation, setting) in settings_of(type(self)).items():
            value = getattr(self, name)
            if value is None and setting.variable:
                self._set(name, os.environ.get(setting.variable) or None)
            elif not setting.own_check:
                check_type(value, annotation, f"The setting {name}")
                if isinstance(value, list):
                    self._set(name, tuple(value))
        self._check_model(self.model)
        if self.prompt_limit is not None and self.prompt_limit < 1:
            msg = f"prompt_limit is {self.prompt_limit}; it must be at least 1 character, or None."
            raise ConfigurationError(msg)
        self._complete()

    def _complete(self) -> None:
        """Check the settings that only this service has, and fill in missing values."""
        raise NotImplementedError

    def _set(self, name: str, value: object) -> None:
        msgspec.structs.force_setattr(self, name, value)  # only while the value is made: it is frozen for others

    def _check_model(self, model: object) -> None:
        if not isinstance(model, str) or model not in self.prompt_limits:
            raise ConfigurationError(f"The model {model!r} is not known; allowed: {', '.join(self.models)}.")

    @property
    def models(self) -> tuple[str, ...]:
        """The names that `with_model` takes."""
        return tuple(self.prompt_limits)

    def with_model(self, model: str, /) -> Self:
        """The same service for another model.

        Raises:
            ConfigurationError: The model is not known.
        """
        self._check_model(model)
        other = copy.copy(self)  # not made anew, which would read the environment again
        msgspec.structs.force_setattr(other, "model", model)
        return other

    @property
    def longest_prompt(self) -> int:
        """The longest prompt that is taken, in characters."""
        return self.prompt_limit or self.prompt_limits[self.model]

    def check_prompt(self, text: str) -> None:
        """Refuse a prompt that the service would not take.

        Raises:
            InvalidRequest: It is empty.
            PromptTooLong: It is longer than the limit.
        """
        if not text.strip():
            raise InvalidRequest("The prompt is empty.", hint="Pass some text to answer.")
        if len(text) > self.longest_prompt:
            msg = f"The prompt has {len(text):,} characters; {self.model} takes at most {self.longest_prompt:,}."
            raise PromptTooLong(msg, hint="Shorten it, or move text into the context.")


class _Remote(_BuiltIn, frozen=True, kw_only=True):
    """How a service on another machine is reached."""

    proxy: Annotated[str | None, Setting("URL of an HTTP proxy, as in aiohttp.")] = None
    trust_env: Annotated[bool, Setting("Whether to take proxies from the environment, as in aiohttp.")] = False
    ssl_context: Annotated[
        ssl.SSLContext | None, Setting("How to verify TLS; None verifies with certifi's certificates.")
    ] = None
    allow_insecure: Annotated[bool, Setting("Whether plain http to another machine is allowed.")] = False


class ChatHub(_Remote, frozen=True, kw_only=True):
    """Bing Chat's protocol. Its public host was retired by March 2025, so it needs an endpoint.

    Raises:
        ConfigurationError: A value is not allowed; nothing was sent.
    """

    name: ClassVar[str] = "chathub"
    title: ClassVar[str] = "ChatHub"
    credential: ClassVar[Literal["cookies", "token"]] = "cookies"
    prompt_limits: ClassVar[Mapping[str, int]] = chathub.PROMPT_LIMITS
    images_per_turn: ClassVar[int] = chathub.IMAGES_PER_TURN

    model: _ChatHubModel = chathub.DEFAULT_MODEL
    endpoint: Annotated[Endpoint | None, _ENDPOINT] = None
    cookies: Annotated[
        Cookies | None,
        Setting('A Cookie header, or a mapping of names to values; "" for none.', "BING_COOKIES", own_check=True),
    ] = None
    locale: _Locale = chathub.DEFAULT_LOCALE
    option_sets: _OptionSets = None
    ip_address: Annotated[str | None, Setting("Sent as `x-forwarded-for`; None sends none.", own_check=True)] = None

    def _complete(self) -> None:
        chathub.check_locale(self.locale)
        check_address(self.ip_address)
        self._set("cookies", cookie_header(self.cookies))
        check_proxy(self.proxy)
        chathub.resolve(self.endpoint, allow_insecure=self.allow_insecure)

    @property
    def cookie_header(self) -> str | None:
        """The Cookie header to send; None for none."""
        return cookie_header(self.cookies)

    def open(self, *, timeouts: Timeouts, limits: Limits) -> AnyBackend:
        """A backend that speaks to it. Nothing is sent."""
        from bing_llm.backends.chathub.backend import ChatHubBackend  # noqa: PLC0415 - brings aiohttp

        return ChatHubBackend(self, timeouts=timeouts, limits=limits)


class WorkIQ(_Remote, frozen=True, kw_only=True):
    """Microsoft 365 Copilot with a work account: the Work IQ API, or its preview on Microsoft Graph.

    Raises:
        ConfigurationError: A value is not allowed, the token is missing, or this machine's time zone is unknown;
            nothing was sent.
    """

    name: ClassVar[str] = "workiq"
    title: ClassVar[str] = "Work IQ"
    credential: ClassVar[Literal["cookies", "token"]] = "token"
    prompt_limits: ClassVar[Mapping[str, int]] = workiq.PROMPT_LIMITS
    images_per_turn: ClassVar[int] = 0
    time_limits: ClassVar[Mapping[str, float]] = workiq.TIME_LIMITS

    model: Annotated[str, Setting("`copilot` (the default), which is the only one.")] = workiq.DEFAULT_MODEL
    endpoint: Annotated[str | None, _ENDPOINT] = None
    token: Annotated[
        Token | None,
        Setting(
            "An access token, a function that gives one (a coroutine function too), or a credential of azure-identity; "
            "None takes what `bing-llm login` has kept.",
            variable="WORKIQ_TOKEN",
            own_check=True,
        ),
    ] = None
    agent: Annotated[
        str | None,
        Setting("The id of an agent of Microsoft 365 Copilot that answers; None for Copilot itself."),
    ] = None
    protocol: Annotated[
        Literal["rest", "a2a"] | None,
        Setting(
            "How it is asked: over REST (`rest`), which alone takes files and can switch off the search, or over the "
            "Agent2Agent protocol (`a2a`), which alone reaches agents; None takes `a2a` for an agent, else `rest`."
        ),
    ] = None
    time_zone: Annotated[
        str | None,
        Setting("The user's time zone, by its IANA name such as `Europe/Zurich`; None takes this machine's."),
    ] = None
    files: Annotated[Sequence[str], Setting("https URLs on SharePoint or OneDrive that each answer should use.")] = ()
    entity_tags: Annotated[
        Literal["keep", "strip"],
        Setting(
            "Whether the tags around names of people, files and events stay in the text (`keep`) or not (`strip`)."
        ),
    ] = "keep"
    citation_markers: Annotated[
        Literal["keep", "footnote"],
        Setting(
            "How markers of citations stand in the text: as the service wrote them, mostly `[1](url)` (`keep`), or as "
            "`[^1^]`, the form of ChatHub (`footnote`)."
        ),
    ] = "keep"
    over_stream: Annotated[
        bool,
        Setting(
            "Whether answers are streamed, or each comes in one piece when it is complete, for networks that block "
            "streams."
        ),
    ] = True

    def _complete(self) -> None:
        if self.location is not None:
            workiq.check_location(self.location)
        workiq.check_files(self.files)
        check_proxy(self.proxy)
        self._complete_protocol()
        resolve = workiq.resolve_a2a if self.protocol == "a2a" else workiq.resolve_rest
        host = resolve(self.endpoint, allow_insecure=self.allow_insecure).host
        if self.token is None:
            self._set("token", saved_login())
        check_token(self.token, host=host)
        # Last: a new user lacks both the token and the package that knows the time zone, and the token first of all.
        time_zone = workiq.local_time_zone() if self.time_zone is None else self.time_zone
        workiq.check_time_zone(time_zone)
        self._set("time_zone", time_zone)

    def _complete_protocol(self) -> None:
        """Choose the protocol where none is given, and refuse what it does not have."""
        if self.agent == "":
            self._set("agent", None)
        workiq.check_agent(self.agent)
        if self.protocol is None:
            self._set("protocol", "rest" if self.agent is None else "a2a")
        if self.protocol == "rest":
            if self.agent is not None:
                msg = "agent is given, and protocol is 'rest', which reaches Copilot alone."
                raise ConfigurationError(msg, hint="Leave protocol= out, or pass protocol='a2a'.")
            return
        refused = {"files": bool(self.files), "search=False": not self.search, "location": self.location is not None}
        for name, given in refused.items():
            if given:
                msg = f"{name} is given, and the protocol is A2A, which has nothing like it: only REST does."
                hint = "Leave it out, or ask Copilot itself over REST: leave agent= and protocol= out."
                raise ConfigurationError(msg, hint=hint)

    def with_agent(self, agent: str, /) -> Self:
        """The same service, asking this agent.

        Raises:
            ConfigurationError: It cannot be the id of an agent, or a setting is one that agents do not have.
        """
        return msgspec.structs.replace(self, agent=agent, protocol="a2a")

    def open(self, *, timeouts: Timeouts, limits: Limits) -> AnyBackend:
        """A backend that speaks to it. Nothing is sent."""
        if self.protocol == "a2a":
            from bing_llm.backends.workiq.a2a.backend import A2ABackend  # noqa: PLC0415 - brings aiohttp

            return A2ABackend(self, timeouts=timeouts, limits=limits)
        from bing_llm.backends.workiq.backend import WorkIQBackend  # noqa: PLC0415 - brings aiohttp

        return WorkIQBackend(self, timeouts=timeouts, limits=limits)


class Emulated(_BuiltIn, frozen=True, kw_only=True):
    """A ChatHub on this machine, which starts when it is first used and ends with its client. It needs nothing.

    Raises:
        ConfigurationError: A value is not allowed.
    """

    name: ClassVar[str] = "emulator"
    title: ClassVar[str] = "emulator"
    credential: ClassVar[Literal["cookies", "token"]] = "cookies"
    prompt_limits: ClassVar[Mapping[str, int]] = chathub.PROMPT_LIMITS
    images_per_turn: ClassVar[int] = chathub.IMAGES_PER_TURN

    model: _ChatHubModel = chathub.DEFAULT_MODEL
    cookies: Annotated[
        Cookies | None,
        Setting(
            "Taken as ChatHub takes them, so that one program runs with both; neither kept nor sent.", own_check=True
        ),
    ] = None
    locale: _Locale = chathub.DEFAULT_LOCALE
    option_sets: _OptionSets = None

    def _complete(self) -> None:
        chathub.check_locale(self.locale)
        cookie_header(self.cookies)
        self._set("cookies", None)

    def open(self, *, timeouts: Timeouts, limits: Limits) -> AnyBackend:
        """A ChatHub backend with a server of its own, which starts on the background loop."""
        from bing_llm.emulated import EmulatedBackend  # noqa: PLC0415 - brings aiohttp and the emulator

        return EmulatedBackend(self, timeouts=timeouts, limits=limits)


class ServiceSettings(TypedDict, total=False):
    """The keywords of `BingClient` that make a service. The structs say what each means, and what it is by default."""

    model: str | None
    search: bool
    location: Location | None
    prompt_limit: int | None
    endpoint: Endpoint | None
    proxy: str | None
    trust_env: bool
    ssl_context: ssl.SSLContext | None
    allow_insecure: bool
    # ChatHub
    cookies: Cookies | None
    locale: str
    option_sets: Sequence[str] | None
    ip_address: str | None
    # Work IQ
    token: Token | None
    agent: str | None
    protocol: Literal["rest", "a2a"] | None
    time_zone: str | None
    files: Sequence[str]
    entity_tags: Literal["keep", "strip"]
    citation_markers: Literal["keep", "footnote"]
    over_stream: bool


_Kind: TypeAlias = type[ChatHub] | type[Emulated] | type[WorkIQ]

SERVICES: Mapping[str, _Kind] = MappingProxyType({kind.name: kind for kind in (ChatHub, Emulated, WorkIQ)})
"""The services of this package, by name."""

_BACKEND_VARIABLE = "BING_LLM_BACKEND"


@functools.cache
def settings_of(kind: type[_BuiltIn]) -> Mapping[str, tuple[Any, Setting]]:
    """The settings of a service by name, each with its type and what else is known of it."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: get_args(hints[name]) for name in kind.__struct_fields__}


def default_of(kind: type[_BuiltIn], name: str) -> Any:
    """The default of a setting of a service."""
    return {field.name: field.default for field in msgspec.structs.fields(kind)}[name]


def describe(name: str) -> str:
    """What a setting means, for help texts: whose it is, unless all services have it, and its environment variable."""
    kinds_of: dict[Setting, list[_Kind]] = {}
    for kind in _owners(name):
        kinds_of.setdefault(settings_of(kind)[name][1], []).append(kind)
    parts = []
    for setting, kinds in kinds_of.items():
        owners = "" if len(kinds) == len(SERVICES) else f"{', '.join(kind.title for kind in kinds)}: "
        parts.append(f"{owners}{setting.doc}{_variable_of(setting)}")
    return " ".join(parts)


def _variable_of(setting: Setting) -> str:
    return f" Environment variable: `{setting.variable}`." if setting.variable else ""


def _document(kind: _Kind) -> None:
    """Add the settings to the documentation of a service, for `help`; without documentation (-OO) there is none."""
    if kind.__doc__:
        text, _, raises = inspect.cleandoc(kind.__doc__).partition("\nRaises:")  # indented before Python 3.13
        lines = [
            f"    {name}: {setting.doc}{_variable_of(setting)}" for name, (_, setting) in settings_of(kind).items()
        ]
        kind.__doc__ = "\n".join([text, "Args:", *lines, f"\nRaises:{raises}"])


for _kind in SERVICES.values():
    _document(_kind)


def fingerprint(service: Service) -> str:
    """A text that is the same for services that answer alike to the same caller, for the keys of caches.

    Secrets are in it as part of a hash. A service or a credential that is an object of its own equals only itself.
    """
    if not isinstance(service, _BuiltIn):
        return f"{service.name} {id(service)}"
    settings = {name: getattr(service, name) for name in service.__struct_fields__}
    plain = {name: value if _is_plain(value) else id(value) for name, value in settings.items()}
    return f"{service.name} {hashlib.sha256(repr(plain).encode()).hexdigest()}"


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | tuple | Mapping | Location)


def credential_of(backend: str | None, settings: ServiceSettings) -> Literal["cookies", "token"]:
    """The setting that an `api_key` beside these settings means: the credential of the service that they choose.

    Where nothing chooses one, it means cookies, which choose ChatHub.
    """
    given = {name: value for name, value in settings.items() if not _is_blank(name, value)}
    return SERVICES[_choose(backend, given) or ChatHub.name].credential


def make_service(backend: str | None, settings: ServiceSettings) -> Service:
    """The service that `BingClient(backend=..., **settings)` means; the module's documentation has the rules.

    Args:
        backend: The service's name; None to go by the environment and by the settings.
        settings: What was given. What says nothing more than the default counts as left out, since frameworks pass on
            every setting that they know.

    Raises:
        ConfigurationError: Nothing says which service, its name is unknown, or a setting is not allowed or belongs to
            another service.
        TypeError: No service has such a setting.
    """
    owners = {name: _owners(name) for name in settings}
    for name in (name for name, kinds in owners.items() if not kinds):
        msg = f"BingClient() got an unexpected keyword argument {name!r}"
        raise TypeError(msg)
    given = {name: value for name, value in settings.items() if not _is_blank(name, value)}
    chosen = _choose(backend, given)
    if chosen is None:
        raise ConfigurationError(NOT_CONFIGURED, hint="")  # the message says what to do
    kind = SERVICES[chosen]
    for name, value in given.items():
        if kind not in owners[name] and value != default_of(owners[name][0], name) and value != "":
            raise _foreign(name, owners[name], chosen)
    make: Callable[..., Service] = kind
    return make(**{name: value for name, value in given.items() if kind in owners[name]})


def _owners(name: str) -> list[_Kind]:
    return [kind for kind in SERVICES.values() if name in kind.__struct_fields__]


def _is_blank(name: str, value: object) -> bool:
    """Whether a setting says nothing. An empty Cookie header does: none are sent, whatever the environment has."""
    return value is None or (value == "" and name in {"model", "endpoint", "token", "agent", "protocol"})


def _choose(backend: str | None, given: Mapping[str, object]) -> str | None:
    """The name of the service; None if nothing says which."""
    name = backend or os.environ.get(_BACKEND_VARIABLE) or None
    if name == Emulated.name and not backend:
        if "endpoint" in given:
            name = None
        elif os.environ.get("BING_LLM_ENDPOINT"):
            msg = f"{_BACKEND_VARIABLE} is emulator, which starts a server of its own, and BING_LLM_ENDPOINT is set."
            hint = (
                f"Unset one of the two; or set {_BACKEND_VARIABLE} to chathub or workiq for what runs at the endpoint."
            )
            raise ConfigurationError(msg, hint=hint)
    if name is None:
        variables = {
            name: setting.variable
            for kind in (ChatHub, WorkIQ)
            for name, (_, setting) in settings_of(kind).items()
            if setting.variable
        }
        environment = {name: os.environ[variable] for name, variable in variables.items() if os.environ.get(variable)}
        name = _pointed_to(given) or _pointed_to(environment)
    if name is not None and name not in tuple(SERVICES):
        msg = f"The backend {name!r} is not known to this version; allowed: {', '.join(SERVICES)}."
        raise ConfigurationError(msg)
    return name


def _pointed_to(settings: Mapping[str, object]) -> str | None:
    """The service that these settings point to; None for none."""
    if not settings.keys().isdisjoint({"token", "agent"}) or settings.get("model") in tuple(WorkIQ.prompt_limits):
        return WorkIQ.name
    if settings.get("cookies") or "endpoint" in settings:
        return ChatHub.name
    return None


def _foreign(name: str, owners: Sequence[_Kind], chosen: str) -> ConfigurationError:
    if chosen == Emulated.name and name == "endpoint":
        msg = "The emulator backend starts a server of its own, and takes no endpoint."
        return ConfigurationError(
            msg, hint="Leave endpoint= out, or pass backend='chathub' for an emulator that already runs."
        )
    backends = f"backend{'s' * (len(owners) > 1)} {' and '.join(kind.name for kind in owners)}"
    others = " or ".join(f"backend={kind.name!r}" for kind in owners)
    msg = f"{name} is a setting of the {backends}, and the backend is {chosen}."
    return ConfigurationError(msg, hint=f"Leave {name}= out, or pass {others}.")
