"""How long people may take before the next contact method or the next person is tried."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from simpul_schema.vocabulary import Urgency


class Methods(StrEnum):
    """How the contact methods of one responder are used."""

    PARALLEL = "parallel"
    IN_TURN = "in_turn"


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """How long people may take, for one urgency."""

    methods: Methods
    handset_within: timedelta
    """Without a report that it arrived at the handset, the next contact method is used after this time."""
    acknowledge_within: timedelta | None
    """Without an acknowledgement, the next responder is alerted after this time; None if nobody must acknowledge."""


DEFAULT_POLICIES: Final[Mapping[Urgency, EscalationPolicy]] = MappingProxyType(
    {
        Urgency.HIGH: EscalationPolicy(Methods.PARALLEL, timedelta(minutes=2), timedelta(minutes=5)),
        Urgency.MEDIUM: EscalationPolicy(Methods.PARALLEL, timedelta(minutes=15), timedelta(hours=1)),
        Urgency.LOW: EscalationPolicy(Methods.PARALLEL, timedelta(hours=4), None),
    }
)
"""For a roster without policies of its own. High: two responders are tried within the 15 minutes of the agreement."""
