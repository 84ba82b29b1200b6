"""What services state about the end of their audit, so that others can notice a history that was rewritten."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.envelope import MAX_NAME, ContractModel, Event, EventData

MAX_HEADS = 100
"""Signed heads in one message of a service; a delivery manifest has those of all services."""
_STATEMENT = 1_000


class AuditHead(ContractModel):
    """The head of a service's audit at a full hour, signed by that service on its own, apart from the message."""

    body: str = Field(
        max_length=_STATEMENT,
        description="JSON with type `simpul-audit-head-v1`, service, before (the moment) and hash (of the last entries "
        "before it, in hexadecimal digits); the signature covers its UTF-8 bytes",
    )
    signature: str = Field(max_length=_STATEMENT, description="in the form of the header `simpul-signature`")


class AuditHeadSignedData(EventData):
    """The newest head, and earlier ones stated again."""

    heads: tuple[AuditHead, ...] = Field(
        max_length=MAX_HEADS,
        description="the head of the last full hour, and those of earlier hours and days computed again; another hash "
        "for a moment that was stated before means that the history was rewritten",
    )


class AuditHeadSignedV1(Event):
    """Sent by each service once an hour; routing passes the heads on in the delivery manifests of agencies."""

    WIRE_NAME: ClassVar[str] = "audit.head_signed.v1"
    type: Literal["audit.head_signed.v1"] = "audit.head_signed.v1"
    subject: str = Field(
        pattern=r"^audit/[a-z0-9-]+$", max_length=MAX_NAME, description="the audit, as audit/<service>"
    )
    correlationid: UUID = Field(description="the same in all heads of one service; belongs to no case")
    data: AuditHeadSignedData
