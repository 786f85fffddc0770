"""The fields of a multipart form."""

from __future__ import annotations

from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

__all__ = ["form_fields"]


def form_fields(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields by name; empty for a body that is no form.

    Public clients send a fixed `multipart/form-data` without a boundary (sydney-py 0.23.1, re-edge-gpt 0.0.46); the
    first line of the body has it, and is always taken from there.

    Args:
        content_type: The header.
        body: The whole body.
    """
    delimiter = body.split(b"\r\n", 1)[0]
    if not content_type.lower().startswith("multipart/form-data") or not delimiter.startswith(b"--"):
        return {}
    head = b'Content-Type: multipart/form-data; boundary="' + delimiter[2:] + b'"\r\n\r\n'
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + body)
    return {name: content for part in message.iter_parts() if (name := _name(part)) and (content := _content(part))}


def _name(part: MIMEPart[Any, Any]) -> str:
    name = part.get_param("name", "", header="Content-Disposition")
    return name if isinstance(name, str) else ""


def _content(part: MIMEPart[Any, Any]) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""
