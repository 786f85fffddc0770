"""Answers of `POST /v1/chat/completions`: from the items of a completion to a body or to streamed chunks. Pure.

Besides OpenAI's own fields, a message has:

- `reasoning_content`: what the service says of its searches and its progress, a line each
- `annotations`: the citations, each marker one `url_citation` with its place in the content
- `images`: pictures that the service made, in the form of OpenRouter and LiteLLM
- `usage.estimated`: always true, because the services count no tokens
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, assert_never

import msgspec

from bing_llm import events as ev
from bing_llm.completion.citations import in_order, place_citations
from bing_llm.completion.metadata import completion_metadata, new_call_id
from bing_llm.completion.stream import Completed, Item
from bing_llm.completion.tokens import count_tokens
from bing_llm.serve.errors import ApiError
from bing_llm.tools.calls import Call, InvalidCall, JsonObject

_encode = msgspec.json.Encoder().encode


class ChatAnswer:
    """One answer, as it comes; `add` each item.

    Args:
        model: The name of the model that answers.
        answer_id: The id of the answer.
        created: When it began, in seconds since 1970.
        include_usage: Whether a stream ends with an estimate of the tokens.

    Attributes:
        finish_reason: Why it ended; None before that.
    """

    def __init__(self, model: str, *, answer_id: str, created: int, include_usage: bool = False) -> None:
        self._head = {"id": answer_id, "created": created, "model": model}
        self._include_usage = include_usage
        self._texts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._reasoning: list[str] = []
        self._images: list[str] = []
        self._annotations: list[dict[str, Any]] = []
        self._refusal: str | None = None
        self._usage: dict[str, Any] | None = None
        self.finish_reason: str | None = None
        # All chunks of text are alike but for the text: what is around it is encoded once.
        before, _, after = self._chunk({"content": ""}).replace(b"%", b"%%").partition(b'"content":""')
        self._text = before + b'"content":%b' + after

    # --- a whole answer -------------------------------------------------------------------------------------------

    def body(self) -> bytes:
        """The whole answer."""
        text = "".join(self._texts)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text if text or not self._calls else None,
            "refusal": self._refusal,
            "annotations": self._annotations,
        }
        more = {
            "tool_calls": [{key: call[key] for key in ("id", "type", "function")} for call in self._calls],
            "reasoning_content": "".join(self._reasoning),
            "images": _images(self._images),
        }
        message |= {key: value for key, value in more.items() if value}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return _encode({**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage})

    # --- a stream -------------------------------------------------------------------------------------------------

    def begin(self) -> bytes:
        """The first chunk of a stream."""
        return self._chunk({"role": "assistant", "content": ""})

    def add(self, item: Item) -> bytes:
        """The chunks that an item adds to a stream; b"" for none."""
        chunks = b""
        match item:
            case str():
                self._texts.append(item)
                chunks = self._text % _encode(item)
            case Call(name=name, arguments=arguments):
                chunks = self._call(name, dump_arguments(arguments))
            case InvalidCall(name=name, text=text):
                chunks = self._call(name, text) if name else b""  # a text before it says why it is none
            case ev.SearchStarted(query=query):
                chunks = self._reason(f"Searching: {query}\n")
            case ev.SearchResults(results=results):
                chunks = self._reason("".join(f"Found: {result.title} {result.url}\n" for result in results))
            case ev.Progress(text=text):
                chunks = self._reason(f"{text}\n")
            case ev.ImageCreated(url=url):
                self._images.append(url)
            case Completed():
                chunks = self._complete(item)
            case _:
                assert_never(item)
        return chunks

    def refuse(self, notice: str, asked: Iterable[str]) -> bytes:
        """The service refused before any text: the chunks of an empty answer whose end says so.

        Args:
            notice: What the service said.
            asked: The texts that were asked.
        """
        self._refusal = notice
        self.finish_reason = "content_filter"
        self._usage = usage(sum(map(count_tokens, asked)), 0)
        return self._chunk({"refusal": notice}) + self._end({})

    def fail(self, error: ApiError) -> bytes:
        """What a stream ends with after an error: OpenAI's SDKs raise it."""
        self.finish_reason = "error"
        return b"data: " + error.body + b"\n\n"

    def is_over(self) -> bool:
        """Whether nothing follows but the end."""
        return self.finish_reason is not None

    def end(self) -> bytes:
        """What follows the last chunk; not after an error, where it would say that all is well."""
        return b"" if self.finish_reason == "error" else b"data: [DONE]\n\n"

    def _call(self, name: str, arguments: str) -> bytes:
        function = {"name": name, "arguments": arguments}
        call = {"index": len(self._calls), "id": new_call_id(), "type": "function", "function": function}
        self._calls.append(call)
        return self._chunk({"tool_calls": [call]})

    def _reason(self, text: str) -> bytes:
        self._reasoning.append(text)
        return self._chunk({"reasoning_content": text}) if text else b""

    def _complete(self, end: Completed) -> bytes:
        reply = end.reply
        self._annotations = self._cite(end)
        self._images += [url for url in reply.images if url not in self._images]
        self._refusal = reply.notice or None if reply.revoked else None
        written = sum(map(count_tokens, (*self._texts, *self._arguments())))
        self._usage = usage(
            sum(count_tokens(prompt.text) + count_tokens(prompt.context or "") for prompt in end.prompts), written
        )
        self.finish_reason = "stop" if end.finish_reason == "tool_calls" and not self._calls else end.finish_reason
        last = {"refusal": self._refusal, "annotations": self._annotations, "images": _images(self._images)}
        delta = {key: value for key, value in last.items() if value}
        final = final_of(end)
        return (self._chunk(delta) if delta else b"") + self._end(final)

    def _end(self, final: dict[str, object]) -> bytes:
        chunks = self._chunk({}, finish_reason=self.finish_reason, more=final)
        if self._include_usage:
            chunks += _line({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage})
        return chunks

    def _arguments(self) -> list[str]:
        return [call["function"]["arguments"] for call in self._calls]

    def _cite(self, end: Completed) -> list[dict[str, Any]]:
        text = "".join(self._texts)
        elsewhere = [*self._arguments(), str(final_of(end).get("final_text", ""))]
        (citations,) = place_citations([text], end.reply, elsewhere=elsewhere)
        return [{"type": "url_citation", "url_citation": place} for place in citation_places(citations, text)]

    def _chunk(
        self, delta: dict[str, Any], *, finish_reason: str | None = None, more: dict[str, object] | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice], **(more or {})}
        return _line({**chunk, "usage": None} if self._include_usage else chunk)


