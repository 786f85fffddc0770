"""Tools and calls as data: what a model may call, how it may choose, what it wrote, and whether that fits."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from bing_llm.errors import ConfigurationError, InvalidRequest

_log = logging.getLogger(__name__)

_LONGEST_REASON = 300  # characters of a validation error; jsonschema quotes the value, however long


JsonObject: TypeAlias = dict[str, Any]
"""An object as `json.loads` returns it: a schema, or the arguments of a call. Its values may be any JSON."""

Check: TypeAlias = Callable[[Any], str]
"""Says in one sentence what is wrong with the arguments of a call, or with an answer that is JSON; "" for nothing."""


class Tool(msgspec.Struct, frozen=True):
    """One tool that the model may call.

    Attributes:
        name: Its name, unique among the tools of a request.
        description: What it is for, in words for the model; may be empty.
        parameters: The JSON schema of its arguments, an object; empty for a tool that takes none.
        check: What the arguments must pass; if they do not, the model is asked once more. None for nothing.
        strict: Whether a call stays invalid whose arguments still do not pass; else it is given as the model wrote it.
    """

    name: str
    description: str = ""
    parameters: JsonObject = {}  # msgspec copies an empty default
    check: Check | None = None
    strict: bool = True


class Call(msgspec.Struct, frozen=True):
    """One call that the model wrote. It has no id, because the service has none: whoever passes it on makes one."""

    name: str
    arguments: JsonObject = {}


class InvalidCall(msgspec.Struct, frozen=True):
    """Text that begins as a call but is not one.

    Attributes:
        text: What the model wrote, the opening tag included.
        reason: Why it is not a call, in one sentence that a model can act on.
        name: The name of the tool, "" if it could not be read.
        call: The call all the same, if only its arguments do not pass the check of a tool that is not strict.
    """

    text: str
    reason: str
    name: str = ""
    call: Call | None = None


Piece: TypeAlias = str | Call | InvalidCall
"""What a reply is made of: text to show (never empty), and calls."""


class Toolbox(msgspec.Struct, frozen=True, kw_only=True):
    """The tools of one request, and how the model may choose among them.

    Attributes:
        tools: The tools; empty for none.
        required: Whether the reply must hold a call.
        only: The one tool that must be called, "" for any; implies `required`.
        parallel: Whether a reply may hold more than one call.
    """

    tools: tuple[Tool, ...] = ()
    required: bool = False
    only: str = ""
    parallel: bool = True

    def __post_init__(self) -> None:
        """Refuse what no model could follow.

        Raises:
            InvalidRequest: Two tools have one name, or a call is required and there is no such tool.
        """
        names = [tool.name for tool in self.tools]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
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
        """The tools that the prompt lists: if one certain tool must be called, only that one."""
        return tuple(tool for tool in self.tools if tool.name == self.only) if self.only else self.tools

    def is_met_by(self, call: Call) -> bool:
        """Whether this call is the required one."""
        return not self.only or call.name == self.only


class SchemaCheck(msgspec.Struct, frozen=True):
    """Whether a value fits a JSON schema, by jsonschema. Called, it says where and why not; "" if it fits.

    References are resolved in the schema itself and in the metaschemas only; nothing is fetched. A broken schema cannot
    be checked against: a warning is logged, and everything fits.

    Attributes:
        schema: A JSON schema of any draft; without `$schema`, of 2020-12. The user's own, so its patterns are trusted.
        what: What the value is, in the sentence.

    Raises:
        ConfigurationError: jsonschema is not installed.
    """

    schema: JsonObject
    what: str = "arguments"

    def __call__(self, value: Any) -> str:
        """What is wrong with the value."""
        try:
            import jsonschema  # type: ignore[import-untyped]  # noqa: PLC0415 - slow, and only checks need it
            import referencing  # noqa: PLC0415 - as above
        except ImportError as exc:
            message = "To check what a model wrote against its JSON schema, jsonschema must be installed."
            raise ConfigurationError(message, hint="pip install jsonschema") from exc
        try:
            kind = jsonschema.validators.validator_for(self.schema, default=jsonschema.Draft202012Validator)
            kind.check_schema(self.schema)
            # A registry of our own: the default one fetches references over the network.
            checker = kind(self.schema, registry=referencing.Registry())
            error = jsonschema.exceptions.best_match(checker.iter_errors(value))
        except Exception as exc:  # noqa: BLE001 - jsonschema raises what its code happens to on a schema it cannot apply
            _log.warning("A JSON schema is broken, so nothing is checked by it: %s", type(exc).__name__)
            return ""
        return "" if error is None else self._sentence(error)

    def _sentence(self, error: Any) -> str:
        reason = " ".join(error.message.split())
        if len(reason) > _LONGEST_REASON:
            reason = f"{reason[:_LONGEST_REASON]}..."
        place = "".join(f"[{step!r}]" for step in error.absolute_path)
        return f"{self.what}{place} does not fit the schema: {reason}."
