"""One call of a model as frameworks understand it, over a service that knows no tools, formats or stop sequences.

Both adapters use it: a `Request` in, `Item`s out.
"""

from bing_llm.completion.request import JsonFormat, Request
from bing_llm.completion.stream import Completed, Completion, Item

__all__ = ["Completed", "Completion", "Item", "JsonFormat", "Request"]
