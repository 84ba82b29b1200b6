"""The clocks of a referral: when each starts, when its steps fall due, and what stops it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from simpul_agreement.engine import Origin
from simpul_agreement.model import (
    ADDRESSEE,
    KECAMATAN_OF_RESIDENCE,
    LEVEL_ABOVE,
    Agreement,
    Clause,
    ClockName,
    ClockRuns,
    EscalationLevel,
    Step,
)
from simpul_routing.domain.lifecycle import ReplyKind
from simpul_schema.vocabulary import ReferralRole, Service

_STEPS: Final = (Step.HALF, Step.DUE, Step.TWICE)
STOPPED_BY: Final[Mapping[ClockName, frozenset[ReplyKind]]] = MappingProxyType({
    ClockName.RECEIPT: frozenset(ReplyKind),
    ClockName.ANSWER: frozenset(ReplyKind) - {ReplyKind.DELIVERED, ReplyKind.SEEN},
    ClockName.POLICE_REPORT: frozenset(ReplyKind) - {ReplyKind.DELIVERED, ReplyKind.SEEN},
    ClockName.CONTACT: frozenset({ReplyKind.SCHEDULED, ReplyKind.STARTED, ReplyKind.COMPLETED, ReplyKind.DECLINED}),
    ClockName.SERVICE: frozenset({ReplyKind.STARTED, ReplyKind.COMPLETED, ReplyKind.DECLINED}),
    ClockName.HEALTH_WINDOW: frozenset({ReplyKind.STARTED, ReplyKind.COMPLETED, ReplyKind.DECLINED}),
    ClockName.TEMPORARY_PROTECTION: frozenset({ReplyKind.STARTED, ReplyKind.COMPLETED, ReplyKind.DECLINED}),
})  # fmt: skip
"""Replies that stop each clock. The clocks of a declined referral continue with the rerouted one. The other clocks of
the agreement do not belong to a referral; events of their own start them."""
_OF_EVERY_REFERRAL: Final = (ClockName.RECEIPT, ClockName.ANSWER)
"""Clocks of leads and supports; contact and start of the service concern the lead alone."""


@dataclass(frozen=True, slots=True)
class ReferralClock:
    """One deadline of one referral; `step` is the next to fall due, None after the last."""

    clock: ClockName
    started_at: datetime
    due_at: datetime
    step: Step | None = Step.HALF
    is_stopped: bool = False

    def moment_of(self, step: Step) -> datetime:
        """Returns when a step falls due."""
        return self.started_at + (self.due_at - self.started_at) * (int(step.value) / 100)

    @property
    def next_at(self) -> datetime | None:
        """When the next step falls due; None after the last."""
        return self.moment_of(self.step) if self.step else None

    def after_step(self, step: Step) -> "ReferralClock":
        """Returns the clock after a step was taken."""
        later = _STEPS[_STEPS.index(step) + 1 :]
        return replace(self, step=later[0] if later else None)


def clocks_for_referral(
    clauses: Iterable[Clause], service: Service, role: ReferralRole, start: datetime, zone: ZoneInfo,
    holidays: frozenset[date], *, police_since: datetime | None = None,
) -> list[ReferralClock]:  # fmt: skip
    """Returns the clocks of a referral by the clauses in force; the earliest deadline where several set one clock.

    `police_since`, for a referral to the police, is when the violence became known: the law sets the time within which
    the police must be informed, whatever the service (UU 12/2022 art. 41).
    """
    earliest: dict[ClockName, ReferralClock] = {}
    for clock in _clocks_by_clause(clauses, service, role, start, zone, holidays, police_since):
        known = earliest.get(clock.clock)
        if known is None or clock.due_at < known.due_at:
            earliest[clock.clock] = clock
    return list(earliest.values())


def _clocks_by_clause(
    clauses: Iterable[Clause], service: Service, role: ReferralRole, start: datetime, zone: ZoneInfo,
    holidays: frozenset[date], police_since: datetime | None,
) -> Iterator[ReferralClock]:  # fmt: skip
    for clause in clauses:
        match clause.effect:
            case ClockRuns(clock=ClockName.POLICE_REPORT as clock, within=within):
                if police_since:
                    yield ReferralClock(clock, police_since, within.due(police_since, zone, holidays))
            case ClockRuns(clock=clock, within=within, service=only) if clock in STOPPED_BY and only in (None, service):
                if role is ReferralRole.LEAD or clock in _OF_EVERY_REFERRAL:
                    yield ReferralClock(clock, start, within.due(start, zone, holidays))
            case _:
                continue


def continue_clock(clock: ReferralClock, now: datetime) -> ReferralClock:
    """Returns a clock of a declined referral for the rerouted one: only the receipt clock restarts."""
    if clock.clock is ClockName.RECEIPT:
        return ReferralClock(clock.clock, now, now + (clock.due_at - clock.started_at))
    return replace(clock, is_stopped=False)


def tighten_clocks(
    running: Iterable[ReferralClock], wanted: Iterable[ReferralClock], implied: frozenset[ReplyKind]
) -> list[ReferralClock]:
    """Returns the clocks that a replan changes: earlier deadlines and new clocks, never a later deadline.

    `implied` are replies that are no longer outstanding; a clock that one of them stops does not start. Steps that were
    taken are not repeated.
    """
    known = {clock.clock: clock for clock in running}
    changed = []
    for clock in wanted:
        before = known.get(clock.clock)
        if before is None:
            changed += [] if implied & STOPPED_BY[clock.clock] else [clock]
        elif not before.is_stopped and clock.due_at < before.due_at:
            changed.append(replace(clock, step=before.step))
    return changed


def relax_clocks(running: Iterable[ReferralClock], wanted: Iterable[ReferralClock]) -> list[ReferralClock]:
    """Returns the clocks that a lowered urgency changes, each with the deadline it would have had from the start."""
    within = {clock.clock: clock.due_at - clock.started_at for clock in wanted}
    return [
        replace(clock, due_at=clock.started_at + within[clock.clock])
        for clock in running
        if clock.clock in within and not clock.is_stopped
    ]


@dataclass(frozen=True, slots=True)
class Addressee:
    """The agency that a referral is addressed to, its kind, and the task force of its kecamatan if it has one."""

    agency: str
    kind: str
    kecamatan: str = ""


def escalation_targets(
    step: Step, clauses: Iterable[Clause], agreement: Agreement, addressee: Addressee, origin: Origin
) -> tuple[str, ...]:
    """Returns whom the escalation policy notifies at a step: the first available level and additional parties.

    Excluded agencies are left out.
    """
    for clause in clauses:
        match clause.effect:
            case EscalationLevel(step=at, to=to, also=also) if at is step:
                levels = [_resolve_level(selector, agreement, addressee, origin) for selector in to]
                additional = [_resolve_level(selector, agreement, addressee, origin) for selector in also]
                return tuple(dict.fromkeys(code for code in (*_first(levels), *additional) if code))
            case _:
                continue
    return ()


def targets_without_facts(step: Step, agreement: Agreement) -> tuple[str, ...]:
    """Returns whom a step notifies for a case that cannot be decrypted, so that its exclusions are unknown.

    These are the levels above every agency, and only from the deadline on (R6).
    """
    if step is Step.HALF:
        return ()
    above = {party.above for party in agreement.parties}
    return tuple(p.code for p in agreement.parties if p.code in above and p.kind is None and not p.part_of)


def _first(codes: Iterable[str]) -> tuple[str, ...]:
    return next(((code,) for code in codes if code), ())


def _resolve_level(selector: str, agreement: Agreement, addressee: Addressee, origin: Origin) -> str:
    if selector == ADDRESSEE:
        return addressee.agency
    code = selector
    if selector == LEVEL_ABOVE:
        # The level above depends on the agency, not on where the child lives.
        above = agreement.of_kind.get(addressee.kind)
        code = above.above if above else ""
        code = addressee.kecamatan if code == KECAMATAN_OF_RESIDENCE else code
    party = agreement.party_of.get(code)
    if party and party.part_of in origin.excluded:
        return ""
    return "" if code in origin.excluded else code
