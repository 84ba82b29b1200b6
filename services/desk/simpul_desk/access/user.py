"""Who uses the desk: people, their roles, and as whom they act at routing."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from uuid import UUID

from simpul_schema.vocabulary import ActorRole, Term


class Role(Term):
    """What a person does at the desk."""

    RESPONDER = "responder", "Petugas layanan", "Responder"
    CASE_MANAGER = "case_manager", "Pengelola kasus", "Case manager"
    AGENCY_LEAD = "agency_lead", "Pimpinan lembaga", "Agency lead"
    COORDINATOR = "coordinator", "Koordinator kasus", "Case coordinator"
    AUDITOR = "auditor", "Auditor", "Auditor"
    OPERATOR = "operator", "Operator sistem", "System operator"


AGENCY_ROLES: Final = frozenset({Role.RESPONDER, Role.CASE_MANAGER, Role.AGENCY_LEAD})
"""Roles in one agency; a person has at most one of them in each."""
CITY_ROLES: Final = frozenset(Role) - AGENCY_ROLES
"""Roles for the whole city, which a person holds for the agency that employs them."""
SEE_CASES: Final = AGENCY_ROLES | {Role.COORDINATOR}
"""Roles that see cases; an auditor sees who did what, an operator sees what the machines do."""

_AT_ROUTING: Final[Mapping[Role, ActorRole]] = MappingProxyType(
    {
        Role.RESPONDER: ActorRole.RESPONDER,
        Role.CASE_MANAGER: ActorRole.CASE_MANAGER,
        Role.AGENCY_LEAD: ActorRole.AGENCY_LEAD,
        Role.COORDINATOR: ActorRole.COORDINATOR,
        Role.OPERATOR: ActorRole.OPERATOR,
    }
)


class RoleNotHeld(LookupError):
    """The person does not hold the role in which they would act."""


@dataclass(frozen=True, slots=True)
class Actor:
    """As whom a person acts at routing."""

    person: UUID
    agency: str
    role: ActorRole


@dataclass(frozen=True, slots=True)
class User:
    """A person who is signed in."""

    id: UUID
    """Random reference, by which routing and the audit know the person."""
    name: str = field(repr=False)
    language: str
    """`id` or `en`."""
    memberships: Mapping[str, Role]
    """Code of an agency -> the person's role in it."""
    city_roles: Mapping[Role, str]
    """Role for the whole city -> code of the agency for which the person holds it."""
    excluded_cases: frozenset[UUID] = frozenset()
    """Cases that are kept from the person, such as after a declared conflict of interest."""
    session_id: UUID | None = None
    """The session by which they are signed in."""
    unread_notices: int = 0
    """Emergency accesses of which they have not read yet, as a lead or coordinator."""

    @property
    def roles(self) -> AbstractSet[Role]:
        """Every role that the person holds anywhere."""
        return frozenset(self.memberships.values()) | self.city_roles.keys()

    def agencies_as(self, *roles: Role) -> frozenset[str]:
        """Returns the agencies in which the person has one of these roles; with no role given, any."""
        wanted = frozenset(roles or AGENCY_ROLES)
        return frozenset(agency for agency, role in self.memberships.items() if role in wanted)

    def is_excluded(self, case_id: UUID) -> bool:
        """Whether the case is kept from the person."""
        return case_id in self.excluded_cases

    def act_in(self, agency: str) -> Actor:
        """Returns as whom the person acts as a member of an agency; raises RoleNotHeld."""
        try:
            return Actor(self.id, agency, _AT_ROUTING[self.memberships[agency]])
        except KeyError:
            raise RoleNotHeld from None

    def act_in_emergency(self, agency: str) -> Actor:
        """Returns as whom the person reads a case under emergency access; raises RoleNotHeld."""
        if agency not in self.memberships:
            raise RoleNotHeld
        return Actor(self.id, agency, ActorRole.EMERGENCY_READER)

    def act_as(self, role: Role) -> Actor:
        """Returns as whom the person acts in a role for the whole city; raises RoleNotHeld."""
        try:
            return Actor(self.id, self.city_roles[role], _AT_ROUTING[role])
        except KeyError:
            raise RoleNotHeld from None
