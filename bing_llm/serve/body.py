"""From the bytes of a request to a struct, and the names of what is accepted without effect. Pure."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from bing_llm.serve.errors import ApiError

T = TypeVar("T")

_PLACE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<place>[^`]*)`", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # of a field, where a header shows it
_MOST_NAMES: Final = 50  # in a header


def read_body(data: bytes, kind: type[T]) -> tuple[T, list[str]]:
    """A request, and the fields that it has although nothing comes of them, in order.

    OpenAI's SDK sends the fields of all its models, and tools add fields of their own. So a field that this server does
    not know is not an error, but it is not passed over in silence either. One that is null, false or empty asks for
    nothing.

    Raises:
        ApiError: It is not JSON, not an object, or a field is of the wrong type.
    """
    try:
        fields = _decode(data)
        if not isinstance(fields, dict):
            raise ApiError(400, "The body is not a JSON object.", code="invalid_json")
        request = msgspec.convert(fields, kind)
    except msgspec.ValidationError as exc:
        found = _PLACE.fullmatch(str(exc))
        place = found["place"] if found else ""
        what = found["what"] if found else str(exc)
        raise ApiError(
            400, f"{f'{place}: ' if place else ''}{what}.", code="invalid_type", param=place or None
        ) from exc
    known = {field.encode_name for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]  # each is a struct
    return request, sorted(name for name, value in fields.items() if name not in known and _asks(value))


def _decode(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:  # also a number that no float holds
        raise ApiError(400, f"The body is not JSON: {exc}.", code="invalid_json") from exc


def _asks(value: Any) -> bool:
    return not (value is None or value is False or (isinstance(value, str | list | dict) and not value))


def header_of(names: list[str]) -> str:
    """The names as one header; what could not be one stays away."""
    return ", ".join([name for name in names if _NAME.fullmatch(name)][:_MOST_NAMES])
