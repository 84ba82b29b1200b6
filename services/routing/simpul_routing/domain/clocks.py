"""The clocks of a service: when each starts, when its steps fall due, and what stops it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from simpul_agreement.deadlines import Calendar, Within
from simpul_agreement.engine import Origin
from simpul_agreement.event_times import end_treatment_window
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
STOPPED_BY: Final[Mapping[ClockName, frozenset[ReplyKind]]] = MappingProxyType(
    {
        ClockName.RECEIPT: frozenset(ReplyKind),
        ClockName.ANSWER: frozenset(ReplyKind) - {ReplyKind.DELIVERED, ReplyKind.SEEN},
        ClockName.POLICE_REPORT: frozenset(ReplyKind) - {ReplyKind.DELIVERED, ReplyKind.SEEN},
        ClockName.CONTACT: frozenset({ReplyKind.SCHEDULED, ReplyKind.STARTED, ReplyKind.COMPLETED, ReplyKind.DECLINED}),
        ClockName.SERVICE: frozenset({ReplyKind.STARTED, ReplyKind.COMPLETED, ReplyKind.DECLINED}),
        ClockName.HEALTH_WINDOW: frozenset({ReplyKind.STARTED, ReplyKind.COMPLETED, ReplyKind.DECLINED}),
        ClockName.TEMPORARY_PROTECTION: frozenset({ReplyKind.STARTED, ReplyKind.COMPLETED, ReplyKind.DECLINED}),
    }
)
"""Replies that stop each clock. The clocks of a declined service continue with the rerouted one. The other clocks of
the agreement do not belong to a service; events of their own start them."""
ENDED_UNSEEN: Final = frozenset({ClockName.RECEIPT, ClockName.CONTACT, ClockName.WITHDRAWAL, ClockName.TRANSFER})
"""Clocks that may stop while the state of their service stays as the city's events show it."""
CLOCKS_OF_REFERRAL: Final = (ClockName.RECEIPT, ClockName.ANSWER)
"""Clocks that a referral has as a whole, for leads and supports; contact and start concern the lead of a service."""


@dataclass(frozen=True, slots=True)
class ReferralClock:
    """One deadline of one service; `step` is the next to fall due, None after the last."""

    clock: ClockName
    started_at: datetime
    due_at: datetime
    step: Step | None = Step.HALF
    stopped_at: datetime | None = None
    half_at: datetime | None = None
    """When half of the time has passed, if it is counted in office hours or working days."""
    twice_at: datetime | None = None

    @classmethod
    @lru_cache(maxsize=256)
    def start(
        cls, clock: ClockName, within: Within, start: datetime, zone: ZoneInfo, calendar: Calendar
    ) -> "ReferralClock":
        """Starts a clock with the time that a clause gives.

        The services of the cases that arrive together start the same clocks, and working time is slow to count.
        """
        due_at = within.due(start, zone, calendar)
        if not within.counts_working_time:
            return cls(clock, start, due_at)
        half_at, twice_at = within.half(start, zone, calendar), within.twice(start, zone, calendar)
        return cls(clock, start, due_at, half_at=half_at, twice_at=twice_at)

    @property
    def is_stopped(self) -> bool:
        """Whether the deadline was met or no longer matters."""
        return self.stopped_at is not None

    def moment_of(self, step: Step) -> datetime:
        """Returns when a step falls due."""
        counted = {Step.HALF: self.half_at, Step.TWICE: self.twice_at}.get(step)
        return counted or self.started_at + (self.due_at - self.started_at) * (int(step.value) / 100)

    @property
    def next_at(self) -> datetime | None:
        """When the next step falls due; None after the last, and for a stopped clock."""
        return self.moment_of(self.step) if self.step and not self.is_stopped else None

    def is_late(self, now: datetime) -> bool:
        """Whether the deadline passed before it was met; `now` is the end of a service that ended before."""
        return (self.stopped_at or now) > self.due_at

    @property
    def has_alerted(self) -> bool:
        """Whether people may have been alerted about it: at a step, or when a consent was withdrawn."""
        return self.step is not Step.HALF or self.clock is ClockName.WITHDRAWAL

    def last_step(self, offered_at: datetime, now: datetime) -> Step | None:
        """Returns the last step that was taken; a half that passed before the service was offered reminded nobody."""
        until = self.stopped_at or now
        taken = None
        for step in _STEPS:
            at = self.moment_of(step)
            if step is self.step or at > until:
                break
            taken = step if step is not Step.HALF or at > offered_at else taken
        return taken

    def after_step(self, step: Step) -> "ReferralClock":
        """Returns the clock after a step was taken."""
        later = _STEPS[_STEPS.index(step) + 1 :]
        return replace(self, step=later[0] if later else None)

    def stop(self, now: datetime) -> "ReferralClock":
        """Returns the clock stopped."""
        return replace(self, stopped_at=now)


