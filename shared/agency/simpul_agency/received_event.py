"""The event that a handler receives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Optional, TypeVar

from simpul_schema import Event, SectionContent
from simpul_schema.messages import ReferralAmendedV1, ReferralOfferedV1
from simpul_schema.messages.referral import ReferralFacts, RequestedService
from simpul_schema.messages.service_plan import ProposedPlan
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import DossierSection

E_co = TypeVar("E_co", bound=Event, covariant=True)


def new_services_of(event: Event) -> tuple[RequestedService, ...]:
    """Returns the services that an event asks for: all of an offer, and those that an amendment added."""
    if isinstance(event, ReferralOfferedV1):
        return event.data.services
    if isinstance(event, ReferralAmendedV1):
        return tuple(one for one in event.data.services if one.service_id in event.data.added)
    return ()


def listed_services(event: Event) -> Optional[tuple[Any, ...]]:
    """Returns the services that an event about a referral lists; None for every other event, such as a service plan."""
    listed = getattr(event.data, "services", None)  # type: ignore[attr-defined]  # every message class has data
    return listed if isinstance(listed, tuple) else None


@dataclass(frozen=True)
class ReceivedEvent(Generic[E_co]):
    """A verified event with its opened sections."""

    event: E_co
    facts: Optional[ReferralFacts] = field(default=None, repr=False)
    """The facts sealed to this agency; None when the event has none."""
    suggested_exclusions: tuple[str, ...] = field(default=(), repr=False)
    """Of `referral.exclusion_suggested.v1`: the codes of the agencies to decide about."""
    proposed_plan: Optional[ProposedPlan] = field(default=None, repr=False)
    """Of `referral.plan_proposed.v1`: the services to decide about."""
    dossier: Mapping[DossierSection, SectionContent] = field(default_factory=dict, repr=False)
    """Of `dossier.released.v1`: the content of each section that has not been withdrawn or replaced since."""
    traceparent: str = field(default="", repr=False)
    """The trace in which the city published the event; empty where it has none, and after a restart of the agency."""

    @property
    def data(self) -> Any:
        """The data of the event."""
        return self.event.data  # type: ignore[attr-defined]  # every message class has data

    @property
    def code(self) -> str:
        """The short code that people use for the referral, such as `R-7K3Q2M`."""
        return referral_code(self.data.referral_id)

    @property
    def new_services(self) -> tuple[RequestedService, ...]:
        """The services that this event asks for: all of an offer, and those that an amendment added."""
        return new_services_of(self.event)
