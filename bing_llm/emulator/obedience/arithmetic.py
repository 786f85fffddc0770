"""Simple sums."""

# ruff: noqa: RUF001 - people write typographic apostrophes, and Russian

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

__all__ = ["calculated"]

_MAX_CHARACTERS = 100  # longer ones are no question
_ASKED = re.compile(
    r"(?:what(?:'s| is)|how much is|calculate|compute|evaluate|solve|сколько будет|вычисли|посчитай)\s*:?\s*",
    re.IGNORECASE,
)
_SUM = re.compile(r"[\s\d.()+\-*/]*\d[\s\d.()+\-*/]*")
_SPOKEN = {
    "multiplied by": "*", "divided by": "/", "times": "*", "plus": "+", "minus": "-", "плюс": "+", "минус": "-",
    "умножить на": "*", "разделить на": "/", "×": "*", "÷": "/", "−": "-",
}  # fmt: skip
_OPERATORS: dict[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def calculated(question: str) -> str | None:
    """The sum in the question and its result, "3 + 4 = 7"; None where it asks for no sum."""
    asked = _ASKED.sub("", question.strip(), count=1) if _ASKED.match(question.strip()) else question.strip()
    text = asked.rstrip(" ?=.!")
    for words, sign in _SPOKEN.items():
        text = re.sub(re.escape(words), sign, text, flags=re.IGNORECASE)
    if len(text) > _MAX_CHARACTERS or not _SUM.fullmatch(text):
        return None
    try:
        tree = ast.parse(text.strip(), mode="eval")
        if not isinstance(tree.body, ast.BinOp):
            return None
        return f"{' '.join(text.split())} = {_shown(_value(tree.body))}"
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as value):
            return Fraction(str(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(left), _value(right))
        case _:
            raise ValueError(ast.dump(node))


def _shown(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.10g}"