def clocks_for_service(
    clauses: Iterable[Clause],
    service: Service,
    role: ReferralRole,
    start: datetime,
    zone: ZoneInfo,
    calendar: Calendar,
    *,
    police_since: datetime | None = None,
    window: tuple[datetime, datetime] | None = None,
) -> list[ReferralClock]:
    """Returns the clocks of a service by the clauses in force; the earliest deadline where several set one clock.

    `police_since`, for a service of the police, is when the violence became known: the law sets the time within which
    the police must be informed (UU 12/2022 art. 41). `window` is when the time for treatment and evidence began, and
    when the violence was reported; both are `start` by default.
    """
    earliest: dict[ClockName, ReferralClock] = {}
    for clock in _clocks_by_clause(clauses, service, role, start, zone, calendar, police_since, window):
        known = earliest.get(clock.clock)
        if known is None or clock.due_at < known.due_at:
            earliest[clock.clock] = clock
    return list(earliest.values())


def _clocks_by_clause(
    clauses: Iterable[Clause],
    service: Service,
    role: ReferralRole,
    start: datetime,
    zone: ZoneInfo,
    calendar: Calendar,
    police_since: datetime | None,
    window: tuple[datetime, datetime] | None,
) -> Iterator[ReferralClock]:
    for clause in clauses:
        match clause.effect:
            case ClockRuns(clock=ClockName.POLICE_REPORT as clock, within=within, service=only):
                if police_since and only in (None, service):
                    yield ReferralClock.start(clock, within, police_since, zone, calendar)
            case ClockRuns(clock=ClockName.HEALTH_WINDOW, within=within, service=only):
                if role is ReferralRole.LEAD and only in (None, service):
                    began, reported = window or (start, start)
                    yield _health_window(began, end_treatment_window(within, began, reported, zone, calendar), start)
            case ClockRuns(clock=clock, within=within, service=only) if clock in STOPPED_BY and only in (None, service):
                if role is ReferralRole.LEAD or clock in CLOCKS_OF_REFERRAL:
                    yield ReferralClock.start(clock, within, start, zone, calendar)
            case _:
                continue


def _health_window(began: datetime, due: datetime, now: datetime) -> ReferralClock:
    """Returns the clock without the reminder, if half of the time had passed before the referral."""
    clock = ReferralClock(ClockName.HEALTH_WINDOW, began, due)
    return clock if clock.moment_of(Step.HALF) > now else replace(clock, step=Step.DUE)


def continue_clock(clock: ReferralClock, now: datetime) -> ReferralClock:
    """Returns a clock of a declined service for the rerouted one: only the receipt clock restarts."""
    if clock.clock is ClockName.RECEIPT:
        return ReferralClock(clock.clock, now, now + (clock.due_at - clock.started_at))
    return replace(clock, stopped_at=None)


def continue_clocks(
    running: Iterable[ReferralClock], required: Iterable[ReferralClock], now: datetime
) -> list[ReferralClock]:
    """Returns the clocks of a service that continues another one: its clocks, with earlier deadlines where required.

    `required` are the clocks that the service would have without a predecessor.
    """
    continued = {clock.clock: continue_clock(clock, now) for clock in running}
    continued |= {clock.clock: clock for clock in tighten_clocks(continued.values(), required, frozenset())}
    return list(continued.values())


def find_answer_deadline(clocks: Iterable[ReferralClock], otherwise: datetime) -> datetime:
    """Returns when an answer is due by these clocks, or `otherwise`."""
    return next((clock.due_at for clock in clocks if clock.clock is ClockName.ANSWER), otherwise)


def find_referral_clocks(clocks: Collection[ReferralClock]) -> list[ReferralClock]:
    """Returns the receipt and answer clock of a referral, out of the clocks of its services.

    The one that falls due first counts while any runs; then the one that was met with the least time left.
    """
    of_referral = ([clock for clock in clocks if clock.clock is name] for name in CLOCKS_OF_REFERRAL)
    return [min(same, key=_time_left) for same in of_referral if same]


def _time_left(clock: ReferralClock) -> tuple[bool, float]:
    met_at = clock.stopped_at
    return met_at is not None, (clock.due_at - met_at).total_seconds() if met_at else clock.due_at.timestamp()


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
    """Returns the clocks that a lowered urgency changes, each with the deadline it would have had from the start.

    A deadline in office hours or working days is counted from now.
    """
    by_name = {clock.clock: clock for clock in wanted}
    return [_relax(clock, by_name[clock.clock]) for clock in running if clock.clock in by_name and not clock.is_stopped]


def _relax(running: ReferralClock, wanted: ReferralClock) -> ReferralClock:
    if wanted.half_at:
        return replace(wanted, started_at=running.started_at, step=running.step)
    due_at = running.started_at + (wanted.due_at - wanted.started_at)
    return replace(running, due_at=due_at, half_at=None, twice_at=None)


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
    return () if step is Step.HALF else find_top_levels(agreement, Origin())


def find_top_levels(agreement: Agreement, origin: Origin) -> tuple[str, ...]:
    """Returns the levels above every agency that are part of none."""
    above = {party.above for party in agreement.parties} - origin.excluded
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
