"""The HTTP calls of the emulator."""

from __future__ import annotations

import base64
import json
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator import Emulator, Fault, Scripted
from bing_llm.emulator.chathub.rest import form_fields
from bing_llm.errors import Throttled
from tests.emulator.chathub.visitor import Created, Visitor, chat

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"


async def get(visitor: Visitor, path: str, **options: Any) -> Any:
    """The JSON body of a GET."""
    async with visitor.http.get(visitor.url(path), **options) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        return await response.json()


async def post(visitor: Visitor, path: str, **options: Any) -> Any:
    """The JSON body of a POST."""
    async with visitor.http.post(visitor.url(path), **options) as response:
        assert response.status == 200
        return await response.json()


def form(*, picture: bytes | None = None, url: str | None = None) -> aiohttp.FormData:
    """An upload as section g describes it."""
    made = aiohttp.FormData()
    knowledge = {"imageInfo": {} if url is None else {"url": url}, "knowledgeRequest": {"invokedSkills": ["ImageById"]}}
    made.add_field("knowledgeRequest", json.dumps(knowledge), content_type="application/json")
    if picture is not None:
        made.add_field("imageBase64", base64.b64encode(picture).decode())
    return made


@pytest.mark.parametrize("path", ["/turing/conversation/create", "/edgesvc/turing/conversation/create?bundleVersion=1"])
async def test_a_creation_has_the_recorded_body(visitor: Visitor, path: str) -> None:
    """The body has ids and a result as in recording 14, and no signature: those are in the headers."""
    body = await get(visitor, path)
    assert body.keys() == {"conversationId", "clientId", "result"}
    assert body["result"] == {"value": "Success", "message": None}


async def test_an_account_is_known_by_its_cookie(visitor: Visitor) -> None:
    """With the cookie `_U` the ids are those of an account."""
    assert (await visitor.create()).id.startswith("51D|BingProdUnAuthenticatedUsers|")
    assert (await visitor.create(_U="account")).id.startswith("51D|BingProd|")


async def test_signatures_can_be_issued_again(visitor: Visitor) -> None:
    """A creation that names a conversation gives new signatures for it, and the old ones are void."""
    old = await visitor.create()
    path = "/turing/conversation/create"
    async with visitor.http.get(visitor.url(path), params={"conversationId": old.id}) as response:
        assert (await response.json())["conversationId"] == old.id
        new = Created(
            old.id,
            old.client_id,
            response.headers["x-sydney-conversationsignature"],
            response.headers["x-sydney-encryptedconversationsignature"],
        )
    assert (await visitor.result(old, chat(old)))["value"] == "UnauthorizedRequest"
    assert (await visitor.result(new, chat(new)))["value"] == "Success"


async def test_an_unknown_conversation_is_not_signed(visitor: Visitor) -> None:
    """Signatures for a conversation that is not there are an invalid session."""
    body = await get(visitor, "/turing/conversation/create?conversationId=51D%7Cnone")
    assert body["result"]["value"] == "InvalidSession"


async def test_one_signature_may_be_in_the_body() -> None:
    """The body may have the signature, as before October 2023, and the socket then needs no token."""
    async with Emulator(Scripted([["Hi"]]), signatures="body") as emulator, aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        async with http.get(visitor.url("/turing/conversation/create")) as response:
            assert not any("signature" in name.lower() for name in response.headers)
            body = await response.json()
        created = Created(body["conversationId"], body["clientId"], body["conversationSignature"])
        async with visitor.socket(None) as socket:
            await socket.send(chat(created))
            *_, final, _ = await socket.turn()
            assert final["item"]["result"]["value"] == "Success"


async def test_creations_can_be_refused() -> None:
    """Each of the given failures is played once, then conversations are created."""
    async with Emulator(faults=[Fault(Throttled(), "creation")]) as emulator, aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        async with http.get(visitor.url("/turing/conversation/create")) as response:
            assert response.status == 404
        assert (await visitor.create()).id


async def test_conversations_are_listed(emulator: Emulator, visitor: Visitor) -> None:
    """The list has the conversations that had a turn, named after their first question."""
    created = await visitor.create()
    await visitor.create()
    await visitor.ask("Tell me about cakes", created, tone="Creative")
    body = await get(visitor, "/turing/conversation/chats?bundleVersion=1")
    (entry,) = body["chats"]
    assert (entry["conversationId"], entry["chatName"], entry["tone"]) == (
        created.id,
        "Tell me about cakes",
        "Creative",
    )
    assert body["result"]["value"] == "Success"
    assert body["clientId"] == created.client_id
    assert emulator.requests[-1].kind == "list"


