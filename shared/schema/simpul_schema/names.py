"""Names on the broker and of streams, each made here and nowhere else: exchanges, queues, users, keys, subjects."""

import re
from typing import Final
from uuid import UUID

EVENTS: Final = "simpul.events"
REFERRALS: Final = "simpul.referrals"
REPLIES: Final = "simpul.replies"
UNROUTED: Final = "simpul.unrouted"
"""Exchange and queue of what found no queue."""
DEAD: Final = "simpul.dead"
"""Exchange and queue of what a consumer rejected."""


def service_inbox(service: str) -> str:
    """The queue of a service."""
    return f"{service}.inbox"


def agency_inbox(agency: str) -> str:
    """The queue of an agency."""
    return f"agency.{agency}.inbox"


def filtered_queue(agency: str, name: str) -> str:
    """An additional queue that takes a part of an agency's events."""
    return f"agency.{agency}.{name}.queue"


def broker_user(agency: str) -> str:
    """The broker login of an agency, and the name in its certificate."""
    return f"agency.{agency}"


def own_queues_pattern(agency: str) -> str:
    """A regular expression that matches the queues of an agency and no others."""
    return rf"^agency\.{re.escape(agency)}\.(inbox|[a-z0-9-]+\.queue)$"


def own_replies_pattern(agency: str) -> str:
    """A regular expression that matches the routing keys under which an agency may reply."""
    return rf"^reply\.{re.escape(agency)}\.[a-z0-9_.]+$"


def referral_binding(agency: str, topic: str = "") -> str:
    """The binding key for everything that is addressed to an agency, or for what has that topic; `*` matches any."""
    return ".".join(word for word in ("referral", agency, topic, "#") if word)


def topic_of(service: str, urgency: str) -> str:
    """The two words by which an agency may subscribe to a part of what is addressed to it."""
    return f"{service}.{urgency}"


def routing_key(exchange: str, wire_name: str, agency: str = "", topic: str = "") -> str:
    """The key a message travels under: the wire name, with the agency after its first word where one is addressed.

    `topic` is `<service>.<urgency>`; it follows the agency where the catalogue's row `names_service`.
    """
    if exchange == EVENTS:
        return wire_name
    first, _, rest = wire_name.partition(".")
    words = (first, agency, topic if exchange == REFERRALS else "", rest.removeprefix("referral."))
    return ".".join(word for word in words if word)


def subject_of_case(case_id: UUID) -> str:
    """The stream of a case."""
    return f"case/{case_id}"


def subject_of_referral(referral_id: UUID) -> str:
    """The stream of a referral."""
    return f"referral/{referral_id}"


def subject_of_reply(event_id: UUID) -> str:
    """The stream of what is published about one reply."""
    return f"reply/{event_id}"


def subject_of_exclusion(exclusion_id: UUID) -> str:
    """The stream of what is published about one exclusion."""
    return f"exclusion/{exclusion_id}"


def subject_of_agency(agency: str) -> str:
    """The stream of what belongs to an agency and to no referral."""
    return f"agency/{agency}"
