"""Sends the invented reports and checks what arrives at agencies, handset and mailbox."""

import asyncio
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg

from simpul_agency.broker_api import BrokerApi
from simpul_cli.parked import count_parked
from simpul_dev.demo.invented_reports import InventedReport
from simpul_dev.demo.observer import Observer
from simpul_dev.local_city import LocalCity
from simpul_schema.catalog import SERVICES
from simpul_schema.names import UNROUTED

ARRIVE_WITHIN = 60.0
CONCURRENCY = 4
_CODE = re.compile(r"R-[0-9A-Z]{6}")


async def send(city: LocalCity, reports: Sequence[InventedReport], advance: Callable[[], None]) -> None:
    """POST them all; a retry waits until the report it repeats was answered."""
    limit = asyncio.Semaphore(CONCURRENCY)
    answered: dict[str, asyncio.Event] = {}
    async with aiohttp.ClientSession() as session:

        async def post(report: InventedReport, before: asyncio.Event | None, done: asyncio.Event) -> None:
            if before:
                await before.wait()
            async with limit:
                report.sent_at = time.time()
                headers = {} if report.is_anonymous else city.token_of(report.body["complaint_centre"])
                async with session.post(f"{city.url('intake')}/reports", json=report.body, headers=headers) as answer:
                    report.status = answer.status
                    if answer.status == 202:
                        receipt = await answer.json()
                        report.case_id, report.reference = receipt["case_id"], receipt["case_reference"]
            done.set()
            advance()

        async with asyncio.TaskGroup() as tasks:
            for report in reports:
                done = asyncio.Event()
                tasks.create_task(post(report, answered.get(report.body["report_id"]), done))
                answered[report.body["report_id"]] = done


