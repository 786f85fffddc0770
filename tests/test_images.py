"""Pictures, checked before anything is sent."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from bing_llm import images
from bing_llm.errors import InvalidRequest
from bing_llm.images import Image, ImageSource, load_image, picture_url

PNG = b"\x89PNG\r\n\x1a\n rest"
KINDS = {
    "png": PNG,
    "jpeg": b"\xff\xd8\xff rest",
    "gif87": b"GIF87a rest",
    "gif89": b"GIF89a rest",
    "webp": b"RIFF\x10\x00\x00\x00WEBP rest",
}


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
def test_the_known_formats_are_taken(data: bytes, tmp_path: Path) -> None:
    """PNG, JPEG, GIF and WebP are taken as bytes, as a path, as its text, as a data: URL and as an Image."""
    path = tmp_path / "picture"
    path.write_bytes(data)
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    sources: list[ImageSource] = [data, path, str(path), url, Image(data)]
    for source in sources:
        assert load_image(source) == Image(data)


@pytest.mark.parametrize("url", ["https://example.org/cat.png", "http://example.org/cat"])
def test_a_url_is_left_to_the_service(url: str) -> None:
    """An http or https URL is not fetched, also not when it comes in an Image."""
    assert load_image(url) == load_image(Image(url=url)) == Image(url=url)


@pytest.mark.parametrize("data", [b"", b"BM bitmap", b"RIFF\x10\x00\x00\x00WAVE", b"WEBP", b"<svg/>"])
def test_other_bytes_are_refused(data: bytes, tmp_path: Path) -> None:
    """Bytes of another format are refused, with the formats that are allowed; of a file, its name is said."""
    with pytest.raises(InvalidRequest, match="The bytes of the image are not a PNG, JPEG, GIF or WebP") as caught:
        load_image(data)
    assert "Allowed: PNG, JPEG, GIF or WebP" in caught.value.hint
    (tmp_path / "other").write_bytes(data)
    with pytest.raises(InvalidRequest, match="other' are not a PNG"):
        load_image(tmp_path / "other")


@pytest.mark.parametrize("name", ["missing.png", "", "a\0b", "FTP://example.org/cat.png", "\ud800"])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that cannot be read raises InvalidRequest with the path and the system's own reason."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequest) as caught:
        load_image(name)
    assert caught.value.message.startswith(f"The image {name!r} cannot be read: ")
    assert isinstance(caught.value.__cause__, (OSError, ValueError))


def test_a_long_name_is_cut_in_the_error() -> None:
    """Base64 passed as if it were a path does not come back as an error of a megabyte."""
    with pytest.raises(InvalidRequest, match=r"A{200}\.\.\.' cannot be read") as caught:
        load_image("A" * 100_000)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("data:image/png,abc", "not encoded in base64"),
        ("data:", "not encoded in base64"),
        ("data:image/png;base64,%%%", "not valid base64"),
        ("data:image/png;base64,abc", "not valid base64"),
        ("data:image/png;base64,é", "not valid base64"),
        ("data:image/png;base64,aGVsbG8=", "The bytes of the data: URL are not a PNG"),
    ],
)
def test_a_data_url_must_hold_a_picture_in_base64(url: str, complaint: str) -> None:
    """A data: URL of another kind is refused with the reason."""
    with pytest.raises(InvalidRequest, match=complaint) as caught:
        load_image(url)
    assert "data: URL" in caught.value.hint


def test_a_picture_may_have_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of the largest size is taken; one byte more is refused with both numbers."""
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 1000)
    assert load_image(PNG.ljust(1000)).data == PNG.ljust(1000)
    with pytest.raises(InvalidRequest, match=r"has 1,001 bytes; at most 1,000 are allowed"):
        load_image(PNG.ljust(1001))


def test_the_size_limit_is_that_of_the_docstring() -> None:
    """The docstring names the limit."""
    assert f"{images.MAX_IMAGE_BYTES:,}" in (load_image.__doc__ or "")


def test_a_path_may_be_any_path_like(tmp_path: Path) -> None:
    """Whatever has `__fspath__` is a path."""
    (tmp_path / "cat.png").write_bytes(PNG)

    class Cat(os.PathLike[str]):
        def __fspath__(self) -> str:
            return str(tmp_path / "cat.png")

    assert load_image(Cat()) == Image(PNG)


def test_a_repr_shows_neither_bytes_nor_secrets() -> None:
    """The repr of a picture has the number of its bytes, or its URL without what may be a token."""
    assert repr(Image(PNG)) == f"Image({len(PNG)} bytes)"
    assert repr(Image(url="https://me:pw@example.org/cat?sig=secret#x")) == "Image(url='https://example.org/cat')"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/A.png", "https://example.com/A.png"),
        ("HTTP://example.com/A.png", "http://example.com/A.png"),
        ("Data:image/png;base64,AA", "data:image/png;base64,AA"),
        ("ftp://example.com/a.png", None),
        ("file:///a.png", None),
        ("/a.png", None),
        ("", None),
    ],
)
def test_the_url_of_a_picture(url: str, expected: str | None) -> None:
    """One that the service fetches, or a `data:` URL, its scheme in small letters."""
    assert picture_url(url) == expected
