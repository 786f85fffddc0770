"""Events: what observers, token counters and rate limiters are given of a call."""

from __future__ import annotations

from collections import Counter

from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.callbacks.schema import EventPayload

from bing_llm.testing.llama_index.calls import call, each_method, failure_of, text_of, user
from bing_llm.testing.llama_index.recording import CallbackRecorder, CountingLimiter, recorded
from bing_llm.testing.llama_index.subject import Subject, needs, smoke

CALL_EVENTS = ("LLMChatStartEvent", "LLMChatInProgressEvent", "LLMChatEndEvent",
               "LLMCompletionStartEvent", "LLMCompletionInProgressEvent", "LLMCompletionEndEvent")  # fmt: skip


class EventConformance(Subject):
    """One call is one call for everybody who watches or counts."""

    @smoke
    @each_method
    def test_a_call_is_reported_once(self, method: str) -> None:
        """A call has one start event, one end event, and one event for each chunk between.

        More of them come from a method that calls another public one: a chat from `complete`, an asynchronous one
        from its synchronous twin. Then observers count two calls, and pay for each delta twice.
        """
        with recorded() as events:
            answers = call(self.make_llm(), method, self.prompt)
        counted = Counter(type(event).__name__ for event in events if type(event).__name__ in CALL_EVENTS)
        kind = "Chat" if "chat" in method else "Completion"
        expected = Counter({f"LLM{kind}StartEvent": 1, f"LLM{kind}EndEvent": 1})
        if "stream" in method:
            expected[f"LLM{kind}InProgressEvent"] = len(answers)
        assert counted == expected, f"events of one {method}"

    @each_method
    def test_the_end_event_has_the_answer(self, method: str) -> None:
        """The end event holds the last response, with the whole text."""
        with recorded() as events:
            answers = call(self.make_llm(), method, self.prompt)
        ends = [event for event in events if type(event).__name__ in {"LLMChatEndEvent", "LLMCompletionEndEvent"}]
        assert ends, f"{method} has no end event"
        response = getattr(ends[-1], "response", None)
        assert response is not None, f"the end event of {method} has no response"
        assert text_of(response) == text_of(answers[-1])

    @each_method
    def test_legacy_callbacks_are_called_once(self, method: str) -> None:
        """A handler of the `callback_manager` hears of one start and one end, with what was asked and answered."""
        recorder = CallbackRecorder()
        answers = call(self.make_llm(callback_manager=recorder.manager()), method, self.prompt)
        assert len(recorder.starts) == 1, f"{method} has {len(recorder.starts)} legacy starts"
        assert len(recorder.ends) == 1, f"{method} has {len(recorder.ends)} legacy ends"
        (started, asked), (ended, answered) = recorder.starts[0], recorder.ends[0]
        assert started == ended, "the end has another id than the start"
        chats = "chat" in method
        assert asked[EventPayload.MESSAGES if chats else EventPayload.PROMPT] == (
            [user(self.prompt)] if chats else self.prompt
        )
        assert EventPayload.SERIALIZED in asked
        response = answered[EventPayload.RESPONSE if chats else EventPayload.COMPLETION]
        assert text_of(response) == text_of(answers[-1])

    @each_method
    def test_tokens_can_be_counted(self, method: str) -> None:
        """TokenCountingHandler counts the question and the answer of one call, whatever `raw` holds."""
        counter = TokenCountingHandler(tokenizer=str.split)
        call(self.make_llm(callback_manager=CallbackManager([counter])), method, self.prompt)
        assert len(counter.llm_token_counts) == 1, f"{method} was counted {len(counter.llm_token_counts)} times"
        assert counter.prompt_llm_token_count > 0
        assert counter.completion_llm_token_count > 0

    @each_method
    def test_the_rate_limiter_is_asked_once(self, method: str) -> None:
        """A call takes one permit from the `rate_limiter`, an asynchronous one without blocking the loop."""
        limiter = CountingLimiter()
        call(self.make_llm(rate_limiter=limiter), method, self.prompt)
        expected = (0, 1) if method.startswith("a") else (1, 0)
        assert (limiter.acquired, limiter.async_acquired) == expected, f"permits of one {method}: (sync, async)"

    @needs("can_fail")
    @each_method
    def test_a_failed_call_is_reported(self, method: str) -> None:
        """A call that fails ends for legacy handlers too: with the exception."""
        recorder = CallbackRecorder()
        failure = failure_of(self.make_failing_llm(callback_manager=recorder.manager()), method, self.prompt)
        assert [payload.get(EventPayload.EXCEPTION) for _id, payload in recorder.ends] == [failure]
