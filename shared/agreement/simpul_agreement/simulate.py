"""Simulates a year of invented reports: the workload of each agency, deadlines met, escalations."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from heapq import heappop, heappush
from statistics import median, quantiles
from typing import Final, NamedTuple

from simpul_agreement.deadlines import Within
from simpul_agreement.engine import Decision, Engines
from simpul_agreement.model import Agreement, Phase, PlanDeadline
from simpul_agreement.plan import NO_RULE_WITHIN, PlannedReferral, plan_case
from simpul_agreement.reports import Report
from simpul_city import City
from simpul_schema.vocabulary import ReferralRole, Service, Urgency

_REACTION: Final[Mapping[Urgency, float]] = {Urgency.HIGH: 5, Urgency.MEDIUM: 50, Urgency.LOW: 600}
"""Median minutes until somebody opens a referral while the office is open."""
_ON_DUTY_FACTOR: Final = 1.8
"""Reaction time outside office hours, relative to office hours."""
_SPREAD: Final = 0.8
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
NIGHT: Final = range(22, 24 + 7)
"""The hours from 22:00 to 07:00 of the next day."""
_WARDS: Final = "satgas-kel-"
_WORK: Final = (2, 6)
"""Minutes that one service takes an agency, from and to; later ones wait."""


class Steps(NamedTuple):
    """When the steps of a deadline fall due."""

    half: datetime
    due: datetime
    twice: datetime


@dataclass(slots=True)
class Load:
    """The workload of one agency in a year."""

    referrals: int = 0
    """One for each case; services that are asked later join it."""
    services: int = 0
    led: int = 0
    minutes: list[float] = field(default_factory=list)
    met: int = 0
    reminded: int = 0
    escalated: int = 0
    twice_overdue: int = 0
    messages: int = 0
    night_messages: int = 0
    free_at: datetime = _LONG_AGO

    @property
    def median_minutes(self) -> float:
        """Median time to answer."""
        return median(self.minutes) if self.minutes else 0.0

    @property
    def slow_minutes(self) -> float:
        """90th percentile of the time to answer."""
        return quantiles(self.minutes, n=10)[-1] if len(self.minutes) > 1 else self.median_minutes

    @property
    def met_share(self) -> float:
        """Share of answers within the deadline."""
        return self.met / self.services if self.services else 1.0


def combine_loads(loads: Sequence[Load]) -> Load:
    """The combined workload of several agencies."""
    names = (
        "referrals",
        "services",
        "led",
        "met",
        "reminded",
        "escalated",
        "twice_overdue",
        "messages",
        "night_messages",
    )
    sums = {name: sum(getattr(load, name) for load in loads) for name in names}
    return Load(**sums, minutes=[minutes for load in loads for minutes in load.minutes])


@dataclass(slots=True)
class CaseLoad:
    """What one case sends out."""

    referrals: int = 0
    """One for each agency."""
    at_once: int = 0
    """Those of them that are sent at once; the others follow with the service plan."""
    services: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Year:
    """The result of a simulation."""

    reports: int
    loads: Mapping[str, Load]
    by_month: Sequence[int]
    urgency: Mapping[Urgency, int]
    cases: Sequence[CaseLoad] = ()
    nights: Mapping[date, int] = field(default_factory=dict)
    """Night, by the day on which it begins -> messages; nights without a message are not listed."""

    def rows(self) -> list[tuple[str, Load]]:
        """Agencies by workload, highest first; the task forces of the kelurahan are one row."""
        wards = {code: load for code, load in self.loads.items() if code.startswith(_WARDS)}
        rows = [(code, load) for code, load in self.loads.items() if code not in wards]
        rows += [(f"{_WARDS}* ({len(wards)})", combine_loads(list(wards.values())))] if wards else []
        return sorted(rows, key=lambda row: -row[1].referrals)


def simulate(agreement: Agreement, city: City, reports: Sequence[Report], seed: int) -> Year:
    """Simulates the reports and the agencies' answers; the same seed gives the same result."""
    year = _Simulation(agreement, city, random.Random(seed))
    cases = [year.open_case(report) for report in sorted(reports, key=lambda report: report.received_at)]
    year.send_plans()
    return Year(len(reports), dict(year.loads), year.months, year.urgencies, cases, year.nights)


