"""The error tree, and which errors are worth another try."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import re
from typing import NamedTuple, TypeAlias

import pytest

from bing_llm import errors
from bing_llm.errors import (
    RETRY_TABLE,
    UNMETERED,
    BingError,
    FailedAttempt,
    Metering,
    NextStep,
    is_transient,
    next_step,
    stops_batch,
)


def children(kind: type[BingError]) -> list[type[BingError]]:
    """The classes right below one; those of adapters, which tests of theirs import, are not of this tree."""
    return [child for child in kind.__subclasses__() if child.__module__ == BingError.__module__]


def descendants(kind: type[BingError]) -> list[type[BingError]]:
    """A class and all below it, in order of definition."""
    return [kind, *(below for child in children(kind) for below in descendants(child))]


TREE = [kind for kind in descendants(BingError) if kind.__module__ == errors.__name__]
LEAVES = [kind for kind in TREE if not children(kind)]

TRANSIENT = {
    errors.BatchStopped: False,
    errors.ConfigurationError: False,
    errors.InvalidRequest: False,
    errors.PromptTooLong: False,
    errors.ContentFiltered: False,
    errors.UploadFailed: False,
    errors.Unauthorized: False,
    errors.CaptchaRequired: False,
    errors.Throttled: False,
    errors.SessionExpired: False,
    errors.ConversationEnded: False,
    errors.ConversationBusy: False,
    errors.TurnLimitReached: False,
    errors.ServiceError: True,
    errors.ProtocolError: False,
    errors.ConnectionFailed: True,
    errors.ConnectionLost: True,
    errors.TimedOut: True,
}


def drawn_tree(docstring: str) -> list[tuple[str, str | None]]:
    """The names of the tree in a docstring, each with the name it hangs on."""
    above: list[str] = []
    found: list[tuple[str, str | None]] = []
    for line in docstring.splitlines():
        match = re.match(r"^((?:│   |    )*)(?:[├└]── )?([A-Z]\w+)(?:\s{2,}|$)", line.removeprefix("    "))
        if match is None or not line.startswith("    "):
            continue
        depth = len(match[1]) // 4 + ("──" in line)
        above = [*above[:depth], match[2]]
        found.append((match[2], above[depth - 1] if depth else None))
    return found


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    """The module docstring draws exactly the classes that exist, each below its base."""
    real = [(kind.__name__, None if kind is BingError else kind.__bases__[0].__name__) for kind in TREE]
    assert drawn_tree(errors.__doc__ or "") == real


def test_all_names_every_error() -> None:
    """`__all__` holds every class of the tree and the retry policy, in order."""
    assert errors.__all__ == sorted([*(kind.__name__ for kind in TREE), "is_transient"])


@pytest.mark.parametrize("kind", LEAVES)
def test_a_leaf_has_one_base_and_no_heir(kind: type[BingError]) -> None:
    """No error that is raised derives from another one, nor from RuntimeError."""
    assert len(kind.__bases__) == 1
    assert not any(issubclass(kind, other) for other in LEAVES if other is not kind)
    assert not issubclass(kind, RuntimeError)


@pytest.mark.parametrize("kind", [kind for kind in TREE if children(kind) and kind is not BingError])
def test_what_is_not_a_leaf_says_that_it_is_abstract(kind: type[BingError]) -> None:
    """A class that only groups others says so, and has no hint of its own."""
    assert (inspect.getdoc(kind) or "").startswith("Abstract: ")
    assert not kind.default_hint


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_says_what_to_do(kind: type[BingError]) -> None:
    """Each leaf has a hint, which its text holds after what happened."""
    exc = kind("It happened.")
    assert exc.hint
    assert exc.hint == kind.default_hint
    assert str(exc) == f"It happened. {exc.hint}"


def test_a_hint_can_be_replaced_or_left_out() -> None:
    """An own hint takes the place of the class's; an empty one, or an empty message, leaves no gap."""
    assert str(errors.Throttled("No.", hint="Wait.")) == "No. Wait."
    assert str(errors.Throttled("No.", hint="")) == "No."
    assert str(errors.Throttled()) == errors.Throttled.default_hint


@pytest.mark.parametrize("kind", LEAVES)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_errors_survive_pickling(kind: type[BingError], protocol: int) -> None:
    """An error that crosses processes keeps its class, its text and all its values."""
    exc = kind(
        "It happened.",
        hint="Do this.",
        value="Throttled",
        service_message="Request is throttled.",
        partial_text="Once upon",
        retry_after=1.5,
    )
    for twin in (pickle.loads(pickle.dumps(exc, protocol)), copy.copy(exc)):  # noqa: S301 - our own bytes
        assert type(twin) is kind
        assert vars(twin) == vars(exc)
        assert str(twin) == str(exc) == "It happened. Do this."


