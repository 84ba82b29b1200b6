"""Sends the invented reports and checks what arrives at agencies, handset and mailbox."""

import asyncio
import json
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
MESSAGES_OF_FIRST_MODEL = 528
"""Messages about the same 25 cases when each service was a referral of its own, all were sent at once, and everybody
on duty was alerted about each; measured with that version, in which 265 referrals left."""


@dataclass(frozen=True, slots=True)
class SentAlert:
    """What notify published about an alert that a provider accepted."""

    referral_id: str
    case_id: str
    channel: str
    notification_id: str
    """The message that carried it."""
    at: float
    """When notify recorded it, in seconds since 1970."""


async def send(city: LocalCity, reports: Sequence[InventedReport], advance: Callable[[], None]) -> None:
    """Posts the reports; a retry waits until the report that it repeats was answered."""
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
    """What agencies, handset and mailbox received, and the events that announced it."""

    received: list[dict[str, Any]]
    arrivals: list[dict[str, Any]]
    offered: dict[str, dict[str, Any]]
    sent: list[SentAlert]
    failed: int
    suppressed: frozenset[str]
    """Referrals that were answered before their alert was sent, which made it unnecessary."""
    reviews: int = 0
    """Number of cases with a suggested exclusion to decide."""
    plans: int = 0
    """Number of service plans that case managers were asked to confirm."""

    @property
    def delivered(self) -> dict[str, dict[str, Any]]:
        """Referral -> the first line that its agency wrote about it."""
        first: dict[str, dict[str, Any]] = {}
        for line in self.received:
            first.setdefault(line["referral_id"], line)
        return first

    @property
    def messages(self) -> int:
        """Number of messages that providers accepted."""
        return len({alert.notification_id for alert in self.sent})

    def missing(self, case_ids: set[str]) -> int:
        """Counts cases without a referral, referrals that no agency received, and those that nobody was alerted about.

        A message that a provider accepted and nobody received counts, too.
        """
        referred = {event["correlationid"] for event in self.offered.values()}
        offered = {event["data"]["referral_id"] for event in self.offered.values()}
        announced = {alert.referral_id for alert in self.sent}
        unannounced = len(offered - announced - self.suppressed)
        unreceived = max(self.messages - len(self.arrivals), 0)
        return len(case_ids - referred) + len(offered - self.delivered.keys()) + max(unannounced, unreceived)


async def read_far_ends(city: LocalCity, observer: Observer) -> FarEnds:
    """Reads what agencies, handset and mailbox have received so far."""
    async with aiohttp.ClientSession() as session, session.get(f"{city.url('handset')}/messages") as answer:
        arrivals = await answer.json()
    lines = city.ledger.read_text().splitlines() if city.ledger.exists() else []
    return FarEnds(
        received=[json.loads(line) for line in lines] + _received_at_desk(city),
        arrivals=arrivals,
        offered={e["data"]["referral_id"]: e for e in observer.events_of("referral.offered.v1").values()},
        sent=[_sent_alert(event) for event in observer.events_of("alert.sent.v1").values()],
        failed=len(observer.events_of("alert.failed.v1")),
        reviews=len(observer.events_of("referral.exclusion_suggested.v1")),
        plans=len({e["data"]["referral_id"] for e in observer.events_of("referral.plan_proposed.v1").values()}),
        suppressed=await _suppressed(city.database_url("notify")),
    )


def _received_at_desk(city: LocalCity) -> list[dict[str, Any]]:
    """Reads what the agencies that work at the desk have received, in the form of the others' lines."""
    lines = []
    for code in city.hosted:
        store = sqlite3.connect(f"file:{city.hosted_dir / code / 'agency.db'}?mode=ro", uri=True, timeout=10)
        rows = store.execute(
            "SELECT body, received_at FROM inbox_message WHERE type = 'referral.offered.v1'"
        ).fetchall()
        store.close()
        for body, received_at in rows:
            offer = json.loads(body)["data"]
            services = [service["service"] for service in offer["services"]]
            known = {name: offer[name] for name in ("agency", "referral_id", "case_id")}
            lines.append({"kind": "received", "at": received_at, "services": services, **known})
    return lines


def _sent_alert(event: Mapping[str, Any]) -> SentAlert:
    data = event["data"]
    return SentAlert(
        data["referral_id"],
        event["correlationid"],
        data["channel"],
        data["notification_id"],
        datetime.fromisoformat(event["time"]).timestamp(),
    )


