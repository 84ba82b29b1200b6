"""Forms with files: nobody without the receipt holds up others who send theirs."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from uuid import UUID, uuid4

import pytest
from fastapi import Request
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_intake.errors import ReceiptUnknown
from simpul_intake.pages import files
from simpul_intake.pages.files import MAX_BEFORE_ADMITTED, MAX_UPLOADS, MAX_UPLOADS_OF_NETWORK, UploadReader
from simpul_intake.received_files import UploadedFile

PHOTO = bytes(4 * MAX_BEFORE_ADMITTED)
HOSTS = count(1)


def a_body(number: str, content: bytes = PHOTO) -> bytes:
    field = f'--b\r\ncontent-disposition: form-data; name="number"\r\n\r\n{number}\r\n'
    return f'{field}--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode() + content


class Upload:
    """A request whose body arrives as the test wants."""

    def __init__(self, number: str, content: bytes = PHOTO, address: str = "") -> None:
        self._address = address or f"192.0.2.{next(HOSTS)}"
        self.is_read = asyncio.Event()
        self._parts = self._send(a_body(number, content))
        self.is_ending = asyncio.Event()

    async def _send(self, body: bytes) -> AsyncIterator[bytes]:
        yield body
        self.is_read.set()
        await self.is_ending.wait()
        yield b"\r\n--b--\r\n"

    async def _receive(self) -> dict[str, object]:
        part = await anext(self._parts, b"")
        return {"type": "http.request", "body": part, "more_body": bool(part)}

    def request(self) -> Request:
        headers = [(b"content-type", b"multipart/form-data; boundary=b")]
        return Request(
            {"type": "http", "method": "POST", "path": "/", "headers": headers, "client": (self._address, 9)},
            self._receive,
        )


async def admit(fields: FormData) -> UUID:
    try:
        return UUID(str(fields.get("number")))
    except ValueError as error:
        raise ReceiptUnknown from error


async def read(reader: UploadReader, upload: Upload) -> list[UploadedFile]:
    async with reader.read(upload.request(), admit) as (_, found):
        return found


async def until_read(*uploads: Upload) -> None:
    for one in uploads:
        await one.is_read.wait()


async def test_senders_without_the_receipt_hold_no_place() -> None:
    reader, strangers = UploadReader(), [Upload("?") for _ in range(2 * MAX_UPLOADS)]
    waiting = [asyncio.create_task(read(reader, one)) for one in strangers]
    await until_read(*strangers)

    own = Upload(str(uuid4()))
    own.is_ending.set()
    (found,) = await read(reader, own)

    assert found.content == PHOTO
    for one in strangers:
        one.is_ending.set()
    assert all(isinstance(one, ReceiptUnknown) for one in await asyncio.gather(*waiting, return_exceptions=True))


async def test_one_case_has_one_place_and_there_are_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WAIT_FOR_UPLOADS", 0.05)
    reader, case = UploadReader(), str(uuid4())
    uploads = [Upload(case), *(Upload(str(uuid4())) for _ in range(MAX_UPLOADS - 1))]
    waiting = [asyncio.create_task(read(reader, one)) for one in uploads[:1]]
    await until_read(*uploads[:1])

    with pytest.raises(HTTPException) as same:
        await read(reader, Upload(case))
    waiting += [asyncio.create_task(read(reader, one)) for one in uploads[1:]]
    await until_read(*uploads)
    with pytest.raises(HTTPException) as another:
        await read(reader, Upload(str(uuid4())))

    assert (same.value.status_code, another.value.status_code) == (429, 429)
    for one in uploads:
        one.is_ending.set()
    assert [one.content for (one,) in await asyncio.gather(*waiting)] == [PHOTO] * MAX_UPLOADS


async def test_whoever_holds_many_receipts_leaves_places_to_others() -> None:
    reader, network = UploadReader(), "2001:db8:0:7:"
    held = [Upload(str(uuid4()), address=f"{network}:{host}") for host in range(1, 3 * MAX_UPLOADS)]
    waiting = [asyncio.create_task(read(reader, one)) for one in held]
    await until_read(*held[:MAX_UPLOADS_OF_NETWORK])

    for _ in range(MAX_UPLOADS):
        other = Upload(str(uuid4()))
        other.is_ending.set()
        assert len(await read(reader, other)) == 1

    # Whatever waits beyond its share is taken in turn.
    for one in held:
        one.is_ending.set()
    assert len(await asyncio.gather(*waiting)) == len(held)
