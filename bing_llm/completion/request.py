"""One call of a model, as frameworks understand it: a history, tools, a format, stop sequences, a longest answer."""

from __future__ import annotations

from typing import Any

import msgspec

from bing_llm.images import ImageSource
from bing_llm.messages import Message
from bing_llm.tools.calls import Toolbox
from bing_llm.tools.prompt import Instructions, combined, json_instructions, tool_instructions

__all__ = ["JsonFormat", "Request"]


class JsonFormat(msgspec.Struct, frozen=True):
    """The answer shall be JSON: one object that fits `schema`, or any object where that is None."""

    schema: dict[str, Any] | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a framework asks a model.

    Attributes:
        messages: The history, the oldest first; calls and results of tools stand in it as `bing_llm.tools` writes them.
        images: Pictures that go with the last message.
        toolbox: The tools, and how the model may choose.
        format: Set where the answer shall be JSON.
        stop: The answer ends before the first of these.
        max_characters: The longest answer; None for no limit.
    """

    messages: tuple[Message, ...]
    images: tuple[ImageSource, ...] = ()
    toolbox: Toolbox = Toolbox()
    format: JsonFormat | None = None
    stop: tuple[str, ...] = ()
    max_characters: int | None = None

    @property
    def instructions(self) -> Instructions:
        """What the service is told of tools and format."""
        tools = tool_instructions(self.toolbox)
        return tools if self.format is None else combined(tools, json_instructions(self.format.schema))

    def followed_by(self, *messages: Message) -> Request:
        """The same request with more messages behind its history."""
        return msgspec.structs.replace(self, messages=(*self.messages, *messages))
