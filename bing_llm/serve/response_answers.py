"""Answers of `POST /v1/responses`: from the items of a completion to a response, and to its streamed events. Pure.

===================================  ===========================================================
what the model and the service say   output item
===================================  ===========================================================
text                                 `message`, its citations `url_citation` annotations
a call                               `function_call`
a search and its results             `web_search_call`, its results the sources of its action
progress                             `reasoning`, a line each in its summary
pictures                             none has their URLs: `images` of the response
===================================  ===========================================================

An item is closed when the next one of its kind begins, or the other one of text and calls. All are closed at the end.
Citations are known at the end, so their events come then.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

import msgspec

from bing_llm import events as ev
from bing_llm.completion.citations import place_citations
from bing_llm.completion.metadata import new_call_id
from bing_llm.completion.stream import Completed, Item
from bing_llm.completion.tokens import count_tokens
from bing_llm.serve.chat_answers import citation_places, dump_arguments, final_of
from bing_llm.serve.errors import ApiError
from bing_llm.serve.responses import InputItem
from bing_llm.tools.calls import Call, InvalidCall, Piece

_encode = msgspec.json.Encoder().encode

_Fields = dict[str, Any]


class ResponseAnswer:
    """One response, as it comes; `add` each item.

    Args:
        response_id: The id of the response.
        created_at: When it began, in seconds since 1970.
        model: The name of the model that answers.
        echoed: What the response repeats of its request.
        keep: Is given the output as later inputs have it, before the last event; None to keep nothing.

    Attributes:
        finish_reason: Why it ended; None before that.
    """

    def __init__(
        self,
        model: str,
        *,
        response_id: str,
        created_at: int,
        echoed: Mapping[str, Any],
        keep: Callable[[list[InputItem]], None] | None = None,
    ) -> None:
        self._keep = keep
        self.finish_reason: str | None = None
        self._response: _Fields = {
            "id": response_id,
            "object": "response",
            "created_at": created_at,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": [],
            "usage": None,
            **echoed,
        }
        self._events = _Events()
        self._output: list[_Fields] = []
        self._message: _Message | None = None
        self._messages: list[_Message] = []
        self._reasoning: _Fields | None = None
        self._searches: list[_Fields] = []  # that have no results yet
        self._images: list[str] = []

    def is_over(self) -> bool:
        """Whether nothing follows but the end."""
        return self.finish_reason is not None

    def body(self) -> bytes:
        """The whole response."""
        return _encode(self._response)

    def begin(self) -> bytes:
        """The first events of a stream."""
        self._events.emit("response.created", response=self._response)
        self._events.emit("response.in_progress", response=self._response)
        return self._events.take()

    def end(self) -> bytes:
        """What follows the last event: nothing, which ends the stream."""
        return b""

    def _output_items(self) -> list[InputItem]:
        """The output, as a later input has it."""
        items = []
        for item in self._output:
            if item["type"] == "message":
                items.append(InputItem(type="message", role="assistant", content=_text_of(item)))
            elif item["type"] == "function_call":
                call = {key: item[key] for key in ("call_id", "name", "arguments")}
                items.append(InputItem(type="function_call", **call))
        return items

    def add(self, item: Item) -> bytes:
        """The events that an item adds to a stream."""
        match item:
            case str():
                return self._add_text(item)
            case Call(name=name, arguments=arguments):
                self._add_call(name, dump_arguments(arguments))
            case InvalidCall(name=name, text=text):
                if name:  # else the text before it, which says why it is none, is all
                    self._add_call(name, text)
            case ev.SearchStarted(query=query):
                self._begin_search(query)
            case ev.SearchResults(results=results):
                self._end_search(results)
            case ev.Progress(text=text):
                self._add_progress(text)
            case ev.ImageCreated(url=url):
                self._images.append(url)
            case Completed():
                self._complete(item)
            case _:
                assert_never(item)
        return self._events.take()

    def refuse(self, notice: str, asked: Sequence[str]) -> bytes:
        """The service refused because of what was said: the events of a response whose end says so."""
        message = self._message or self._open_message()
        message.add_refusal(notice)
        self._response["usage"] = _usage(sum(map(count_tokens, asked)), 0)
        self._close("content_filter")
        return self._events.take()

    def fail(self, error: ApiError) -> bytes:
        """What a stream ends with after an error: an event that OpenAI's SDKs raise, and the failed response."""
        self.finish_reason = "error"
        self._response |= {
            "status": "failed",
            "output": self._output,
            "error": {"code": error.code, "message": error.message},
        }
        flat = {key: error.fields[key] for key in ("code", "message", "param")}
        self._events.emit("error", **flat, error=error.fields)
        self._events.emit("response.failed", response=self._response)
        return self._events.take()

    # --- items ----------------------------------------------------------------------------------------------------

    def _add_text(self, text: str) -> bytes:
        message = self._message
        if message is not None:
            return message.add_text(text)
        message = self._open_message()
        message.begin_text()
        return self._events.take() + message.add_text(text)

    def _open_message(self) -> _Message:
        self._close_reasoning()
        self._message = _Message(self._events, len(self._output))
        self._messages.append(self._message)
        self._output.append(self._message.item)
        return self._message

    def _close_message(self) -> None:
        if self._message is not None:
            self._message.close()
            self._message = None

    def _add_call(self, name: str, arguments: str) -> None:
        self._close_reasoning()
        self._close_message()
        item = {
            "type": "function_call",
            "id": _new_id("fc"),
            "call_id": new_call_id(),
            "name": name,
            "arguments": "",
            "status": "in_progress",
        }
        place = self._begin_item(item)
        self._events.emit("response.function_call_arguments.delta", **place, delta=arguments)
        self._events.emit("response.function_call_arguments.done", **place, name=name, arguments=arguments)
        self._end_item(item, arguments=arguments)

    def _begin_search(self, query: str) -> None:
        self._close_reasoning()
        action = {"type": "search", "query": query, "queries": [query], "sources": []}
        item = {"type": "web_search_call", "id": _new_id("ws"), "status": "in_progress", "action": action}
        place = self._begin_item(item)
        for state in ("in_progress", "searching"):
            self._events.emit(f"response.web_search_call.{state}", **place)
        self._searches.append(item)

    def _end_search(self, results: Sequence[ev.SearchResult]) -> None:
        """The results of the first search that has had none yet."""
        if not self._searches:
            self._begin_search("")
        item = self._searches.pop(0)
        item["action"]["sources"] = [{"type": "url", "url": result.url} for result in results]
        self._events.emit("response.web_search_call.completed", **self._place(item))
        self._end_item(item)

    def _add_progress(self, text: str) -> None:
        if self._reasoning is None:
            self._reasoning = {"type": "reasoning", "id": _new_id("rs"), "summary": []}
            place = self._begin_item(self._reasoning)
            part = {"type": "summary_text", "text": ""}
            self._reasoning["summary"].append(part)
            self._events.emit("response.reasoning_summary_part.added", **place, summary_index=0, part=part)
        part = self._reasoning["summary"][0]
        delta = f"\n{text}" if part["text"] else text
        part["text"] += delta
        self._events.emit(
            "response.reasoning_summary_text.delta", **self._place(self._reasoning), summary_index=0, delta=delta
        )

    def _close_reasoning(self) -> None:
        item, self._reasoning = self._reasoning, None
        if item is not None:
            place, part = self._place(item), item["summary"][0]
            self._events.emit("response.reasoning_summary_text.done", **place, summary_index=0, text=part["text"])
            self._events.emit("response.reasoning_summary_part.done", **place, summary_index=0, part=part)
            self._end_item(item)

    def _begin_item(self, item: _Fields) -> _Fields:
        self._output.append(item)
        self._events.emit("response.output_item.added", output_index=len(self._output) - 1, item=item)
        return self._place(item)

    def _end_item(self, item: _Fields, **fields: object) -> None:
        item |= fields
        if "status" in item:
            item["status"] = "completed"
        self._events.emit("response.output_item.done", output_index=self._output.index(item), item=item)

    def _place(self, item: _Fields) -> _Fields:
        return {"item_id": item["id"], "output_index": self._output.index(item)}

    # --- the end --------------------------------------------------------------------------------------------------

    def _complete(self, end: Completed) -> None:
        reply = end.reply
        self._add_searches_of(reply)
        if end.final is not None:
            self._replace(end.final)
        arguments = [item["arguments"] for item in self._output if item["type"] == "function_call"]
        self._cite(end, arguments)
        if reply.revoked:
            message = self._message or self._open_message()
            message.add_refusal(reply.notice)
        self._images += [url for url in reply.images if url not in self._images]
        sent = sum(count_tokens(prompt.text) + count_tokens(prompt.context or "") for prompt in end.prompts)
        texts = [message.text for message in self._messages]
        self._response["usage"] = _usage(sent, sum(map(count_tokens, (*texts, *arguments))))
        self._close(end.finish_reason)

    def _add_searches_of(self, reply: ev.Reply) -> None:
        """Searches and results that only the end of the answer has."""
        for search in reply.searches:
            known = [item for item in self._output if item["type"] == "web_search_call"]
            same = [item for item in known if item["action"]["query"] == search.query]
            if not same:
                self._begin_search(search.query)
            if search.results and (not same or same[0] in self._searches):
                self._end_search(search.results)

    def _cite(self, end: Completed, arguments: Sequence[str]) -> None:
        texts = [message.text for message in self._messages]
        elsewhere = [*arguments, str(final_of(end).get("final_text", ""))]
        placed = place_citations(texts, end.reply, elsewhere=elsewhere)
        for message, citations in zip(self._messages, placed, strict=True):
            for annotation in citation_places(citations, message.text):
                message.add_annotation({"type": "url_citation", **annotation})

    def _replace(self, final: Sequence[Piece]) -> None:
        """Put another text in place of what was streamed; the last event has it. Calls that were given stay."""
        if not self._messages:
            self._open_message().begin_text()
        message = self._messages[0]
        for other in self._messages[1:]:
            other.replace("")
        message.replace("".join(piece for piece in final if isinstance(piece, str)))
        given = [(item["name"], item["arguments"]) for item in self._output if item["type"] == "function_call"]
        for piece in final:
            if isinstance(piece, Call) and (call := (piece.name, dump_arguments(piece.arguments))) not in given:
                self._add_call(*call)

    def _close(self, finish_reason: str) -> None:
        self._close_reasoning()
        while self._searches:
            self._end_search(())
        self._close_message()
        if self._keep is not None:
            self._keep(self._output_items())
        has_calls = any(item["type"] == "function_call" for item in self._output)
        self.finish_reason = "stop" if finish_reason == "tool_calls" and not has_calls else finish_reason
        reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish_reason)
        status = "completed" if reason is None else "incomplete"
        self._response |= {
            "status": status,
            "output": self._output,
            "incomplete_details": None if reason is None else {"reason": reason},
            **({"images": self._images} if self._images else {}),
        }
        self._events.emit(f"response.{status}", response=self._response)


