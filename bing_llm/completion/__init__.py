"""One call of a model as frameworks understand it, over a service that knows no tools, formats or stop sequences.

Both adapters use it: a `Request` in, `Item`s out.
"""

from bing_llm.completion.history import History, Said, history_of, label
from bing_llm.completion.names import Names
from bing_llm.completion.options import ToolChoice, characters_of, format_of, read_choice, sequences_of, toolbox_of
from bing_llm.completion.request import JsonFormat, Request
from bing_llm.completion.settings import ClientSettings, Connected, ConnectionOwner, connected, retries_of
from bing_llm.completion.stream import Completed, Completion, Item
from bing_llm.completion.telling import metadata_of, new_call_id, plain, told_in

__all__ = [
    "ClientSettings",
    "Completed",
    "Completion",
    "Connected",
    "ConnectionOwner",
    "History",
    "Item",
    "JsonFormat",
    "Names",
    "Request",
    "Said",
    "ToolChoice",
    "characters_of",
    "connected",
    "format_of",
    "history_of",
    "label",
    "metadata_of",
    "new_call_id",
    "plain",
    "read_choice",
    "retries_of",
    "sequences_of",
    "told_in",
    "toolbox_of",
]
