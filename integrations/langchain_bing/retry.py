"""What `ChatBing.with_retry` returns: LangChain's retries, without those that would be paid for twice."""

from __future__ import annotations

from typing import Any, Self, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.runnables.retry import RunnableRetry

from bing_llm.errors import BingError


class Retry(RunnableRetry[LanguageModelInput, AIMessage]):
    """A model that is asked again after the errors that were chosen, but not if the service may charge for the turn.

    Each input of a batch is tried on its own. LangChain's own class judges a batch by the first error in it, and then
    asks for all that failed.
    """

    # The methods of all runnables, which call `invoke` and `ainvoke` for each input. With those of `RunnableRetry`, a
    # throttled input would have its neighbour asked again, whose turn was sent and may be charged.
    batch = Runnable.batch
    abatch = Runnable.abatch

    @classmethod
    def of(cls, retry: Runnable[LanguageModelInput, AIMessage]) -> Self:
        """The same retries, as this class makes them."""
        chosen = cast("RunnableRetry[LanguageModelInput, AIMessage]", retry)
        fields: dict[str, Any] = {name: getattr(chosen, name) for name in type(chosen).model_fields}
        kinds = chosen.retry_exception_types

        def may_retry(exc: BaseException) -> bool:
            wanted = isinstance(exc, kinds) if isinstance(kinds, tuple) else kinds(exc)
            return wanted and not (isinstance(exc, BingError) and exc.may_be_charged)

        return cls(**{**fields, "retry_exception_types": may_retry})
