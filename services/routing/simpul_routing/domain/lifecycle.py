"""The life of a referral as data: which reply leads from which state to which, and what is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from simpul_schema.vocabulary import DeclineReason, ReplyRefusal, Term, Urgency


class ReferralState(Term):
    """Where a referral stands. Overdue is computed, never a state."""

    OFFERED = "offered", "dikirim", "sent"
    DELIVERED = "delivered", "tersampaikan", "delivered"
    SEEN = "seen", "dilihat", "seen"
    ACCEPTED = "accepted", "diterima", "accepted"
    DECLINED = "declined", "tidak dapat dilayani", "cannot be served"
    SCHEDULED = "scheduled", "dijadwalkan", "scheduled"
    UNATTENDED = "unattended", "tidak hadir", "did not come"
    IN_PROGRESS = "in_progress", "dilayani", "being served"
    COMPLETED = "completed", "selesai", "completed"
    REROUTED = "rerouted", "dilimpahkan", "handed over"
    CANCELLED = "cancelled", "dibatalkan", "cancelled"
    REVOKED = "revoked", "dicabut", "revoked"
    ENTERED_IN_ERROR = "entered_in_error", "salah input", "entered in error"


class Said(StrEnum):
    """What an agency says about a referral."""

    DELIVERED = "delivered"
    SEEN = "seen"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    SCHEDULED = "scheduled"
    UNATTENDED = "unattended"
    STARTED = "started"
    COMPLETED = "completed"


_S = ReferralState
TRANSITIONS: Final[Mapping[tuple[ReferralState, Said], ReferralState]] = MappingProxyType({
    (_S.OFFERED, Said.DELIVERED): _S.DELIVERED,
    **{(state, Said.SEEN): _S.SEEN for state in (_S.OFFERED, _S.DELIVERED)},
    **{(state, Said.ACCEPTED): _S.ACCEPTED for state in (_S.OFFERED, _S.DELIVERED, _S.SEEN)},
    **{(state, Said.SCHEDULED): _S.SCHEDULED for state in (_S.ACCEPTED, _S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS)},
    (_S.SCHEDULED, Said.UNATTENDED): _S.UNATTENDED,
    **{(state, Said.STARTED): _S.IN_PROGRESS for state in (_S.ACCEPTED, _S.SCHEDULED, _S.UNATTENDED)},
    **{(state, Said.COMPLETED): _S.COMPLETED for state in (_S.ACCEPTED, _S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS)},
    # An agency may find out at any time that it cannot go on (R2: accept, then hand over).
    **{(state, Said.DECLINED): _S.DECLINED for state in (
        _S.OFFERED, _S.DELIVERED, _S.SEEN, _S.ACCEPTED, _S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS
    )},
})  # fmt: skip
"""What is not here is refused, except what comes late or twice, which changes nothing."""
TERMINAL: Final = frozenset({_S.COMPLETED, _S.REROUTED, _S.CANCELLED, _S.REVOKED, _S.ENTERED_IN_ERROR})
"""Declined is not among them: a declined referral is handed over in the same transaction."""
SAID_BEFORE: Final[Mapping[ReferralState, frozenset[Said]]] = MappingProxyType({
    _S.DELIVERED: frozenset({Said.DELIVERED}),
    _S.SEEN: frozenset({Said.DELIVERED, Said.SEEN}),
    _S.ACCEPTED: frozenset({Said.DELIVERED, Said.SEEN, Said.ACCEPTED}),
    _S.SCHEDULED: frozenset({Said.DELIVERED, Said.SEEN, Said.ACCEPTED, Said.SCHEDULED}),
    _S.UNATTENDED: frozenset({Said.DELIVERED, Said.SEEN, Said.ACCEPTED, Said.SCHEDULED}),
    _S.IN_PROGRESS: frozenset({Said.DELIVERED, Said.SEEN, Said.ACCEPTED, Said.STARTED}),
})  # fmt: skip
"""What an agency has said, or need not say any more, when its referral stands there."""
_RECEIPTS: Final = (Said.DELIVERED, Said.SEEN)
_OF_SERVICE: Final = frozenset({Said.SCHEDULED, Said.UNATTENDED, Said.STARTED, Said.COMPLETED})
_RESULT: Final = MappingProxyType({said: state for (_, said), state in TRANSITIONS.items()})
NOT_ACCEPTED: Final = frozenset({_S.OFFERED, _S.DELIVERED, _S.SEEN})
"""The agency has not taken it yet."""
_PAST_ACCEPTANCE: Final = frozenset({_S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS})
_OUT_OF_REACH: Final = frozenset({DeclineReason.OUTSIDE_MANDATE, DeclineReason.OUTSIDE_AREA})


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a referral when a reply about it arrives."""

    agency: str
    state: ReferralState
    urgency: Urgency
    has_first_aid: bool
    """Whether the service has ever begun; what was begun is first aid."""

    @property
    def is_open(self) -> bool:
        """Whether something is still asked of the agency."""
        return self.state not in TERMINAL

    @property
    def has_begun(self) -> bool:
        """Whether the child is being served, so that facts alone do not end it."""
        return self.is_open and (self.state is ReferralState.IN_PROGRESS or self.has_first_aid)


