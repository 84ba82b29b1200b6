"""Takes absences and shifts from the leads of agencies, and keeps the roster in use up to date with them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from simpul_city import City
from simpul_notify.domain.roster_changes import (
    RefusedChange,
    RosterChange,
    judge_changes,
    judge_removal,
)
from simpul_notify.repository import roster_changes
from simpul_notify.roster import WatchedRoster
from simpul_runtime.assertions import Claims
from simpul_runtime.audit import AuditEntry
from simpul_runtime.database import utc_now
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transaction, Transactions

INTERVAL: Final = timedelta(seconds=10)
"""How late another process of notify learns what one of them was sent."""


class ChangeUnknown(LookupError):
    """The party has no such entry; it may have been removed, or be over."""


class ChangeRosters:
    """Changes the rosters of parties as their leads."""

    def __init__(self, transactions: Transactions, roster: WatchedRoster, city: City) -> None:
        self._transactions = transactions
        self._roster = roster
        self._zone = city.zone

    async def run(self) -> None:
        """Reads what was entered, also by other processes, until cancelled."""
        await repeat(self.read_again, INTERVAL, "roster_changes_not_read")

    async def read_again(self) -> list[str]:
        """Uses everything that was entered; as a check before the start it finds no problem."""
        async with self._transactions.begin() as transaction:
            found = await roster_changes.find_changes(transaction.connection, utc_now())
        self._roster.use_changes(found)
        return []

    async def find_changes(self, party: str) -> list[RosterChange]:
        """Finds the entries of a party that are not over."""
        async with self._transactions.begin() as transaction:
            return await _find_of_party(transaction, party)

    async def add(
        self, party: str, added: Sequence[RosterChange], by: Claims, *, is_preview: bool
    ) -> list[RefusedChange]:
        """Adds entries unless one of them is refused; a preview adds nothing. Returns what is refused."""
        async with self._transactions.begin() as transaction:
            await roster_changes.lock_changes(transaction)
            present = await _find_of_party(transaction, party)
            refused = judge_changes(self._roster.file_plan.duties[party], present, added, transaction.now, self._zone)
            if refused or is_preview:
                return refused
            roster_changes.add_changes(transaction, added, by.person)
            for change in added:
                transaction.record(_entry("added", change, by))
        await self.read_again()
        return []

    async def remove(self, party: str, change_id: UUID, by: Claims) -> RefusedChange | None:
        """Removes an entry unless it must stay; returns why it must. Raises ChangeUnknown."""
        async with self._transactions.begin() as transaction:
            await roster_changes.lock_changes(transaction)
            present = await _find_of_party(transaction, party)
            removed = next((one for one in present if one.change_id == change_id), None)
            if removed is None:
                raise ChangeUnknown
            duty = self._roster.file_plan.duties[party]
            if refused := judge_removal(duty, present, removed, transaction.now, self._zone):
                return refused
            await roster_changes.remove_change(transaction, change_id)
            transaction.record(_entry("removed", removed, by))
        await self.read_again()
        return None


async def _find_of_party(transaction: Transaction, party: str) -> list[RosterChange]:
    found = await roster_changes.find_changes(transaction.connection, transaction.now)
    return [one for one in found if one.party == party]


def _entry(done: str, change: RosterChange, by: Claims) -> AuditEntry:
    """Returns the entry of the audit: responders are references, and never names."""
    period = change.shift.period
    moments = "/".join(moment.isoformat(timespec="minutes") for moment in (period.start, period.end))
    detail = f"{change.shift.responder}:{moments}"
    return AuditEntry(f"roster.{change.kind}_{done}", f"roster/{change.party}", str(by.person), by.role.value, detail)