@dataclass(frozen=True, slots=True)
class _ConfirmedPlan:
    """What is sent when the service plan of a case is confirmed."""

    case: CaseLoad
    decision: Decision
    services: Sequence[PlannedReferral]
    informed: set[str]
    """The agencies that have a referral of the case already."""


class _Simulation:
    """A year in which cases are opened, and plans sent, in the order of time."""

    def __init__(self, agreement: Agreement, city: City, chance: random.Random) -> None:
        self._agreement = agreement
        self._city = city
        self._chance = chance
        self._engines = Engines(agreement)
        self.loads: dict[str, Load] = defaultdict(Load)
        self.months = [0] * 12
        self.urgencies = dict.fromkeys(Urgency, 0)
        self.nights: Counter[date] = Counter()
        self._plans: list[tuple[datetime, int, _ConfirmedPlan]] = []
        """A heap of the plans to send, by time and number."""

    def open_case(self, report: Report) -> CaseLoad:
        """Sends what is needed at once; what the service plan adds follows when it is confirmed."""
        self.send_plans(report.received_at)
        now, zone = report.received_at, self._city.zone
        situation, origin = report.situation(self._agreement)
        decision = self._engines.on(now.astimezone(zone).date()).decide(situation, origin)
        plan = plan_case(decision, self._agreement, origin, now, zone)
        self.urgencies[plan.urgency] += 1
        at_once = [referral for referral in plan.referrals if referral.phase is Phase.IMMEDIATE]
        planned = [referral for referral in plan.referrals if referral.phase is Phase.PLANNED]
        case = CaseLoad()
        informed = self._send(case, decision, at_once, now, set())
        case.at_once = case.referrals
        if planned:
            manager = next((r.agency for r in at_once if r.service is Service.CASE_MANAGEMENT), self._agreement.hub)
            confirmed_at = self._confirm_plan(case, manager, decision.plan_deadline, now)
            confirmed = _ConfirmedPlan(case, decision, planned, informed)
            heappush(self._plans, (confirmed_at, sum(self.urgencies.values()), confirmed))
        return case

    def send_plans(self, until: datetime | None = None) -> None:
        """Sends the plans that were confirmed until then, or all of them."""
        while self._plans and (until is None or self._plans[0][0] <= until):
            now, _, plan = heappop(self._plans)
            self._send(plan.case, plan.decision, plan.services, now, plan.informed)

    def _confirm_plan(self, case: CaseLoad, manager: str, deadline: PlanDeadline | None, now: datetime) -> datetime:
        """The case manager confirms the plan in office hours; one that is sent at its deadline never waits longer."""
        zone, calendar = self._city.zone, self._agreement.calendar
        due = deadline.within.due(now, zone, calendar) if deadline else now
        ready = (now + (due - now) * (0.5 * self._chance.lognormvariate(0, _SPREAD))).astimezone(zone)
        confirmed = next((opens for opens, _ in calendar.office_hours_from(ready)), ready).astimezone(now.tzinfo)
        if deadline and deadline.is_sent_at_deadline:
            confirmed = min(confirmed, due)
        # The proposal itself is in the message that asks the manager for the case management at the same moment.
        if deadline:
            steps = self._steps_of(deadline.within, now)
            self._count_messages(case, self.loads[manager], [step for step in steps if step < confirmed])
        return confirmed

    def _send(
        self, case: CaseLoad, decision: Decision, planned: Sequence[PlannedReferral], now: datetime, informed: set[str]
    ) -> set[str]:
        """Sends one message to each agency, with all services asked of it; returns the agencies that know the case.

        Those in `informed` have a referral of the case already.
        """
        by_agency: dict[str, dict[Steps, list[PlannedReferral]]] = defaultdict(lambda: defaultdict(list))
        urgency_of = {one.service: decision.terms_of(one.service) for one in planned}
        for one in planned:
            within = decision.answer_of(urgency_of[one.service]) or NO_RULE_WITHIN
            by_agency[one.agency][self._steps_of(within, now)].append(one)
        for agency, by_deadline in by_agency.items():
            load, is_new = self.loads[agency], agency not in informed
            case.referrals += is_new
            load.referrals += is_new
            self.months[now.astimezone(self._city.zone).month - 1] += is_new
            services = [one for ones in by_deadline.values() for one in ones]
            highest = min((urgency_of[one.service].urgency for one in services), key=list(Urgency).index)
            _schedule_answer(load, now, highest, self._is_open(agency, now), self._chance)
            moments, reminded_until = [now], now
            for steps, ones in sorted(by_deadline.items(), key=lambda deadline: deadline[0].due):
                case.services += len(ones)
                load.services += len(ones)
                load.led += sum(one.role is ReferralRole.LEAD for one in ones)
                answers = [_next_answer(load, self._chance) for _ in ones]
                for answered in answers:
                    _record_answer(load, now, steps, answered)
                passed = [step for step in steps if step < answers[-1]]
                # A reminder is for all services whose own would follow before its deadline.
                is_reminded = bool(passed) and reminded_until >= steps.half
                moments += passed[1:] if is_reminded else passed
                reminded_until = steps.due if passed and not is_reminded else reminded_until
            self._count_messages(case, load, moments)
        return informed | set(by_agency)

    def _steps_of(self, within: Within, start: datetime) -> Steps:
        zone, calendar = self._city.zone, self._agreement.calendar
        moments = (count(start, zone, calendar) for count in (within.half, within.due, within.twice))
        return Steps(*moments)

    def _count_messages(self, case: CaseLoad, load: Load, moments: Iterable[datetime]) -> None:
        """Counts messages; what falls due at one moment is one message."""
        for moment in set(moments):
            case.messages += 1
            load.messages += 1
            night = night_of(moment.astimezone(self._city.zone))
            if night:
                load.night_messages += 1
                self.nights[night] += 1

    def _is_open(self, agency: str, now: datetime) -> bool:
        party = self._agreement.of_kind.get(self._city.kinds.get(agency, ""))
        return party is not None and self._agreement.band_at(now, self._city.zone) in party.open_in


