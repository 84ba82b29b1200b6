"""The deadlines of a referral: when each begins, when its steps fall due, and what stops it."""

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
from simpul_routing.domain.lifecycle import Said
from simpul_schema.vocabulary import ReferralRole, Service

_STEPS: Final = (Step.HALF, Step.DUE, Step.TWICE)
STOPPED_BY: Final[Mapping[ClockName, frozenset[Said]]] = MappingProxyType({
    ClockName.RECEIPT: frozenset(Said),
    ClockName.ANSWER: frozenset(Said) - {Said.DELIVERED, Said.SEEN},
    ClockName.POLICE_REPORT: frozenset(Said) - {Said.DELIVERED, Said.SEEN},
    ClockName.CONTACT: frozenset({Said.SCHEDULED, Said.STARTED, Said.COMPLETED, Said.DECLINED}),
    ClockName.SERVICE: frozenset({Said.STARTED, Said.COMPLETED, Said.DECLINED}),
    ClockName.HEALTH_WINDOW: frozenset({Said.STARTED, Said.COMPLETED, Said.DECLINED}),
    ClockName.TEMPORARY_PROTECTION: frozenset({Said.STARTED, Said.COMPLETED, Said.DECLINED}),
})  # fmt: skip
"""What the agency must say for a clock to stop. A declined referral's clocks go on with its successor. The other
clocks of the agreement are not of a referral: they begin with an event of their own."""
_OF_EVERY_REFERRAL: Final = (ClockName.RECEIPT, ClockName.ANSWER)
"""A supporting agency must answer; contact and beginning are the lead's."""


@dataclass(frozen=True, slots=True)
class Running:
    """One deadline of one referral; `step` is the next that falls due, None when all have."""

    clock: ClockName
    started_at: datetime
    due_at: datetime
    step: Step | None = Step.HALF
    is_stopped: bool = False

    def at(self, step: Step) -> datetime:
        """The moment a step falls due."""
        return self.started_at + (self.due_at - self.started_at) * (int(step.value) / 100)

    @property
    def next_at(self) -> datetime | None:
        """The moment the next step falls due."""
        return self.at(self.step) if self.step else None

    def after(self, step: Step) -> "Running":
        """The clock once a step has been taken."""
        following = _STEPS[_STEPS.index(step) + 1 :]
        return replace(self, step=following[0] if following else None)


def clocks_of(
    clauses: Iterable[Clause], service: Service, role: ReferralRole, start: datetime, zone: ZoneInfo,
    holidays: frozenset[date], *, police_since: datetime | None = None,
) -> list[Running]:  # fmt: skip
    """The deadlines of a referral, from the clauses that decide its case; of several on one clock the earliest.

    `police_since` is, for a referral to the police, when the violence was known: it must reach them in time, whatever
    they are asked for (UU 12/2022 art. 41).
    """
    earliest: dict[ClockName, Running] = {}
    for clock in _clocks_by_clause(clauses, service, role, start, zone, holidays, police_since):
        known = earliest.get(clock.clock)
        if known is None or clock.due_at < known.due_at:
            earliest[clock.clock] = clock
    return list(earliest.values())


def _clocks_by_clause(
    clauses: Iterable[Clause], service: Service, role: ReferralRole, start: datetime, zone: ZoneInfo,
    holidays: frozenset[date], police_since: datetime | None,
) -> Iterator[Running]:  # fmt: skip
    for clause in clauses:
        match clause.effect:
            case ClockRuns(clock=ClockName.POLICE_REPORT as clock, within=within):
                if police_since:
                    yield Running(clock, police_since, within.due(police_since, zone, holidays))
            case ClockRuns(clock=clock, within=within, service=only) if clock in STOPPED_BY and only in (None, service):
                if role is ReferralRole.LEAD or clock in _OF_EVERY_REFERRAL:
                    yield Running(clock, start, within.due(start, zone, holidays))
            case _:
                continue


def goes_on(clock: Running, now: datetime) -> Running:
    """A hand-over never buys time: the clocks of the first agency go on. Only a machine's receipt begins anew."""
    if clock.clock is ClockName.RECEIPT:
        return Running(clock.clock, now, now + (clock.due_at - clock.started_at))
    return replace(clock, is_stopped=False)


def tightened(running: Iterable[Running], wanted: Iterable[Running], said: frozenset[Said]) -> list[Running]:
    """What changes when a case is decided again: a deadline only comes nearer, and what is new begins.

    `said` is what the agency need not say any more. A step that was told is not told again.
    """
    known = {clock.clock: clock for clock in running}
    changed = []
    for clock in wanted:
        before = known.get(clock.clock)
        if before is None:
            changed += [] if said & STOPPED_BY[clock.clock] else [clock]
        elif not before.is_stopped and clock.due_at < before.due_at:
            changed.append(replace(clock, step=before.step))
    return changed


def relaxed(running: Iterable[Running], wanted: Iterable[Running]) -> list[Running]:
    """What changes when the risk was lowered by hand: each deadline as if it had been this one from the start."""
    within = {clock.clock: clock.due_at - clock.started_at for clock in wanted}
    return [
        replace(clock, due_at=clock.started_at + within[clock.clock])
        for clock in running
        if clock.clock in within and not clock.is_stopped
    ]


@dataclass(frozen=True, slots=True)
class Addressee:
    """The agency that has a referral, its kind, and for a task force of a kelurahan that of its own kecamatan."""

    agency: str
    kind: str
    kecamatan: str = ""


def told_at(
    step: Step, clauses: Iterable[Clause], agreement: Agreement, addressee: Addressee, origin: Origin
) -> tuple[str, ...]:
    """Whom the ladder tells at a step: the first who may be told, and whoever is told besides; nobody excluded."""
    for clause in clauses:
        match clause.effect:
            case EscalationLevel(step=at, to=to, also=also) if at is step:
                rungs = [_rung(selector, agreement, addressee, origin) for selector in to]
                besides = [_rung(selector, agreement, addressee, origin) for selector in also]
                return tuple(dict.fromkeys(code for code in (*_first(rungs), *besides) if code))
            case _:
                continue
    return ()


def _first(codes: Iterable[str]) -> tuple[str, ...]:
    return next(((code,) for code in codes if code), ())


def _rung(selector: str, agreement: Agreement, addressee: Addressee, origin: Origin) -> str:
    if selector == ADDRESSEE:
        return addressee.agency
    code = selector
    if selector == LEVEL_ABOVE:
        # The rung above an agency follows from the agency, not from where the child lives.
        above = agreement.of_kind.get(addressee.kind)
        code = above.above if above else ""
        code = addressee.kecamatan if code == KECAMATAN_OF_RESIDENCE else code
    party = agreement.party_of.get(code)
    if party and party.part_of in origin.excluded:
        return ""
    return "" if code in origin.excluded else code