@dataclass(slots=True)
class FarEnds:
    """What agencies, handset and mailbox received, and the events on the bus."""

    received: list[dict[str, Any]]
    arrivals: list[dict[str, Any]]
    offered: dict[str, dict[str, Any]]
    alerts: int
    failed: int
    suppressed: frozenset[str]
    """Referrals that were answered before their alert was sent, which made it unnecessary."""
    reviews: int = 0
    """Cases with a suggested exclusion to decide."""

    @property
    def delivered(self) -> dict[str, dict[str, Any]]:
        """Referral -> how it first reached its agency."""
        first: dict[str, dict[str, Any]] = {}
        for line in self.received:
            first.setdefault(line["referral_id"], line)
        return first

    def missing(self, case_ids: set[str]) -> int:
        """Cases without a referral, referrals without their agency, alerts without their person."""
        referred = {event["correlationid"] for event in self.offered.values()}
        offered = {event["data"]["referral_id"] for event in self.offered.values()}
        reached = {self._referral_of(arrival) for arrival in self.arrivals}
        unalerted = len(offered - reached - self.suppressed)
        unreceived = max(self.alerts - len(self.arrivals), 0)
        return len(case_ids - referred) + len(offered - self.delivered.keys()) + max(unalerted, unreceived)

    def _referral_of(self, arrival: Mapping[str, Any]) -> str:
        codes = {line["code"]: referral for referral, line in self.delivered.items()}
        found = _CODE.search(arrival["text"])
        return codes.get(found[0], "") if found else ""

    def referral_arrivals(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Each SMS and mail with the referral it speaks of."""
        codes = {line["code"]: referral for referral, line in self.delivered.items()}
        found = ((_CODE.search(arrival["text"]), arrival) for arrival in self.arrivals)
        return [(codes.get(match[0], ""), arrival) for match, arrival in found if match]


async def read_far_ends(city: LocalCity, observer: Observer) -> FarEnds:
    """Read what the far ends received so far."""
    async with aiohttp.ClientSession() as session, session.get(f"{city.url('handset')}/messages") as answer:
        arrivals = await answer.json()
    lines = city.ledger.read_text().splitlines() if city.ledger.exists() else []
    return FarEnds(
        received=[json.loads(line) for line in lines],
        arrivals=arrivals,
        offered={e["data"]["referral_id"]: e for e in observer.of("referral.offered.v1").values()},
        alerts=len(observer.of("alert.sent.v1")),
        failed=len(observer.of("alert.failed.v1")),
        reviews=len(observer.of("referral.exclusion_suggested.v1")),
        suppressed=await _suppressed(city.database_url("notify")),
    )


async def _suppressed(database_url: str) -> frozenset[str]:
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT DISTINCT referral_id::text FROM alert WHERE state = 'suppressed'")
    finally:
        await connection.close()
    return frozenset(row["referral_id"] for row in rows)


async def wait_for_arrival(city: LocalCity, observer: Observer, case_ids: set[str], within: float) -> FarEnds:
    """Wait until nothing is missing and nothing more arrives, or until the time is up."""
    deadline = time.monotonic() + within
    before = -1
    while True:
        ends = await read_far_ends(city, observer)
        now = len(ends.received) + len(ends.arrivals) + len(observer.events)
        if (ends.missing(case_ids) == 0 and now == before) or time.monotonic() > deadline:
            return ends
        before = now
        await asyncio.sleep(0.4)


def percentiles(milliseconds: Sequence[float]) -> dict[str, float | None]:
    """p50 and p99, nearest rank."""
    ordered = sorted(milliseconds)
    if not ordered:
        return {"p50": None, "p99": None}
    return {f"p{p}": round(ordered[min(len(ordered) - 1, round(p / 100 * len(ordered)))], 1) for p in (50, 99)}


async def summarise(city: LocalCity, reports: Sequence[InventedReport], ends: FarEnds) -> dict[str, Any]:
    """The figures of `summary.json`."""
    accepted = [report for report in reports if report.status == 202]
    sent_at: dict[str, float] = {}
    for report in accepted:
        sent_at[report.case_id] = min(sent_at.get(report.case_id, report.sent_at), report.sent_at)
    to_agency = [1000 * (line["at"] - sent_at[line["case_id"]]) for line in ends.delivered.values()]
    first_alerted: dict[str, float] = {}
    for referral, arrival in ends.referral_arrivals():
        first_alerted[referral] = min(first_alerted.get(referral, arrival["at"]), arrival["at"])
    to_alert = [
        1000 * (at - sent_at[ends.delivered[referral]["case_id"]]) for referral, at in first_alerted.items() if referral
    ]
    channels = Counter(arrival["channel"] for arrival in ends.arrivals)
    async with BrokerApi(city.backends.rabbitmq_api) as api:
        unrouted = (await api.call("GET", "queues", "{vhost}", UNROUTED) or {}).get("messages", 0)
    parked = sum([await count_parked(city.database_url(service)) for service in SERVICES])
    return {
        "reports_sent": len(reports),
        "reports_accepted": len(accepted),
        "cases": len({report.case_id for report in accepted}),
        "referrals_offered": len(ends.offered),
        "referrals_delivered": len(ends.delivered),
        "exclusions_to_decide": ends.reviews,
        "alerts_sent": ends.alerts,
        "referrals_answered_before_an_alert": len(ends.suppressed & ends.delivered.keys()),
        "sms_received": channels["sms"],
        "mails_received": channels["mail"],
        "parked": parked,
        "unrouted": unrouted,
        "lost": ends.missing({report.case_id for report in accepted}),
        "report_to_agency_ms": percentiles(to_agency),
        "report_to_alert_ms": percentiles(to_alert),
    }


def has_all_arrived(summary: Mapping[str, Any]) -> bool:
    """Whether the run is a success."""
    return bool(
        summary["reports_accepted"] == summary["reports_sent"]
        and summary["referrals_delivered"] == summary["referrals_offered"] > 0
        and summary["alerts_sent"] > 0
        and summary["lost"] == summary["parked"] == summary["unrouted"] == 0
    )


def by_case(ends: FarEnds) -> dict[str, tuple[list[dict[str, Any]], Counter[str]]]:
    """Case -> (its referrals as the agencies got them, its alerts by channel)."""
    referrals: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in ends.delivered.values():
        referrals[line["case_id"]].append(line)
    alerts: dict[str, Counter[str]] = defaultdict(Counter)
    for referral, arrival in ends.referral_arrivals():
        if referral:
            alerts[ends.delivered[referral]["case_id"]][arrival["channel"]] += 1
    return {case: (lines, alerts[case]) for case, lines in referrals.items()}
