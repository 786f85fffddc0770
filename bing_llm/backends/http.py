"""The one place that opens connections: one aiohttp session per event loop, and aiohttp's errors mapped to ours."""

from __future__ import annotations

import asyncio
import ssl
import time
import weakref
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from types import TracebackType
from typing import Any, TypeAlias, TypedDict, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
from yarl import URL

from bing_llm._checks import check_proxy
from bing_llm._loops import PerLoop
from bing_llm._secrets import Wrapped, forget_frames, unwrap
from bing_llm._urls import public_url
from bing_llm.backends.response import FormField, Response, retry_after
from bing_llm.backends.statuses import blame_of, proxy_refused
from bing_llm.backends.transport import End
from bing_llm.errors import BingError, ConnectionFailed, ConnectionLost, ProtocolError, TimedOut
from bing_llm.limits import Limits

# The longest recorded answer of an HTTP call has under 1 KB; a list of conversations may have some hundred.
MAX_BODY_BYTES = 4 * 1024 * 1024
_TEXT = aiohttp.WSMsgType.TEXT
_AT_END = {aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}
_NORMAL_CLOSURE, _ABNORMAL_CLOSURE = 1000, 1006  # of HTTP too: whether the response came to its end
_NO_CODE = 1005  # RFC 6455, section 7.1.5: a close frame without a code; aiohttp says 0
_SWITCHING = 101
_REDIRECTS = range(300, 400)

_PLAIN = "identity"
_PACKED = frozenset(("gzip", "x-gzip", "deflate"))
_ANY_WINDOW = zlib.MAX_WBITS | 32  # gzip or zlib, as its head says
_PIECE_BYTES = 16 * 1024  # of a stream; a channel looks at the clock between two pieces
_PLAIN_PIECE_BYTES = 256 * 1024  # of one that is not packed: several long events in one piece cost less
_MOST_LINES = 1000  # of a piece; what has more is given in parts of 4 KiB, since each line takes its time
_PART_BYTES = 4 * 1024
_MOST_COOKIES = 100  # far more than a service sets; what is set later matters more

T = TypeVar("T")

_TLS = ("https:", "wss:")
_LONGEST_SCHEME = len("https:")

# aiohttp takes a close frame without a code for its own, and would wait so long for the server's.
_NO_CLOSING = aiohttp.ClientWSTimeout(ws_close=0.0)

_Handler: TypeAlias = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


class _Route(TypedDict):
    proxy: str | None
    ssl: ssl.SSLContext | bool


class UpgradeRefused(Exception):
    """The server answered the WebSocket upgrade with another status than 101. Backends map it to their own errors.

    Attributes:
        response: The response.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(f"HTTP {response.status} instead of 101")
        self.response = response


class _Response(aiohttp.ClientResponse):
    """A response whose repr shows no secret: aiohttp's own has the URL with its token, and the headers with cookies."""

    def __repr__(self) -> str:
        return f"<ClientResponse({public_url(str(self.url))}) [{self.status}]>"


class _WebSocket(aiohttp.ClientWebSocketResponse):
    """A WebSocket that keeps what a `Socket` needs."""

    def __init__(
        self, reader: Any, writer: Any, protocol: str | None, response: aiohttp.ClientResponse, *args: Any, **kw: Any
    ) -> None:
        super().__init__(reader, writer, protocol, response, *args, **kw)
        self.upgrade = response
        self.transport: asyncio.Transport = writer.transport
        self.queue = reader


