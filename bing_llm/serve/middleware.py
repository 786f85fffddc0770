"""What happens to each request around its handler: access, errors in OpenAI's form, headers, the log, the span."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bing_llm.errors import BingError
from bing_llm.serve import telemetry
from bing_llm.serve.access import Access
from bing_llm.serve.errors import ApiError, api_error
from bing_llm.serve.record import CLIENT_GONE, Record

_log = logging.getLogger(__name__)

RECORD: Final = web.RequestKey("record", Record)
SPAN: Final = web.RequestKey("span", telemetry.RequestSpan)

HEALTH: Final = "/healthz"

_UNKNOWN = "(unknown)"
_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))
_EXPOSED = "x-request-id, x-bing-llm-ignored, retry-after, x-should-retry"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Max-Age": "600",
}


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors in OpenAI's form, and note what became of the request."""
    record = request[RECORD] = Record(*_names(request))
    span = request[SPAN] = telemetry.start_request(record.method, record.route, request.headers)
    loop = asyncio.get_running_loop()
    began, status = loop.time(), CLIENT_GONE
    try:
        try:
            response = await handler(request)
        except (ApiError, BingError, web.HTTPException) as exc:
            response = _error_response(exc, record)
        except web.RequestPayloadError:  # such as a `Content-Encoding` that the body does not have
            response = _error_response(
                ApiError(400, "The body of the request cannot be read.", code="bad_request"), record
            )
        except ConnectionError:  # of the response: the caller has left
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, the caller gets an answer
            _log.exception("%s failed", record.request_id)
            response = _error_response(exc, record)
        status = response.status
        return response
    finally:
        record.log(status, loop.time() - began)
        span.end(status, record.error)


def guard(access: Access) -> Middleware:
    """Refuse who may not use the server."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site")
        access.check_names(request.headers.get("Host"), origin, request.remote, site=site)
        if request.method == "OPTIONS" and origin is not None:  # a browser asks first, without the key
            asked = request.headers.get("Access-Control-Request-Headers", "")
            return web.Response(status=204, headers={**_PREFLIGHT, "Access-Control-Allow-Headers": asked})
        if request.path != HEALTH:
            access.check_key(request.headers.get("Authorization"))
        return await handler(request)

    return check


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The headers of each response; for `on_response_prepare`."""
    record = request.get(RECORD)
    if record is not None:
        response.headers["x-request-id"] = record.request_id
    origin = request.headers.get("Origin")
    if origin is not None and response.status != web.HTTPForbidden.status_code:  # it was allowed
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers["Vary"] = "Origin"


def _names(request: web.Request) -> tuple[str, str]:
    """The method and the path of the route, not the caller's own text."""
    resource = request.match_info.route.resource
    method = request.method if request.method in _METHODS else _UNKNOWN
    return method, _UNKNOWN if resource is None else resource.canonical


def _error_response(exc: Exception, record: Record) -> web.Response:
    error = _http_error(exc) if isinstance(exc, web.HTTPException) else api_error(exc)
    record.error = error.code or ""
    allow = {"Allow": exc.headers["Allow"]} if isinstance(exc, web.HTTPMethodNotAllowed) else {}
    return web.Response(
        status=error.status,
        body=error.body,
        content_type="application/json",
        headers={**error.headers, **allow},
    )


def _http_error(exc: web.HTTPException) -> ApiError:
    match exc:
        case web.HTTPNotFound():
            return ApiError(404, "There is no such path here.", code="unknown_url")
        case web.HTTPMethodNotAllowed():
            return ApiError(405, "This path does not take this method.", code="method_not_allowed")
        case web.HTTPRequestEntityTooLarge():
            return ApiError(413, "The body of the request is too long.", code="request_too_large")
        case _:
            return ApiError(exc.status, exc.reason, code="bad_request")
