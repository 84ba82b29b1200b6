"""What the public pages take of photos and documents, and how they say what is wrong with one.

The form is of its own, so that a text is never refused with a photo, and no upload waits for another form.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from simpul_intake.errors import ReceiptLocked, ReceiptUnknown
from simpul_intake.networks import network_of
from simpul_intake.received_files import (
    MAX_DOCUMENT_BYTES,
    MAX_FILES,
    MAX_PHOTO_BYTES,
    FileProblem,
    FileRefused,
    UploadedFile,
)
from simpul_runtime.shell import Limits
from simpul_schema.translations import gettext_noop

FILES_PATH: Final = "/laporan/berkas"
FILE_FIELD: Final = "file"
FILES_LIMITS: Final = Limits(body_bytes=16 * 1024 * 1024, seconds=30.0)
"""Several photos of a telephone; decoding them takes seconds, one request after the other."""
MAX_UPLOADS: Final = 4
"""Requests with files that one process reads at the same time, because it holds them in memory."""
MAX_UPLOADS_OF_NETWORK: Final = 2
"""Of these, what one household has, so that nobody who holds several receipts takes every place."""
UPLOAD_TIMEOUT: Final = 180.0
"""Seconds for one request: 16 MB take two minutes with a slow telephone."""
WAIT_FOR_UPLOADS: Final = 20.0
"""Seconds that a request waits for others to end."""
MAX_BEFORE_ADMITTED: Final = 16 * 1024
"""Bytes that are read before the receipt is checked; a browser sends it before the files."""
_MEGABYTE: Final = 1024 * 1024
_PROBLEMS: Final[Mapping[FileProblem, str]] = {
    FileProblem.EMPTY: gettext_noop("File {number} is empty. None of the files was stored."),
    FileProblem.WRONG_KIND: gettext_noop(
        "File {number} is neither a photo (JPEG, PNG or WebP) nor a PDF. None of the files was stored."
    ),
    FileProblem.DAMAGED: gettext_noop(
        "File {number} cannot be read. Take the photo again. None of the files was stored."
    ),
    FileProblem.TOO_LARGE: gettext_noop(
        "File {number} is too large: a photo may have {photo} MB, a PDF {document} MB. Take photos of the pages of a "
        "larger document. None of the files was stored."
    ),
    FileProblem.TOO_MANY_PIXELS: gettext_noop(
        "The picture in file {number} is too large. Choose a smaller size in the camera, or send a screenshot of it. "
        "None of the files was stored."
    ),
    FileProblem.TOO_MANY: gettext_noop(
        "A report can have at most {most} photos and documents. None of the files was stored."
    ),
}


FILE_LIMITS: Final = {
    "most": MAX_FILES,
    "photo": MAX_PHOTO_BYTES // _MEGABYTE,
    "document": MAX_DOCUMENT_BYTES // _MEGABYTE,
}
"""What the pages say about files, in megabytes."""


class _MemoryParser(MultiPartParser):
    """Keeps files in memory: on a disk they would stand in clear. The limit of the body limits them."""

    spool_max_size = FILES_LIMITS.body_bytes + 1


class UploadReader:
    """Reads forms with files, a few at the same time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_UPLOADS)
        # A lock is needed only while somebody holds it or waits for it.
        self._cases: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._networks: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def read(
        self, request: Request, admit: Callable[[FormData], Awaitable[UUID]]
    ) -> AsyncIterator[tuple[FormData, list[UploadedFile]]]:
        """Reads the fields and the chosen files, which count as one of a few until the block ends.

        `admit` finds the case by the first fields: nobody without its receipt takes a place, one case has one, and one
        network has two, also of those that wait for a place.
        Raises ReceiptLocked and ReceiptUnknown; HTTPException for another content type, for a damaged or large body,
        and when too many others send files.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
            raise HTTPException(415)
        async with AsyncExitStack() as place:
            body = request.stream()
            parser = _MemoryParser(request.headers, body, max_files=2 * MAX_FILES, max_fields=10)
            network = network_of(request.client.host if request.client else "")
            parser.stream = self._admit(body, parser, admit, network, place)
            try:
                async with asyncio.timeout(UPLOAD_TIMEOUT):
                    fields, files = await _read(parser)
            except TimeoutError as error:
                raise HTTPException(400) from error
            except (ReceiptLocked, ReceiptUnknown):
                # A browser shows the answer only after it has sent everything.
                await _discard(request)
                raise
            yield fields, files

    async def _admit(
        self,
        body: AsyncIterator[bytes],
        parser: MultiPartParser,
        admit: Callable[[FormData], Awaitable[UUID]],
        network: str,
        place: AsyncExitStack,
    ) -> AsyncGenerator[bytes, None]:
        """Yields the body, of which no more is read until its sender was admitted and has a place."""
        size, is_admitted = 0, False
        async for chunk in body:
            yield chunk
            size += len(chunk)
            if not is_admitted and size > MAX_BEFORE_ADMITTED:
                is_admitted = True
                case_id = await admit(FormData(parser.items))
                of_network = self._networks.setdefault(network, asyncio.Semaphore(MAX_UPLOADS_OF_NETWORK))
                try:
                    async with asyncio.timeout(WAIT_FOR_UPLOADS):
                        await place.enter_async_context(self._cases.setdefault(case_id, asyncio.Lock()))
                        await place.enter_async_context(of_network)
                        await place.enter_async_context(self._free)
                except TimeoutError as error:
                    raise HTTPException(429) from error


async def _discard(request: Request) -> None:
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(UPLOAD_TIMEOUT):
            async for _ in request.stream():
                pass


async def _read(parser: MultiPartParser) -> tuple[FormData, list[UploadedFile]]:
    try:
        fields = await parser.parse()
    except (MultiPartException, UnicodeError, ValueError) as error:
        raise HTTPException(400) from error
    try:
        chosen = [one for one in fields.getlist(FILE_FIELD) if isinstance(one, UploadFile)]
        files = [UploadedFile(one.filename or "", await one.read()) for one in chosen]
    finally:
        await fields.close()
    # A browser sends a nameless part where nothing was chosen.
    return fields, [one for one in files if one.name or one.content]


def explain_refusal(error: FileRefused, translate: Callable[[str], str]) -> str:
    """Says what is wrong with a file, and what to do."""
    return translate(_PROBLEMS[error.problem]).format(number=error.number, **FILE_LIMITS)
