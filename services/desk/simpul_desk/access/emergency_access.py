"""Breaks the glass: opens one case for an hour, for a reason that a second person confirms, while leads learn of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_desk.access.errors import AccessUnknown, CaseUnknown, ReasonMissing
from simpul_desk.access.repository import emergency_access as repository
from simpul_desk.access.repository.emergency_access import EmergencyAccess
from simpul_desk.access.transactions import Transactions
from simpul_desk.access.user import SEE_CASES, Role, User
from simpul_runtime.audit import AuditEntry
from simpul_runtime.signing import Keys
from simpul_schema.references import read_code

DURATION: Final = timedelta(minutes=60)
"""From the confirmation on."""
CONFIRM_WITHIN: Final = timedelta(minutes=60)
"""A question that nobody confirms ends by itself."""
MIN_REASON: Final = 10
"""Characters of a reason that says something."""


@dataclass(frozen=True, slots=True)
class ShownAccess:
    """An access as people read it."""

    access: EmergencyAccess
    reason: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EmergencyLists:
    """What an emergency page shows a person."""

    own: Sequence[ShownAccess]
    waiting: Sequence[ShownAccess]
    """What they may confirm as the second person."""
    unread: Sequence[ShownAccess]
    """Accesses in what they lead or coordinate, of which they have not read yet."""


class EmergencyAccesses:
    """Emergency access to cases."""

    def __init__(self, transactions: Transactions, keys: Keys) -> None:
        self._transactions = transactions
        self._keys = keys

    async def request(self, user: User, agency: str, reference: str, reason: str, now: datetime) -> None:
        """Asks for access to the case of a reference; raises AccessUnknown, CaseUnknown and ReasonMissing.

        A case that is kept from the person, such as after a declared conflict, is unknown to them in an emergency too.
        """
        if user.memberships.get(agency) not in SEE_CASES:
            raise AccessUnknown
        if len(reason.strip()) < MIN_REASON:
            raise ReasonMissing
        code = read_code(reference)
        if code is None or code.kind != "case":
            raise CaseUnknown
        async with self._transactions.begin() as transaction:
            case_id = await repository.find_case(transaction.connection, code.first, code.last)
            if case_id is None or user.is_excluded(case_id):
                raise CaseUnknown
            access_id = uuid4()
            sealed = self._keys.encrypt(reason.strip().encode(), associated_data=_place(access_id))
            await repository.add_access(
                transaction.connection,
                {
                    "access_id": access_id,
                    "account_id": user.id,
                    "agency": agency,
                    "case_id": case_id,
                    "reason": sealed,
                    "requested_at": now,
                    "ends_at": now + CONFIRM_WITHIN,
                },
            )
            transaction.record(_entry("requested", case_id, user.id, access_id, agency))

    async def confirm(self, user: User, access_id: UUID, now: datetime) -> None:
        """Confirms an access as the second person, with which its hour begins; raises AccessUnknown."""
        async with self._transactions.begin() as transaction:
            found = await repository.find_access(transaction.connection, access_id, now)
            if found is None or found.confirmed_by is not None or not may_confirm(user, found):
                raise AccessUnknown
            await repository.confirm_access(transaction.connection, access_id, user.id, now + DURATION)
            transaction.record(_entry("confirmed", found.case_id, user.id, access_id, found.agency))

    async def end(self, user: User, access_id: UUID, now: datetime) -> None:
        """Ends an access early, by its person, a lead of the agency or a coordinator; raises AccessUnknown."""
        async with self._transactions.begin() as transaction:
            found = await repository.find_access(transaction.connection, access_id, now)
            if found is None or not (found.account_id == user.id or is_informed(user, found.agency)):
                raise AccessUnknown
            await repository.end_access(transaction.connection, access_id, now)
            transaction.record(_entry("ended", found.case_id, user.id, access_id, found.agency))

    async def read_case(self, user: User, case_id: UUID, now: datetime) -> EmergencyAccess:
        """Records that a person opens the case, each time, and returns by which access; raises AccessUnknown."""
        async with self._transactions.begin() as transaction:
            found = await repository.find_open_access(transaction.connection, user.id, case_id, now)
            if found is None or user.is_excluded(case_id) or found.agency not in user.memberships:
                raise AccessUnknown
            transaction.record(_entry("read", case_id, user.id, found.access_id, found.agency))
        return found

    async def acknowledge(self, user: User, access_id: UUID, now: datetime) -> None:
        """Records that a lead or coordinator has read of an access; raises AccessUnknown."""
        async with self._transactions.begin() as transaction:
            unread = await list_unread(transaction.connection, user)
            found = next((one for one in unread if one.access_id == access_id), None)
            if found is None:
                raise AccessUnknown
            await repository.mark_read(transaction.connection, access_id, user.id, now)
            transaction.record(_entry("notice_read", found.case_id, user.id, access_id, found.agency))

    async def list(self, user: User, now: datetime) -> EmergencyLists:
        """Lists what a person asked for, may confirm, and has to read."""
        agencies = user.agencies_as(*SEE_CASES)
        async with self._transactions.begin() as transaction:
            own = await repository.list_own(transaction.connection, user.id, now)
            waiting = await repository.list_waiting(
                transaction.connection, user.id, agencies, now, everywhere=Role.COORDINATOR in user.city_roles
            )
            unread = await list_unread(transaction.connection, user)
        may = [one for one in waiting if may_confirm(user, one)]
        return EmergencyLists(self._show(own), self._show(may), self._show(unread))

    def _show(self, found: Sequence[EmergencyAccess]) -> Sequence[ShownAccess]:
        return [
            ShownAccess(one, self._keys.decrypt(one.reason, associated_data=_place(one.access_id)).decode())
            for one in found
        ]


async def list_unread(connection: AsyncConnection, user: User) -> Sequence[EmergencyAccess]:
    """Lists the accesses of which a lead or coordinator has not read yet; nothing for anybody else."""
    is_everywhere, led = Role.COORDINATOR in user.city_roles, user.agencies_as(Role.AGENCY_LEAD)
    if not led and not is_everywhere:
        return []
    found = await repository.list_unread(connection, user.id, led, everywhere=is_everywhere)
    return [one for one in found if not user.is_excluded(one.case_id)]


def may_confirm(user: User, access: EmergencyAccess) -> bool:
    """Whether a person may be the second one: a colleague, or a coordinator, not kept from the case."""
    if user.id == access.account_id or user.is_excluded(access.case_id):
        return False
    return user.memberships.get(access.agency) in SEE_CASES or Role.COORDINATOR in user.city_roles


def is_informed(user: User, agency: str) -> bool:
    """Whether a person learns of emergency access in an agency: its leads, and the coordinators."""
    return user.memberships.get(agency) is Role.AGENCY_LEAD or Role.COORDINATOR in user.city_roles


def _entry(what: str, case_id: UUID, by: UUID, access_id: UUID, agency: str) -> AuditEntry:
    return AuditEntry(f"emergency.{what}", f"case/{case_id}", str(by), "", f"{agency} {access_id}")


def _place(access_id: UUID) -> str:
    return f"emergency_access/{access_id}/reason"
