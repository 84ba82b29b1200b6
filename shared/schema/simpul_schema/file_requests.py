"""How an agency fetches a file of a dossier from intake: an event is too small for a photo.

The agency signs the body of a POST to `FILE_REQUEST_PATH`, and intake answers with the content sealed to the agency as
the section `FILE_SECTION`, with the file's id in the place of the event's and with the case of the referral. Nothing
but a signature of the agency's key is needed, and nothing that travels can be read by anybody else.
"""

from typing import Final
from uuid import UUID

from pydantic import Field

from simpul_schema.envelope import ContractModel, Instant, SealedSection

FILE_REQUEST_PATH: Final = "/dossier-files"
FILE_REQUEST_DOMAIN: Final = "simpul-file-request-v1"
"""Prefix of the signed bytes of a request, so that no other signature of an agency is one."""
FILE_SECTION: Final = "file"
"""What the content of a file is sealed as."""


class FileRequest(ContractModel):
    """Which file an agency wants to read."""

    agency: str = Field(max_length=60, description="code of the agency; its key signs the request")
    referral_id: UUID = Field(description="the referral whose dossier lists the file")
    file_id: UUID = Field(description="`file_id` of the file in the section `narrative`")
    requested_at: Instant = Field(description="when, UTC; a request is valid for minutes")


class SealedFile(ContractModel):
    """The content of a file."""

    sealed: SealedSection = Field(description="the content, sealed to the agency")
