"""One call of a model over a client: the turn, its output, and one more turn if that was not what was asked for."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from bing_llm import events as ev
from bing_llm._safe_text import log_line
from bing_llm.client import BingClient
from bing_llm.completion.continuation import HistoryTurn, TurnObserver
from bing_llm.completion.output import OutputProcessor
from bing_llm.completion.request import Request
from bing_llm.errors import BingError
from bing_llm.messages import Message, Prompt
from bing_llm.tools.calls import Call, InvalidCall, Piece
from bing_llm.tools.prompt import render_call, require_text
from bing_llm.turn import TurnStream

_log = logging.getLogger(__name__)

FinishReason: TypeAlias = Literal["stop", "tool_calls", "length", "content_filter"]


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a completion: always the last item, exactly once, unless an error is raised.

    Attributes:
        reply: The service's own reply, with its text as it came.
        finish_reason: Why it ended.
        final: The pieces of the final text if text that had been given was replaced: the service rewrote it, or the
            model was asked once more. Else None.
        prompts: The prompt of each turn; there are two if the service was asked once more.
    """

    reply: ev.Reply
    finish_reason: FinishReason
    final: tuple[Piece, ...] | None
    prompts: tuple[Prompt, ...]


Item: TypeAlias = Piece | ev.SearchStarted | ev.SearchResults | ev.Progress | ev.ImageCreated | Completed
"""What a completion gives. No item is ever recalled. What the service does before its first text comes together with
that text, because until then the turn may be opened again."""


