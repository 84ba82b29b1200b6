"""The catalogue: who publishes each wire name, on which exchanges, and which parties handle it."""

from dataclasses import dataclass

from simpul_schema.names import EVENTS, REFERRALS, REPLIES

SERVICES = ("intake", "routing", "notify", "desk")
"""The city's services, in the order in which a report passes through them."""
ANY_AGENCY = "agency"
"""Stands for every agency of the city, as publisher or as consumer."""
ANY_SERVICE = "service"
"""Stands for every service of the city, as publisher."""


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """One wire name with its publisher, its exchanges and its consumers."""

    wire_name: str
    publisher: str
    exchanges: tuple[str, ...]
    consumers: tuple[str, ...]
    """The services with a handler for it, and ANY_AGENCY; empty if nothing handles it yet."""
    meaning: str
    since: str = "0.1.0"
    status: str = "current"

    @property
    def names_service(self) -> bool:
        """Whether its routing key to an agency names a service and its urgency, as in events about referrals."""
        return self.exchanges == (EVENTS, REFERRALS) and self.publisher == "routing"


CATALOG: tuple[CatalogRow, ...] = (
    CatalogRow("case.reported.v1", "intake", (EVENTS,), ("routing",), "a report was accepted"),
    CatalogRow("case.amended.v1", "intake", (EVENTS,), ("routing",), "facts of a case were added or corrected"),
    CatalogRow("case.replanned.v1", "routing", (EVENTS,), (), "services of a case were added, withdrawn or kept"),
    CatalogRow("right.changed.v1", "routing", (EVENTS,), (), "the rights ledger of a case was opened or changed"),
    CatalogRow("case.closed.v1", "routing", (EVENTS,), ("intake",), "a case was closed"),
    CatalogRow("case.reopened.v1", "routing", (EVENTS,), ("intake",), "a closed case was reopened"),
    CatalogRow(
        "case.merged.v1", "routing", (EVENTS,), ("intake", "desk"),
        "a case was merged into another case of the same child",
    ),
    CatalogRow("case.voided.v1", "routing", (EVENTS,), ("intake",), "a case was entered in error"),
    CatalogRow(
        "case.erased.v1", "intake", (EVENTS,), ("routing",), "the vault erased sections of a case, or the whole case"
    ),
    CatalogRow(
        "case.question_sent.v1", "routing", (EVENTS,), ("intake",),
        "the case manager asks the reporting person something; sealed to intake",
    ),
    CatalogRow(
        "case.note_added.v1", "routing", (EVENTS,), ("intake",),
        "an agency noted something about a section of the dossier; sealed to intake, which adds it there",
    ),
    CatalogRow(
        "case.agency_excluded.v1", "routing", (EVENTS,), ("intake", "notify"),
        "an agency receives nothing more about a case, not even escalations",
    ),
    CatalogRow(
        "case.agency_cleared.v1", "routing", (EVENTS,), ("intake",),
        "a person decided that an agency, which a report names, is not too close to the suspect; sealed to intake",
    ),
    CatalogRow(
        "overlap.suspected.v1", "intake", (EVENTS,), ("routing", "desk"), "two cases may be about the same child"
    ),
    CatalogRow(
        "overlap.dismissed.v1", "routing", (EVENTS,), ("desk",), "a person says that two cases are about two children"
    ),
    CatalogRow(
        "referral.offered.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "the agency must answer for each service by its deadline",
    ),
    CatalogRow(
        "referral.accepted.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "routing recorded that the agency accepted services",
    ),
    CatalogRow(
        "referral.declined.v1", "routing", (EVENTS, REFERRALS), ("notify", ANY_AGENCY),
        "routing recorded that the agency declined services",
    ),
    CatalogRow(
        "referral.rerouted.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "declined services are offered to another agency; their clocks keep running",
    ),
    CatalogRow(
        "referral.started.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "services have started",
    ),
    CatalogRow(
        "referral.completed.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "services are completed",
    ),
    CatalogRow(
        "referral.cancelled.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "services ended because the case ended or the case manager took them back",
    ),
    CatalogRow(
        "referral.revoked.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "services ended because the case was decided again",
    ),
    CatalogRow(
        "referral.amended.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "services were added to a referral, or its facts, urgency or deadlines changed",
    ),
    CatalogRow(
        "referral.consent_withdrawn.v1", "routing", (EVENTS, REFERRALS), ("notify", ANY_AGENCY),
        "the agency must stop processing for the services whose consent ended, and acknowledge it by the deadline",
    ),
    CatalogRow(
        "referral.reminded.v1", "routing", (EVENTS, REFERRALS), ("notify", ANY_AGENCY),
        "half of a deadline's time has passed",
    ),
    CatalogRow(
        "referral.overdue.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "a deadline has passed; the next escalation level is notified",
    ),
    CatalogRow(
        "referral.escalated.v1", "routing", (EVENTS, REFERRALS), ("notify", "desk", ANY_AGENCY),
        "twice a deadline's time has passed; the highest escalation levels are notified",
    ),
    CatalogRow(
        "referral.deadline_met.v1", "routing", (EVENTS,), ("notify",),
        "nobody has to be alerted about a deadline any more, where no other event says so",
    ),
    CatalogRow(
        "referral.exclusion_suggested.v1", "routing", (EVENTS, REFERRALS), ("notify", ANY_AGENCY),
        "an unverified source suggests excluding agencies; the agency must decide by the deadline",
    ),
    CatalogRow(
        "referral.exclusion_decided.v1", "routing", (EVENTS, REFERRALS), ("notify", ANY_AGENCY),
        "the agency no longer has to decide about suggested exclusions",
    ),
    CatalogRow(
        "referral.plan_proposed.v1", "routing", (EVENTS, REFERRALS), ("notify", ANY_AGENCY),
        "a service plan awaits the decision of the case manager; the proposal is sealed to the agency",
    ),
    CatalogRow(
        "referral.plan_decided.v1", "routing", (EVENTS, REFERRALS), ("notify", ANY_AGENCY),
        "the agency no longer has to decide about the service plan",
    ),
    CatalogRow(
        "referral.reply_refused.v1", "routing", (REFERRALS,), (ANY_AGENCY,),
        "a reply changed nothing, or nothing about some services, and why",
    ),
    CatalogRow(
        "disclosure.decided.v1", "routing", (EVENTS,), ("intake",),
        "what an agency that accepted may hold of the dossier from now on; sealed to intake",
    ),
    CatalogRow(
        "dossier.released.v1", "intake", (EVENTS, REFERRALS), ("routing", ANY_AGENCY),
        "sections of the dossier, sealed to the agency that accepted; routing passes them on",
    ),
    CatalogRow(
        "dossier.withdrawn.v1", "intake", (EVENTS, REFERRALS), ("routing", ANY_AGENCY),
        "the agency must delete sections of the dossier and confirm it; routing passes it on",
    ),
    CatalogRow(
        "agency.manifest.v1", "routing", (REFERRALS,), (ANY_AGENCY,),
        "the numbered events that were sent to the agency, and when the next manifest arrives",
    ),
    CatalogRow(
        "audit.head_signed.v1", ANY_SERVICE, (EVENTS,), ("routing",),
        "the head of a service's audit at a full hour; routing passes it on to agencies, which keep it",
    ),
    CatalogRow(
        "agency.alarm.v1", "routing", (EVENTS,), ("notify",),
        "an agency's system is silent or could not use a message, or is right again",
    ),
    CatalogRow(
        "breach.found.v1", "intake", (EVENTS,), ("notify",),
        "the notices of a breach of personal data are due, or were all given",
    ),
    CatalogRow("reply.referral.delivered.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the agency's system received it"),
    CatalogRow("reply.referral.seen.v1", ANY_AGENCY, (REPLIES,), ("routing",), "a person opened it"),
    CatalogRow("reply.referral.accepted.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the agency accepts services"),
    CatalogRow("reply.referral.declined.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the agency declines services; why"),
    CatalogRow("reply.referral.scheduled.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the child has an appointment"),
    CatalogRow("reply.referral.unattended.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the child did not come"),
    CatalogRow(
        "reply.referral.started.v1", ANY_AGENCY, (REPLIES,), ("routing",), "services have started; first aid counts"
    ),
    CatalogRow(
        "reply.referral.completed.v1", ANY_AGENCY, (REPLIES,), ("routing",), "services are completed, and their outcome"
    ),
    CatalogRow(
        "reply.withdrawal.acknowledged.v1", ANY_AGENCY, (REPLIES,), ("routing",), "the agency has stopped processing"
    ),
    CatalogRow(
        "reply.note.added.v1", ANY_AGENCY, (REPLIES,), ("routing",),
        "the agency notes something for those who may hold this section of the dossier; sealed to routing",
    ),
    CatalogRow(
        "reply.dossier.deleted.v1", ANY_AGENCY, (REPLIES,), ("intake",),
        "the agency has deleted the sections of a withdrawn dossier",
    ),
    CatalogRow(
        "reply.resend.requested.v1", ANY_AGENCY, (REPLIES,), ("routing",),
        "the agency misses events; send a range of them again",
    ),
    CatalogRow(
        "reply.message.parked.v1", ANY_AGENCY, (REPLIES,), ("routing",),
        "the agency could not use a message, and why",
    ),
    CatalogRow(
        "reply.capacity.stated.v1", ANY_AGENCY, (REPLIES,), ("routing",),
        "how many open cases the agency can take for a service, or until when it is full",
    ),
    CatalogRow("alert.sent.v1", "notify", (EVENTS,), ("desk",), "a provider accepted an alert"),
    CatalogRow("alert.failed.v1", "notify", (EVENTS,), ("desk",), "an alert could not be delivered"),
    CatalogRow(
        "alert.exhausted.v1", "notify", (EVENTS,), ("routing",),
        "everybody whom the escalation policy names was alerted, and nobody acknowledged it",
    ),
)  # fmt: skip

_ROWS = {row.wire_name: row for row in CATALOG}


def row_of(wire_name: str) -> CatalogRow:
    """Returns the row of a wire name; raises KeyError if the catalogue has none."""
    return _ROWS[wire_name]


def may_publish(party: str, *, is_agency: bool, wire_name: str) -> bool:
    """Whether the catalogue names this party as the publisher of this wire name."""
    row = _ROWS.get(wire_name)
    return row is not None and row.publisher in ((ANY_AGENCY,) if is_agency else (party, ANY_SERVICE))


def as_markdown() -> str:
    """Renders the table of events for docs/events.md."""
    lines = ["| event | publisher | exchange | consumers | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row.wire_name}` | {row.publisher} | {', '.join(row.exchanges)} | "
        f"{', '.join(row.consumers) or 'none yet'} | {row.meaning} |"
        for row in CATALOG
    ]
    return "\n".join(lines) + "\n"