def test_values_that_the_service_did_not_send_are_none() -> None:
    """Without them an error says that there is no value, no message, no text and no time to wait."""
    exc = errors.ServiceError("It happened.")
    assert (exc.value, exc.service_message, exc.partial_text, exc.retry_after) == (None, None, "", None)


@pytest.mark.parametrize(("kind", "expected"), TRANSIENT.items())
def test_only_faults_of_the_service_are_worth_another_try(kind: type[BingError], expected: bool) -> None:  # noqa: FBT001
    """A request, a credential, a conversation or a protocol does not get better by asking again."""
    assert is_transient(kind("It happened.")) is expected


def test_the_truth_table_is_complete() -> None:
    """The table above names every leaf."""
    assert set(TRANSIENT) == set(LEAVES)


@pytest.mark.parametrize(("retry_after", "expected"), [(None, False), (0.0, True), (30.0, True)])
def test_throttled_is_worth_another_try_when_the_service_says_when(
    retry_after: float | None,
    expected: bool,  # noqa: FBT001
) -> None:
    """A quota is counted in hours, unless the service names the seconds."""
    assert is_transient(errors.Throttled("No.", retry_after=retry_after)) is expected


def test_a_connection_that_fails_for_good_is_not_tried_again() -> None:
    """What another attempt would meet again, such as a certificate that is not trusted, is raised at once."""
    failure = errors.ConnectionFailed("No.")
    assert is_transient(failure)
    failure.permanent = True
    assert not is_transient(failure)


@pytest.mark.parametrize("exc", [RuntimeError(), OSError(), TimeoutError(), asyncio.CancelledError(), BingError()])
def test_other_exceptions_are_never_worth_another_try(exc: BaseException) -> None:
    """An exception that is not a leaf of ours was not judged, and is not retried."""
    assert not is_transient(exc)


# --- the retry policy -------------------------------------------------------------------------------------------------

SITUATIONS = {
    "new": FailedAttempt("new", sent=False),
    "new, sent": FailedAttempt("new", sent=True),
    "used": FailedAttempt("used", sent=False),
    "used, sent": FailedAttempt("used", sent=True),
    "own": FailedAttempt("own", sent=False),
    "own, sent": FailedAttempt("own", sent=True),
}
"""Each situation of an attempt that gave no text."""

Steps: TypeAlias = tuple[NextStep, ...]

RAISED: Steps = ("raise",) * 6
AGAIN: Steps = ("retry", "retry", "retry", "retry", "retry", "raise")
REPLACED: Steps = ("raise", "raise", "replace", "replace", "raise", "raise")
ALWAYS_REPLACED: Steps = ("retry", "retry", "replace", "replace", "raise", "raise")
AGAIN_OR_REPLACED: Steps = ("retry", "retry", "replace", "replace", "retry", "raise")
REFUSED: Steps = ("retry",) * 6
NEVER_SENT_TWICE: Steps = ("retry", "raise", "retry", "raise", "retry", "raise")
REPLACED_UNSENT: Steps = ("raise", "raise", "replace", "raise", "raise", "raise")
NEVER_SENT_TWICE_OR_REPLACED: Steps = ("retry", "raise", "replace", "raise", "retry", "raise")


class Policy(NamedTuple):
    """What is done after an error, in the order of the situations."""

    error: BingError
    unmetered: Steps
    metered: Steps
    stops: bool = False


def _permanent(failure: errors.ServiceFault) -> BingError:
    failure.permanent = True
    return failure


def _begun(failure: BingError) -> BingError:
    failure.begun = True
    return failure


