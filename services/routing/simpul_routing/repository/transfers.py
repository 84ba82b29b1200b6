"""Transfers to external parties; their names and addresses are encrypted, because they may name a person."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, LargeBinary, Uuid

from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.transfer import (
    Acknowledgement,
    ExternalParty,
    Transfer,
    TransferState,
    TransferSubject,
    TransferWay,
)
from simpul_routing.repository.access import Scope, in_scope, scope_parameters
from simpul_routing.stored_facts import transfer_context
from simpul_routing.tables import TransferRow
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction

_MOMENT = DateTime(timezone=True)
SELECT_TRANSFERS = """
    SELECT t.transfer_id, t.case_id, t.subject, t.way, t.party, t.sent_at, t.due_at, t.state, t.settled_at,
        t.acknowledgement, coalesce(p.merged_into, p.case_id) AS counts_in
    FROM transfer t JOIN case_plan p USING (case_id)"""
_OF_CASE = text(f"""{SELECT_TRANSFERS}
    WHERE p.case_id = :case_id OR p.merged_into = :case_id ORDER BY t.sent_at, t.transfer_id
""").bindparams(bindparam("case_id", type_=Uuid))
_LIST = text(f"""{SELECT_TRANSFERS}
    WHERE t.state = 'sent' AND (t.due_at, t.transfer_id) > (:due_at, :transfer_id) AND {in_scope("t.case_id")}
    ORDER BY t.due_at, t.transfer_id LIMIT :limit
""").bindparams(bindparam("due_at", type_=_MOMENT), bindparam("transfer_id", type_=Uuid), *scope_parameters())
_COUNT = text(f"""
    SELECT count(*) FROM transfer WHERE state = 'sent' AND {in_scope("case_id")}
""").bindparams(*scope_parameters())  # noqa: S608 - built from constants
_SETTLE = text("""
    UPDATE transfer SET state = :state, settled_at = :settled_at, acknowledgement = :acknowledgement
    WHERE transfer_id = :transfer_id
""").bindparams(bindparam("settled_at", type_=_MOMENT), bindparam("acknowledgement", type_=LargeBinary))


async def list_transfers(connection: AsyncConnection, keys: Keys, case_id: UUID) -> list[Transfer]:
    """Lists the transfers of a case and of its merged duplicates, the oldest first."""
    return [transfer_from_row(keys, row) for row in await connection.execute(_OF_CASE, {"case_id": case_id})]


async def list_open_transfers(
    connection: AsyncConnection, keys: Keys, after: tuple[datetime, UUID], limit: int, scope: Scope
) -> list[Transfer]:
    """Lists the transfers that nobody has acknowledged after a cursor, by deadline."""
    due_at, transfer_id = after
    values = {"due_at": due_at, "transfer_id": transfer_id, "limit": limit} | scope.bind()
    return [transfer_from_row(keys, row) for row in await connection.execute(_LIST, values)]


async def count_open_transfers(connection: AsyncConnection, scope: Scope) -> int:
    """Counts the transfers that nobody has acknowledged."""
    return int((await connection.execute(_COUNT, scope.bind())).scalar_one())


def transfer_from_row(keys: Keys, row: Any) -> Transfer:
    """Returns the transfer that a row of SELECT_TRANSFERS holds."""

    @cache
    def read_party() -> ExternalParty:
        return ExternalParty(**_decrypt(keys, row.transfer_id, row.party))

    @cache
    def read_acknowledgement() -> Acknowledgement | None:
        if not row.acknowledgement:
            return None
        found = _decrypt(keys, row.transfer_id, row.acknowledgement)
        return Acknowledgement(found["name"], found["office"], date.fromisoformat(found["received_on"]))

    return Transfer(
        row.transfer_id,
        row.case_id,
        TransferSubject(row.subject),
        TransferWay(row.way),
        row.sent_at,
        row.due_at,
        read_party,
        TransferState(row.state),
        row.settled_at,
        read_acknowledgement,
    )


async def save_transfers(transaction: Transaction, keys: Keys, file: CaseFile) -> None:
    """Saves new and settled transfers of a case."""
    for transfer_id, transfer in file.transfers.items():
        loaded = file.loaded_transfers.get(transfer_id)
        if loaded is None:
            _add_transfer(transaction, keys, transfer)
        elif transfer is not loaded:
            values = {
                "transfer_id": transfer_id,
                "state": transfer.state.value,
                "settled_at": transfer.settled_at,
                "acknowledgement": _encrypt_acknowledgement(keys, transfer),
            }
            await transaction.connection.execute(_SETTLE, values)


def _add_transfer(transaction: Transaction, keys: Keys, transfer: Transfer) -> None:
    party = _encrypt(keys, transfer.transfer_id, asdict(transfer.read_party()))
    row = {
        "transfer_id": transfer.transfer_id,
        "case_id": transfer.case_id,
        "subject": transfer.subject.value,
        "way": transfer.way.value,
        "party": party,
        "sent_at": transfer.sent_at,
        "due_at": transfer.due_at,
        "state": transfer.state.value,
        "settled_at": transfer.settled_at,
        "acknowledgement": _encrypt_acknowledgement(keys, transfer),
    }
    transaction.add_row(TransferRow, row)


def _encrypt_acknowledgement(keys: Keys, transfer: Transfer) -> bytes:
    found = transfer.read_acknowledgement()
    if found is None:
        return b""
    return _encrypt(keys, transfer.transfer_id, asdict(found) | {"received_on": found.received_on.isoformat()})


def _encrypt(keys: Keys, transfer_id: UUID, content: Mapping[str, str]) -> bytes:
    return keys.encrypt(json.dumps(content).encode(), associated_data=transfer_context(transfer_id))


def _decrypt(keys: Keys, transfer_id: UUID, stored: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(keys.decrypt(stored, associated_data=transfer_context(transfer_id)))
    return found