class _Events:
    """The events that were not taken yet, each with the next sequence number."""

    def __init__(self) -> None:
        self._number = 0
        self._lines: list[bytes] = []

    def emit(self, kind: str, **fields: object) -> None:
        self._lines.append(self.number(b"event: %b\ndata: " % kind.encode(), _encode({"type": kind, **fields})[:-1]))

    def number(self, before: bytes, rest: bytes) -> bytes:
        """An event that is encoded in two parts, but for its sequence number and the bracket at its end."""
        number = self._number
        self._number = number + 1
        return b'%b%b,"sequence_number":%d}\n\n' % (before, rest, number)

    def take(self) -> bytes:
        lines, self._lines = self._lines, []
        return b"".join(lines)


_DELTA = "response.output_text.delta"


class _Message:
    """A message that the model writes.

    Attributes:
        item: The message.
        text: Its text so far.
    """

    def __init__(self, events: _Events, index: int) -> None:
        self._events = events
        self._texts: list[str] = []
        self._parts: list[_Fields] = []
        self._annotations: list[_Fields] = []
        self.item: _Fields = {
            "type": "message",
            "id": _new_id("msg"),
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        self._index = index
        self._place = {"item_id": self.item["id"], "output_index": index}
        events.emit("response.output_item.added", output_index=index, item=self.item)
        before = _encode({"type": _DELTA, **self._place, "content_index": 0, "logprobs": [], "delta": ""})
        # All deltas are alike but for the text, so this is encoded once.
        self._before_delta = b"event: %b\ndata: %b" % (_DELTA.encode(), before[:-3])

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def begin_text(self) -> None:
        self._begin_part({"type": "output_text", "text": "", "annotations": [], "logprobs": []})

    def add_text(self, text: str) -> bytes:
        self._texts.append(text)
        return self._events.number(self._before_delta, _encode(text))

    def add_annotation(self, annotation: _Fields) -> None:
        self._events.emit(
            "response.output_text.annotation.added",
            **self._place,
            content_index=0,
            annotation_index=len(self._annotations),
            annotation=annotation,
        )
        self._annotations.append(annotation)

    def add_refusal(self, notice: str) -> None:
        self._finish_text()
        part = {"type": "refusal", "refusal": ""}
        at = self._begin_part(part)
        self._events.emit("response.refusal.delta", **self._place, content_index=at, delta=notice)
        part["refusal"] = notice
        self._events.emit("response.refusal.done", **self._place, content_index=at, refusal=notice)
        self._events.emit("response.content_part.done", **self._place, content_index=at, part=part)

    def replace(self, text: str) -> None:
        """Put another text in place of what was streamed, which cannot be recalled."""
        self._texts = [text]
        if self.item["content"] and self._parts[0]["type"] == "output_text":
            self._parts[0]["text"] = text

    def close(self) -> None:
        self._finish_text()
        self.item |= {"status": "completed", "content": self._parts}
        self._events.emit("response.output_item.done", output_index=self._index, item=self.item)

    def _begin_part(self, part: _Fields) -> int:
        self._parts.append(part)
        at = len(self._parts) - 1
        self._events.emit("response.content_part.added", **self._place, content_index=at, part=part)
        return at

    def _finish_text(self) -> None:
        part = self._parts[0] if self._parts else {}
        if part.get("type") != "output_text" or self.item["content"]:
            return
        part |= {"text": self.text, "annotations": self._annotations}
        self.item["content"] = self._parts
        place = {**self._place, "content_index": 0}
        self._events.emit("response.output_text.done", **place, text=self.text, logprobs=[])
        self._events.emit("response.content_part.done", **place, part=part)


def _usage(sent: int, written: int) -> _Fields:
    """An estimate of the tokens, marked as one."""
    return {
        "input_tokens": sent,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sent + written,
        "estimated": True,
    }


def _text_of(message: _Fields) -> str:
    return "".join(part["text"] for part in message["content"] if part["type"] == "output_text")


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
