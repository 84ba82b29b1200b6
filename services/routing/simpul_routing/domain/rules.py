"""The agreement and the city at one moment: what they demand of a case."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Protocol
from uuid import UUID, uuid4

from simpul_agreement.engine import Decision, Engines
from simpul_agreement.facts import AgencyKind
from simpul_agreement.model import Agreement
from simpul_city import City
from simpul_routing.domain.capacity import Capacities
from simpul_routing.domain.clocks import Addressee, ReferralClock, clocks_for_service
from simpul_routing.domain.facts import CaseFacts
from simpul_schema.vocabulary import ReferralRole, Service, Urgency


class AgreementVersions(Protocol):
    """The versions of the agreement that may decide."""

    def active(self, now: datetime) -> Engines:
        """Returns the version for new decisions."""

    def of(self, version: str) -> Engines:
        """Returns the version that an earlier decision was made by."""


@dataclass(frozen=True)
class Rules:
    """The versions of the agreement and the city, at the time of a change."""

    versions: AgreementVersions
    city: City
    now: datetime
    new_id: Callable[[], UUID] = field(default=uuid4, compare=False)
    capacities: Capacities = field(default_factory=Capacities, compare=False)
    """What agencies stated that they can take; nothing by default."""

    @cached_property
    def active(self) -> Engines:
        """The version for new decisions."""
        return self.versions.active(self.now)

    @property
    def agreement(self) -> Agreement:
        """The text of the version for new decisions."""
        return self.active.agreement

    @property
    def today(self) -> date:
        """The day in the city."""
        return self.now.astimezone(self.city.zone).date()

    def decide(self, facts: CaseFacts, urgency: Urgency | None = None) -> Decision:
        """Decides by the active version; `urgency` overrides the urgency by the facts."""
        return self.decide_by(self.active, self.now, facts, urgency)

    def decide_by(self, engines: Engines, at: datetime, facts: CaseFacts, urgency: Urgency | None) -> Decision:
        """Decides by the clauses of a version that were valid on the day of `at`."""
        engine = engines.on(at.astimezone(self.city.zone).date())
        return engine.decide(facts.situation, facts.origin, by_hand=urgency)

    def required_clocks(
        self,
        decision: Decision,
        facts: CaseFacts,
        service: Service,
        role: ReferralRole,
        agency: str,
        known_at: datetime | None = None,
        outstanding: Service | None = None,
    ) -> list[ReferralClock]:
        """Returns the clocks of a service that is offered now, by its urgency.

        `known_at` is when the violence became known, now by default; the time to inform the police runs from then.
        `outstanding` is the service that a manual triage stands for; its urgency counts then.
        """
        is_police = self.city.kinds.get(agency) == AgencyKind.POLICE or service is Service.POLICE_REPORT
        clauses = decision.clocks_of(decision.terms_of(outstanding or service))
        return clocks_for_service(
            clauses,
            service,
            role,
            self.now,
            self.city.zone,
            self.agreement.calendar,
            police_since=(known_at or self.now) if is_police else None,
            window=facts.find_window_start(self.now),
        )

    def find_mandate(self, agency: str) -> frozenset[Service]:
        """Returns the services that an agency may be offered; none for an agency that the city does not have."""
        agreement, kind = self.agreement, self.city.kinds.get(agency, "")
        party = agreement.party_of.get(agency) or agreement.of_kind.get(kind)
        return party.services if party and agency in self.city.agency_codes else frozenset()

    def list_agencies_for(self, service: Service, excluded: AbstractSet[str]) -> tuple[str, ...]:
        """Lists the agencies that may be offered a service, in the order of the city, without the excluded ones."""
        return tuple(
            agency.code
            for agency in self.city.agencies
            if agency.code not in excluded and service in self.find_mandate(agency.code)
        )

    def addressee(self, agency: str) -> Addressee:
        """Returns an agency as the escalation policy sees it."""
        return Addressee(agency, self.city.kinds.get(agency, ""), self.city.kecamatan_of.get(agency, ""))