def dump_arguments(arguments: JsonObject) -> str:
    """The arguments of a call as JSON; halves of surrogate pairs, which no UTF-8 has, as escapes."""
    text = json.dumps(arguments, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(arguments)
    return text


def usage(sent: int, written: int) -> dict[str, Any]:
    """An estimate of the tokens, marked as one."""
    return {
        "prompt_tokens": sent,
        "completion_tokens": written,
        "total_tokens": sent + written,
        "estimated": True,
    }


def final_of(end: Completed) -> dict[str, object]:
    """`final_text` and `final_tool_calls`, if what was streamed was replaced."""
    return {key: value for key, value in completion_metadata(end).items() if key.startswith("final_")}


def citation_places(citations: tuple[ev.Citation, ...], text: str) -> list[dict[str, Any]]:
    """`start_index`, `end_index`, `url` and `title` of each marker.

    A source that no marker names stands at the end of the text, where nothing is marked. One without a link that is
    safe to show is left out.
    """
    return [
        {
            "start_index": span[0] if span else len(text),
            "end_index": span[1] if span else len(text),
            "url": citation.url,
            "title": citation.title or citation.url,
        }
        for citation, span in in_order(citations)
        if citation.url
    ]


def _images(urls: list[str]) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": url}} for url in urls]


def _line(chunk: dict[str, Any]) -> bytes:
    return b"data: " + _encode(chunk) + b"\n\n"
