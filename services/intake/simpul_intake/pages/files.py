"""What the public pages take of photos and documents, and how they say what is wrong with one.

The form is of its own, so that a text is never refused with a photo, and no upload waits for another form.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

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
UPLOAD_TIMEOUT: Final = 180.0
"""Seconds for one request: 16 MB take two minutes with a slow telephone."""
WAIT_FOR_UPLOADS: Final = 20.0
"""Seconds that a request waits for others to end."""
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
    "most": MAX_FILES, "photo": MAX_PHOTO_BYTES // _MEGABYTE, "document": MAX_DOCUMENT_BYTES // _MEGABYTE,
}  # fmt: skip
"""What the pages say about files, in megabytes."""


class _MemoryParser(MultiPartParser):
    """Keeps files in memory: on a disk they would stand in clear. The limit of the body limits them."""

    spool_max_size = FILES_LIMITS.body_bytes + 1


class UploadReader:
    """Reads forms with files, a few at the same time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_UPLOADS)

    async def read(self, request: Request) -> tuple[FormData, list[UploadedFile]]:
        """Returns the fields and the chosen files.

        Raises HTTPException for another content type, for a damaged or large body, and when too many others send files.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
            raise HTTPException(415)
        try:
            async with asyncio.timeout(WAIT_FOR_UPLOADS):
                await self._free.acquire()
        except TimeoutError as error:
            raise HTTPException(429) from error
        try:
            async with asyncio.timeout(UPLOAD_TIMEOUT):
                return await _read(request)
        except TimeoutError as error:
            raise HTTPException(400) from error
        finally:
            self._free.release()


async def _read(request: Request) -> tuple[FormData, list[UploadedFile]]:
    parser = _MemoryParser(request.headers, request.stream(), max_files=2 * MAX_FILES, max_fields=10)
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
