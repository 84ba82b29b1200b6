"""Reads stored events of the contract before a referral had a list of services.

Such a referral had one service. It is read as a referral with that service, whose id is the referral's. Stored bytes
stay as they came, because their signature covers them.
"""

from typing import Any, Final

from simpul_schema.vocabulary import ReferralRole, Service

LISTING: Final = frozenset(
    f"referral.{name}.v1"
    for name in (
        "offered", "amended", "accepted", "declined", "rerouted", "started", "completed", "cancelled", "revoked",
        "reminded", "overdue", "escalated",
    )
)  # fmt: skip
"""The events that list services."""
_OF_THE_SERVICE: Final = (
    "service",
    "role",
    "urgency",
    "answer_by",
    "reroute_count",
    "rerouted_from",
    "is_escalated_to_hub",
)
"""The fields that stand in the entry of a service now."""


def with_services(
    event: dict[str, Any], service: str = Service.MANUAL_TRIAGE.value, role: str = ReferralRole.LEAD.value
) -> dict[str, Any]:
    """Returns an event of the earlier contract with its service in a list, and every other event as it is.

    Only an offer of the earlier contract names its service and role; others get those that are passed.
    """
    data = event.get("data")
    if event.get("type") not in LISTING or not isinstance(data, dict) or "services" in data:
        return event
    only = {"service": service, "role": role} | {name: data[name] for name in _OF_THE_SERVICE if name in data}
    only |= {"service_id": data.get("referral_id"), "next_service_id": data.get("next_referral_id")}
    return event | {"data": data | {"services": [only]}}
