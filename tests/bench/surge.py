"""`python -m tests.bench.surge`: what 10,000 alerts do that wait at once, after an outage, with one provider dead.

Everything is recorded while no sender runs; then one starts. SMS have a first provider that accepts connections and
never answers, and a second one that takes its time; mail has a working one. Every fifth person has urgent matters.
"""

import argparse
import asyncio
import logging
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from simpul_dev.backends import Backends, acquire
from simpul_notify.channels import OutgoingMessage
from simpul_notify.domain.alerts import LONGEST_PAUSE
from simpul_notify.domain.deliveries import ACCEPTED, Attempt, Capabilities
from simpul_notify.domain.responders import Responder, Roster
from simpul_schema.vocabulary import AlertChannel
from tests.integration.notify.room import ROSTER, START, Referral, Room, a_room

PEOPLE: Final = 2_000
BATCH: Final = 250
URGENT_EVERY: Final = 5
SLOW: Final = 0.1
"""Seconds that the slow provider takes for a message."""
MAX_GROWTH_MB: Final = 40
"""Memory for 10,000 alerts that wait; the rest of a process does not grow with them."""
MAX_SECONDS: Final = 300
"""After this time the people who have not acknowledged are followed by others, which is another measurement."""


@dataclass
class BenchProvider:
    """A provider that takes its time, or never answers; it keeps the order in which messages left."""

    name: str
    channel: AlertChannel
    seconds: float = 0.0
    is_dead: bool = False
    sent: list[UUID] = field(default_factory=list)
    unanswered: int = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(self.channel, concurrency=16, reports_delivery=False)

    async def send(self, message: OutgoingMessage) -> Attempt:
        if self.is_dead:
            self.unanswered += 1
            await asyncio.Event().wait()
        await asyncio.sleep(self.seconds)
        self.sent.append(message.notification_id)
        return ACCEPTED

    async def close(self) -> None:
        """Has no connection."""


@dataclass(frozen=True)
class Surge:
    """What was measured."""

    alerts: int
    seconds: float
    messages: int
    lost: int
    doubled: int
    given_to_dead: int
    """Messages that the dead provider got before it was set aside; they leave by the other one a moment later."""
    urgent_after_others: int
    """Urgent ones behind others, more than the dead provider had held up."""
    growth_mb: float

    def table(self) -> str:
        return "\n".join(
            (
                f"alerts that waited         {self.alerts:>8,}",
                f"messages that carried them {self.messages:>8,}  (1 : {self.alerts / max(self.messages, 1):.1f})",
                f"seconds until none waits   {self.seconds:>8.1f}",
                f"lost / twice to a person   {self.lost:>4} / {self.doubled}",
                f"given to the dead provider {self.given_to_dead:>8}",
                f"urgent SMS behind others   {self.urgent_after_others:>8}",
                f"growth of memory, MB       {self.growth_mb:>8.1f}",
            )
        )

    def broken_rules(self) -> list[str]:
        """Names what must not be."""
        rules = {
            f"{self.lost} alerts were lost": self.lost,
            f"{self.doubled} alerts left twice to the same person by the same channel": self.doubled,
            f"{self.urgent_after_others} urgent SMS left behind others": self.urgent_after_others,
            f"memory grew by {self.growth_mb:.0f} MB": self.growth_mb > MAX_GROWTH_MB,
            f"it took {self.seconds:.0f} s": self.seconds > MAX_SECONDS,
            "alerts were not bundled": self.messages * 2 > self.alerts,
        }
        return [rule for rule, is_broken in rules.items() if is_broken]


def main() -> int:
    """Runs the benchmark; returns 1 when a rule is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.surge", description=__doc__)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    parser.add_argument("--alerts", type=int, default=10_000, help="alerts by each of two channels in all")
    with acquire(print) as backends, tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(backends, Path(folder), parser.parse_args().alerts))
    print(found.table())
    broken = found.broken_rules()
    for rule in broken:
        print(f"BROKEN {rule}")
    return 1 if broken else 0


async def measure(backends: Backends, folder: Path, alerts: int) -> Surge:
    """Lets alerts wait, starts a sender, and measures until none waits."""
    dead = BenchProvider("dead", AlertChannel.SMS, is_dead=True)
    slow = BenchProvider("slow", AlertChannel.SMS, SLOW)
    mail = BenchProvider("mail", AlertChannel.MAIL)
    async with a_room(backends, folder) as room:
        people = min(PEOPLE, max(alerts // 10, 1))
        room.roster, room.providers = a_roster(people), [dead, slow, mail]
        room.provider_timeout = 1.0
        room.pause = LONGEST_PAUSE.total_seconds()
        async with room.running():
            await room.stop_sender()
            # Two channels carry each referral, so there are half as many referrals as alerts.
            await record(room, alerts // 2, people)
            before, started = peak_mb(), time.monotonic()
            await room.restart_sender()
            while await room.rows("SELECT FROM alert WHERE state = 'pending' LIMIT 1"):  # noqa: ASYNC110 - the state is in the database
                await asyncio.sleep(0.5)
            seconds = time.monotonic() - started
        return await judge(room, [*slow.sent, *mail.sent], slow.sent, dead.unanswered, seconds, peak_mb() - before)


def a_roster(people: int) -> Roster:
    """A city with this many people, each alone on duty for an agency."""
    responders = {
        f"person-{n}": Responder(
            f"person-{n}", "id", {AlertChannel.SMS: f"+62834{n:08}", AlertChannel.MAIL: f"p{n}@example.org"}
        )
        for n in range(people)
    }
    on_duty = {f"agency-{n}": (responders[f"person-{n}"],) for n in range(people)}
    return replace(ROSTER, on_duty=on_duty, responders=responders, leads={}, coordinator="")


async def record(room: Room, referrals: int, people: int) -> None:
    """Records the offers in batches, as the inbox does."""
    for start in range(0, referrals, BATCH):
        batch = [
            Referral(f"agency-{n % people}", "high" if n % people % URGENT_EVERY == 0 else "medium")
            for n in range(start, min(start + BATCH, referrals))
        ]
        await room.take_in("referral.offered.v1", *((one, {"answer_by": START}) for one in batch))
    await room.rows("UPDATE alert SET due_at = now()")


async def judge(
    room: Room, sent: Sequence[UUID], sms: Sequence[UUID], given_to_dead: int, seconds: float, growth_mb: float
) -> Surge:
    """Compares what providers took with what was recorded."""
    carried = await room.rows(
        "SELECT n.notification_id, n.responder, n.channel, a.alert_id, a.urgency FROM notification n"
        " JOIN alert a ON a.alert_id = ANY(n.alerts)"
    )
    left = Counter(sent)
    times = Counter[UUID]()
    for row in carried:
        times[row["alert_id"]] += left[row["notification_id"]]
    urgent = {row["notification_id"] for row in carried if row["urgency"] == "high"}
    # Workers run side by side, so as many as there are workers may overtake.
    first_other = next((place for place, one in enumerate(sms) if one not in urgent), len(sms))
    behind = [place for place, one in enumerate(sms) if one in urgent and place > first_other + 32]
    recorded = [row["alert_id"] for row in await room.rows("SELECT alert_id FROM alert")]
    return Surge(
        len(recorded),
        seconds,
        len(sent),
        sum(times[one] == 0 for one in recorded),
        sum(count > 1 for count in times.values()),
        given_to_dead,
        max(len(behind) - given_to_dead, 0),
        growth_mb,
    )


def peak_mb() -> float:
    """The most memory that this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
