"""Who is alerted next, and when, while nobody has acknowledged an alert."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid4, uuid5

from simpul_notify.domain.alerts import ALARM_CLOCKS, REACT_WITHIN, Alert, Occasion
from simpul_notify.domain.escalation_policy import EscalationPolicy, Methods
from simpul_notify.domain.responders import Recipient, Responder, Roster
from simpul_schema.vocabulary import AlertChannel, Urgency

LATENESS: Final = timedelta(minutes=2)
"""A step that is taken later than this was delayed by an outage of ours, not by the person who was alerted."""
_REPORTS_HANDSET: Final = frozenset({AlertChannel.SMS})
"""Channels whose providers report the arrival at a handset; of the others, acceptance is all that is ever known."""


class EscalationState(StrEnum):
    """State of an escalation."""

    OPEN = "open"
    ENDED = "ended"
    """Somebody acknowledged it, or nobody needs it any more."""
    EXHAUSTED = "exhausted"
    """Everybody was alerted, and nobody acknowledged it; alerts that wait for a provider still leave."""


class Delivery(StrEnum):
    """How far an alert has come."""

    POSTPONED = "postponed"
    """The contact rules withhold it, so the responder was not alerted at all."""
    WAITING = "waiting"
    """No provider has accepted it yet."""
    ACCEPTED = "accepted"
    ON_HANDSET = "on_handset"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TriedMethod:
    """An alert that was recorded for an escalation."""

    recipient: Recipient
    began_at: datetime
    """When it was recorded; of a postponed one, when the responder may be contacted."""
    delivery: Delivery = Delivery.WAITING
    calls_others: bool = False
    """Whether the responder has answered that somebody else is needed."""
    is_acknowledged: bool = False
    """Whether the responder takes care of it."""

    @property
    def has_left(self) -> bool:
        """Whether a provider has accepted it."""
        return self.delivery in (Delivery.ACCEPTED, Delivery.ON_HANDSET)

    @property
    def has_arrived(self) -> bool:
        """Whether nothing more can be learned about its delivery, and it did not fail."""
        is_accepted = self.delivery is Delivery.ACCEPTED and self.recipient.channel not in _REPORTS_HANDSET
        return is_accepted or self.delivery is Delivery.ON_HANDSET


@dataclass(frozen=True, slots=True)
class Stage:
    """A responder who may be alerted, on whose behalf, and the contact methods to try in this order."""

    responder: str
    party: str
    methods: tuple[Recipient, ...]
    first_methods: int = 1
    """How many of them are used at once."""

    def recipients(self) -> tuple[Recipient, ...]:
        """Returns the recipients who are alerted first."""
        return self.methods[: self.first_methods]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done until then; None if nothing follows by time."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class AlertNext:
    """These recipients are alerted now, on behalf of this party."""

    recipients: tuple[Recipient, ...]
    party: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Somebody who was alerted before for another party takes care of it already."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Everybody who may be contacted was alerted, and nobody acknowledged it in time."""

    resumes_at: datetime | None = None
    """When the first of those whose alerts are postponed may be contacted; None if there are none."""


NextStep = Wait | AlertNext | Acknowledged | Exhausted


def ladder_of(
    roster: Roster,
    party: str,
    urgency: Urgency,
    policy: EscalationPolicy,
    excluded: frozenset[str] = frozenset(),
    *,
    leads_first: bool = False,
) -> list[Stage]:
    """Returns whom the policy tries, in order: who is on duty for the party, its leads, then the coordinator's people.

    With `leads_first` the party's leads come before those on duty. Excluded parties are left out (R6). A contact method
    that the urgency does not name comes after those that it names, and a further number of a person after the first
    ones of the named channels.
    """
    stages: dict[str, Stage] = {}
    for behalf, responders in _people_of(roster, party, leads_first=leads_first):
        for responder in responders if behalf not in excluded else ():
            stage = _stage_of(responder, behalf, roster.channels[urgency], policy)
            if stage.methods:
                stages.setdefault(responder.reference, stage)
    return list(stages.values())


