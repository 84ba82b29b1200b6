"""Who may give, take and recover access."""

from collections.abc import Collection
from uuid import UUID

from simpul_desk.access.user import AGENCY_ROLES, CITY_ROLES, SEE_CASES, Role, User


def may_manage(user: User, agency: str, role: Role) -> bool:
    """Whether a person may give this role in this agency, or take it.

    A lead manages every role in their agency, a coordinator the leads of all. Roles for the whole city are an
    operator's to give.
    """
    if role in AGENCY_ROLES and user.memberships.get(agency) is Role.AGENCY_LEAD:
        return True
    return role is Role.AGENCY_LEAD and Role.COORDINATOR in user.city_roles


def may_recover(user: User, held: Collection[tuple[str, Role]]) -> bool:
    """Whether a person may start the recovery of somebody who holds these roles.

    Whoever recovers an account could use all that it may do, so all of it must be theirs to give; an account with a
    role for the whole city is an operator's to recover.
    """
    is_of_agencies = bool(held) and CITY_ROLES.isdisjoint(role for _, role in held)
    if is_of_agencies and Role.COORDINATOR in user.city_roles:
        return any(role is Role.AGENCY_LEAD for _, role in held)
    return is_of_agencies and all(may_manage(user, agency, role) for agency, role in held)


def may_confirm_recovery(user: User, *, account_id: UUID, started_by: UUID, agency: str) -> bool:
    """Whether a person may be the second person of a recovery: another member of the agency, or a coordinator."""
    if user.id in (account_id, started_by):
        return False
    return user.memberships.get(agency) in SEE_CASES or Role.COORDINATOR in user.city_roles
