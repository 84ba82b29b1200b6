"""Judges a reply for each service of the referral that it is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from simpul_routing.domain.lifecycle import ReplyKind, ServiceState, Unchanged, judge_reply
from simpul_routing.domain.referral import Referral, ReferralService
from simpul_schema.vocabulary import DeclineReason, ReplyRefusal

_REASONS_BY_HELPFULNESS: Final = (
    ReplyRefusal.FIRST_AID_FIRST,
    ReplyRefusal.NOT_YET_ACCEPTED,
    ReplyRefusal.NOT_NOW,
    ReplyRefusal.REROUTED,
    ReplyRefusal.ALREADY_ENDED,
)
"""If a reply that names no service applies to none, the first of the reasons is given."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reply changes, and to which services it is refused."""

    changed: Mapping[UUID, ServiceState] = field(default_factory=dict)
    """The state after the reply, by service."""
    unchanged: tuple[UUID, ...] = ()
    """Services about which the reply is late or repeated."""
    refused: Mapping[ReplyRefusal, tuple[UUID, ...]] = field(default_factory=dict)
    """The services by reason; without any, the reply is refused as a whole."""


def judge_referral_reply(
    referral: Referral | None,
    agency: str,
    kind: ReplyKind,
    service_ids: Iterable[UUID] = (),
    reason: DeclineReason | None = None,
) -> Judgement:
    """Judges a reply about the services that it names, or about all of the referral.

    A reply that names no service is about those to which it applies; it is refused only if it applies to none and
    repeats nothing.
    """
    if referral is None:
        return Judgement(refused={ReplyRefusal.UNKNOWN_REFERRAL: ()})
    if referral.agency != agency:
        return Judgement(refused={ReplyRefusal.NOT_ITS_REFERRAL: ()})
    named = tuple(dict.fromkeys(service_ids))
    changed: dict[UUID, ServiceState] = {}
    unchanged: list[UUID] = []
    refused: dict[ReplyRefusal, tuple[UUID, ...]] = {}
    for service_id in named or referral.services:
        match _judge_service(referral.services.get(service_id), kind, reason):
            case ServiceState() as after:
                changed[service_id] = after
            case Unchanged():
                unchanged.append(service_id)
            case ReplyRefusal() as refusal:
                refused[refusal] = (*refused.get(refusal, ()), service_id)
    if not named and refused:
        applies = bool(changed or unchanged)
        refused = {} if applies else {min(refused, key=_REASONS_BY_HELPFULNESS.index): ()}
    return Judgement(changed, tuple(unchanged), refused)


def _judge_service(
    service: ReferralService | None, kind: ReplyKind, reason: DeclineReason | None
) -> ServiceState | Unchanged | ReplyRefusal:
    return ReplyRefusal.UNKNOWN_SERVICE if service is None else judge_reply(service.standing, kind, reason)
