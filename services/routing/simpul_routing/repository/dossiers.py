"""Dossiers that routing passes on: to whom, and what of them it no longer keeps."""

import json
from collections.abc import Set as AbstractSet
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text, Uuid

from simpul_routing.domain.dossiers import DossierEvent, find_withdrawn_releases
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import DossierReleasedV1, DossierWithdrawnV1
from simpul_schema.names import REFERRALS, routing_key

_AGENCY: Final = text("SELECT agency FROM referral WHERE referral_id = :referral_id")
_DOSSIER_EVENTS: Final = text("""
    SELECT event_id, routing_key, body FROM outbox
    WHERE exchange = :exchange AND routing_key = ANY(:keys) AND correlation_id = ANY(:case_ids)
        AND split_part(routing_key, '.', 2) = :agency AND (number > 0 OR number IS NULL) AND octet_length(body) > 0
""").bindparams(bindparam("keys", type_=ARRAY(Text)), bindparam("case_ids", type_=ARRAY(Uuid)))
# A release that is not published yet is followed by its withdrawal, and one that is locked is on its way: both keep
# their content, and are emptied when the case is looked at again.
_EMPTY: Final = text("""
    UPDATE outbox SET body = '' WHERE message_id IN (
        SELECT message_id FROM outbox
        WHERE event_id = ANY(:ids) AND exchange = :exchange AND published_at IS NOT NULL FOR UPDATE SKIP LOCKED)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))


async def find_agency_of_referral(transaction: Transaction, referral_id: UUID) -> str:
    """Finds the agency of a referral; empty if there is no such referral."""
    return (await transaction.connection.execute(_AGENCY, {"referral_id": referral_id})).scalar() or ""


async def empty_withdrawn_releases(
    transaction: Transaction, agency: str, case_ids: AbstractSet[UUID]
) -> AbstractSet[UUID]:
    """Empties the sent releases to an agency of which every section was withdrawn; returns the ids of their events.

    Releases that are not sent yet are among the ids: they must not be sent again either.
    """
    release, withdrawal = (
        routing_key(REFERRALS, message.WIRE_NAME, agency) for message in (DossierReleasedV1, DossierWithdrawnV1)
    )
    rows = await transaction.connection.execute(
        _DOSSIER_EVENTS,
        {"exchange": REFERRALS, "keys": [release, withdrawal], "case_ids": list(case_ids), "agency": agency},
    )
    withdrawn = find_withdrawn_releases(
        _read_event(row.event_id, bytes(row.body), is_withdrawal=row.routing_key == withdrawal) for row in rows
    )
    if withdrawn:
        await transaction.connection.execute(_EMPTY, {"ids": list(withdrawn), "exchange": REFERRALS})
    return withdrawn


def _read_event(event_id: UUID, body: bytes, *, is_withdrawal: bool) -> DossierEvent:
    event = json.loads(body)
    sections = event["data"]["sections"]
    names = sections if is_withdrawal else (one["section"] for one in sections)
    return DossierEvent(event_id, event["subject"], int(event["sequence"]), frozenset(names), is_withdrawal)
