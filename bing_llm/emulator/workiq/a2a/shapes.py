"""What A2A answers: results, and errors (docs/protocol/a2a.md, sections 2 to 4).

An error that is the first of a turn is reported by a status or a JSON-RPC error; a later one is a state of the task.

=================  ===================================================================================================
Unauthorized       status 401; with value "403" that status. Later: AUTH_REQUIRED
Throttled          status 429, with `Retry-After` where it has a `retry_after`
PromptTooLong      status 413
SessionExpired     status 404; with value "410" or "409" that status; with value "-32001" that error
ConversationBusy   status 409
InvalidRequest     -32602; with value "400" that status; with another number of JSON-RPC that error
TurnLimitReached   -32602
ServiceError       -32603; with value "500", "502", "503" or "504" that status. Later: FAILED
ContentFiltered,   REJECTED
ConversationEnded
ConnectionLost, TimedOut and ProtocolError break the connection, as over REST.
=================  ===================================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from aiohttp import web

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator.wire import new_id, timestamp
from bing_llm.emulator.workiq import shapes
from bing_llm.emulator.workiq.a2a.requests import BAD_PARAMS, INTERNAL
from bing_llm.emulator.workiq.a2a.tasks import Ended, Said, Step, Task
from bing_llm.emulator.workiq.shapes import JsonObject

_CODE = re.compile(r"-32\d{3}")
_HTTP_STATUS = re.compile(r"[45]\d\d")


class ResultWriter:
    """Writes the results of one connection to a task.

    Args:
        task: The task.
        appends: Whether a piece of text is appended; else each result has the whole text so far.
        clock: The time, in seconds since 1970.
    """

    def __init__(self, task: Task, *, appends: bool, clock: Callable[[], float]) -> None:
        self._task = task
        self._appends = appends
        self._clock = clock
        self._text = ""

    def opening(self) -> JsonObject:
        """The task as it is."""
        self._text = self._task.artifacts[self._task.artifact_id]
        return {"task": self.task()}

    def task(self) -> JsonObject:
        """The task with all that it has given, as `GetTask` answers it."""
        task = self._task
        artifacts = [_artifact(key, text) for key, text in task.artifacts.items() if text]
        ended = task.ended or Ended(task.state, task.words)
        return {"id": task.id, "contextId": task.context_id, "status": self._status(ended), "artifacts": artifacts}

    def write(self, step: Step) -> list[JsonObject]:
        """The results of one step; empty if it is not written."""
        results: list[JsonObject] = []
        match step:
            case ev.TextDelta(text=text):
                append = self._appends and bool(self._text)
                self._text += text
                results = [self._artifact_update(text if append else self._text, append=append)]
            case ev.TextRevised(text=text):
                self._text = text
                results = [self._artifact_update(text, append=False)]
            case Said(text=text):
                results = [self._update(Ended("TASK_STATE_WORKING", text))]
            case Ended(withdrawn=withdrawn):
                emptied = [self._artifact_update("", append=False)] if withdrawn else []
                results = [*emptied, self._update(step)]
            case ev.Unknown(raw=raw):
                results = [raw]
            case _:
                pass
        return results

    def _artifact_update(self, text: str, *, append: bool) -> JsonObject:
        update = {
            "taskId": self._task.id,
            "contextId": self._task.context_id,
            "artifact": _artifact(self._task.artifact_id, text),
            "append": append,
        }
        return {"artifactUpdate": update}

    def _update(self, ended: Ended) -> JsonObject:
        return {
            "statusUpdate": {
                "taskId": self._task.id,
                "contextId": self._task.context_id,
                "status": self._status(ended),
            }
        }

    def _status(self, ended: Ended) -> JsonObject:
        """A status; the last one of an answer that cites has its sources, with values in other capitals than REST's."""
        status: JsonObject = {"state": ended.state, "timestamp": timestamp(self._clock(), "Z")}
        sources = [_attribution(citation) for citation in ended.citations]
        metadata: JsonObject = {"attributions": sources} if sources else {}
        if ended.label is not None:
            metadata["sensitivityLabel"] = ended.label
        if ended.words or metadata:
            status["message"] = {
                "messageId": new_id(),
                "role": "ROLE_AGENT",
                "taskId": self._task.id,
                "contextId": self._task.context_id,
                "parts": [{"text": ended.words}] if ended.words else [],
                **({"metadata": metadata} if metadata else {}),
            }
        return status


def _artifact(key: str, text: str) -> JsonObject:
    return {"artifactId": key, "name": "Answer", "parts": [{"text": text}]}


def _attribution(citation: ev.Citation) -> JsonObject:
    rest = shapes.attribution(citation)
    return {**rest, "attributionType": "Citation", "attributionSource": "Grounding"}


# --- responses --------------------------------------------------------------------------------------------------------


def response(request_id: object, result: JsonObject) -> bytes:
    """A JSON-RPC response."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def error(request_id: object, code: int, message: str) -> bytes:
    """A JSON-RPC error."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})


def refusal(
    failure: errors.BingError, request_id: object, request: web.Request, clock: Callable[[], float]
) -> web.Response:
    """What refuses a turn: a status, or a JSON-RPC error with status 200."""
    words = failure.service_message or failure.message
    value = failure.value or ""
    is_rpc = isinstance(failure, errors.InvalidRequest | errors.TurnLimitReached | errors.ServiceError)
    if _CODE.fullmatch(value):
        code = int(value)
    elif not is_rpc or _HTTP_STATUS.fullmatch(value):
        return shapes.error_response(failure, request, clock)
    else:
        code = INTERNAL if isinstance(failure, errors.ServiceError) else BAD_PARAMS
    return shapes.json_response(error(request_id, code, words or "The request is not valid."))