async def _suppressed(database_url: str) -> frozenset[str]:
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT DISTINCT referral_id::text FROM alert WHERE state = 'suppressed'")
    finally:
        await connection.close()
    return frozenset(row["referral_id"] for row in rows)


async def wait_for_arrival(city: LocalCity, observer: Observer, case_ids: set[str], within: float) -> FarEnds:
    """Waits until nothing is missing and nothing more arrives, at most `within` seconds."""
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
    """Returns p50 and p99 by nearest rank; None without values."""
    ordered = sorted(milliseconds)
    if not ordered:
        return {"p50": None, "p99": None}
    return {f"p{p}": round(ordered[min(len(ordered) - 1, round(p / 100 * len(ordered)))], 1) for p in (50, 99)}


async def summarise(city: LocalCity, reports: Sequence[InventedReport], ends: FarEnds) -> dict[str, Any]:
    """Computes the figures of `summary.json`."""
    accepted = [report for report in reports if report.status == 202]
    sent_at: dict[str, float] = {}
    for report in accepted:
        sent_at[report.case_id] = min(sent_at.get(report.case_id, report.sent_at), report.sent_at)
    to_agency = [1000 * (line["at"] - sent_at[line["case_id"]]) for line in ends.delivered.values()]
    first_alerted: dict[str, float] = {}
    for alert in ends.sent:
        first_alerted[alert.referral_id] = min(first_alerted.get(alert.referral_id, alert.at), alert.at)
    to_alert = [
        1000 * (at - sent_at[ends.delivered[referral]["case_id"]])
        for referral, at in first_alerted.items()
        if referral in ends.delivered
    ]
    cases = len({report.case_id for report in accepted})
    channels = Counter(arrival["channel"] for arrival in ends.arrivals)
    async with BrokerApi(city.backends.rabbitmq_api) as api:
        unrouted = (await api.call("GET", "queues", "{vhost}", UNROUTED) or {}).get("messages", 0)
    parked = sum([await count_parked(city.database_url(service)) for service in SERVICES])
    return {
        "reports_sent": len(reports),
        "reports_accepted": len(accepted),
        "cases": cases,
        "referrals_offered": len(ends.offered),
        "services_requested": sum(len(event["data"]["services"]) for event in ends.offered.values()),
        "referrals_delivered": len(ends.delivered),
        "exclusions_to_decide": ends.reviews,
        "plans_to_confirm": ends.plans,
        "alerts_sent": len(ends.sent),
        "referrals_answered_before_an_alert": len(ends.suppressed & ends.delivered.keys()),
        "sms_received": channels["sms"],
        "mails_received": channels["mail"],
        "messages": len(ends.arrivals),
        "messages_per_case": round(len(ends.arrivals) / cases, 1),
        "messages_of_first_model": MESSAGES_OF_FIRST_MODEL,
        "parked": parked,
        "unrouted": unrouted,
        "lost": ends.missing({report.case_id for report in accepted}),
        "report_to_agency_ms": percentiles(to_agency),
        "report_to_alert_ms": percentiles(to_alert),
    }


def has_all_arrived(summary: Mapping[str, Any]) -> bool:
    """Whether everything arrived, in less than a third of the messages of the first model."""
    return bool(
        summary["reports_accepted"] == summary["reports_sent"]
        and summary["referrals_delivered"] == summary["referrals_offered"] > 0
        and summary["alerts_sent"] > 0
        and 3 * summary["messages"] < MESSAGES_OF_FIRST_MODEL
        and summary["lost"] == summary["parked"] == summary["unrouted"] == 0
    )


def group_by_case(ends: FarEnds) -> dict[str, tuple[list[dict[str, Any]], Counter[str]]]:
    """Groups by case: the referrals that agencies received, and by channel the messages that are about the case.

    A message about several cases counts for each.
    """
    referrals: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in ends.delivered.values():
        referrals[line["case_id"]].append(line)
    messages = {(alert.case_id, alert.notification_id, alert.channel) for alert in ends.sent}
    by_channel: dict[str, Counter[str]] = defaultdict(Counter)
    for case_id, _, channel in messages:
        by_channel[case_id][channel] += 1
    return {case: (lines, by_channel[case]) for case, lines in referrals.items()}
