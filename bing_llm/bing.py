"""The function-level API, for those who come from the provider that this package began as.

The names, the defaults and the two usage examples of its documentation work as they did; `from bing_llm import Bing`
gives this module. Which service answers is set as everywhere: `BING_LLM_BACKEND`, `BING_LLM_ENDPOINT`, `BING_COOKIES`.
New code should use `bing_llm.BingClient`, which has citations, conversations and typed errors.

`OptionsSets` and `Defaults` are data of a retired service. The set that was called `jailbreak` is kept under its name
so that code which names it still runs; it is never a default, and it has no effect on any live service.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar, cast

from bing_llm.backends.chathub.codec import SEPARATOR
from bing_llm.backends.chathub.options import BASE_OPTION_SETS, DEFAULT_MODEL, MODELS, NO_SEARCH
from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError, InvalidRequest
from bing_llm.messages import convert
from bing_llm.services import Location
from bing_llm.sync import iterate

if TYPE_CHECKING:
    from bing_llm.backends.chathub.request import ChatHubConversation

__all__ = [
    "Defaults",
    "OptionsSets",
    "convert",
    "create_conversation",
    "model",
    "needs_auth",
    "optionsSets",
    "params",
    "run",
    "ssl_context",
    "stream_generate",
    "supports_stream",
    "url",
]

T = TypeVar("T")

Preset: TypeAlias = dict[str, list[str]]

url = "https://bing.com/chat"
model = ["gpt-4"]
supports_stream = True
needs_auth = False
ssl_context: ssl.SSLContext  # the default context with certifi's certificates, made when first asked for
params = "bing_llm.bing supports: (model: str, messages: list, stream: bool)"


def _preset(style: str, *more: str) -> Preset:
    return {"optionsSets": [*BASE_OPTION_SETS, *MODELS[style].option_sets, *more]}


class OptionsSets:
    """Named sets of options, each in the form in which the request carries it: `{"optionsSets": [...]}`."""

    creative: ClassVar[Preset] = _preset("bing-creative")
    balanced: ClassVar[Preset] = _preset("bing-balanced")
    precise: ClassVar[Preset] = _preset("bing-precise")
    no_search: ClassVar[Preset] = _preset("bing-balanced", NO_SEARCH)
    jailbreak: ClassVar[Preset] = {
        "optionsSets": [
            "saharasugg",
            "enablenewsfc",
            "clgalileo",
            "gencontentv3",
            "nlu_direct_response_filter",
            "deepleo",
            "disable_emoji_spoken_text",
            "responsible_ai_policy_235",
            "enablemm",
            "h3precise",
            "dtappid",
            "cricinfo",
            "cricinfov2",
            "dv3sugg",
            "nojbfedge",
        ]
    }


optionsSets = OptionsSets  # noqa: N816 - the original's name

Mode: TypeAlias = str | Mapping[str, Sequence[str]] | Sequence[str]


class Defaults:
    """What the original sent with each request. `ip_address` and `location` are sent here too; the rest is data.

    Attributes:
        delimiter: Ends each record of the protocol.
        ip_address: Sent as `x-forwarded-for` when it is set; None, and so not sent, unless the caller sets it.
        allowedMessageTypes: The original's filter of message types.
        sliceIds: Flight ids of 2023.
        location: Locale, market, region, and where the user is said to be.
    """

    delimiter: ClassVar[str] = SEPARATOR.decode()
    ip_address: ClassVar[str | None] = None
    allowedMessageTypes: ClassVar[list[str]] = [  # noqa: N815 - the original's name
        "Chat",
        "Disengaged",
        "AdsQuery",
        "SemanticSerp",
        "GenerateContentQuery",
        "SearchQuery",
        "ActionRequest",
        "Context",
        "Progress",
    ]
    sliceIds: ClassVar[list[str]] = [  # noqa: N815 - the original's name
        "winmuid3tf",
        "osbsdusgreccf",
        "ttstmout",
        "crchatrev",
        "winlongmsgtf",
        "ctrlworkpay",
        "norespwtf",
        "tempcacheread",
        "temptacache",
        "505scss0",
        "508jbcars0",
        "515enbotdets0",
        "5082tsports",
        "515vaoprvs",
        "424dagslnv1s0",
        "kcimgattcf",
        "427startpms0",
    ]
    location: ClassVar[dict[str, Any]] = {
        "locale": "en-US",
        "market": "en-US",
        "region": "US",
        "locationHints": [
            {
                "country": "United States",
                "state": "California",
                "city": "Los Angeles",
                "timezoneoffset": 8,
                "countryConfidence": 8,
                "Center": {"Latitude": 34.0536909, "Longitude": -118.242766},
                "RegionType": 2,
                "SourceType": 1,
            }
        ],
    }


def _format(msg: Mapping[str, object]) -> str:
    """The message as one record: its JSON, and the delimiter."""
    return json.dumps(msg, ensure_ascii=False) + Defaults.delimiter


async def create_conversation() -> tuple[str, str, str | None]:
    """Create a conversation, in up to five tries.

    Returns:
        `(conversationId, clientId, conversationSignature)`; the signature is secret, and None where none was sent.

    Raises:
        BingError: The service refused, or could not be reached.
    """
    async with _client(OptionsSets.balanced) as client:
        conversation = await client.create_conversation()
        handle = cast("ChatHubConversation", conversation.handle)
        return handle.id, handle.client_id, handle.signature


async def stream_generate(
    prompt: str, mode: Mode = OptionsSets.balanced, context: str | Literal[False] | None = None
) -> AsyncIterator[str]:
    """The answer to one prompt, piece by piece.

    Args:
        prompt: The user's message.
        mode: A set of `OptionsSets`, its name (`creative`, `balanced`, `precise`, `no-search`, `jailbreak`), or option
            names of one's own.
        context: Earlier turns, as `convert` writes them; None, False or "" for none.

    Raises:
        BingError: As `BingClient.stream`.
    """
    async with _client(mode) as client, client.stream(prompt, context=context or None) as turn:
        async for text in turn.text:
            yield text


def run(generator: AsyncIterator[T]) -> Iterator[T]:
    """Iterate an async generator from synchronous code, inside a running loop too."""
    return iterate(generator)


def _create_completion(
    model: str,  # noqa: ARG001 - the service has no such choice
    messages: Sequence[Mapping[str, object]],
    stream: bool,  # noqa: FBT001 - the original's signature
    **kwargs: Any,
) -> Iterator[str]:
    """Answer the last message, with those before it as context.

    Args:
        model: Not used: the service has one model; its style is `mode`.
        messages: Mappings with `role` and `content`, the oldest first.
        stream: Whether the text comes piece by piece; otherwise in one piece.
        **kwargs: `mode`, as in `stream_generate`.

    Raises:
        InvalidRequest: There are no messages, or an argument is unknown.
        BingError: As `BingClient.stream`.
    """
    unknown = set(kwargs) - {"mode"}
    if unknown:
        msg = f"_create_completion does not know {', '.join(sorted(unknown))}; allowed: mode."
        raise InvalidRequest(msg)
    if not messages:
        msg = "There are no messages; the last one is the prompt."
        raise InvalidRequest(msg)
    whole, context = convert(messages), convert(messages[:-1])
    prompt = whole.removeprefix(context).partition("](#message)\n")[2].removesuffix("\n\n")
    pieces = run(stream_generate(prompt, context=context, **kwargs))
    return pieces if stream else iter(["".join(pieces)])


def _client(mode: Mode) -> BingClient:
    name, option_sets = _chosen(mode)
    place = Defaults.location
    hints = tuple(place.get("locationHints", ()))
    center = hints[0]["Center"] if hints else None
    location = None if center is None else Location(center["Latitude"], center["Longitude"], hints=hints)
    return BingClient(
        model=name,
        option_sets=option_sets,
        locale=place["locale"],
        location=location,
        ip_address=Defaults.ip_address,
    )


def _chosen(mode: Mode) -> tuple[str, list[str]]:
    """The model and the option sets of a mode."""
    presets = {
        "creative": OptionsSets.creative,
        "balanced": OptionsSets.balanced,
        "precise": OptionsSets.precise,
        "no-search": OptionsSets.no_search,
        "jailbreak": OptionsSets.jailbreak,
    }
    if isinstance(mode, str):
        if mode not in presets:
            msg = f"The mode {mode!r} is not known; allowed: {', '.join(presets)}, or a list of option names."
            raise ConfigurationError(msg)
        mode = presets[mode]
    names = mode.get("optionsSets") if isinstance(mode, Mapping) else mode
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        msg = "The mode holds no list of option names; allowed: {'optionsSets': ['...']}, or the list itself."
        raise ConfigurationError(msg)
    styles = {"bing-creative": OptionsSets.creative, "bing-precise": OptionsSets.precise}
    style = next((name for name, preset in styles.items() if preset["optionsSets"] == list(names)), DEFAULT_MODEL)
    return style, list(names)


def __getattr__(name: str) -> ssl.SSLContext:
    if name != "ssl_context":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import certifi  # noqa: PLC0415 - as lazy as the context

    context = ssl.create_default_context(cafile=certifi.where())
    globals()["ssl_context"] = context
    return context
