"""Microsoft's Bing and Copilot chat as a first-class LLM for Python.

Every name is loaded when it is first used (PEP 562): importing the package does not import aiohttp.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bing_llm._version import __version__

if TYPE_CHECKING:
    from bing_llm import bing as Bing  # noqa: N812 - the name that the provider had
    from bing_llm.backends.base import ConversationInfo
    from bing_llm.backends.chathub.options import Compose, Location
    from bing_llm.client import BingClient
    from bing_llm.conversation import Conversation
    from bing_llm.errors import (
        AccessError,
        BatchStopped,
        BingError,
        CaptchaRequired,
        ConfigurationError,
        ConnectionFailed,
        ConnectionLost,
        ContentFiltered,
        ConversationBusy,
        ConversationEnded,
        ConversationError,
        InvalidRequest,
        PromptTooLong,
        ProtocolError,
        RequestError,
        ServiceError,
        ServiceFault,
        SessionExpired,
        Throttled,
        TimedOut,
        TurnLimitReached,
        Unauthorized,
        UploadFailed,
        is_transient,
    )
    from bing_llm.events import (
        Citation,
        Event,
        FinishReason,
        ImageCreated,
        ImageRequested,
        Progress,
        Quota,
        Reply,
        Restarted,
        Search,
        SearchResult,
        SearchResults,
        SearchStarted,
        Suggestions,
        TextDelta,
        TextRevised,
        TextRevoked,
        TurnCompleted,
        Unknown,
        event_from_json,
        event_to_json,
    )
    from bing_llm.fold import Extension, Fold
    from bing_llm.images import Image
    from bing_llm.limits import Limits, Retries, Timeouts
    from bing_llm.messages import Message, Prompt, convert
    from bing_llm.sync_client import SyncBingClient, SyncConversation, SyncTurnStream
    from bing_llm.turn import TurnStream

__all__ = [
    "AccessError",
    "BatchStopped",
    "Bing",
    "BingClient",
    "BingError",
    "CaptchaRequired",
    "Citation",
    "Compose",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "ContentFiltered",
    "Conversation",
    "ConversationBusy",
    "ConversationEnded",
    "ConversationError",
    "ConversationInfo",
    "Event",
    "Extension",
    "FinishReason",
    "Fold",
    "Image",
    "ImageCreated",
    "ImageRequested",
    "InvalidRequest",
    "Limits",
    "Location",
    "Message",
    "Progress",
    "Prompt",
    "PromptTooLong",
    "ProtocolError",
    "Quota",
    "Reply",
    "RequestError",
    "Restarted",
    "Retries",
    "Search",
    "SearchResult",
    "SearchResults",
    "SearchStarted",
    "ServiceError",
    "ServiceFault",
    "SessionExpired",
    "Suggestions",
    "SyncBingClient",
    "SyncConversation",
    "SyncTurnStream",
    "TextDelta",
    "TextRevised",
    "TextRevoked",
    "Throttled",
    "TimedOut",
    "Timeouts",
    "TurnCompleted",
    "TurnLimitReached",
    "TurnStream",
    "Unauthorized",
    "Unknown",
    "UploadFailed",
    "__version__",
    "convert",
    "event_from_json",
    "event_to_json",
    "is_transient",
]

_OWNERS = {
    "AccessError": "errors",
    "BatchStopped": "errors",
    "BingClient": "client",
    "BingError": "errors",
    "CaptchaRequired": "errors",
    "Citation": "events",
    "Compose": "backends.chathub.options",
    "ConfigurationError": "errors",
    "ConnectionFailed": "errors",
    "ConnectionLost": "errors",
    "ContentFiltered": "errors",
    "Conversation": "conversation",
    "ConversationBusy": "errors",
    "ConversationEnded": "errors",
    "ConversationError": "errors",
    "ConversationInfo": "backends.base",
    "Event": "events",
    "Extension": "fold",
    "FinishReason": "events",
    "Fold": "fold",
    "Image": "images",
    "ImageCreated": "events",
    "ImageRequested": "events",
    "InvalidRequest": "errors",
    "Limits": "limits",
    "Location": "backends.chathub.options",
    "Message": "messages",
    "Progress": "events",
    "Prompt": "messages",
    "PromptTooLong": "errors",
    "ProtocolError": "errors",
    "Quota": "events",
    "Reply": "events",
    "RequestError": "errors",
    "Restarted": "events",
    "Retries": "limits",
    "Search": "events",
    "SearchResult": "events",
    "SearchResults": "events",
    "SearchStarted": "events",
    "ServiceError": "errors",
    "ServiceFault": "errors",
    "SessionExpired": "errors",
    "Suggestions": "events",
    "SyncBingClient": "sync_client",
    "SyncConversation": "sync_client",
    "SyncTurnStream": "sync_client",
    "TextDelta": "events",
    "TextRevised": "events",
    "TextRevoked": "events",
    "Throttled": "errors",
    "TimedOut": "errors",
    "Timeouts": "limits",
    "TurnCompleted": "events",
    "TurnLimitReached": "errors",
    "TurnStream": "turn",
    "Unauthorized": "errors",
    "Unknown": "events",
    "UploadFailed": "errors",
    "convert": "messages",
    "event_from_json": "events",
    "event_to_json": "events",
    "is_transient": "errors",
}


def __getattr__(name: str) -> Any:
    if name == "Bing":  # the function-level API is a module under the name of its class of old
        return importlib.import_module("bing_llm.bing")
    owner = _OWNERS.get(name)
    if owner is None:
        msg = f"module 'bing_llm' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"bing_llm.{owner}"), name)


def __dir__() -> list[str]:
    return __all__
