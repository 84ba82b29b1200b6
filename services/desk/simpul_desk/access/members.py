"""Whom a person manages: leads the members of their agency, coordinators the leads; and recovery by two people."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from simpul_desk.access import audit
from simpul_desk.access.accounts import RECOVERY_LIFETIME, Accounts, Invitation, close_account
from simpul_desk.access.errors import NotManaged, RecoveryUnknown
from simpul_desk.access.management import may_confirm_recovery, may_manage, may_recover
from simpul_desk.access.repository import accounts
from simpul_desk.access.repository.accounts import LinkPurpose, Member, Recovery
from simpul_desk.access.session import new_secret
from simpul_desk.access.transactions import Transactions
from simpul_desk.access.user import AGENCY_ROLES, CITY_ROLES, Role, User


@dataclass(frozen=True, slots=True)
class MemberList:
    """Whom a person manages, and the recoveries that wait for them."""

    members: Sequence[Member]
    recoveries: Sequence[Recovery]
    """Those for which they are the second person."""
    confirmed: Sequence[Recovery]
    """Those that they started and a second person confirmed."""


class Members:
    """Members of agencies, as leads and coordinators change them."""

    def __init__(self, transactions: Transactions, accounts_of_desk: Accounts, agencies: Collection[str]) -> None:
        """Takes the codes of the city's agencies, in which alone somebody can be a member."""
        self._transactions = transactions
        self._agencies = agencies
        self._accounts = accounts_of_desk

    async def list(self, by: User, now: datetime) -> MemberList:
        """Lists whom a person manages, the recoveries that they may confirm, and those whose link they may take."""
        is_coordinator = Role.COORDINATOR in by.city_roles
        async with self._transactions.begin() as transaction:
            own = await accounts.list_members(
                transaction.connection, by.agencies_as(Role.AGENCY_LEAD), AGENCY_ROLES, now, everywhere=False
            )
            leads: Sequence[Member] = ()
            if is_coordinator:
                leads = await accounts.list_members(
                    transaction.connection, (), {Role.AGENCY_LEAD}, now, everywhere=True
                )
            waiting = await accounts.list_recoveries(transaction.connection, now)
        known = {(member.account_id, member.agency) for member in own}
        members = [*own, *(member for member in leads if (member.account_id, member.agency) not in known)]
        return MemberList(
            members,
            [one for one in waiting if _may_confirm(by, one)],
            [one for one in waiting if _may_take(by, one)],
        )

    async def invite(self, by: User, invitation: Invitation, now: datetime) -> str:
        """Invites a member; returns the secret of their link. Raises NotManaged and the errors of `Accounts.invite`."""
        if invitation.agency not in self._agencies or not may_manage(by, invitation.agency, invitation.role):
            raise NotManaged
        return await self._accounts.invite(invitation, now, by=by.id)

    async def end_membership(self, by: User, account_id: UUID, agency: str, now: datetime) -> None:
        """Ends a membership; without any other role the account is closed. Raises NotManaged."""
        async with self._transactions.begin() as transaction:
            held = await accounts.list_roles(transaction.connection, account_id)
            role = _role_in(agency, held)
            if role is None or account_id == by.id or not may_manage(by, agency, role):
                raise NotManaged
            await accounts.remove_role(transaction.connection, account_id, agency, role)
            if len(held) == 1:
                await close_account(transaction, account_id, now)
            transaction.record(audit.account_changed(account_id, "membership_ended", by.id, f"{agency}:{role.value}"))

    async def change_role(self, by: User, account_id: UUID, agency: str, role: Role, now: datetime) -> None:
        """Changes the role of a member. Raises NotManaged."""
        async with self._transactions.begin() as transaction:
            current = _role_in(agency, await accounts.list_roles(transaction.connection, account_id))
            is_managed = current is not None and may_manage(by, agency, current) and may_manage(by, agency, role)
            if current is None or account_id == by.id or not is_managed:
                raise NotManaged
            await accounts.remove_role(transaction.connection, account_id, agency, current)
            await accounts.add_role(transaction.connection, account_id, agency, role, now)
            detail = f"{agency}:{current.value}:{role.value}"
            transaction.record(audit.account_changed(account_id, "role_changed", by.id, detail))

    async def start_recovery(self, by: User, account_id: UUID, agency: str, now: datetime) -> None:
        """Starts the recovery of a member, which a second person confirms. Raises NotManaged."""
        async with self._transactions.begin() as transaction:
            held = await accounts.list_roles(transaction.connection, account_id)
            if not _may_start(by, account_id, agency, held):
                raise NotManaged
            await accounts.add_recovery(
                transaction.connection, uuid4(), account_id, agency, by.id, now + RECOVERY_LIFETIME
            )
            transaction.record(audit.account_changed(account_id, "recovery_started", by.id, agency))

    async def confirm_recovery(self, by: User, recovery_id: UUID, now: datetime) -> None:
        """Confirms a recovery as the second person, who never sees the link. Raises RecoveryUnknown.

        Whoever started it must still be allowed to: roles may have changed.
        """
        async with self._transactions.begin() as transaction:
            waiting = await accounts.list_recoveries(transaction.connection, now)
            found = next((one for one in waiting if one.recovery_id == recovery_id and _may_confirm(by, one)), None)
            if found is None:
                raise RecoveryUnknown
            starter = _holder(found.started_by, await accounts.list_roles(transaction.connection, found.started_by))
            held = await accounts.list_roles(transaction.connection, found.account_id)
            if not _may_start(starter, found.account_id, found.agency, held):
                raise RecoveryUnknown
            await accounts.confirm_recovery(transaction.connection, recovery_id, by.id)
            transaction.record(audit.account_changed(found.account_id, "recovery_confirmed", by.id, found.agency))

    async def take_recovery_link(self, by: User, recovery_id: UUID, now: datetime) -> str:
        """Returns, once, the secret of the link to whoever started a recovery that is confirmed.

        They must still be allowed to recover the account, whose roles may have changed. Raises RecoveryUnknown.
        """
        secret = new_secret()
        async with self._transactions.begin() as transaction:
            waiting = await accounts.list_recoveries(transaction.connection, now)
            found = next((one for one in waiting if one.recovery_id == recovery_id and _may_take(by, one)), None)
            if found is None:
                raise RecoveryUnknown
            held = await accounts.list_roles(transaction.connection, found.account_id)
            if not _may_start(by, found.account_id, found.agency, held):
                raise RecoveryUnknown
            await accounts.delete_recoveries(transaction.connection, found.account_id)
            await accounts.add_link(
                transaction.connection, found.account_id, secret, LinkPurpose.RECOVERY, now + RECOVERY_LIFETIME
            )
            transaction.record(audit.account_changed(found.account_id, "recovery_link_taken", by.id, found.agency))
        return secret


def _role_in(agency: str, held: Collection[tuple[str, Role]]) -> Role | None:
    """Returns a person's role as a member of an agency."""
    return next((role for code, role in held if code == agency and role in AGENCY_ROLES), None)


def _holder(account_id: UUID, held: Collection[tuple[str, Role]]) -> User:
    """Returns a person who need not be signed in, with the roles that they hold now."""
    return User(
        id=account_id,
        name="",
        language="",
        memberships={agency: role for agency, role in held if role in AGENCY_ROLES},
        city_roles={role: agency for agency, role in held if role in CITY_ROLES},
    )


def _may_start(by: User, account_id: UUID, agency: str, held: Collection[tuple[str, Role]]) -> bool:
    return account_id != by.id and _role_in(agency, held) is not None and may_recover(by, held)


def _may_take(by: User, recovery: Recovery) -> bool:
    return recovery.confirmed_by is not None and recovery.started_by == by.id


def _may_confirm(by: User, recovery: Recovery) -> bool:
    return recovery.confirmed_by is None and may_confirm_recovery(
        by, account_id=recovery.account_id, started_by=recovery.started_by, agency=recovery.agency
    )
