"""How the emulator refuses a creation: by status, content or `result.value` (protocol notes, section a)."""

from __future__ import annotations

import msgspec
from aiohttp import web

from bing_llm import errors

__all__ = ["check_refusable", "response"]

_LOGIN = "Sorry, you need to login first to access this service."
_PAGE = "<!DOCTYPE html><html><body><h1>Our services aren't available right now</h1></body></html>"
_REFUSABLE = (errors.Throttled, errors.Unauthorized, errors.ServiceError, errors.ProtocolError)


def check_refusable(error: errors.BingError) -> None:
    """Refuse an error that no creation ends with.

    Raises:
        ConfigurationError: It is another one; the text names those that can be played.
    """
    if type(error) not in _REFUSABLE:
        names = ", ".join(sorted(kind.__name__ for kind in _REFUSABLE))
        msg = f"The emulator cannot refuse a creation with {type(error).__name__}."
        raise errors.ConfigurationError(msg, hint=f"It can play {names}.")


def response(error: errors.BingError) -> web.Response:
    """The answer that stands for the error.

    ==================  ===============================================================================
    Throttled           status 404; with `retry_after`, status 429 and that header
    Unauthorized        `result.value` UnauthorizedRequest, or the error's own `value`
    ServiceError        status 503 and a page of HTML
    ProtocolError       status 200 and an empty body
    ==================  ===============================================================================
    """
    match error:
        case errors.Throttled(retry_after=None):
            return web.Response(status=404)
        case errors.Throttled(retry_after=seconds):
            return web.Response(status=429, headers={"Retry-After": f"{seconds:.0f}"})
        case errors.ServiceError():
            return web.Response(status=503, text=_PAGE, content_type="text/html")
        case errors.ProtocolError():
            return web.Response(status=200, content_type="application/json")
        case _:
            result = {"value": error.value or "UnauthorizedRequest", "message": error.service_message or _LOGIN}
            body = msgspec.json.encode({"result": result})
            return web.Response(body=body, content_type="application/json")
