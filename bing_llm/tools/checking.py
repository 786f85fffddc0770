"""Whether the arguments of a call fit the schema of its tool."""

from __future__ import annotations

import logging
from typing import Any

from bing_llm.errors import ConfigurationError

__all__ = ["misfit"]

_log = logging.getLogger(__name__)
_MAX_CHARACTERS = 300  # of what is wrong; jsonschema quotes the value, however long


def misfit(arguments: dict[str, Any], schema: dict[str, Any]) -> str:
    """Where and why the arguments do not fit the schema, in one sentence; "" if they fit.

    References lead nowhere but into the schema and to the metaschemas; nothing is fetched. By a schema that is broken
    nothing can be checked: a warning is logged, and everything fits.

    Args:
        arguments: What the model wrote.
        schema: A JSON schema of any draft; without `$schema`, of 2020-12. The tool's own, so its patterns are trusted.

    Raises:
        ConfigurationError: jsonschema is not installed.
    """
    try:
        import jsonschema  # type: ignore[import-untyped]  # noqa: PLC0415 - only who checks needs it
        import referencing  # noqa: PLC0415 - as above
    except ImportError as exc:
        message = "To check the arguments of calls against the schemas of their tools, jsonschema must be installed."
        raise ConfigurationError(message, hint="pip install jsonschema") from exc
    try:
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        kind.check_schema(schema)
        # A registry of our own: the default one fetches references over the network.
        checker = kind(schema, registry=referencing.Registry())
        error = jsonschema.exceptions.best_match(checker.iter_errors(arguments))
    except Exception as exc:  # noqa: BLE001 - jsonschema raises what its code happens to on a schema it cannot apply
        _log.warning("The schema of a tool is broken, so arguments are not checked by it: %s", type(exc).__name__)
        return ""
    return "" if error is None else _sentence(error)


def _sentence(error: Any) -> str:
    reason = " ".join(error.message.split())
    if len(reason) > _MAX_CHARACTERS:
        reason = f"{reason[:_MAX_CHARACTERS]}..."
    place = "".join(f"[{step!r}]" for step in error.absolute_path)
    return f"arguments{place} does not fit the schema of the tool: {reason}."
