"""The files of this project that one streamed turn walks through.

`python -P benchmarks/walk.py CHECKOUT NAME` prints them as JSON; the packages of the checkout must come first on
`PYTHONPATH`. `benchmarks.shape` runs it in a separate process, so that it can measure any checkout. It uses only public
names, which older commits have too.
"""

# ruff: noqa: T201 - its work is to print

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from inspect import CO_OPTIMIZED
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

_SERVER = """
import asyncio, sys
from bing_llm.emulator import Emulator, Scripted

async def main():
    async with Emulator(Scripted(lambda _: ["Hello ", "there."])) as emulator:
        print(emulator.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


def langchain(url: str) -> Callable[[], None]:
    """A streamed turn of LangChain's `ChatBing`."""
    from langchain_bing import ChatBing  # noqa: PLC0415 - of the checkout, and only here

    model = ChatBing(backend="chathub", endpoint=url)
    return lambda: _exhaust(model.stream("Hello"))


def llama_index(url: str) -> Callable[[], None]:
    """A streamed turn of LlamaIndex's `Bing`."""
    from llama_index.core.llms import ChatMessage  # noqa: PLC0415 - as above

    from llama_index.llms.bing import Bing  # noqa: PLC0415 - as above

    model = Bing(backend="chathub", endpoint=url)
    return lambda: _exhaust(model.stream_chat([ChatMessage("Hello")]))


def batch(url: str) -> Callable[[], None]:
    """A batch of one row."""
    from bing_llm import BingClient  # noqa: PLC0415 - as above
    from bing_llm.batch import run  # noqa: PLC0415 - as above

    client = BingClient(backend="chathub", endpoint=url)

    def one_row() -> None:
        with TemporaryDirectory() as folder:
            if run(["Hello"], Path(folder) / "answers.jsonl", client=client).answered != 1:
                raise SystemExit("The row has no answer.")

    return one_row


def _exhaust(chunks: Iterable[object]) -> None:
    if not [*chunks]:
        raise SystemExit("The turn gave nothing.")


TURNS: dict[str, Callable[[str], Callable[[], None]]] = {
    "langchain": langchain,
    "llama_index": llama_index,
    "batch": batch,
}


def walked(checkout: Path, turn: Callable[[], None]) -> list[str]:
    """The files under `bing_llm` and `integrations`, without the emulator, of which a function runs in this turn.

    Looks at this thread and at those that it starts, among them that of the background loop.
    """
    folders = tuple(f"{checkout / name}/" for name in ("bing_llm", "integrations"))
    files: set[str] = set()

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_flags & CO_OPTIMIZED:  # not the body of a module or a class
            files.add(frame.f_code.co_filename)

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        turn()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    emulator = f"{checkout / 'bing_llm' / 'emulator'}/"
    return sorted(
        str(Path(file).relative_to(checkout))
        for file in files
        if file.startswith(folders) and not file.startswith(emulator)
    )


def _import_all() -> None:
    """Import all modules first: what a function does while its module is imported is not part of a turn."""
    for root in ("bing_llm", "langchain_bing", "llama_index.llms.bing"):
        package = importlib.import_module(root)
        for module in pkgutil.walk_packages(package.__path__, f"{root}.", onerror=lambda _: None):
            if not module.name.startswith(("bing_llm.cli", "bing_llm.emulator")):
                with suppress(ImportError):  # an extra that is not installed
                    importlib.import_module(module.name)


@contextmanager
def _served() -> Iterator[str]:
    """The URL of an emulator in a separate process, whose work is not counted."""
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            if process.stdin:
                process.stdin.close()


def main() -> None:
    """Print the files of one turn."""
    checkout, name = Path(sys.argv[1]).resolve(), sys.argv[2]
    _import_all()
    with _served() as url:
        print(json.dumps(walked(checkout, TURNS[name](url))))


if __name__ == "__main__":
    main()
