"""A session for each event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator

import aiohttp
import pytest

from bing_llm.backends.http import Http
from bing_llm.errors import BingError, ConnectionFailed
from bing_llm.sync import run
from tests.backends.connecting import (
    TOKEN,
    failure,
    fetch,
)
from tests.backends.serving import GRACE_S, Server, reply, silent


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on the background loop, for tests that come and go with loops of their own."""
    started = run(Server(reply()).__aenter__())
    yield started
    run(started.__aexit__())


def test_a_client_works_in_one_loop_after_another(server: Server) -> None:
    """Each `asyncio.run` has a session of its own, which ends with its loop."""
    http = Http()
    for _ in range(2):
        assert asyncio.run(fetch(http, server.url())).status == 200
        assert list(http._sessions) == []
        run(server.idle())


def test_a_client_works_in_two_loops_at_once(server: Server) -> None:
    """Two threads, each with a loop, use one client side by side, each with a session of its own."""
    http = Http()
    both = threading.Barrier(2, timeout=GRACE_S)
    sessions: list[aiohttp.ClientSession] = []

    async def work() -> None:
        for _ in range(5):
            both.wait()
            await fetch(http, server.url())
        sessions.append((await http._session()).http)
        both.wait()
        assert len(list(http._sessions)) == 2
        both.wait()

    threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GRACE_S)
    assert len(server.requests) == 10
    assert len(set(sessions)) == 2
    assert list(http._sessions) == []


def is_closed(session: aiohttp.ClientSession) -> bool:
    """Whether it is closed by now."""
    return session.closed


def session_of(http: Http) -> aiohttp.ClientSession:
    """The session of the one loop that it was used on."""
    [session] = http._sessions
    return session.http


def fetch_on(loop: asyncio.AbstractEventLoop, http: Http, server: Server) -> aiohttp.ClientSession:
    """One GET on this loop, over a connection that does not stay; the loop's session."""
    loop.run_until_complete(fetch(http, server.url("/once")))
    loop.run_until_complete(asyncio.wait_for(asyncio.sleep(0), GRACE_S))
    return session_of(http)


@pytest.fixture
def once(server: Server) -> Server:
    """The server, which at `/once` closes the connection after its answer."""
    server._routes = {"/once": reply(headers={"Connection": "close"})}
    return server


def test_a_loop_that_was_just_closed_takes_nothing_along(once: Server) -> None:
    """A loop that was closed without `shutdown_asyncgens` costs no warning, and the next loop works."""
    http = Http()
    loop = asyncio.new_event_loop()
    session = fetch_on(loop, http, once)
    loop.close()
    assert not is_closed(session)
    asyncio.run(fetch(http, once.url()))
    assert is_closed(session)
    assert list(http._sessions) == []


def test_a_closed_loop_is_tidied_up_by_aclose(once: Server) -> None:
    """`aclose` marks the session of a closed loop as closed: nothing can run there any more."""
    http = Http()
    loop = asyncio.new_event_loop()
    session = fetch_on(loop, http, once)
    loop.close()
    asyncio.run(http.aclose())
    assert is_closed(session)


def test_a_client_is_closed_from_another_loop(server: Server) -> None:
    """`aclose` closes the session of every loop, each on its own, and the client still works on all of them."""
    http = Http()
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(fetch(http, server.url()))
        session = session_of(http)
        asyncio.run(http.aclose())
        assert list(http._sessions) == []
        assert is_closed(session)  # at once: its loop does not run, and may never again
        loop.run_until_complete(fetch(http, server.url()))
        replaced = session_of(http)
        assert not is_closed(replaced)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    assert is_closed(replaced)


def test_a_client_is_closed_while_another_loop_runs(server: Server) -> None:
    """`aclose` reaches a loop that runs in another thread, and closes its session there."""
    http = Http()
    run(fetch(http, server.url()))
    session = session_of(http)
    asyncio.run(http.aclose())
    run(server.idle())
    assert is_closed(session)


async def test_closing_twice_is_closing_once() -> None:
    """`aclose` may be called again, and before anything was opened."""
    http = Http()
    await http.aclose()
    async with Server(reply()) as server:
        await fetch(http, server.url())
        await asyncio.gather(http.aclose(), http.aclose())
        await http.aclose()
        await server.idle()


async def test_closing_ends_running_calls() -> None:
    """A call that runs while its client is closed fails as a call whose connection broke."""
    http = Http()
    async with Server(silent) as server:
        task = asyncio.ensure_future(failure(ConnectionFailed, fetch(http, server.url(f"/a{TOKEN}"))))
        await server.asked()
        await http.aclose()
        assert isinstance(await task, BingError)


@pytest.mark.parametrize("in_a_cycle", [False, True])
async def test_a_forgotten_client_is_closed(*, in_a_cycle: bool) -> None:
    """A client that nobody closed closes its connections when it is collected, without a warning."""
    http = Http()
    async with Server(reply()) as server:
        await fetch(http, server.url())
        session = session_of(http)
        if in_a_cycle:
            http.itself = http  # type: ignore[attr-defined]
        del http
        gc.collect()
        await server.idle()
        assert is_closed(session)


def test_a_forgotten_client_of_a_closed_loop_is_closed(once: Server) -> None:
    """There, too, no warning is left."""
    http = Http()
    loop = asyncio.new_event_loop()
    session = fetch_on(loop, http, once)
    loop.close()
    del http
    gc.collect()
    assert is_closed(session)