def _people_of(roster: Roster, party: str, *, leads_first: bool) -> Iterator[tuple[str, Sequence[Responder]]]:
    own = [(party, roster.on_duty.get(party, ())), (party, roster.leads.get(party, ()))]
    yield from reversed(own) if leads_first else own
    yield roster.coordinator, roster.on_duty.get(roster.coordinator, ())
    yield roster.coordinator, roster.leads.get(roster.coordinator, ())


def _stage_of(responder: Responder, party: str, channels: Sequence[AlertChannel], policy: EscalationPolicy) -> Stage:
    rank = {channel: number for number, channel in enumerate(channels)}
    methods = sorted(
        responder.addresses, key=lambda one: (one.channel not in rank, one.position, rank.get(one.channel, 0))
    )
    first = sum(one.channel in rank and one.position == 1 for one in methods)
    return Stage(responder.reference, party, tuple(methods), max(first, 1) if policy.methods is Methods.PARALLEL else 1)


def next_step(
    ladder: Sequence[Stage],
    policy: EscalationPolicy,
    attempts: Sequence[TriedMethod],
    waiting_since: datetime,
    now: datetime,
) -> NextStep:
    """Returns what an escalation does next.

    The time that a person had counts from `waiting_since` at the earliest, which is later than an attempt if we were
    not able to act in between. A postponed alert takes nobody's turn: others are alerted meanwhile, and the responder
    has the whole time once the alert may leave.
    """
    if any(each.is_acknowledged for each in attempts) and not any(each.calls_others for each in attempts):
        return Acknowledged()
    listed = {stage.responder for stage in ladder}
    postponed = [each for each in attempts if each.delivery is Delivery.POSTPONED]
    begun = [each for each in attempts if each.delivery is not Delivery.POSTPONED]
    resumes_at = min((each.began_at for each in postponed if each.recipient.responder in listed), default=None)
    tried = {attempt.recipient.responder for attempt in attempts}
    next_stage = next((stage for stage in ladder if stage.responder not in tried), None)
    next_person = AlertNext(next_stage.recipients(), next_stage.party) if next_stage else Exhausted(resumes_at)
    current = _current_stage(ladder, begun)
    if current is None and resumes_at and policy.acknowledge_within is None:
        return Wait(resumes_at)
    if current is not None:
        own = [attempt for attempt in begun if attempt.recipient.responder == current.responder]
        if any(attempt.calls_others for attempt in own):
            return next_person
        withheld = {each.recipient for each in postponed if each.recipient.responder == current.responder}
        method, method_at = _next_method(current, policy, own, withheld, waiting_since, now)
        if method and method_at <= now:
            return AlertNext((method,), current.party)
        responder_at = _next_responder_at(policy, own, waiting_since, now, is_last_method=method is None)
        if responder_at is None or responder_at > now:
            times = (method_at if method else None, responder_at)
            return Wait(min((at for at in times if at), default=None))
    return next_person


def _current_stage(ladder: Sequence[Stage], attempts: Sequence[TriedMethod]) -> Stage | None:
    """Returns the responder who was alerted last and is still in the ladder."""
    began: dict[str, datetime] = {}
    for attempt in attempts:
        responder = attempt.recipient.responder
        began[responder] = min(began.get(responder, attempt.began_at), attempt.began_at)
    tried = [(began[stage.responder], position) for position, stage in enumerate(ladder) if stage.responder in began]
    return ladder[max(tried)[1]] if tried else None


def _next_method(
    stage: Stage,
    policy: EscalationPolicy,
    own: Sequence[TriedMethod],
    withheld: AbstractSet[Recipient],
    waiting_since: datetime,
    now: datetime,
) -> tuple[Recipient | None, datetime]:
    """Returns the next contact method of a responder and when it is used; None if one has arrived or none is left."""
    used = {attempt.recipient for attempt in own} | withheld
    for method in (one for one in stage.methods if one not in used):
        before = _attempts_before(method, own)
        if not any(attempt.has_arrived for attempt in before):
            pending = [attempt for attempt in before if attempt.delivery is not Delivery.FAILED]
            since = max((attempt.began_at for attempt in pending), default=None)
            return method, max(since, waiting_since) + policy.handset_within if since else now
    return None, now


