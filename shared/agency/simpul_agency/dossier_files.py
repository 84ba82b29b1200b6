"""Fetches files of a dossier from the city: nothing of them is stored here, so nothing has to be deleted."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timezone
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

import aiohttp
from pydantic import ValidationError

from simpul_schema.file_requests import FILE_REQUEST_DOMAIN, FILE_REQUEST_PATH, FILE_SECTION, FileRequest, SealedFile
from simpul_schema.messages.dossier import DossierFile
from simpul_seal import SIGNATURE_HEADER, KeyRing, SealError, open_section, sign

FETCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)
SERVER_FAULT: Final = 500
"""The lowest status of an answer that is a fault of the city."""


class FileUnavailable(Exception):
    """The file cannot be read: the agency does not hold the dossier any more, or the city does not answer."""


class CityUnreachable(FileUnavailable):
    """The city does not answer now; try again in a few minutes."""


class OpenedFile(NamedTuple):
    """A file that was fetched and opened."""

    described: DossierFile
    content: bytes


class FileFetcher:
    """Asks intake for files in the name of one agency."""

    def __init__(self, agency: str, city_url: str, keys: KeyRing, now: Callable[[], datetime]) -> None:
        self._agency = agency
        self._url = city_url.rstrip("/") + FILE_REQUEST_PATH
        self._keys = keys
        self._now = now

    async def fetch(self, referral_id: UUID, case_id: UUID, described: DossierFile) -> OpenedFile:
        """Fetches a file that a dossier lists; raises FileUnavailable, and CityUnreachable while the city is away."""
        request = FileRequest(
            agency=self._agency,
            referral_id=referral_id,
            file_id=described.file_id,
            requested_at=self._now().astimezone(timezone.utc),
        )
        try:
            answer = SealedFile.read_json(await self._post(request.model_dump_json().encode()))
            content = open_section(
                answer.sealed.ciphertext, self._keys, event_id=described.file_id, case_id=case_id, section=FILE_SECTION
            )
        except (aiohttp.ClientError, asyncio.TimeoutError, ValidationError, SealError) as error:
            if _is_away(error):
                msg = "the city does not answer"
                raise CityUnreachable(msg) from error
            msg = "the city does not hand out this file"
            raise FileUnavailable(msg) from error
        if sha256(content).hexdigest() != described.digest:
            msg = "the file is not the one that the dossier lists"
            raise FileUnavailable(msg)
        return OpenedFile(described, content)

    async def _post(self, body: bytes) -> bytes:
        signature = sign(body, self._keys, domain=FILE_REQUEST_DOMAIN)
        headers = {SIGNATURE_HEADER: signature, "content-type": "application/json"}
        async with (
            aiohttp.ClientSession(timeout=FETCH_TIMEOUT) as session,
            session.post(self._url, data=body, headers=headers) as answer,
        ):
            answer.raise_for_status()
            return await answer.read()


def _is_away(error: Exception) -> bool:
    """Whether the same request may succeed later: nobody answered, or with a fault of the city."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status >= SERVER_FAULT
    return isinstance(error, (aiohttp.ClientError, asyncio.TimeoutError))