class Socket:
    """An open WebSocket whose messages are texts, as bytes. It can be dropped at once, without an await.

    Implements `bing_llm.backends.transport.Connection`.
    """

    def __init__(self, opened: _WebSocket, limits: Limits) -> None:
        self._socket = opened
        self._limits = limits
        self._left = False
        self._queue = opened.queue
        waiting = _waiting_in(opened.queue)
        self._can_look = waiting is not None
        self._waiting = () if waiting is None else waiting

    async def read(self) -> list[bytes | End]:
        """Wait for the next message, and take those that have come after it. A wait that is cancelled loses none.

        Raises:
            ProtocolError: It is not a text, is too long, or breaks the rules of WebSockets.
        """
        while True:
            try:
                message = await self._socket.receive()
            except aiohttp.ClientConnectionResetError:  # a ping that cannot be answered any more
                continue
            if message.type is not _TEXT:
                return [self._end_of(message)]
            messages: list[bytes | End] = [message.data]
            for _ in range(len(self._waiting)):  # taken one by one through `receive`, a flood costs twice as much
                if self._waiting[0][0].type is not _TEXT:
                    break
                messages.append((await self._queue.read()).data)
            return messages

    def ready(self) -> list[bytes | End]:
        """The messages that have come already.

        Raises:
            ProtocolError: As `read`.
        """
        if self._can_look and not self._waiting and not self._queue.is_eof():
            return []
        reading = self.read()
        try:
            reading.send(None)  # runs up to where it would wait
        except StopIteration as finished:
            messages: list[bytes | End] = finished.value
            return messages
        closed, code = self._socket.closed, self._socket.close_code
        with suppress(asyncio.CancelledError):
            reading.throw(asyncio.CancelledError())
        # Where it waited to answer a close frame, for a server that reads nothing, that frame was taken.
        return [_closed_with(code)] if closed and code != _ABNORMAL_CLOSURE else []

    def _end_of(self, message: aiohttp.WSMessage) -> End:
        if message.type is aiohttp.WSMsgType.CLOSE:
            return _closed_with(message.data)
        if message.type in _AT_END:
            return End(None, "socket at its end, code None")
        if message.type is aiohttp.WSMsgType.BINARY:
            raise ProtocolError("The service sent a binary message; the ChatHub sends text.")
        if getattr(message.data, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            raise self._limits.exceeded("frame_bytes", "bytes in one message")
        # The words of aiohttp name no URL.
        raise ProtocolError(f"The service broke the WebSocket protocol ({message.data}).")

    async def send(self, data: bytes) -> None:
        """Send one message.

        Raises:
            ConnectionLost: The connection broke.
        """
        try:
            await self._socket.send_frame(data, aiohttp.WSMsgType.TEXT)
        except (OSError, aiohttp.ClientError) as exc:
            raise ConnectionLost("The connection broke while something was sent.") from exc

    def abort(self) -> None:
        """Drop the connection now. What was not sent yet is lost; the other end sees a reset. May be called twice."""
        self._left = True
        connection = self._socket.upgrade.connection
        try:
            self._socket.transport.abort()
        except RuntimeError:  # the loop is closed
            _end_without_loop(self._socket.transport)
            if connection is not None:
                with suppress(RuntimeError):
                    connection.close()
        self._socket.upgrade.close()

    def hang_up(self) -> None:
        """Close the connection now, after what was sent; does not wait for the other end's close frame."""
        self._left = True
        self._socket.upgrade.close()

    def end_with_loop(self) -> None:
        """Drop the connection if nobody has closed it: on a closed loop, it could not be given back any more."""
        if not self._left:
            self.abort()


def _waiting_in(queue: object) -> Sequence[Any] | None:
    """The messages that wait in aiohttp's queue, for a look that costs little; aiohttp has no public way.

    None where they are not found. Then all works as well, but messages are taken one by one, and each look has to try.
    """
    return getattr(queue, "_buffer", None)


def _closed_with(code: int | None) -> End:
    code = code or _NO_CODE
    return End(code, f"socket at its end, code {code}")


class ByteStream:
    """A response whose body is read as it comes. It has a connection of its own until its end, or until it is aborted.

    Attributes:
        head: Its status and headers, without the body.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.head = _head(response.status, response.headers)
        self._response = response
        self._unpacker = _Unpacker() if _encoding(response) in _PACKED else None
        self._piece_bytes = _PLAIN_PIECE_BYTES if self._unpacker is None else _PIECE_BYTES
        self._rest = b""  # of a piece that has many lines

    async def read(self) -> list[bytes | End]:
        """Wait for what has come since, at least one byte. What came before the connection broke is given first.

        A wait that is cancelled loses nothing.
        """
        if known := self._known():
            return [self._part_of(known)]
        while True:
            data = b""
            with suppress(aiohttp.ClientError, OSError):
                data = await self._response.content.read(self._piece_bytes)
            rest = data or self._end()
            if isinstance(rest, End):
                return [rest]
            if pieces := self._pieces(rest):
                return pieces

    def ready(self) -> list[bytes | End]:
        """What has come since, if anything has: one small piece, after which a channel looks at the clock."""
        if known := self._known():
            return [self._part_of(known)]
        content = self._response.content
        if content.exception() is None:
            if data := content.read_nowait(self._piece_bytes):
                return self._pieces(data)
            if not content.at_eof():
                return []
        end = self._end()
        return [end] if isinstance(end, End) else self._pieces(end)

    def _pieces(self, data: bytes) -> list[bytes | End]:
        """What the next bytes of the body mean; nothing, where they only begin a packed piece."""
        if self._unpacker is None:
            return [self._part_of(data)]
        self._unpacker.feed(data)
        unpacked = self._unpacker.take()
        return [self._part_of(unpacked)] if unpacked else []

    def _known(self) -> bytes:
        """What was read already and not given; empty if there is nothing."""
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        return b"" if self._unpacker is None else self._unpacker.take()

    def _part_of(self, data: bytes) -> bytes:
        """The piece, or its beginning if it has many lines."""
        if len(data) <= _PART_BYTES or not _has_many_lines(data):
            return data
        self._rest = data[_PART_BYTES:]
        return data[:_PART_BYTES]

    def _end(self) -> bytes | End:
        content = self._response.content
        broken = content.exception()
        if broken is None:
            return End(_NORMAL_CLOSURE, "response at its end")
        # What came before the connection broke, maybe the end of the answer. aiohttp has no public way to get at it.
        if data := content._read_nowait(-1):  # noqa: SLF001
            return data
        return End(_ABNORMAL_CLOSURE, f"The connection broke in the middle of the answer ({type(broken).__name__}).")

    async def response(self, seconds: float) -> Response:
        """Status, headers and body, for a response that is not a stream: its body says why.

        Raises nothing: the body is as much as comes within that many seconds, and at most 4 MiB. Where it does not come
        to its end, the connection is dropped.
        """
        body = bytearray()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(body) < MAX_BODY_BYTES and not isinstance(data := (await self.read())[0], End):
                    body += data
        self.abort()
        return msgspec.structs.replace(
            self.head, body=_unpacked(bytes(body[:MAX_BODY_BYTES]), _encoding(self._response))
        )

    def abort(self) -> None:
        """Drop the connection now. May be called twice.

        Does nothing once the body has been read whole: aiohttp then owns the connection again.
        """
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()

    def end_with_loop(self) -> None:
        """Drop the connection if nobody has: on a closed loop, it could not be given back any more."""
        self.abort()


def _has_many_lines(data: bytes) -> bool:
    """Whether 1,000 lines end there in one way. Not by `count`, which looks at each byte: parsing costs less."""
    for sign in (b"\n", b"\r"):
        start = 0
        for _ in range(_MOST_LINES):
            start = data.find(sign, start) + 1
            if not start:
                break
        else:
            return True
    return False


class _Session:
    """What is open on one loop: aiohttp's session, and the sockets and streams that were opened by it."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.sockets = weakref.WeakSet[Socket | ByteStream]()

    def close(self) -> None:
        """Close everything without waiting; the loop does not run."""
        self._end_sockets()
        connector = self.http.connector
        if connector is not None:
            connector._close()  # noqa: SLF001 - close() makes a task, which only a loop that runs can end

    async def aclose(self) -> None:
        """Close everything."""
        self._end_sockets()
        await self.http.close()

    def _end_sockets(self) -> None:
        for socket in list(self.sockets):
            with suppress(RuntimeError):  # the loop is closed
                socket.end_with_loop()


class _SetCookies:
    """The values of cookies that a service set, the oldest first, for whoever takes secrets out of texts.

    aiohttp keeps the cookies, and sends them back as a browser does.
    """

    def __init__(self) -> None:
        self.values: dict[str, None] = {}

    async def note(self, request: aiohttp.ClientRequest, handler: _Handler) -> aiohttp.ClientResponse:
        """Guard each request, and look at its response; for `middlewares`.

        It keeps aiohttp from two things. It would send a GET a second time when the connection breaks: attempts are
        ours to count. And it would send a WebSocket upgrade on to another host, since it follows redirects there.
        """
        try:
            response = await handler(request)
        except aiohttp.ClientConnectorError:  # nothing was sent; aiohttp lets it be, too
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            response = None
        if response is None:
            raise aiohttp.ClientConnectionError("The connection broke before there was an answer.")
        if response.status in _REDIRECTS and "Upgrade" in request.headers:
            response.close()
            raise UpgradeRefused(_head(response.status, response.headers))
        for header in response.headers.getall("Set-Cookie", ()):
            value = header.partition(";")[0].partition("=")[2].strip().strip('"')
            if value:
                self.values[value] = None
        while len(self.values) > _MOST_COOKIES:
            del self.values[next(iter(self.values))]
        return response


class Http:
    """Connections of one client, on whatever event loop it is used.

    Args:
        proxy: URL of an HTTP proxy, which `check_proxy` takes; None for none.
        trust_env: Whether to take proxies from the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` and the
            system's. Nothing else is taken from it; aiohttp would also send the passwords of `.netrc` to the service.
        ssl_context: How to verify TLS; None for the default context with certifi's certificates.
    """

    def __init__(
        self, *, proxy: str | None = None, trust_env: bool = False, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._proxy = proxy
        self._trust_env = trust_env
        self._ssl_context = ssl_context
        self._cookies = _SetCookies()
        self._passwords: dict[str, None] = {}
        self._sessions = PerLoop[_Session]()
        self._plain_route: _Route = {"proxy": proxy, "ssl": True}
        self._tls_route: _Route | None = None  # made when it is needed
        self._note_password(proxy)

    async def request(
        self,
        method: str,
        url: str | Wrapped[str],
        *,
        what: str,
        seconds: float,
        limit: str = "connect",
        headers: Mapping[str, str] | Wrapped[Mapping[str, str]],
        json: object = None,
        form: Sequence[FormField] = (),
    ) -> Response:
        """One HTTP call. Redirects are not followed.

        Args:
            method: The HTTP method.
            url: Where to; only its public part shows up in errors.
            what: What is asked for, for messages: "the creation of a conversation".
            seconds: How long the whole call may take.
            limit: The name of that limit in `Timeouts`, for messages.
            headers: What to send.
            json: What to send as JSON, None for nothing.
            form: The fields of a multipart form, instead of JSON.

        Raises:
            ConnectionFailed: No connection, or it broke.
            TimedOut: It took longer.
            ProtocolError: The body is over 4 MiB.
        """
        session = (await self._session()).http

        with _MappedErrors(url, what, seconds, limit):
            async with (
                asyncio.timeout(seconds),
                session.request(
                    method,
                    _exact(unwrap(url)),
                    headers=unwrap(headers),
                    allow_redirects=False,
                    **self._route(unwrap(url)),
                    json=json,
                    data=_form(form),
                ) as response,
            ):
                return await _answer(response, what)

    async def stream(
        self,
        method: str,
        url: str | Wrapped[str],
        *,
        what: str,
        seconds: float,
        sent: Callable[[], None],
        headers: Mapping[str, str] | Wrapped[Mapping[str, str]],
        json: object = None,
    ) -> ByteStream:
        """One HTTP call whose response is read as it comes. Redirects are not followed.

        It waits for the head of the response without a limit, since a service may think before it begins to answer. The
        caller sets a limit, and aborts the stream in the end.

        Args:
            method: The HTTP method.
            url: Where to; only its public part shows up in errors.
            what: What is asked for, for messages.
            seconds: How long it may take to connect.
            sent: Called when the connection is open and the request goes out: from now on the service may act on it.
            headers: What to send.
            json: What to send as JSON, None for nothing.

        Raises:
            ConnectionFailed: No connection; nothing was sent.
            TimedOut: It took longer to connect.
            ConnectionLost: The connection broke after the request was sent.
        """
        session = await self._session()
        if not session.http.trace_configs:  # no other call needs it, and it makes each a little slower
            session.http.trace_configs.append(_report_sent())
        was_sent = False

        def note() -> None:
            nonlocal was_sent
            was_sent = True
            sent()

        async def call() -> ByteStream:
            response = await session.http.request(
                method,
                _exact(unwrap(url)),
                headers=unwrap(headers),
                allow_redirects=False,
                **self._route(unwrap(url)),
                timeout=aiohttp.ClientTimeout(connect=seconds),
                trace_request_ctx=note,
                json=json,
            )
            return ByteStream(response)

        try:
            with _MappedErrors(url, what, seconds, "connect"):
                opened = await call()
        except ConnectionFailed as exc:
            if not was_sent:
                raise
            msg = f"The connection to {_shown(url)} ended before there was an answer to {what}."
            raise ConnectionLost(msg) from exc
        session.sockets.add(opened)
        return opened

    async def connect(
        self,
        url: str | Wrapped[str],
        *,
        what: str,
        seconds: float,
        headers: Mapping[str, str] | Wrapped[Mapping[str, str]],
        limits: Limits,
    ) -> Socket:
        """Open a WebSocket.

        Raises:
            ConnectionFailed: No connection, or it broke.
            TimedOut: It took longer than `seconds`.
            UpgradeRefused: The server answered with something else than 101.
            ProtocolError: It answered 101 with a wrong key or header.
        """
        session = await self._session()

        refused: aiohttp.WSServerHandshakeError | None = None
        with _MappedErrors(url, what, seconds, "connect"):
            async with asyncio.timeout(seconds):
                try:
                    opened: Any = await session.http.ws_connect(
                        _exact(unwrap(url)),
                        headers=unwrap(headers),
                        **self._route(unwrap(url)),
                        max_msg_size=limits.frame_bytes,
                        timeout=_NO_CLOSING,
                        decode_text=False,
                    )
                except aiohttp.WSServerHandshakeError as exc:
                    refused = exc
        if refused is not None:
            # Raised out here: aiohttp's error has the URL in its text, and with it the token; it must not be the cause,
            # nor in a variable.
            status, head = refused.status, _head(refused.status, refused.headers or {})
            refused = None
            if status != _SWITCHING:
                raise UpgradeRefused(head)
            msg = f"The answer to {what} from {public_url(unwrap(url))} opens a WebSocket, but not by the rules."
            raise ProtocolError(msg, value=str(_SWITCHING))
        socket = Socket(opened, limits)
        session.sockets.add(socket)
        return socket

    async def aclose(self) -> None:
        """Close the session of every loop."""
        await self._sessions.aclose()

    async def _session(self) -> _Session:
        """The session of this loop."""
        return await self._sessions.get_or_create(self._new_session)

    def _new_session(self) -> _Session:
        return _Session(
            aiohttp.ClientSession(
                # Answers are small, and streams come in small pieces: to pack them has no use.
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,  # it would unpack as much as comes at once
                timeout=aiohttp.ClientTimeout(),  # each call has its own limit
                response_class=_Response,
                ws_response_class=_WebSocket,
                middlewares=(self._cookies.note,),
                connector=aiohttp.TCPConnector(limit=0),  # a socket each turn: the service limits us, not the pool
            )
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the service and the proxy must not be quoted with: cookies that were set, and passwords of proxies."""
        return (*self._cookies.values, *self._passwords)

    def _route(self, url: str) -> _Route:
        """How a request gets there: by the proxy of the caller, else by that of the environment, if it is trusted."""
        route = self._plain_route
        if url[:_LONGEST_SCHEME].lower().startswith(_TLS):
            if self._tls_route is None:
                self._tls_route = {"proxy": self._proxy, "ssl": self._ssl_context or _default_context()}
            route = self._tls_route
        if self._proxy is None and self._trust_env:
            proxy = _environment_proxy(url)
            check_proxy(proxy)
            self._note_password(proxy)
            return {"proxy": proxy, "ssl": route["ssl"]}
        return route

    def _note_password(self, proxy: str | None) -> None:
        if proxy is not None and (password := urlsplit(proxy).password):
            self._passwords[password] = None


def _default_context() -> ssl.SSLContext:
    import certifi  # noqa: PLC0415 - a turn over plain http needs none, and it is slow to import

    return ssl.create_default_context(cafile=certifi.where())


def _environment_proxy(url: str) -> str | None:
    """The proxy that the environment names for this URL; None for none. A WebSocket goes where HTTP goes."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get(scheme)
    return None if not proxy or proxy_bypass(parts.hostname or "") else proxy


def _end_without_loop(transport: Any) -> None:
    """Close the socket of a transport that was aborted on a closed loop, which would have to do it.

    asyncio has no public way to do that, nor to get at the transport below TLS, which has the socket.
    """
    tls = getattr(transport, "_ssl_protocol", None)
    lower = transport if tls is None else tls._transport  # noqa: SLF001
    with suppress(RuntimeError):  # of the transport above, which asks for the loop once more
        lower._call_connection_lost(None)  # noqa: SLF001


def _shown(url: str | Wrapped[str]) -> str:
    return public_url(unwrap(url))


class _MappedErrors:
    """A block whose aiohttp errors become ours.

    Of causes only the operating system's error stays: aiohttp's have the URL, the headers of an answer or the password
    of a proxy in their text or repr, and so neither a cause nor a context may lead to them.

    Args:
        url: Where to; only its public part is shown.
        what: What is asked for.
        seconds: How long the block may take.
        limit: The name of that limit in `Timeouts`.
    """

    def __init__(self, url: str | Wrapped[str], what: str, seconds: float, limit: str) -> None:
        self._url = url
        self._what = what
        self._seconds = seconds
        self._limit = limit

    def __enter__(self) -> None:
        """Nothing has failed yet."""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        failure = None if exc is None else self._failure_of(exc)
        if failure is None:
            return
        cause = (
            getattr(exc, "os_error", exc) if type(failure) is ConnectionFailed and isinstance(exc, OSError) else None
        )
        if cause is not None:
            forget_frames(cause)  # those of aiohttp have the URL and the headers in their variables
        del exc, traceback  # which tools that print local variables would show
        try:
            raise failure from cause
        finally:
            failure.__context__ = None

    def _failure_of(self, exc: BaseException) -> BingError | None:
        """The error of ours; None for what is not of aiohttp."""
        where = public_url(unwrap(self._url))
        if isinstance(exc, aiohttp.ClientHttpProxyError):
            return _refused_by_proxy(exc.status, f"The proxy refused the connection to {where} for {self._what}")
        if isinstance(exc, TimeoutError):
            return TimedOut(
                f"There was no answer to {self._what} from {where} within {self._seconds:g} seconds "
                f"(timeouts.{self._limit})."
            )
        if isinstance(exc, OSError):
            cause = getattr(exc, "os_error", exc)
            reason = getattr(cause, "strerror", None) or type(cause).__name__
            failure = ConnectionFailed(f"There was no connection to {where} for {self._what}: {reason}.")
            if isinstance(cause, ssl.SSLCertVerificationError):
                failure.permanent = True
                failure.hint = "Check the endpoint; in Python, pass an ssl_context= that trusts its certificate."
            return failure
        if isinstance(
            exc, aiohttp.ClientError | ValueError
        ):  # ValueError: a URL that yarl, or a proxy that aiohttp refuses
            return ConnectionFailed(f"There was no answer to {self._what} from {where} ({type(exc).__name__}).")
        return None


def _refused_by_proxy(status: int, message: str) -> BingError:
    """It wants credentials or forbids the host, which stays so; or it could not reach it, which may pass."""
    message = f"{message} (HTTP {status})."
    if blame_of(status, carries_row=False) == "proxy":
        return proxy_refused(message, value=str(status))
    failure = ConnectionFailed(message, value=str(status))
    failure.permanent = blame_of(status, carries_row=False) != "later"
    return failure


def _form(fields: Sequence[FormField]) -> aiohttp.FormData | None:
    if not fields:
        return None
    form = aiohttp.FormData(default_to_multipart=True)
    for field in fields:
        form.add_field(field.name, field.value, content_type=field.content_type)
    return form


def _exact(url: str) -> URL:
    """The URL with its query as it is: aiohttp would turn `%2F` back into `/`, and a token is encoded in full."""
    head, mark, query = url.partition("?")
    return URL(f"{_quoted(head)}{mark}{query}", encoded=True)


@lru_cache(maxsize=64)  # of a client's few; those of conversations come and go
def _quoted(head: str) -> str:
    return str(URL(head))


def _report_sent() -> aiohttp.TraceConfig:
    """Calls the `trace_request_ctx` of a request when its connection is open and it goes out."""

    async def call(_session: aiohttp.ClientSession, context: Any, _params: object) -> None:
        if context.trace_request_ctx is not None:
            context.trace_request_ctx()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(call)
    config.freeze()
    return config


async def _answer(response: aiohttp.ClientResponse, what: str) -> Response:
    body = bytearray()
    content = response.content
    while not content.at_eof():
        body += await content.readany()
        if len(body) > MAX_BODY_BYTES:
            msg = f"The answer to {what} is longer than {MAX_BODY_BYTES:,} bytes."
            raise ProtocolError(msg)
    unpacked = _unpacked(bytes(body), _encoding(response))
    if len(unpacked) > MAX_BODY_BYTES:
        raise ProtocolError(f"The answer to {what} is longer than {MAX_BODY_BYTES:,} bytes.")
    return _head(response.status, response.headers, unpacked)


class _Unpacker:
    """Unpacks a stream that a server has packed, although that was not offered: 65 KB of it may be gigabytes."""

    def __init__(self) -> None:
        self._packed = b""
        self._inflate = zlib.decompressobj(_ANY_WINDOW)

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._packed += data

    def take(self) -> bytes:
        """The next piece; empty where there is none without more bytes.

        Raises:
            ProtocolError: It is not packed as it says.
        """
        piece = b""
        while self._packed and not piece:
            try:
                piece = self._inflate.decompress(self._packed, _PIECE_BYTES)
            except zlib.error:
                raise ProtocolError("The answer is a stream that is packed, and cannot be unpacked.") from None
            self._packed = self._inflate.unconsumed_tail
            if self._inflate.eof:  # another one may follow
                self._packed, self._inflate = self._inflate.unused_data, zlib.decompressobj(_ANY_WINDOW)
        return piece


def _encoding(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("Content-Encoding", _PLAIN).strip().lower()


def _unpacked(body: bytes, encoding: str) -> bytes:
    """A body that a server has packed, although that was not offered; at most one byte over 4 MiB of it.

    As it came if it cannot be unpacked: then it is not JSON either.
    """
    if encoding not in _PACKED:
        return body
    try:
        return zlib.decompressobj(_ANY_WINDOW).decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        return body


_CHALLENGE = "www-authenticate"


def _head(status: int, headers: Mapping[str, str], body: bytes = b"") -> Response:
    lower = {name.lower(): value for name, value in headers.items()}
    if _CHALLENGE in lower:  # one header each, or all in one list (RFC 9110, section 11.6.1)
        lower[_CHALLENGE] = ", ".join(value for name, value in headers.items() if name.lower() == _CHALLENGE)
    return Response(status, lower, body, retry_after(lower.get("retry-after"), time.time()))
