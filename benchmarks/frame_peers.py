"""Reading a long answer with clients of the ChatHub that others made, each as a process of its own that takes samples.

`python -m benchmarks.frame_peers NAME URL FRAMES CHARACTERS`, run by the Python of an environment with that client,
asks once for each line of its standard input, and writes what that cost as a line of JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from benchmarks.measuring import Sample, Take, sample
from benchmarks.peers import G4F, SYDNEY_PY, installed

__all__ = ["PEERS", "taking"]

_Stream: TypeAlias = Callable[[], AsyncIterator[str]]
"""Asks once, and gives the pieces of the answer."""

_ROOT = Path(__file__).parents[1]


@contextmanager
def taking(name: str, url: str, *, frames: int, characters: int) -> Iterator[Take]:
    """Takes samples of one of `PEERS`, which is installed for it and runs inside the block.

    Args:
        name: Its name.
        url: The ChatHub.
        frames: How many updates an answer has there.
        characters: How many characters it has.

    Raises:
        SystemExit: pip did not install it.
    """
    with installed(PEERS[name][0]) as python:
        command = [str(python), "-m", "benchmarks.frame_peers", name, url]
        with subprocess.Popen(  # noqa: S603 - our own command
            [*command, str(frames), str(characters)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        ) as process:
            if process.stdin is None or process.stdout is None:
                raise AssertionError
            stdin, stdout = process.stdin, process.stdout

            async def take() -> Sample:
                stdin.write("\n")
                stdin.flush()
                line = await asyncio.to_thread(stdout.readline)
                if not line:
                    raise RuntimeError(f"{name} gave no answer; what it wrote stands above.")
                return Sample(*json.loads(line))

            try:
                yield take
            finally:
                stdin.close()


# --- in the other process ---------------------------------------------------------------------------------------------


def _local(url: str, base_url: str) -> str:
    """A URL of the service, at this host instead of its own."""
    shipped = urlsplit(url)
    scheme = {"https": "http", "wss": "ws"}[shipped.scheme]
    return shipped._replace(scheme=scheme, netloc=urlsplit(base_url).netloc).geturl()


def _sydney_py(base_url: str) -> _Stream:
    module = importlib.import_module("sydney.sydney")
    for name in dir(module):
        if name.startswith("BING_"):
            setattr(module, name, _local(getattr(module, name), base_url))
    for header in (
        "Connection",
        "User-Agent",
    ):  # the WebSocket library sends these itself, and a server wants them once
        del module.CHATHUB_HEADERS[header]

    async def stream() -> AsyncIterator[str]:
        async with module.SydneyClient() as client:
            async for piece in client.ask_stream("Go on."):
                yield piece

    return stream


def _g4f(base_url: str) -> _Stream:
    module = importlib.import_module("g4f.Provider.Bing")
    request = module.ClientSession._request  # noqa: SLF001 - its URLs are not settings

    async def rerouted(session: Any, method: str, url: str, **options: Any) -> Any:
        return await request(session, method, _local(str(url), base_url), **options)

    module.ClientSession._request = rerouted  # noqa: SLF001

    def stream() -> AsyncIterator[str]:
        pieces: AsyncIterator[str] = module.Bing.create_async_generator(
            model="Balanced", messages=[{"role": "user", "content": "Go on."}]
        )
        return pieces

    return stream


PEERS: dict[str, tuple[str, Callable[[str], _Stream]]] = {
    "sydney-py": (SYDNEY_PY, _sydney_py),
    "g4f": (G4F, _g4f),
}
"""By its name: what to install, and how it streams."""


async def _answer(stream: _Stream, frames: int, characters: int) -> None:
    async def work() -> int:
        pieces = [piece async for piece in stream()]
        if sum(map(len, pieces)) != characters:
            raise AssertionError
        return len(pieces)

    for _ in sys.stdin:
        print(json.dumps(await sample(work, frames)), flush=True)  # noqa: T201 - `taking` reads it


if __name__ == "__main__":
    asyncio.run(_answer(PEERS[sys.argv[1]][1](sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