POLICIES = [
    Policy(errors.ConfigurationError("x"), RAISED, RAISED, stops=True),
    Policy(errors.BatchStopped("x"), RAISED, RAISED, stops=True),
    Policy(errors.InvalidRequest("x"), RAISED, RAISED),
    Policy(errors.PromptTooLong("x"), REPLACED, REPLACED),
    Policy(errors.ContentFiltered("x"), RAISED, RAISED),
    Policy(errors.UploadFailed("x"), RAISED, RAISED),
    Policy(errors.Unauthorized("x"), REPLACED, REPLACED, stops=True),
    Policy(errors.CaptchaRequired("x"), RAISED, RAISED, stops=True),
    Policy(errors.Throttled("x"), RAISED, REFUSED),
    Policy(errors.Throttled("x", retry_after=1.0), REFUSED, REFUSED),
    Policy(errors.SessionExpired("x"), ALWAYS_REPLACED, REPLACED),
    Policy(errors.ConversationEnded("x"), RAISED, RAISED),
    Policy(errors.ConversationBusy("x"), ALWAYS_REPLACED, REPLACED),
    Policy(_begun(errors.ConversationBusy("x")), ALWAYS_REPLACED, REPLACED_UNSENT),
    Policy(_begun(errors.Throttled("x", retry_after=1.0)), AGAIN, NEVER_SENT_TWICE),
    Policy(errors.TurnLimitReached("x"), REPLACED, REPLACED),
    Policy(errors.ServiceError("x"), AGAIN, NEVER_SENT_TWICE),
    Policy(_permanent(errors.ServiceError("x")), RAISED, RAISED),
    Policy(errors.ProtocolError("x"), RAISED, RAISED),
    Policy(errors.ConnectionFailed("x"), AGAIN, NEVER_SENT_TWICE),
    Policy(_permanent(errors.ConnectionFailed("x")), RAISED, RAISED, stops=True),
    Policy(errors.ConnectionLost("x"), AGAIN_OR_REPLACED, NEVER_SENT_TWICE_OR_REPLACED),
    Policy(errors.TimedOut("x"), AGAIN_OR_REPLACED, NEVER_SENT_TWICE_OR_REPLACED),
]


def name_of(policy: Policy) -> str:
    """The error's name, and what makes it special."""
    error = policy.error
    facts = {"retry after": error.retry_after is not None, "permanent": getattr(error, "permanent", False)}
    special = [fact for fact, holds in {**facts, "begun": error.begun}.items() if holds]
    return " ".join((type(error).__name__, *special))


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_what_is_done_after_each_error(policy: Policy) -> None:
    """The decision follows from the error, the attempt, and what the service says about its turns."""
    attempts = SITUATIONS.values()
    assert tuple(next_step(policy.error, attempt, UNMETERED) for attempt in attempts) == policy.unmetered
    metering = Metering(metered=True, throttling_passes=True)
    assert tuple(next_step(policy.error, attempt, metering) for attempt in attempts) == policy.metered
    assert stops_batch(policy.error) is policy.stops


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_text_that_was_given_cannot_be_recalled(policy: Policy) -> None:
    """After text, every error is raised."""
    given = [attempt._replace(answered=True) for attempt in SITUATIONS.values()]
    assert {next_step(policy.error, attempt, UNMETERED) for attempt in given} == {"raise"}


def test_the_policy_names_every_leaf_and_nothing_else() -> None:
    """No error is judged by accident, neither in the table nor in this test of it."""
    assert set(RETRY_TABLE) == set(LEAVES) == {type(policy.error) for policy in POLICIES}


def test_a_class_of_an_adapter_is_judged_as_ours() -> None:
    """An error that is a framework's too keeps the policy of the class it derives from."""

    class Both(errors.ServiceError, LookupError):
        """Ours and another's."""

    assert is_transient(Both("x"))


@pytest.mark.parametrize(
    ("error", "charged"),
    [
        (errors.TimedOut("x"), True),
        (errors.ConnectionLost("x"), True),
        (errors.ServiceError("x"), True),
        (errors.ProtocolError("x"), True),
        (errors.Throttled("x"), False),
        (errors.SessionExpired("x"), False),
        (errors.Unauthorized("x"), False),
        (_begun(errors.ConversationBusy("x")), True),
    ],
)
def test_a_turn_that_may_be_charged_is_not_worth_another_try(error: BingError, *, charged: bool) -> None:
    """Only what the service refused is free; what was not sent, or is not metered, costs nothing either."""
    facts = ((False, False), (True, False), (False, True), (True, True))
    found = []
    for error.sent, metered in facts:
        error.metering = Metering(metered=metered)
        found.append(error.may_be_charged)
    assert found == [False, False, False, charged]
    assert not (charged and is_transient(error))


def test_an_error_was_not_sent_unless_someone_says_so() -> None:
    """What is raised before a turn is opened has sent nothing."""
    assert not errors.ServiceError("x").sent


def test_an_error_is_shown_without_control_characters() -> None:
    """A service's words in it cannot steer the terminal that a traceback goes to, nor fill it."""
    error = errors.ServiceError(f"It said \x1b[2J\u202e.{'x' * 5000}")
    assert str(error).startswith("It said \\u001b[2J\\u202e.xxx")
    assert str(error).endswith(f"xxx... {error.hint}")
    assert len(str(error)) < 1200
    assert error.message.startswith("It said \x1b[2J")
