"""Tools and calls, as data: what a model may call, how it may choose, and what it wrote."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from bing_llm.errors import InvalidRequest

__all__ = ["Call", "InvalidCall", "Piece", "Tool", "Toolbox"]


class Tool(msgspec.Struct, frozen=True):
    """One tool that the model may call.

    Attributes:
        name: Its name, unique among the tools of a request.
        description: What it is for, in words for the model; may be empty.
        parameters: The JSON schema of its arguments, an object; empty for a tool that takes none.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}  # msgspec copies an empty default


class Call(msgspec.Struct, frozen=True):
    """One call that the model wrote. It has no id: the service knows none, so who passes it on gives it one."""

    name: str
    arguments: dict[str, Any] = {}


class InvalidCall(msgspec.Struct, frozen=True):
    """What was meant as a call and is none.

    Attributes:
        text: What the model wrote, the opening tag included.
        reason: Why it is no call, in one sentence that a model can act on.
        name: The name of the tool, "" where it could not be read.
    """

    text: str
    reason: str
    name: str = ""


Piece: TypeAlias = str | Call | InvalidCall
"""What a reply is made of: text to show (never empty), and calls."""


class Toolbox(msgspec.Struct, frozen=True, kw_only=True):
    """The tools of one request, and how the model may choose among them.

    Attributes:
        tools: The tools; empty for none.
        required: Whether the reply must hold a call.
        only: The one tool that must be called, "" for any; implies `required`.
        parallel: Whether a reply may hold more than one call.
        strict: Whether arguments must fit the tool's schema: a call whose arguments do not is invalid.
    """

    tools: tuple[Tool, ...] = ()
    required: bool = False
    only: str = ""
    parallel: bool = True
    strict: bool = False

    def __post_init__(self) -> None:
        """Refuse what no model could follow.

        Raises:
            InvalidRequest: Two tools have one name, or a call is required and there is no such tool.
        """
        names = [tool.name for tool in self.tools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidRequest(f"Two tools have the name {twice[0]!r}.", hint="Give each tool a name of its own.")
        if self.only and self.only not in names:
            allowed = ", ".join(names) or "none"
            raise InvalidRequest(f"The tool {self.only!r} must be called but is not there; there are: {allowed}.")
        if self.required and not names:
            raise InvalidRequest("A call is required, but there are no tools.", hint="Pass tools, or require nothing.")

    @property
    def must_call(self) -> bool:
        """Whether the reply must hold a call."""
        return self.required or bool(self.only)

    @property
    def offered(self) -> tuple[Tool, ...]:
        """The tools that the model is told of: where one must be called, that one alone."""
        return tuple(tool for tool in self.tools if tool.name == self.only) if self.only else self.tools

    def is_met_by(self, call: Call) -> bool:
        """Whether this call is what was required."""
        return not self.only or call.name == self.only
