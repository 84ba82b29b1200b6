"""Messages, what providers report about them, and what responders answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, LargeBinary, SmallInteger, Text, Uuid

from simpul_notify.domain.alerts import Alert, Occasion, Outcome
from simpul_notify.domain.answers import Answer
from simpul_notify.domain.deliveries import Attempt, DeliveryReport, DeliveryState
from simpul_notify.domain.links import digest_of
from simpul_notify.domain.notifications import Notification
from simpul_notify.domain.provider_health import ReportStatistics
from simpul_notify.domain.responders import Recipient
from simpul_notify.repository.alerts import ALERT_COLUMNS, alert_of
from simpul_runtime.transaction import Transaction

_MOMENT = DateTime(timezone=True)


def sent_to(method: str) -> str:
    """Returns the condition that message `n` went to this number or address, at whichever place it was then.

    `method` is a row with `responder`, `method` and `address_digest`. Rows of an earlier version have the place only.
    """
    return f"""n.responder = {method}.responder
        AND split_part(n.channel, '/', 1) = split_part({method}.method, '/', 1)
        AND (n.address_digest = {method}.address_digest AND n.address_digest <> ''
            OR n.channel = {method}.method AND '' IN (n.address_digest, {method}.address_digest))"""


_ADD_NOTIFICATIONS = text("""
    INSERT INTO notification (notification_id, responder, channel, address_digest, alerts, report_digest, link_digest,
        created_at)
    SELECT n.notification_id, n.responder, n.channel, n.address_digest, CAST(string_to_array(n.alerts, ',') AS uuid[]),
        n.report_digest, n.link_digest, now()
    FROM unnest(:ids, :responders, :channels, :addresses, :alerts, :report_digests, :link_digests)
        AS n (notification_id, responder, channel, address_digest, alerts, report_digest, link_digest)
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("responders", type_=ARRAY(Text)),
    bindparam("channels", type_=ARRAY(Text)),
    bindparam("addresses", type_=ARRAY(Text)),
    bindparam("alerts", type_=ARRAY(Text)),
    bindparam("report_digests", type_=ARRAY(LargeBinary)),
    bindparam("link_digests", type_=ARRAY(LargeBinary)),
)
_FIND_RECENT = text("""
    SELECT n.responder, array_agg(d.accepted_at ORDER BY d.accepted_at) AS moments
    FROM notification n JOIN delivery d USING (notification_id)
    WHERE n.responder = ANY(:responders) AND n.created_at > :since AND d.accepted_at > :since GROUP BY n.responder
""").bindparams(bindparam("responders", type_=ARRAY(Text)))
# The higher state stays, whichever is recorded first.
_RECORD_STATES = text("""
    INSERT INTO delivery (notification_id, provider, state, state_at, accepted_at, reference)
    SELECT s.notification_id, s.provider, s.state, :now, s.accepted_at, s.reference
    FROM unnest(:ids, :providers, :states, :accepted, :references)
        AS s (notification_id, provider, state, accepted_at, reference)
    WHERE EXISTS (SELECT FROM notification n WHERE n.notification_id = s.notification_id)
    ORDER BY s.notification_id, s.provider
    ON CONFLICT (notification_id, provider) DO UPDATE SET
        state = greatest(delivery.state, excluded.state),
        state_at = CASE WHEN excluded.state > delivery.state THEN excluded.state_at ELSE delivery.state_at END,
        accepted_at = coalesce(delivery.accepted_at, excluded.accepted_at),
        reference = coalesce(delivery.reference, excluded.reference)
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("providers", type_=ARRAY(Text)),
    bindparam("states", type_=ARRAY(SmallInteger)),
    bindparam("accepted", type_=ARRAY(_MOMENT)),
    bindparam("references", type_=ARRAY(Text)),
)
# A message that no provider took has left nobody a link and needs no row.
_REMOVE_UNSENT = text("""
    DELETE FROM notification n WHERE n.notification_id = ANY(:ids)
        AND NOT EXISTS (SELECT FROM delivery d WHERE d.notification_id = n.notification_id)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_FAIL_UNDELIVERED = text(f"""
    UPDATE alert a SET state = 'failed', reason = 'undelivered', settled_at = :now
    FROM notification n
    WHERE n.notification_id = ANY(:ids) AND a.alert_id = ANY(n.alerts) AND a.notification_id = n.notification_id
        AND a.state = 'sent' AND a.acknowledged_at IS NULL AND a.passed_on_at IS NULL
        AND NOT EXISTS (SELECT FROM delivery d WHERE d.notification_id = n.notification_id
            AND d.state <> {int(DeliveryState.FAILED)})
        AND EXISTS (SELECT FROM delivery d WHERE d.notification_id = n.notification_id)
    RETURNING {ALERT_COLUMNS}, NULL AS answer_by, NULL AS urgency_now
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))  # noqa: S608 - constants
_FIND_REPORTED = text("SELECT notification_id FROM notification WHERE report_digest = :digest AND created_at > :since")
_FIND_LINKED = text("SELECT notification_id FROM notification WHERE link_digest = :digest AND created_at > :since")
# A message without an alert is that of a drill or of the weekly test.
_FIND_ANSWERABLE = text(f"""
    SELECT n.notification_id, n.alerts = '{{}}' AS is_test,
        n.answer IS NULL OR n.answered_by = 'sms' AND n.answered_at > :repeated_since AS is_open,
        array_agg(a.referral_id) FILTER (WHERE a.referral_id IS NOT NULL) AS referrals
    FROM unnest(:responders, :methods, :addresses) AS r (responder, method, address_digest)
    JOIN notification n ON {sent_to("r")}
    LEFT JOIN alert a ON a.alert_id = ANY(n.alerts)
    WHERE n.created_at > :since AND EXISTS (SELECT FROM delivery d WHERE d.notification_id = n.notification_id)
        AND (a.step <> {int(Occasion.REVOKED)} OR n.alerts = '{{}}')
    GROUP BY n.notification_id ORDER BY n.created_at DESC
""").bindparams(  # noqa: S608 - constants
    bindparam("responders", type_=ARRAY(Text)),
    bindparam("methods", type_=ARRAY(Text)),
    bindparam("addresses", type_=ARRAY(Text)),
)
_RECORD_ANSWER = text("""
    UPDATE notification SET answer = :answer, answered_by = :way, answered_at = :now
    WHERE notification_id = :id AND answer IS DISTINCT FROM :answer RETURNING notification_id
""")
_ACKNOWLEDGE = text("""
    UPDATE alert a SET acknowledged_at = CASE WHEN :acknowledges THEN coalesce(a.acknowledged_at, :now) END,
        passed_on_at = CASE WHEN :acknowledges THEN NULL ELSE :now END
    FROM notification n WHERE n.notification_id = :id AND a.alert_id = ANY(n.alerts)
""")
# Alerts about the same events for the same parties, of everybody; rows are locked in one order everywhere.
_SAME_EVENTS = f"""a.step <> {int(Occasion.REVOKED)} AND EXISTS (
    SELECT FROM notification n JOIN alert i ON i.alert_id = ANY(n.alerts) WHERE n.notification_id = :id
    AND i.cause = a.cause AND (i.for_parties || i.party) && (a.for_parties || a.party))"""
_HURRY_OTHERS = text(f"""
    WITH waiting AS (
        SELECT a.alert_id FROM alert a, notification m
        WHERE m.notification_id = :id AND a.responder <> m.responder AND {_SAME_EVENTS}
            -- What an earlier answer of the same person stopped is needed again.
            AND (a.state = 'pending' OR a.state = 'suppressed' AND a.reason = 'acknowledged')
        ORDER BY a.alert_id FOR UPDATE OF a)
    UPDATE alert a SET state = 'pending', reason = NULL, settled_at = NULL, due_at = least(a.due_at, :now)
    FROM waiting w WHERE a.alert_id = w.alert_id RETURNING a.responder, a.channel
""")  # noqa: S608 - constants
_MEASURE_REPORTS = text(f"""
    SELECT provider, count(*) AS due, count(*) FILTER (WHERE state < {int(DeliveryState.FAILED)}) AS missing
    FROM delivery WHERE accepted_at BETWEEN :since AND :until GROUP BY provider
""")  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Sent:
    """A message after an attempt, and the provider that made it."""

    notification_id: UUID
    provider: str
    attempt: Attempt

    @property
    def was_accepted(self) -> bool:
        """Whether the provider has taken it."""
        return self.attempt.outcome is Outcome.ACCEPTED

    @property
    def may_have_left(self) -> bool:
        """Whether the provider has taken it, or may have."""
        return self.attempt.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Answerable:
    """A message that a responder can answer, and the referrals that it is about."""

    notification_id: UUID
    referrals: frozenset[UUID]
    is_test: bool
    """Whether it is about no case: a drill, or the weekly test."""
    is_open: bool
    """Whether it is not answered yet, or has just been answered by SMS, so that a reply may be that one repeated."""


async def add_notifications(transaction: Transaction, notifications: Sequence[Notification]) -> None:
    """Stores messages before they are handed over, because a report may come before the provider's answer."""
    await transaction.connection.execute(
        _ADD_NOTIFICATIONS,
        {
            "ids": [each.notification_id for each in notifications],
            "responders": [each.recipient.responder for each in notifications],
            "channels": [each.recipient.method for each in notifications],
            "addresses": [each.address_digest for each in notifications],
            "alerts": [",".join(str(alert.alert_id) for alert in each.alerts) for each in notifications],
            "report_digests": [digest_of(each.report_token) for each in notifications],
            "link_digests": [digest_of(each.link_token) for each in notifications],
        },
    )


async def find_recent_messages(
    transaction: Transaction, responders: Sequence[str], since: datetime
) -> dict[str, list[datetime]]:
    """Finds when providers accepted messages to these responders since a moment, by any channel."""
    found = await transaction.connection.execute(_FIND_RECENT, {"responders": list(responders), "since": since})
    return {row.responder: list(row.moments) for row in found}


async def record_deliveries(transaction: Transaction, sent: Sequence[Sent]) -> None:
    """Records what providers answered; forgets messages that none took."""
    left = [each for each in sent if each.may_have_left]
    if left:
        await _record_states(
            transaction,
            [
                (
                    each.notification_id,
                    each.provider,
                    int(DeliveryState.ACCEPTED if each.was_accepted else DeliveryState.QUEUED),
                    transaction.now if each.was_accepted else None,
                    each.attempt.reference or None,
                )
                for each in left
            ],
        )
    if unsent := [each.notification_id for each in sent if not each.may_have_left]:
        await transaction.connection.execute(_REMOVE_UNSENT, {"ids": unsent})


async def record_reports(transaction: Transaction, reports: Sequence[DeliveryReport]) -> None:
    """Merges reports by rank; a report about an unknown message changes nothing."""
    merged: dict[tuple[UUID, str], DeliveryState] = {}
    for report in reports:
        key = (report.notification_id, report.provider)
        merged[key] = max(report.state, merged.get(key, report.state))
    await _record_states(transaction, [(*key, int(state), None, None) for key, state in merged.items()])


async def _record_states(
    transaction: Transaction, states: Sequence[tuple[UUID, str, int, datetime | None, str | None]]
) -> None:
    ids, providers, ranks, accepted, references = map(list, zip(*states, strict=True))
    values: Mapping[str, Any] = {
        "ids": ids,
        "providers": providers,
        "states": ranks,
        "accepted": accepted,
        "references": references,
    }
    await transaction.connection.execute(_RECORD_STATES, {**values, "now": transaction.now})


async def fail_undelivered_alerts(transaction: Transaction, notification_ids: Sequence[UUID]) -> list[Alert]:
    """Marks alerts as failed whose message every provider has given up; returns them."""
    values = {"ids": list(notification_ids), "now": transaction.now}
    return [alert_of(row) for row in await transaction.connection.execute(_FAIL_UNDELIVERED, values)]


async def find_reported_notification(transaction: Transaction, token: str, max_age: timedelta) -> UUID | None:
    """Finds the message of a provider's report; None for an unknown or expired token."""
    values = {"digest": digest_of(token), "since": transaction.now - max_age}
    found: UUID | None = await transaction.connection.scalar(_FIND_REPORTED, values)
    return found


async def find_linked_notification(transaction: Transaction, token: str, max_age: timedelta) -> UUID | None:
    """Finds the message with a link; None for an unknown or expired token."""
    values = {"digest": digest_of(token), "since": transaction.now - max_age}
    found: UUID | None = await transaction.connection.scalar(_FIND_LINKED, values)
    return found


async def find_answerable(
    transaction: Transaction, numbers: Mapping[Recipient, str], max_age: timedelta, repeated_within: timedelta
) -> list[Answerable]:
    """Finds the messages that were sent to these numbers and may be answered, the newest first.

    `numbers` are the people who have them, with the digest of each.
    """
    values = {
        "responders": [one.responder for one in numbers],
        "methods": [one.method for one in numbers],
        "addresses": list(numbers.values()),
        "since": transaction.now - max_age,
        "repeated_since": transaction.now - repeated_within,
    }
    return [
        Answerable(row.notification_id, frozenset(row.referrals or ()), row.is_test, row.is_open)
        for row in await transaction.connection.execute(_FIND_ANSWERABLE, values)
    ]


async def record_answer(transaction: Transaction, notification_id: UUID, answer: Answer, way: str) -> bool:
    """Records an answer on a message and its alerts; returns False when the same was answered before."""
    values = {"id": notification_id, "now": transaction.now}
    recorded = await transaction.connection.execute(_RECORD_ANSWER, values | {"answer": answer.value, "way": way})
    if recorded.first() is None:
        return False
    await transaction.connection.execute(_ACKNOWLEDGE, values | {"acknowledges": answer.is_acknowledgement})
    return True


async def hurry_others(transaction: Transaction, notification_id: UUID) -> set[Recipient]:
    """Makes what waits about the same events for other people due now; returns them."""
    hurried = await transaction.connection.execute(_HURRY_OTHERS, {"id": notification_id, "now": transaction.now})
    return {Recipient.by_method(row.responder, row.channel) for row in hurried}


async def measure_reports(transaction: Transaction, since: datetime, until: datetime) -> dict[str, ReportStatistics]:
    """Counts, by provider, the messages accepted in a period and those of them without a final report."""
    found = await transaction.connection.execute(_MEASURE_REPORTS, {"since": since, "until": until})
    return {row.provider: ReportStatistics(row.due, row.missing) for row in found}
