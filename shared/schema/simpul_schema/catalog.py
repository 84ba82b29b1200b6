"""The catalogue: for each wire name who publishes it, where it goes and who consumes it."""

from dataclasses import dataclass

from simpul_schema.names import EVENTS, REFERRALS, REPLIES

SERVICES = ("intake", "routing", "notify", "desk")
"""The city's services, in the order in which a report passes through them."""
ANY_AGENCY = "agency"
"""Stands for every agency of the city, as publisher or as consumer."""


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """One wire name and the parties it ties together."""

    wire_name: str
    publisher: str
    exchanges: tuple[str, ...]
    consumers: tuple[str, ...]
    meaning: str
    since: str = "0.1.0"
    status: str = "current"

    @property
    def names_service(self) -> bool:
        """Whether its key to an agency tells service and urgency, as everything does that is asked of an agency."""
        return self.exchanges == (EVENTS, REFERRALS)


CATALOG: tuple[CatalogRow, ...] = (
    CatalogRow("case.reported.v1", "intake", (EVENTS,), ("routing", "desk"), "a report was accepted"),
    CatalogRow("case.amended.v1", "intake", (EVENTS,), ("routing", "desk"), "new facts; routing decides again"),
    CatalogRow(
        "case.replanned.v1",
        "routing",
        (EVENTS,),
        ("desk",),
        "decided again: what was added, withdrawn, kept",
    ),
    CatalogRow("right.changed.v1", "routing", (EVENTS,), ("desk",), "the rights ledger was opened or changed"),
    CatalogRow("case.closed.v1", "routing", (EVENTS,), ("desk",), "a case was terminated, and how"),
    CatalogRow("case.reopened.v1", "routing", (EVENTS,), ("desk",), "a terminated case goes on"),
    CatalogRow("case.merged.v1", "routing", (EVENTS,), ("desk",), "a case goes on in another one of the same child"),
    CatalogRow("case.voided.v1", "routing", (EVENTS,), ("desk",), "a case was entered in error"),
    CatalogRow(
        "case.agency_excluded.v1",
        "routing",
        (EVENTS,),
        ("notify",),
        "an agency receives nothing more of a case, escalation included",
    ),
    CatalogRow(
        "referral.offered.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "this agency must answer by then",
    ),
    CatalogRow(
        "referral.accepted.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "routing recorded the acceptance",
    ),
    CatalogRow(
        "referral.declined.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "routing recorded that the agency cannot serve",
    ),
    CatalogRow(
        "referral.rerouted.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "the service goes on with another agency, under the same clock",
    ),
    CatalogRow(
        "referral.started.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY), "the service has begun"
    ),
    CatalogRow(
        "referral.completed.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY), "the service has ended"
    ),
    CatalogRow(
        "referral.cancelled.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "nothing more is asked: the case ended, or it was taken back",
    ),
    CatalogRow(
        "referral.revoked.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "nothing more is asked, because the case was decided again",
    ),
    CatalogRow(
        "referral.amended.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "facts, urgency or deadline of an open referral changed",
    ),
    CatalogRow(
        "referral.consent_withdrawn.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "stop processing, and acknowledge by then",
    ),
    CatalogRow(
        "referral.reminded.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "half of a deadline has passed; the agency is alerted again",
    ),
    CatalogRow(
        "referral.overdue.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "a deadline has passed; the level above is alerted",
    ),
    CatalogRow(
        "referral.escalated.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "twice the deadline has passed; the highest levels are alerted",
    ),
    CatalogRow(
        "referral.exclusion_suggested.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "agencies wait, because a source that nobody knows suggests to exclude them; decide by then",
    ),
    CatalogRow(
        "referral.exclusion_decided.v1",
        "routing",
        (EVENTS, REFERRALS),
        ("notify", "desk", ANY_AGENCY),
        "nothing is left to decide for the agency that was asked",
    ),
    CatalogRow("referral.reply_refused.v1", "routing", (REFERRALS,), (ANY_AGENCY,), "a reply changed nothing, and why"),
    CatalogRow(
        "referral.heartbeat.v1",
        "routing",
        (REFERRALS,),
        (ANY_AGENCY,),
        "the account of what was sent, and when the next one comes",
    ),
    CatalogRow("reply.referral.delivered.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the agency's machine has it"),
    CatalogRow("reply.referral.seen.v1", ANY_AGENCY, (REPLIES,), ("routing",), "a person opened it"),
    CatalogRow("reply.referral.accepted.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the agency takes it"),
    CatalogRow("reply.referral.declined.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the agency cannot serve, and why"),
    CatalogRow("reply.referral.scheduled.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the child has an appointment"),
    CatalogRow("reply.referral.unattended.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the child did not come"),
    CatalogRow(
        "reply.referral.started.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the agency has begun; first aid counts"
    ),
    CatalogRow("reply.referral.completed.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the service has ended, and how"),
    CatalogRow(
        "reply.withdrawal.acknowledged.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the agency has stopped processing"
    ),
    CatalogRow(
        "reply.window.requested.v1", ANY_AGENCY, (REPLIES,), ("routing",), "send what I miss again, with its account"
    ),
    CatalogRow("reply.message.parked.v1", ANY_AGENCY, (REPLIES,), ("routing",), "a message could not be used, and why"),
    CatalogRow("alert.sent.v1", "notify", (EVENTS,), ("desk",), "a provider took an alert"),
    CatalogRow("alert.failed.v1", "notify", (EVENTS,), ("desk",), "an alert cannot reach somebody this way"),
)

_ROWS = {row.wire_name: row for row in CATALOG}


def row_of(wire_name: str) -> CatalogRow:
    """The row of a wire name; KeyError when the catalogue lacks it."""
    return _ROWS[wire_name]


def may_publish(party: str, *, is_agency: bool, wire_name: str) -> bool:
    """Whether the catalogue lets this party say this."""
    row = _ROWS.get(wire_name)
    return row is not None and row.publisher == (ANY_AGENCY if is_agency else party)


def as_markdown() -> str:
    """The table of events."""
    lines = ["| event | publisher | exchange | consumers | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row.wire_name}` | {row.publisher} | {', '.join(row.exchanges)} | "
        f"{', '.join(row.consumers)} | {row.meaning} |"
        for row in CATALOG
    ]
    return "\n".join(lines) + "\n"
