"""Faults on the way of a message: not published, parked, waiting, never seen by its receiver."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _

MAX_LAG: Final = timedelta(seconds=60)
LONG_WAIT: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ServiceMessages:
    """What waits in the message tables of one service."""

    oldest_unpublished: timedelta = timedelta()
    unpublished: int = 0
    refused: int = 0
    """Messages that the broker or the client refused three times or more."""
    parked: Mapping[str, int] = field(default_factory=dict)
    """Reason -> number."""
    waiting: int = 0
    """Messages that have waited for a predecessor or an attempt for more than ten minutes."""
    held: Mapping[str, int] = field(default_factory=dict)
    """Party -> the events that wait for its key."""


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """The messages by service, and reports without a case in routing."""

    services: Mapping[str, ServiceMessages] = field(default_factory=dict)
    unseen_reports: int = 0
    """Reports answered with 202 more than ten minutes ago that routing never saw."""


def find_outbox_lag(facts: MessageFacts) -> Iterator[Finding]:
    """Finds services whose events do not leave."""
    for service, found in sorted(facts.services.items()):
        if found.oldest_unpublished > MAX_LAG:
            cause = _(
                "{count} events of {service} are not published; the oldest waits for {seconds} seconds.",
                count=found.unpublished,
                service=service,
                seconds=int(found.oldest_unpublished.total_seconds()),
            )
            yield critical("outbox_lag", cause, f"simpul topology verify && deploy/up restart {service}")


def find_refused_messages(facts: MessageFacts) -> Iterator[Finding]:
    """Finds events that the broker refuses again and again."""
    for service, found in sorted(facts.services.items()):
        if found.refused:
            cause = _("The broker refuses {count} events of {service}.", count=found.refused, service=service)
            yield critical("outbox_refused", cause, "simpul topology verify")


def find_parked_messages(facts: MessageFacts) -> Iterator[Finding]:
    """Finds messages set aside."""
    for service, found in sorted(facts.services.items()):
        if found.parked:
            reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(found.parked.items()))
            cause = _("{service} has parked messages: {reasons}", service=service, reasons=reasons)
            yield warning("messages_parked", cause, f"docker compose run --rm migrate-{service} parked list")


def find_waiting_messages(facts: MessageFacts) -> Iterator[Finding]:
    """Finds messages that wait for a predecessor that may be lost, or whose handler fails."""
    for service, found in sorted(facts.services.items()):
        if found.waiting:
            cause = _(
                "{count} messages of {service} have waited for more than ten minutes.",
                count=found.waiting,
                service=service,
            )
            yield warning("messages_waiting", cause, "simpul reconcile --repair")


def find_held_events(facts: MessageFacts) -> Iterator[Finding]:
    """Finds events that wait for a usable key of a party."""
    for service, found in sorted(facts.services.items()):
        for party, count in sorted(found.held.items()):
            cause = _(
                "{count} events of {service} wait for a key of {party}.", count=count, service=service, party=party
            )
            yield warning("events_held", cause, f"simpul agency add {party} --enrolment FILE --to FILE")


def find_unseen_reports(facts: MessageFacts) -> Iterator[Finding]:
    """Finds reports that were answered with 202 and that routing never saw."""
    if facts.unseen_reports:
        cause = _("{count} reports were accepted, and routing never saw them.", count=facts.unseen_reports)
        yield critical("reports_unseen", cause, "simpul reconcile --repair")


CHECKS: Final = (
    find_outbox_lag,
    find_refused_messages,
    find_parked_messages,
    find_waiting_messages,
    find_held_events,
    find_unseen_reports,
)
