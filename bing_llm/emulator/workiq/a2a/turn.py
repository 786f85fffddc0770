"""One turn of an agent: from the outputs of the brain to the steps of its task."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import get_args

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator.brains.base import Cited, Output, PastTurn, Question, brain_failure, checked_output, outputs_of
from bing_llm.emulator.conversations import Conversation
from bing_llm.emulator.faults import WIRE_FAULTS
from bing_llm.emulator.received import Received
from bing_llm.emulator.sources import Sources
from bing_llm.emulator.state import State
from bing_llm.emulator.workiq import shapes
from bing_llm.emulator.workiq.a2a.tasks import Ended, First, Said, Step
from bing_llm.emulator.workiq.a2a.tasks import State as TaskState
from bing_llm.emulator.workiq.links import CitingText

_FAILURES: dict[type[errors.BingError], TaskState] = {
    errors.ContentFiltered: "TASK_STATE_REJECTED",
    errors.ConversationEnded: "TASK_STATE_REJECTED",
    errors.Unauthorized: "TASK_STATE_AUTH_REQUIRED",
}
"""The states that report an error of the brain; all others are failures."""


class TurnSteps:
    """Makes the steps of one turn.

    Args:
        state: The emulator's.
        conversation: Where the turn takes place.
        question: What is asked.
        received: The request that asks it.
    """

    def __init__(self, state: State, conversation: Conversation, question: Question, received: Received) -> None:
        self._state = state
        self._conversation = conversation
        self._question = question
        self._received = received
        self._sources = Sources()
        self._citing = CitingText(self._sources, documented=state.documented)
        self._text = ""  # as the brain wrote it
        self._shown = ""
        self._ended: Ended | None = None

    async def steps(self) -> AsyncGenerator[First, None]:
        """The steps, of which `Ended` is the last; an error comes in their place, as the first and only one."""
        outputs = self._state.plan.interrupt("a2a", outputs_of(self._state.brain, self._question), self._received.hit)
        self._conversation.begin(len(self._conversation.turns), "")
        counts = False
        try:
            async with aclosing(outputs):
                async for output in outputs:
                    if isinstance(output, WIRE_FAULTS):
                        yield output
                        continue
                    checked = _checked(output)
                    if isinstance(checked, errors.BingError):
                        self._received.fail(checked)
                        if not counts and shapes.is_refusal(checked):
                            yield checked
                            return
                        if (breakage := shapes.breakage_of(checked)) is not None:
                            yield breakage
                        self._ended = _failure(checked)
                        break
                    counts = True
                    step = self._step(checked)
                    if step is not None:
                        yield step
                    if self._ended is not None:
                        break
            if self._ended is None and (last := self._revise(self._text, final=True)) is not None:
                yield last
        finally:
            # Before the last step: a client may ask again as soon as it has it.
            past = PastTurn(self._question.text, self._text, self._question.context)
            self._conversation.finish(past if counts else None)
        yield self._ended or self._completed(ev.Reply())

    def _step(self, event: ev.Event | Cited) -> Step | None:
        match event:
            case ev.TextDelta(text=text):
                return self._revise(self._text + text)
            case ev.TextRevised(text=text):
                return self._revise(text)
            case ev.TextRevoked(notice=notice):
                state: TaskState = "TASK_STATE_COMPLETED" if self._text else "TASK_STATE_REJECTED"
                self._ended = Ended(state, notice, withdrawn=True)
            case ev.Progress(text=text) | ev.SearchStarted(query=text):
                return Said(text)
            case Cited(citations=citations):
                self._sources.define(citations)
            case ev.SearchResults(results=results):
                self._sources.found(results)
            case ev.Unknown():
                return event
            case ev.TurnCompleted(reply=reply):
                return self._complete(reply)
            case _:
                pass
        return None

    def _revise(self, text: str, *, final: bool = False) -> Step | None:
        """What this text adds to the one that was shown before."""
        before, self._text = self._shown, text
        self._shown = self._citing.show(text, final=final)
        if not self._shown.startswith(before):
            return ev.TextRevised(self._shown)
        return ev.TextDelta(self._shown[len(before) :]) if self._shown != before else None

    def _complete(self, reply: ev.Reply) -> Step | None:
        if reply.citations:
            self._sources.define(reply.citations)
        last = self._revise(self._text or reply.text, final=True)
        self._ended = self._completed(reply)
        return last

    def _completed(self, reply: ev.Reply) -> Ended:
        """The end that the reply's metadata names: `state`, and `question` for the words of an agent that asks."""
        named = reply.metadata.get("state")
        state: TaskState = next((state for state in get_args(TaskState) if state == named), "TASK_STATE_COMPLETED")
        return Ended(
            state,
            str(reply.metadata.get("question") or ""),
            citations=self._sources.citations if self._sources.used_by(self._text) else (),
            label=reply.metadata.get("sensitivityLabel"),
        )


def _failure(error: errors.BingError) -> Ended:
    words = error.service_message or error.message or "The agent failed."
    return Ended(_FAILURES.get(type(error), "TASK_STATE_FAILED"), words)


def _checked(output: Output) -> Output:
    checked = checked_output(output)
    if isinstance(checked, errors.CaptchaRequired):
        return brain_failure("it yielded CaptchaRequired: Work IQ asks for no captcha")
    if isinstance(checked, ev.TextDelta | ev.TextRevised):
        try:
            checked.text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which no JSON can hold
            return brain_failure("it yielded text that is not Unicode")
    return checked
