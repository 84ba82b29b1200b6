"""Names of exchanges, queues, broker users, routing keys and subjects; all of them are made here."""

import re
from typing import Final
from uuid import UUID

EVENTS: Final = "simpul.events"
REFERRALS: Final = "simpul.referrals"
REPLIES: Final = "simpul.replies"
UNROUTED: Final = "simpul.unrouted"
"""Exchange and queue of messages that no binding matched."""
DEAD: Final = "simpul.dead"
"""Exchange and queue of messages that a consumer rejected."""


OPERATOR_USER: Final = "operator"
"""Broker user of the operator's commands, which send waiting messages again; it administers nothing."""


def service_inbox(service: str) -> str:
    """Returns the name of a service's queue."""
    return f"{service}.inbox"


def agency_inbox(agency: str) -> str:
    """Returns the name of an agency's queue."""
    return f"agency.{agency}.inbox"


def filtered_queue(agency: str, name: str) -> str:
    """Returns the name of an additional queue that takes a part of an agency's events."""
    return f"agency.{agency}.{name}.queue"


def broker_user(agency: str) -> str:
    """Returns the broker user of an agency, which is also the name in its certificate."""
    return f"agency.{agency}"


def service_user(service: str) -> str:
    """Returns the broker user of a service."""
    return f"service.{service}"


def own_queues_pattern(agency: str) -> str:
    """Returns a regular expression that matches only the queues of an agency."""
    return rf"^agency\.{re.escape(agency)}\.(inbox|[a-z0-9-]+\.queue)$"


def own_replies_pattern(agency: str) -> str:
    """Returns a regular expression that matches the routing keys under which an agency may publish replies."""
    return rf"^reply\.{re.escape(agency)}\.[a-z0-9_.]+$"


def inbox_bindings(agency: str) -> tuple[str, ...]:
    """Returns the binding keys of everything that is addressed to an agency: its referrals and its manifests."""
    return f"referral.{agency}.#", f"agency.{agency}.#"


def topic_binding(agency: str, topic: str) -> str:
    """Returns the binding key of an agency's events about referrals with this topic; `*` matches any word."""
    return f"referral.{agency}.{topic}.#"


def topic_of(service: str, urgency: str) -> str:
    """Returns the topic by which an agency may subscribe to a part of the events about its referrals.

    Of an event about several services, the topic names the most urgent one, a lead before a support.
    """
    return f"{service}.{urgency}"


def routing_key(exchange: str, wire_name: str, agency: str = "", topic: str = "") -> str:
    """Returns the routing key of a message: the wire name, with the addressed agency after its first word.

    `topic` is `<service>.<urgency>`; it follows the agency if the catalogue's row `names_service`.
    """
    if exchange == EVENTS:
        return wire_name
    if exchange == REFERRALS and wire_name.startswith("dossier."):
        # An agency's queue is bound to its referrals, and a dossier belongs to one.
        wire_name = f"referral.{wire_name}"
    first, _, rest = wire_name.partition(".")
    parts = (first, agency, topic if exchange == REFERRALS else "", rest.removeprefix("referral."))
    return ".".join(part for part in parts if part)


def subject_of_case(case_id: UUID) -> str:
    """Returns the subject of events about a case."""
    return f"case/{case_id}"


def subject_of_referral(referral_id: UUID) -> str:
    """Returns the subject of events about a referral."""
    return f"referral/{referral_id}"


def subject_of_reply(event_id: UUID) -> str:
    """Returns the subject of events about one reply."""
    return f"reply/{event_id}"


def subject_of_exclusion(exclusion_id: UUID) -> str:
    """Returns the subject of events about one exclusion."""
    return f"exclusion/{exclusion_id}"


def subject_of_escalation(escalation_id: UUID) -> str:
    """Returns the subject of events about one escalation of alerts."""
    return f"escalation/{escalation_id}"


def subject_of_alarm(alarm_id: UUID) -> str:
    """Returns the subject of events about one alarm, or one breach."""
    return f"alarm/{alarm_id}"


def subject_of_met_deadline(event_id: UUID) -> str:
    """Returns the subject of an event about a deadline that was met."""
    return f"deadline/{event_id}"


def subject_of_disclosure(referral_id: UUID) -> str:
    """Returns the subject of decisions about what the agency of a referral may hold."""
    return f"disclosure/{referral_id}"


def subject_of_dossier(referral_id: UUID) -> str:
    """Returns the subject of what the agency of a referral receives of the dossier."""
    return f"dossier/{referral_id}"


def subject_of_erasure(case_id: UUID) -> str:
    """Returns the subject of what the vault erases of a case."""
    return f"erasure/{case_id}"


def subject_of_note(note_id: UUID) -> str:
    """Returns the subject of one note to a case."""
    return f"note/{note_id}"


def subject_of_question(question_id: UUID) -> str:
    """Returns the subject of one question to the reporting person."""
    return f"question/{question_id}"


def subject_of_overlap(overlap_id: UUID) -> str:
    """The stream of what is published about one overlap."""
    return f"overlap/{overlap_id}"


def subject_of_agency(agency: str) -> str:
    """Returns the subject of events about an agency and no referral."""
    return f"agency/{agency}"


def subject_of_audit(service: str) -> str:
    """Returns the subject of what a service publishes about its audit."""
    return f"audit/{service}"