def night_of(local: datetime) -> date | None:
    """The day on which the night of a moment begins; None by day."""
    if local.hour >= NIGHT.start:
        return local.date()
    return local.date() - timedelta(days=1) if local.hour < NIGHT.stop - 24 else None


def _schedule_answer(load: Load, now: datetime, urgency: Urgency, is_open: bool, chance: random.Random) -> None:
    """Sets when the agency starts on the case; it then answers the referrals of the case one after the other."""
    after = _REACTION[urgency] * (1 if is_open else _ON_DUTY_FACTOR) * chance.lognormvariate(0, _SPREAD)
    # A case with high urgency does not wait for the others.
    begins = now if urgency is Urgency.HIGH else max(now, load.free_at)
    load.free_at = begins + timedelta(minutes=after)


def _next_answer(load: Load, chance: random.Random) -> datetime:
    load.free_at += timedelta(minutes=chance.uniform(*_WORK))
    return load.free_at


def _record_answer(load: Load, offered: datetime, steps: Steps, answered: datetime) -> None:
    """Counts an answer and the steps of its deadline that passed before it."""
    load.minutes.append((answered - offered) / timedelta(minutes=1))
    load.met += answered <= steps.due
    load.reminded += answered > steps.half
    load.escalated += answered > steps.due
    load.twice_overdue += answered > steps.twice
