"""A brain that asks a real model: any server with OpenAI's `/chat/completions`, such as Ollama or llama.cpp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import msgspec

from bing_llm import events as ev
from bing_llm._urls import is_loopback
from bing_llm.backends.sse import EventReader
from bing_llm.emulator.brains.base import Output, Question
from bing_llm.errors import ConfigurationError, ProtocolError, ServiceError
from bing_llm.limits import Limits

_END = b"[DONE]"
_OK = 200
_LIMITS = Limits(frame_bytes=1024 * 1024)  # of one event: deltas have some hundred bytes
_SILENCE_S = 900.0  # what a client gives a turn: on a small machine a model reads a prompt of some pages for minutes
_PROGRESS_S = 30.0  # well below the two minutes after which a client gives up a service that says nothing
_WAITING = "The model is still at work."


class Upstream:
    """Passes questions to a model, and its words back.

    Args:
        base_url: The base of the API, such as `http://127.0.0.1:11434/v1`; `/chat/completions` is appended.
        model: The model's name there.
        api_key: The bearer token, None for none. Secret; not in the repr.
        silence: How long the server may say nothing, in seconds. 900: as long as a client waits for a turn.
        progress: While it says nothing, how often a line of progress goes to the client, so that this goes on waiting
            and does not send the prompt again; in seconds.

    Raises:
        ConfigurationError: The base is not an http(s) URL, the model's name is empty, or a key would go unencrypted to
            another machine.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        silence: float = _SILENCE_S,
        progress: float = _PROGRESS_S,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            hint = "Pass a URL such as 'http://127.0.0.1:11434/v1'."
            raise ConfigurationError("The base URL of the upstream model is not an http(s) URL with a host.", hint=hint)
        if api_key is not None and parts.scheme == "http" and not is_loopback(parts.hostname):
            msg = f"The key would go unencrypted to {parts.hostname}."
            raise ConfigurationError(msg, hint="Use https, or a server on this machine.")
        if not model:
            raise ConfigurationError("The upstream model has no name.", hint="Pass the name that the server lists.")
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._host = parts.hostname
        self._model = model
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._silence = silence
        self._progress = progress

    def __repr__(self) -> str:
        return f"Upstream({self._host!r}, model={self._model!r})"

    async def answer(self, question: Question) -> AsyncGenerator[Output, None]:
        """The model's words as they come, and progress while none come; a `ServiceError` for whatever goes wrong."""
        words = self._words(question)
        waiting = asyncio.ensure_future(anext(words, None))
        try:
            while True:
                done, _ = await asyncio.wait((waiting,), timeout=self._progress)
                if not done:
                    yield ev.Progress(_WAITING)
                elif (output := waiting.result()) is None:
                    return
                else:
                    yield output
                    waiting = asyncio.ensure_future(anext(words, None))
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await words.aclose()

    async def _words(self, question: Question) -> AsyncGenerator[Output, None]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._silence, sock_read=self._silence)
        body = {"model": self._model, "messages": _messages(question), "stream": True}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._url, json=body, headers=self._headers) as response,
            ):
                if response.status != _OK:
                    yield _failure(f"answered with HTTP {response.status}")
                    return
                async for output in _outputs(response):
                    yield output
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError, ProtocolError, ValueError) as exc:
            yield _failure(f"cannot be read: {type(exc).__name__}")


async def _outputs(response: aiohttp.ClientResponse) -> AsyncIterator[Output]:
    async for data in _events(response):
        if data.strip() == _END:
            return
        yield _output(data)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    reader = EventReader(_LIMITS)
    async for piece in response.content.iter_any():
        reader.receive(piece)
        while (data := reader.next_event()) is not None:
            yield data
    reader.receive_eof()
    while (data := reader.next_event()) is not None:
        yield data


def _output(data: bytes) -> Output:
    """One chunk of the answer. A chunk may have no choices (usage), and a choice no content (role, reasoning, end)."""
    chunk = msgspec.json.decode(data)
    if isinstance(chunk, dict) and chunk.get("error"):
        return _failure("reported an error")
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else {}
    delta = choice.get("delta") if isinstance(choice, dict) else None
    content = delta.get("content") if isinstance(delta, dict) else None
    return ev.TextDelta(content if isinstance(content, str) else "")


def _messages(question: Question) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = []
    for turn in question.history:
        messages += _asked(turn.context, turn.question)
        messages.append({"role": "assistant", "content": turn.answer})
    return messages + _asked(question.context, question.text)


def _asked(context: str, text: str) -> list[dict[str, str]]:
    said = {"role": "user", "content": text}
    return [{"role": "system", "content": context}, said] if context else [said]


def _failure(what: str) -> ServiceError:
    return ServiceError(service_message=f"The upstream model of the emulator {what}.")
