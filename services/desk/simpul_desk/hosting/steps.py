"""Where a service stands for the people of its agency."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from simpul_agency.connectors.reply_command import ReplyKind
from simpul_agency.referral_view import ServiceView
from simpul_schema.messages import (
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralDeclinedV1,
    ReferralReroutedV1,
    ReplyReferralCompletedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralScheduledV1,
    ReplyReferralUnattendedV1,
)

_ENDED = {
    ReferralCompletedV1.WIRE_NAME: "completed",
    ReplyReferralCompletedV1.WIRE_NAME: "completed",
    ReferralDeclinedV1.WIRE_NAME: "declined",
    ReferralReroutedV1.WIRE_NAME: "declined",
    ReplyReferralDeclinedV1.WIRE_NAME: "declined",
    ReferralCancelledV1.WIRE_NAME: "cancelled",
}


class ServiceStep(StrEnum):
    """Where a service stands; what the city has yet to confirm counts already."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    UNATTENDED = "unattended"
    STARTED = "started"
    COMPLETED = "completed"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    REVOKED = "revoked"

    @property
    def has_started(self) -> bool:
        """Whether the child has been served, or will not be by this agency."""
        return self not in (ServiceStep.WAITING, ServiceStep.ACCEPTED, ServiceStep.SCHEDULED, ServiceStep.UNATTENDED)

    @property
    def can_start(self) -> bool:
        """Whether the service is accepted and has not begun."""
        return self in (ServiceStep.ACCEPTED, ServiceStep.SCHEDULED, ServiceStep.UNATTENDED)


def step_of(view: ServiceView) -> ServiceStep:
    """Returns where a service stands."""
    if not view.is_open:
        return ServiceStep(_ENDED.get(view.state, ServiceStep.REVOKED.value))
    if view.is_unanswered:
        return ServiceStep.WAITING
    if view.has_started:
        return ServiceStep.STARTED
    if view.state == ReplyReferralScheduledV1.WIRE_NAME:
        return ServiceStep.SCHEDULED
    return ServiceStep.UNATTENDED if view.state == ReplyReferralUnattendedV1.WIRE_NAME else ServiceStep.ACCEPTED


_NOT_STARTED: Final = frozenset(step for step in ServiceStep if step.can_start)
_TAKEN: Final = _NOT_STARTED | {ServiceStep.STARTED}
_STEPS_OF: Final[Mapping[ReplyKind, frozenset[ServiceStep]]] = {
    ReplyKind.ACCEPTED: frozenset({ServiceStep.WAITING}),
    ReplyKind.DECLINED: _TAKEN | {ServiceStep.WAITING},
    ReplyKind.SCHEDULED: _NOT_STARTED,
    ReplyKind.UNATTENDED: frozenset({ServiceStep.SCHEDULED}),
    ReplyKind.STARTED: _NOT_STARTED,
    ReplyKind.COMPLETED: _TAKEN,
}


def may_reply(reply: ReplyKind, step: ServiceStep | None) -> bool:
    """Whether this can be reported about a service that stands there; None is a service of another referral."""
    return step in _STEPS_OF.get(reply, frozenset())
