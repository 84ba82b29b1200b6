"""The lifecycle of a referral as data: the state after each reply, and the replies that are refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from simpul_schema.vocabulary import DeclineReason, ReplyRefusal, Term, Urgency


class ReferralState(Term):
    """The state of a referral. Overdue is computed, never a state."""

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


_S = ReferralState
TRANSITIONS: Final[Mapping[tuple[ReferralState, ReplyKind], ReferralState]] = MappingProxyType(
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
        # An agency may decline after it accepted (R2: accept, then decline, and routing reroutes).
        **{
            (state, ReplyKind.DECLINED): _S.DECLINED
            for state in (_S.OFFERED, _S.DELIVERED, _S.SEEN, _S.ACCEPTED, _S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS)
        },
    }
)
"""Every other reply is refused, except late and repeated ones, which change nothing."""
TERMINAL: Final = frozenset({_S.COMPLETED, _S.REROUTED, _S.CANCELLED, _S.REVOKED, _S.ENTERED_IN_ERROR})
"""Without declined: routing reroutes a declined referral in the same transaction."""
IMPLIED_REPLIES: Final[Mapping[ReferralState, frozenset[ReplyKind]]] = MappingProxyType({
    _S.DELIVERED: frozenset({ReplyKind.DELIVERED}),
    _S.SEEN: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN}),
    _S.ACCEPTED: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN, ReplyKind.ACCEPTED}),
    _S.SCHEDULED: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN, ReplyKind.ACCEPTED, ReplyKind.SCHEDULED}),
    _S.UNATTENDED: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN, ReplyKind.ACCEPTED, ReplyKind.SCHEDULED}),
    _S.IN_PROGRESS: frozenset({ReplyKind.DELIVERED, ReplyKind.SEEN, ReplyKind.ACCEPTED, ReplyKind.STARTED}),
})  # fmt: skip
"""Replies that are no longer outstanding in each state, because they were sent or have become pointless."""
_RECEIPTS: Final = (ReplyKind.DELIVERED, ReplyKind.SEEN)
_OF_SERVICE: Final = frozenset({ReplyKind.SCHEDULED, ReplyKind.UNATTENDED, ReplyKind.STARTED, ReplyKind.COMPLETED})
_STATE_AFTER: Final = MappingProxyType({kind: state for (_, kind), state in TRANSITIONS.items()})
NOT_ACCEPTED: Final = frozenset({_S.OFFERED, _S.DELIVERED, _S.SEEN})
"""States before the agency accepted."""
_PAST_ACCEPTANCE: Final = frozenset({_S.SCHEDULED, _S.UNATTENDED, _S.IN_PROGRESS})
_OUT_OF_REACH: Final = frozenset({DeclineReason.OUTSIDE_MANDATE, DeclineReason.OUTSIDE_AREA})


@dataclass(frozen=True, slots=True)
class Standing:
    """What routing knows of a referral when a reply arrives."""

    agency: str
    state: ReferralState
    urgency: Urgency
    has_first_aid: bool
    """Whether the service ever started; whatever started counts as first aid."""

    @property
    def is_open(self) -> bool:
        """Whether the agency still has to act."""
        return self.state not in TERMINAL

    @property
    def has_begun(self) -> bool:
        """Whether the child is being served, so that new facts alone do not end the referral."""
        return self.is_open and (self.state is ReferralState.IN_PROGRESS or self.has_first_aid)


class Unchanged(StrEnum):
    """Why an allowed reply changes nothing."""

    LATE_OR_REPEATED = "late_or_repeated"


def judge_reply(  # noqa: PLR0911 - one return per rule
    standing: Standing | None, agency: str, kind: ReplyKind, reason: DeclineReason | None = None
) -> ReferralState | Unchanged | ReplyRefusal:
    """Returns the state after a reply, or why the reply changes nothing."""
    if standing is None:
        return ReplyRefusal.UNKNOWN_REFERRAL
    if standing.agency != agency:
        return ReplyRefusal.NOT_ITS_REFERRAL
    if kind in _RECEIPTS and (standing.state, kind) not in TRANSITIONS:
        # A late receipt carries no news, even after the referral has ended.
        return Unchanged.LATE_OR_REPEATED
    if standing.state is _STATE_AFTER[kind] and kind is not ReplyKind.SCHEDULED:
        return Unchanged.LATE_OR_REPEATED
    if standing.state is ReferralState.REROUTED:
        return ReplyRefusal.REROUTED
    if standing.state in TERMINAL:
        return ReplyRefusal.ALREADY_ENDED
    if kind in _OF_SERVICE and standing.state in NOT_ACCEPTED:
        return ReplyRefusal.NOT_YET_ACCEPTED
    if (
        kind is ReplyKind.DECLINED and reason in _OUT_OF_REACH and standing.urgency is Urgency.HIGH
        and not standing.has_first_aid
    ):  # fmt: skip
        return ReplyRefusal.FIRST_AID_FIRST
    if kind is ReplyKind.ACCEPTED and standing.state in _PAST_ACCEPTANCE:
        return Unchanged.LATE_OR_REPEATED
    return TRANSITIONS.get((standing.state, kind), ReplyRefusal.NOT_NOW)


def as_mermaid() -> str:
    """Renders the transitions as a Mermaid diagram, for the README."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, kind), after in TRANSITIONS.items():
        arrows.setdefault((state.value, after.value), []).append(kind.value)
    lines = ["stateDiagram-v2", "    [*] --> offered"]
    lines += [f"    {before} --> {after}: {', '.join(kinds)}" for (before, after), kinds in arrows.items()]
    lines += [
        "    declined --> rerouted: at once, by routing",
        "    offered --> cancelled: with its case or by the case manager, from any state",
        "    offered --> revoked: no longer needed after new facts, from any state",
        "    offered --> entered_in_error: by the case manager, from any state",
    ]
    lines += [f"    {state.value} --> [*]" for state in ReferralState if state in TERMINAL]
    return "\n".join(lines) + "\n"
