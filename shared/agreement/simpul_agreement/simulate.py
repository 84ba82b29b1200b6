"""Simulates a year of invented reports: the workload of each agency, deadlines met, escalations."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from typing import Final

from simpul_agreement.engine import Engines
from simpul_agreement.model import Agreement
from simpul_agreement.plan import plan_case
from simpul_agreement.reports import Report
from simpul_city import City
from simpul_schema.vocabulary import ReferralRole, Urgency

_REACTION: Final[Mapping[Urgency, float]] = {Urgency.HIGH: 5, Urgency.MEDIUM: 50, Urgency.LOW: 600}
"""Median minutes until somebody opens a referral while the office is open."""
_ON_DUTY_FACTOR: Final = 1.8
"""Reaction time outside office hours, relative to office hours."""
_SPREAD: Final = 0.8
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_WARDS: Final = "satgas-kel-"
_WORK: Final = (2, 6)
"""Minutes that one referral takes an agency, from and to; later referrals wait."""


@dataclass(slots=True)
class Load:
    """The workload of one agency in a year."""

    referrals: int = 0
    led: int = 0
    minutes: list[float] = field(default_factory=list)
    met: int = 0
    reminded: int = 0
    escalated: int = 0
    twice_overdue: int = 0
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
        return self.met / self.referrals if self.referrals else 1.0


def combine_loads(loads: Sequence[Load]) -> Load:
    """The combined workload of several agencies."""
    names = ("referrals", "led", "met", "reminded", "escalated", "twice_overdue")
    sums = {name: sum(getattr(load, name) for load in loads) for name in names}
    return Load(**sums, minutes=[minutes for load in loads for minutes in load.minutes])


@dataclass(frozen=True, slots=True)
class Year:
    """The result of a simulation."""

    reports: int
    loads: Mapping[str, Load]
    by_month: Sequence[int]
    urgency: Mapping[Urgency, int]

    def rows(self) -> list[tuple[str, Load]]:
        """Agencies by workload, highest first; the task forces of the kelurahan are one row."""
        wards = {code: load for code, load in self.loads.items() if code.startswith(_WARDS)}
        rows = [(code, load) for code, load in self.loads.items() if code not in wards]
        rows += [(f"{_WARDS}* ({len(wards)})", combine_loads(list(wards.values())))] if wards else []
        return sorted(rows, key=lambda row: -row[1].referrals)


def simulate(agreement: Agreement, city: City, reports: Sequence[Report], seed: int) -> Year:
    """Simulate the reports and the agencies' answers; the same seed gives the same result."""
    chance = random.Random(seed)
    engines = Engines(agreement)
    loads: dict[str, Load] = defaultdict(Load)
    months = [0] * 12
    urgencies = dict.fromkeys(Urgency, 0)
    for report in reports:
        now = report.received_at
        situation, origin = report.situation(agreement)
        decision = engines.on(now.astimezone(city.zone).date()).decide(situation, origin)
        plan = plan_case(decision, agreement, origin, now, city.zone)
        months[now.astimezone(city.zone).month - 1] += len(plan.referrals)
        urgencies[plan.urgency] += 1
        for agency in dict.fromkeys(referral.agency for referral in plan.referrals):
            _schedule_answer(loads[agency], now, plan.urgency, _is_open(agreement, city, agency, now), chance)
        for referral in plan.referrals:
            load = loads[referral.agency]
            load.referrals += 1
            load.led += referral.role is ReferralRole.LEAD
            _record_answer(load, now, plan.answer_by, _next_answer(load, chance))
    return Year(len(reports), dict(loads), months, urgencies)


def _is_open(agreement: Agreement, city: City, agency: str, now: datetime) -> bool:
    party = agreement.of_kind.get(city.kinds.get(agency, ""))
    return party is not None and agreement.band_at(now, city.zone) in party.open_in


def _schedule_answer(load: Load, now: datetime, urgency: Urgency, is_open: bool, chance: random.Random) -> None:
    """Sets when the agency starts on the case; it then answers the referrals of the case one after the other."""
    after = _REACTION[urgency] * (1 if is_open else _ON_DUTY_FACTOR) * chance.lognormvariate(0, _SPREAD)
    # A case with high urgency does not wait for the others.
    begins = now if urgency is Urgency.HIGH else max(now, load.free_at)
    load.free_at = begins + timedelta(minutes=after)


def _next_answer(load: Load, chance: random.Random) -> datetime:
    load.free_at += timedelta(minutes=chance.uniform(*_WORK))
    return load.free_at


def _record_answer(load: Load, offered: datetime, due: datetime, answered: datetime) -> None:
    passed = (answered - offered) / (due - offered) if due > offered else 2.0
    load.minutes.append((answered - offered) / timedelta(minutes=1))
    load.met += passed <= 1
    load.reminded += passed > 0.5
    load.escalated += passed > 1
    load.twice_overdue += passed > 2