class Unchanged(StrEnum):
    """Why an allowed reply changes nothing."""

    LATE_OR_REPEATED = "late_or_repeated"


def judge_reply(  # noqa: PLR0911 - one sentence of the rules for each
    standing: Standing | None, agency: str, said: Said, reason: DeclineReason | None = None
) -> ReferralState | Unchanged | ReplyRefusal:
    """The state after a reply, or why there is none."""
    if standing is None:
        return ReplyRefusal.UNKNOWN_REFERRAL
    if standing.agency != agency:
        return ReplyRefusal.NOT_ITS_REFERRAL
    if said in _RECEIPTS and (standing.state, said) not in TRANSITIONS:
        # A receipt that was overtaken says nothing new, also when the referral has ended meanwhile.
        return Unchanged.LATE_OR_REPEATED
    if standing.state is _RESULT[said] and said is not Said.SCHEDULED:
        return Unchanged.LATE_OR_REPEATED
    if standing.state is ReferralState.REROUTED:
        return ReplyRefusal.REROUTED
    if standing.state in TERMINAL:
        return ReplyRefusal.ALREADY_ENDED
    if said in _OF_SERVICE and standing.state in NOT_ACCEPTED:
        return ReplyRefusal.NOT_YET_ACCEPTED
    if (
        said is Said.DECLINED and reason in _OUT_OF_REACH and standing.urgency is Urgency.HIGH
        and not standing.has_first_aid
    ):  # fmt: skip
        return ReplyRefusal.FIRST_AID_FIRST
    if said is Said.ACCEPTED and standing.state in _PAST_ACCEPTANCE:
        return Unchanged.LATE_OR_REPEATED
    return TRANSITIONS.get((standing.state, said), ReplyRefusal.NOT_NOW)


def as_mermaid() -> str:
    """The table as a diagram, for the README."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, said), after in TRANSITIONS.items():
        arrows.setdefault((state.value, after.value), []).append(said.value)
    lines = ["stateDiagram-v2", "    [*] --> offered"]
    lines += [f"    {before} --> {after}: {', '.join(said)}" for (before, after), said in arrows.items()]
    lines += [
        "    declined --> rerouted: at once, by routing",
        "    offered --> cancelled: with its case or taken back, from any state",
        "    offered --> revoked: no longer asked after new facts, from any state",
        "    offered --> entered_in_error: by the case manager, from any state",
    ]
    lines += [f"    {state.value} --> [*]" for state in ReferralState if state in TERMINAL]
    return "\n".join(lines) + "\n"
