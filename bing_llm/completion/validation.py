"""What pydantic says about an answer that does not fit, in words for a model.

Only the adapters import this module, because pydantic comes with their frameworks.
"""

from __future__ import annotations

from pydantic import ValidationError

_MOST_PROBLEMS = 5  # later ones often follow from the first


def validation_problems(exc: ValidationError) -> str:
    """Where and why a value does not fit, in one line; without the value, which may be long."""
    errors = exc.errors(include_url=False, include_context=False, include_input=False)
    problems = [f"{'.'.join(map(str, error['loc'])) or 'the whole'}: {error['msg']}" for error in errors]
    return "; ".join(problems[:_MOST_PROBLEMS])
