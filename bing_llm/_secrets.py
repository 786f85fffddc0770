"""Data that holds secrets."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

import msgspec

__all__ = ["SecretStruct", "refuse_to_pickle"]


class SecretStruct(msgspec.Struct, frozen=True):
    """Data of which `repr` and rich show only the fields in `SHOWN`, and that is not pickled."""

    SHOWN: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.SHOWN)
        return f"{type(self).__name__}({', '.join((*shown, '...'))})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.SHOWN]

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)


def refuse_to_pickle(holder: object) -> NoReturn:
    """Keep secrets and connections out of pickles.

    Raises:
        TypeError: Always.
    """
    kind = type(holder).__name__
    msg = f"A {kind} holds cookies, tokens, signatures or connections; it is not pickled or copied. Make a new one."
    raise TypeError(msg)