def _attempts_before(method: Recipient, own: Sequence[TriedMethod]) -> list[TriedMethod]:
    """Returns the attempts that make a method superfluous when they arrive.

    A further number of a channel stands in for the earlier ones of the same channel: an accepted mail proves nothing
    about a phone that is switched off, but a phone that has reported the arrival does.
    """
    if method.position == 1:
        return list(own)
    return [
        attempt
        for attempt in own
        if attempt.recipient.channel is method.channel or attempt.delivery is Delivery.ON_HANDSET
    ]


def _next_responder_at(
    policy: EscalationPolicy,
    own: Sequence[TriedMethod],
    waiting_since: datetime,
    now: datetime,
    *,
    is_last_method: bool,
) -> datetime | None:
    if is_last_method and all(attempt.delivery is Delivery.FAILED for attempt in own):
        return now
    if policy.acknowledge_within is None:
        return None
    return max(waiting_since, min(attempt.began_at for attempt in own)) + policy.acknowledge_within


def restarts_wait(attempts: Sequence[TriedMethod], due_at: datetime, waiting_since: datetime, now: datetime) -> bool:
    """Whether the person gets the whole time once more, because nothing ran when the step fell due.

    Once for each alert, so that a permanently late process still moves on.
    """
    begun = (each.began_at for each in attempts if each.delivery is not Delivery.POSTPONED)
    latest = max(begun, default=waiting_since)
    return now - due_at > LATENESS and waiting_since <= latest


REPEAT_URGENT_AFTER: Final = timedelta(hours=4)
"""What is urgent and unanswered at twice its deadline is alerted about again after this time, again and again."""
REPEAT_AFTER: Final = timedelta(days=1)
"""The same for everything else."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """What a party must know because of one event, until somebody takes care of it."""

    escalation_id: UUID
    cause: UUID
    party: str
    referral_id: UUID
    case_id: UUID
    services: tuple[UUID, ...]
    agency: str
    urgency: Urgency
    deadline: datetime
    occasion: Occasion
    clock: str
    step: int = 0
    """The step of the clock that it is about: 50, 100 or 200; 0 for the referral or decision itself.

    What is at 200 is alerted about again until it is done; an alarm has 200 from the beginning.
    """
    event_at: datetime | None = None
    """When the event happened by its publisher; what was done after that settles it."""

    def alert_for(self, recipient: Recipient, party: str) -> Alert:
        """Builds the alert for a recipient; people of another party learn that this party has not reacted."""
        return Alert(
            uuid4(),
            self.cause,
            self.referral_id,
            self.case_id,
            self.services,
            recipient.responder,
            recipient.channel,
            self.urgency,
            self.deadline,
            self.occasion if party == self.party else Occasion.UNACKNOWLEDGED,
            self.clock,
            self.agency,
            party,
            for_parties=frozenset({self.party}),
            position=recipient.position,
        )

    def again(self, now: datetime) -> "Escalation":
        """Returns the same once more, of its own event; whoever has to call an agency gets a time to come."""
        is_call = self.clock in ALARM_CLOCKS.values()
        deadline = max(self.deadline, now + REACT_WITHIN) if is_call else self.deadline
        return replace(self, escalation_id=uuid4(), cause=uuid5(self.cause, "repeated"), deadline=deadline)

    def waits_until(self, resumes_at: datetime | None) -> bool:
        """Whether those whose alerts are postponed may be waited for; not where the deadline passes meanwhile."""
        return resumes_at is not None and resumes_at < self.deadline

    @property
    def leads_first(self) -> bool:
        """Whether it is a matter for the leads of the party: its own system, or its duties by law."""
        return self.occasion is Occasion.ALARM

    def policy_of(self, roster: Roster) -> EscalationPolicy:
        """Returns the policy of its urgency; without a time for what nobody has to acknowledge."""
        policy = roster.policies[self.urgency]
        if self.occasion.awaits_acknowledgement:
            return policy
        return EscalationPolicy(policy.methods, policy.handset_within, None)
