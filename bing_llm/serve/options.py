"""The options that both APIs have, as `completion` reads them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from bing_llm.completion.prompt import History
from bing_llm.completion.request import Request, build_request, read_openai_tool
from bing_llm.errors import InvalidRequest
from bing_llm.serve.errors import ApiError
from bing_llm.tools.calls import JsonObject

_SAME: Mapping[str, str] = MappingProxyType({})


def refuse(name: str, problem: str, hint: str) -> ApiError:
    """The error for what cannot be meant here."""
    return ApiError(400, f"{problem} {hint}", code="unsupported_value", param=name)


def request_of(history: History, options: Mapping[str, Any], *, names: Mapping[str, str] = _SAME) -> Request:
    """What is asked of the model.

    Args:
        history: What the messages say.
        options: `tools`, `tool_choice`, `parallel_tool_calls`, `response_format`, `stop` and `max_tokens`.
        names: What the API calls some of them, for errors.

    Raises:
        ApiError: An option cannot be meant here, or is not allowed.
    """
    try:
        return build_request(
            history, options, to_openai_tool=_tool, to_json_schema=_refuse_format, stop=None, max_tokens=None
        )
    except (ValueError, InvalidRequest) as exc:
        option, _, rest = str(exc).partition(" ")
        if option not in options:
            raise ApiError(400, str(exc), code="invalid_value", param="tools") from exc
        name = names.get(option, option)
        raise ApiError(400, f"{name} {rest}", code="invalid_value", param=name) from exc


def _refuse_format(given: object) -> NoReturn:
    kind = given.get("type") if isinstance(given, dict) else given
    msg = f"response_format has the type {kind!r:.64}; it must be text, json_object or json_schema."
    raise InvalidRequest(msg, hint="")


def _tool(tool: JsonObject) -> JsonObject:
    converted = read_openai_tool(tool)
    if converted is None:
        msg = f"A tool is of the type {tool.get('type')!r:.64}."
        raise InvalidRequest(msg, hint="Only functions can be called: pass the type 'function'.")
    return converted