@pytest.mark.parametrize("way", ["bearer", "body"])
async def test_a_conversation_is_deleted_with_its_signature(visitor: Visitor, way: str) -> None:
    """The plain signature comes as a bearer token, or in the body as older clients send it."""
    created = await visitor.create()
    body = {"conversationId": created.id, "participant": {"id": created.client_id}, "source": "cib"}
    headers = {"Authorization": f"Bearer {created.signature}"} if way == "bearer" else {}
    if way == "body":
        body["conversationSignature"] = created.signature
    answer = await post(visitor, "/sydney/DeleteSingleConversation", json=body, headers=headers)
    assert answer == {
        "conversationId": created.id,
        "clientId": created.client_id,
        "result": {"value": "Success", "message": None},
    }
    assert (await visitor.result(created, chat(created)))["value"] == "InvalidSession"


async def test_nobody_else_deletes_a_conversation(emulator: Emulator, visitor: Visitor) -> None:
    """A wrong signature deletes nothing, and neither does a body that makes no sense."""
    created = await visitor.create()
    path = "/sydney/DeleteSingleConversation"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": created.signature}):
        body = await post(visitor, path, json={"conversationId": created.id}, headers=headers)
        assert body["result"]["value"] == "UnauthorizedRequest"
    for data in (b"", b"[1]", b"{", b'{"conversationId":5}'):
        assert (await post(visitor, path, data=data))["result"]["value"] == "InvalidSession"
    assert (await visitor.reply("still there", created)).text == "You said: still there"
    assert [request.kind for request in emulator.requests].count("deletion") == 7


async def test_a_picture_is_uploaded_and_served(emulator: Emulator, visitor: Visitor) -> None:
    """An uploaded picture has two ids, and is served under each of them."""
    ids = await post(visitor, "/images/kblob", data=form(picture=PNG))
    for blob_id in (ids["blobId"], ids["processedBlobId"]):
        async with visitor.http.get(visitor.url("/images/blob"), params={"bcid": blob_id}) as response:
            assert await response.read() == PNG
    (upload,) = [request for request in emulator.requests if request.kind == "upload"]
    assert upload.body["imageInfo"] == {}


async def test_the_url_of_a_picture_is_redirected_to(visitor: Visitor) -> None:
    """A picture that was given by its URL is not fetched: whoever asks for it is sent there."""
    ids = await post(visitor, "/images/kblob", data=form(url="https://x.example/a.png"))
    path = f"/images/blob?bcid={ids['blobId']}"
    async with visitor.http.get(visitor.url(path), allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "https://x.example/a.png")


async def test_a_form_without_boundary_is_read(visitor: Visitor) -> None:
    """Public clients send no boundary in the header; the body has it."""
    body = (
        b'--xyz\r\nContent-Disposition: form-data; name="imageBase64"\r\n\r\n'
        + base64.b64encode(PNG)
        + b"\r\n--xyz--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data"}
    assert (await post(visitor, "/images/kblob", data=body, headers=headers))["blobId"]


@pytest.mark.parametrize(
    "upload",
    [form(picture=b"no picture"), form(url="ftp://x"), form(), b"nonsense"],
    ids=["bytes", "url", "empty", "no form"],
)
async def test_a_failed_upload_has_empty_ids(visitor: Visitor, upload: Any) -> None:
    """An upload that is not a picture is answered with status 200 and two empty ids, as by the service (section g)."""
    assert await post(visitor, "/images/kblob", data=upload) == {"blobId": "", "processedBlobId": ""}


async def test_an_unknown_picture_is_not_found(visitor: Visitor) -> None:
    """An id that was not given out is a 404."""
    async with visitor.http.get(visitor.url("/images/blob?bcid=none")) as response:
        assert response.status == 404


BODY = (
    b"--b0undary\r\n"
    b'Content-Disposition: form-data; name="knowledgeRequest"\r\nContent-Type: application/json; charset=utf-8\r\n\r\n'
    b'{"a":1}\r\n'
    b'--b0undary\r\nContent-Disposition: form-data; name="imageBase64"\r\n\r\nAAAA\r\nBBBB\r\n'
    b"--b0undary--\r\n"
)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=b0undary", "multipart/form-data", "Multipart/Form-Data"]
)
def test_fields_are_read(content_type: str) -> None:
    """The boundary is that of the body's first line, whether the header has one or not."""
    assert form_fields(content_type, BODY) == {"knowledgeRequest": b'{"a":1}', "imageBase64": b"AAAA\r\nBBBB"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", BODY), ("", BODY), ("multipart/form-data", b""), ("multipart/form-data", b"{}")],
)
def test_what_is_not_a_form_has_no_fields(content_type: str, body: bytes) -> None:
    """Another type, or a body that does not begin with a boundary, gives nothing."""
    assert form_fields(content_type, body) == {}


@given(st.binary(), st.binary())
def test_any_body_gives_fields_or_nothing(first: bytes, rest: bytes) -> None:
    """No body makes it fail."""
    for body in (first + rest, b"--" + first + b"\r\n" + rest, b"--b\r\n" + rest + b"\r\n--b--"):
        assert isinstance(form_fields("multipart/form-data", body), dict)
