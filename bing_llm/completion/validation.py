"""What is wrong with an answer that does not fit, in words for a model and for a user.

Only the adapters import this module, because pydantic comes with their frameworks.
"""

from __future__ import annotations

from pydantic import ValidationError

_MOST_PROBLEMS = 5  # later ones often follow from the first
_LONGEST_SHOWN = 200  # characters of an answer, in an error


def validation_problems(exc: ValidationError) -> str:
    """Where and why a value does not fit, in one line; without the value, which may be long."""
    errors = exc.errors(include_url=False, include_context=False, include_input=False)
    problems = [f"{'.'.join(map(str, error['loc'])) or 'the whole'}: {error['msg']}" for error in errors]
    return "; ".join(problems[:_MOST_PROBLEMS])


def describe_misfit(schema: str | None, problem: str, answer: str) -> str:
    """The text of an error: the model's answer does not fit.

    Args:
        schema: The name of the schema; None for any JSON.
        problem: What is wrong; a full stop at its end may be missing.
        answer: What the model said, of which the beginning is shown.
    """
    what = "is not JSON" if schema is None else f"does not fit the schema {schema}"
    return f"The model's answer {what}: {problem.strip().removesuffix('.')}. It is {answer[:_LONGEST_SHOWN]!r}."