class Completion(AsyncIterator[Item]):
    """The items of one call of a model; nothing is sent until the first one is asked for.

    If a required call, a call or the JSON is missing, cannot be read or does not pass its check, the model is asked
    once more, with what is wrong. The second answer counts. Where parts of the first JSON were given already, they
    cannot be recalled: then the second one is `Completed.final`, as after a rewrite.

    Text that is already there is joined into one piece; nothing is waited for. To leave early, call `close`.

    Args:
        client: The client that sends the turn.
        request: What is asked.
        join: Whether text that is already there is joined.
        observer: Is told when each turn begins and ends; None for nobody.

    Raises:
        InvalidRequest: The request cannot be served; nothing was sent.
    """

    def __init__(
        self, client: BingClient, request: Request, *, join: bool = True, observer: TurnObserver | None = None
    ) -> None:
        self._client = client
        self._request = request
        self._join = join
        self._observer = observer
        self._may_repair = True
        self._replaces = False  # whether this answer is given in the end, in place of one that was given
        self._space = ""  # before the text of this answer
        self._sources: list[HistoryTurn] = []
        self._items: deque[Item] = deque()
        self._over = False
        self._begin(request)

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        return self._client.model

    @property
    def turns(self) -> int:
        """How many turns were begun: 2 if the model was asked once more."""
        return len(self._sources)

    def _begin(self, request: Request) -> None:
        pictures = request.images, request.spare_images
        source = HistoryTurn(self._client, request.messages, request.instructions, *pictures, observer=self._observer)
        self._sources.append(source)
        self._turn = TurnStream(source)
        self._output = OutputProcessor(self._request)
        self._given: list[Piece] = []
        self._texts: list[str] = []
        self._early: list[Item] | None = []  # what comes before the first text; None after it
        self._stopped = False

    async def __anext__(self) -> Item:
        """The next item.

        Raises:
            BingError: The turn failed.
        """
        while not self._items:
            if self._over:
                await self._turn.aclose()
                raise StopAsyncIteration
            try:
                await self._step()
            except BaseException:
                self.close()
                raise
        return self._items.popleft()

    def pop_ready(self) -> Item | None:
        """The next item if an earlier step has made it, else None. Any thread may call it that asks for the items."""
        try:
            return self._items.popleft() if self._items else None
        except IndexError:  # another thread closes this just now
            return None

    def close(self) -> None:
        """Close the socket now, without waiting. May be called twice."""
        self._over = True
        self._items.clear()
        self._turn.close()

    async def aclose(self) -> None:
        """Close the socket, and wait until the loop has released it."""
        self.close()
        await self._turn.aclose()

    async def whole(self) -> list[Item]:
        """All items at once. If the service rewrote its text, the pieces are those of the final text."""
        items = [item async for item in self]
        end = items[-1]
        if not isinstance(end, Completed) or end.final is None:
            return items
        kept = [item for item in items[:-1] if not isinstance(item, str | Call | InvalidCall)]
        reason = _finish_reason(end.reply, self._output)
        return [*kept, *end.final, msgspec.structs.replace(end, finish_reason=reason, final=None)]

    async def _step(self) -> None:
        try:
            event: ev.Event | None = await self._turn.__anext__()
        except BingError:
            if not self._stopped:
                raise
            # All that is wanted had come before the stop; only the service's own last word is missing.
            self._complete(ev.Reply())
            return
        takes_pieces = not (self._join or self._output.is_plain)
        while event is not None:
            self._take(event)
            if takes_pieces:  # where the text ends may be decided by any of them: the service is stopped earlier
                self._give_text()
            ends = self._over or (takes_pieces and self._output.done)
            event = None if ends else self._turn.ready()
        self._give_text()
        if not (self._over or self._stopped) and self._output.done:
            self._stopped = True
            await self._stop()

    async def _stop(self) -> None:
        try:
            await self._turn.stop()
        except BingError as exc:
            _log.debug("the answer is complete, but the request to stop it failed: %s", log_line(exc.message))

    def _take(self, event: ev.Event) -> None:
        match event:
            case ev.TextDelta() | ev.TextRevised():
                if piece := self._turn.piece:
                    self._texts.append(piece)
            case ev.TurnCompleted(reply=reply):
                self._give_text()
                self._complete(reply)
            case ev.SearchStarted() | ev.SearchResults() | ev.Progress() | ev.ImageCreated():
                self._give_text()
                (self._items if self._early is None else self._early).append(event)
            case ev.Restarted():
                self._early = []
            case _:
                pass  # it is in the reply

    def _give_text(self) -> None:
        if not self._texts:
            return
        texts, self._texts = self._texts, []
        if self._output.is_plain:
            self._give(["".join(texts)] if self._join else [*texts])
        else:
            self._give(self._output.feed("".join(texts)))

    def _give(self, pieces: list[Piece]) -> None:
        if pieces and self._early is not None:
            self._items.extend(self._early)
            self._early = None
        if pieces and self._space and isinstance(pieces[0], str):
            pieces = [self._space + pieces[0], *pieces[1:]]
        self._space = "" if pieces else self._space
        if not self._replaces:
            self._items.extend(pieces)
        self._given.extend(pieces)

    def _complete(self, reply: ev.Reply) -> None:
        is_rewritten = reply.revised and self._early is None  # if nothing was given, nothing has to be recalled
        if is_rewritten:
            self._give(self._output.close())
        pieces = self._reprocess(reply.text) if reply.revised else self._output.close()
        output = self._output
        if output.problem and self._may_repair and reply.finish_reason == "stop" and not output.cut_by_length:
            self._give([] if is_rewritten else pieces)
            self._keep([reply.text], reply)
            self._repair(reply, output, replaces=bool(self._given) and (is_rewritten or not output.about_call))
            return
        if output.problem:
            _log.warning("The model did not answer in the form that was asked for: %s", log_line(output.problem))
        pieces += output.unmet
        if not is_rewritten:
            self._give(pieces)
        final = tuple(pieces) if is_rewritten else tuple(self._given) if self._replaces else None
        self._items.extend(self._early or ())
        prompts = tuple(source.sent for source in self._sources)
        reason = _finish_reason(reply, output)
        self._items.append(Completed(reply=reply, finish_reason=reason, final=final, prompts=prompts))
        self._keep(self._given if final is None else final, reply)
        self._over = True

    def _keep(self, pieces: Sequence[Piece], reply: ev.Reply) -> None:
        """Let a history that extends this one continue in this conversation, unless that holds more than was given."""
        if self._output.has_cut or any(isinstance(piece, InvalidCall) for piece in pieces):
            return
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        calls = [render_call(piece, self._request.tool_prompt) for piece in pieces if isinstance(piece, Call)]
        self._sources[-1].keep("\n".join((text, *calls)), reply)

    def _repair(self, reply: ev.Reply, output: OutputProcessor, *, replaces: bool) -> None:
        """Ask once more, in a turn of its own that knows the first answer."""
        self._may_repair, self._replaces = False, replaces
        self._space = "\n" if self._given and not replaces else ""
        problem = output.problem
        _log.info("The model is asked once more: %s", log_line(problem))
        is_call = output.about_call
        prompt = self._request.tool_prompt
        wanted = prompt.repair_call(self._request.toolbox, problem) if is_call else prompt.repair_json(problem)
        require_text(wanted, prompt, "repair_call()" if is_call else "repair_json()")
        self._turn.close()
        self._begin(self._request.followed_by(Message("assistant", reply.text), Message("user", wanted)))

    def _reprocess(self, text: str) -> list[Piece]:
        """The pieces of the final text; its output replaces that of the earlier text."""
        self._output = OutputProcessor(self._request)
        return [*self._output.feed(text), *self._output.close()]


def _finish_reason(reply: ev.Reply, output: OutputProcessor) -> FinishReason:
    if reply.finish_reason == "content_filter":
        return "content_filter"
    if output.has_calls:
        return "tool_calls"
    reason = "length" if output.cut_by_length else reply.finish_reason
    return "tool_calls" if reason == "stop" and output.has_invalid_calls else reason
