"""The lifecycle of a service of a referral as data: the state after each reply, and the replies that are refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from simpul_schema.vocabulary import DeclineReason, ReplyRefusal, Term, Urgency


class ServiceState(Term):
    """The state of a service of a referral. Overdue is computed, never a state."""

    OFFERED = "offered", "dikirim", "sent"
    DELIVERED = "delivered", "tersampaikan", "delivered"
    SEEN = "seen", "dilihat", "seen"
    ACCEPTED = "accepted", "diterima", "accepted"
    DECLINED = "declined", "tidak dapat dilayani", "cannot be served"
    SCHEDULED = "scheduled", "dijadwalkan", "scheduled"
    UNATTENDED = "unattended", "tidak hadir", "did not come"
    IN_PROGRESS = "in_progress", "dilayani", "being served"
    COMPLETED = "completed", "selesai", "completed"
    REROUTED = "rerouted", "dilimpahkan", "rerouted"
    CANCELLED = "cancelled", "dibatalkan", "cancelled"
    REVOKED = "revoked", "dicabut", "revoked"
    ENTERED_IN_ERROR = "entered_in_error", "salah input", "entered in error"


class ReplyKind(StrEnum):
    """The kinds of replies that an agency sends about a referral."""

    DELIVERED = "delivered"
    SEEN = "seen"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    SCHEDULED = "scheduled"
    UNATTENDED = "unattended"
    STARTED = "started"
    COMPLETED = "completed"


_S = ServiceState
TRANSITIONS: Final[Mapping[tuple[ServiceState, ReplyKind], ServiceState]] = MappingProxyType(
    {
        (_S.OFFERED, ReplyKind.DELIVERED): _S.DELIVERED,
        **{(state, ReplyKind.SEEN): _S.SEEN for state in (_S.OFFERED, _S.DELIVERED)},
        **{(state, ReplyKind.ACCEPTED): _S.ACCEPTED for state in (_S.OFFERED, _S.DELIVERED, _S.SEEN)},
        **{
            (state, ReplyKind.SCHEDULED): _S.SCHEDULED
            for state in (_S.ACCEPTED, _S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS)
        },
        (_S.SCHEDULED, ReplyKind.UNATTENDED): _S.UNATTENDED,
        **{(state, ReplyKind.STARTED): _S.IN_PROGRESS for state in (_S.ACCEPTED, _S.SCHEDULED, _S.UNATTENDED)},
        **{
            (state, ReplyKind.COMPLETED): _S.COMPLETED
            for state in (_S.ACCEPTED, _S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS)
        },
        # An agency may decline after it accepted: it hands over, and routing reroutes the service (R2).
        **{
            (state, ReplyKind.DECLINED): _S.DECLINED
            for state in (_S.OFFERED, _S.DELIVERED, _S.SEEN, _S.ACCEPTED, _S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS)
        },
    }
)
"""Every other reply is refused, except late and repeated ones, which change nothing."""
TERMINAL: Final = frozenset({_S.COMPLETED, _S.REROUTED, _S.CANCELLED, _S.REVOKED, _S.ENTERED_IN_ERROR})
"""Without declined: routing reroutes a declined service in the same transaction."""
IMPLIED_REPLIES: Final[Mapping[ServiceState, frozenset[ReplyKind]]] = MappingProxyType(
    {
        _S.DELIVERED: frozenset({ReplyKind.DELIVERED}),
        _S.SEEN: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN}),
        _S.ACCEPTED: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN, ReplyKind.ACCEPTED}),
        _S.SCHEDULED: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN, ReplyKind.ACCEPTED, ReplyKind.SCHEDULED}),
        _S.UNATTENDED: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN, ReplyKind.ACCEPTED, ReplyKind.SCHEDULED}),
        _S.IN_PROGRESS: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN, ReplyKind.ACCEPTED, ReplyKind.STARTED}),
    }
)
"""Replies that are no longer outstanding in each state, because they were sent or have become pointless."""
_RECEIPTS: Final = (ReplyKind.DELIVERED, ReplyKind.SEEN)
_OF_SERVICE: Final = frozenset({ReplyKind.SCHEDULED, ReplyKind.UNATTENDED, ReplyKind.STARTED, ReplyKind.COMPLETED})
_STATE_AFTER: Final = MappingProxyType({kind: state for (_, kind), state in TRANSITIONS.items()})
NOT_ACCEPTED: Final = frozenset({_S.OFFERED, _S.DELIVERED, _S.SEEN})
"""States before the agency accepted."""
_PAST_ACCEPTANCE: Final = frozenset({_S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS})
_INSUFFICIENT_IN_DANGER: Final = frozenset(
    {DeclineReason.OUTSIDE_MANDATE, DeclineReason.OUTSIDE_AREA, DeclineReason.OTHER}
)
"""Reasons with which no agency declines a child in danger before first aid (R3).

A reason of a later version of the contract is read as `other`, and may be one of these.
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What routing knows of a service when a reply arrives."""

    state: ServiceState
    urgency: Urgency
    has_first_aid: bool
    """Whether the service ever started; whatever started counts as first aid."""

    @property
    def is_open(self) -> bool:
        """Whether the agency still has to act."""
        return self.state not in TERMINAL

    @property
    def has_begun(self) -> bool:
        """Whether the child is being served, so that new facts alone do not end the service."""
        return self.is_open and (self.state is ServiceState.IN_PROGRESS or self.has_first_aid)


class Unchanged(StrEnum):
    """Why an allowed reply changes nothing."""

    LATE_OR_REPEATED = "late_or_repeated"


def judge_reply(  # noqa: PLR0911 - one return per rule
    standing: Standing, kind: ReplyKind, reason: DeclineReason | None = None
) -> ServiceState | Unchanged | ReplyRefusal:
    """Returns the state of a service after a reply of its agency, or why the reply changes nothing."""
    if kind in _RECEIPTS and (standing.state, kind) not in TRANSITIONS:
        # A late receipt carries no news, even after the service has ended.
        return Unchanged.LATE_OR_REPEATED
    if standing.state is _STATE_AFTER[kind] and kind is not ReplyKind.SCHEDULED:
        return Unchanged.LATE_OR_REPEATED
    if standing.state is ServiceState.REROUTED:
        return ReplyRefusal.REROUTED
    if standing.state in TERMINAL:
        return ReplyRefusal.ALREADY_ENDED
    if kind in _OF_SERVICE and standing.state in NOT_ACCEPTED:
        return ReplyRefusal.NOT_YET_ACCEPTED
    if (
        kind is ReplyKind.DECLINED
        and reason in _INSUFFICIENT_IN_DANGER
        and standing.urgency is Urgency.HIGH
        and not standing.has_first_aid
    ):
        return ReplyRefusal.FIRST_AID_FIRST
    if kind is ReplyKind.ACCEPTED and standing.state in _PAST_ACCEPTANCE:
        return Unchanged.LATE_OR_REPEATED
    return TRANSITIONS.get((standing.state, kind), ReplyRefusal.NOT_NOW)
