"""Checks that the replies to a referral confirm and answer each of its services once."""

from collections.abc import Collection, Sequence
from typing import Final

from simpul_agency.sandbox.referrals import SentReferral
from simpul_agency.sandbox.replies import AgencyReply

_ANSWERS: Final = ("accepted", "declined")
CHECKED: Final = frozenset({"delivered", *_ANSWERS})
"""The replies that every consumer gives."""


def find_problem(referral: SentReferral, replies: Sequence[AgencyReply]) -> str:
    """Returns what is wrong with the replies to a referral, in their order; empty when each service has one answer."""
    answered: dict[str, str] = {}
    confirmed: set[str] = set()
    causes: set[str] = set()
    for reply in replies:
        cause = str(reply.event.get("causationid"))
        known = referral.listed_by.get(cause) or tuple(referral.services)
        if reply.kind == "delivered":
            if cause in causes:
                return "an event was confirmed as delivered more than once"
            causes.add(cause)
            confirmed.update(known)
        elif reply.kind in _ANSWERS:
            problem = _add_answer(answered, reply, known, confirmed)
            if problem:
                return problem
    if not confirmed.issuperset(referral.services):
        return "a service was not confirmed as delivered"
    missing = [one["service"] for service_id, one in referral.services.items() if service_id not in answered]
    return f"no answer for {', '.join(missing)}" if missing else ""


def _add_answer(answered: dict[str, str], reply: AgencyReply, known: Sequence[str], confirmed: Collection[str]) -> str:
    """Adds an answer; one that names no service is about all that it can be about. Returns what is wrong with it."""
    open_services = known if reply.kind == "declined" else [one for one in known if one not in answered]
    about = reply.service_ids or open_services
    if not about:
        return f"{reply.kind} came although every service had an answer"
    for service_id in about:
        if service_id not in known:
            return f"{reply.kind} names a service that was not asked for"
        if service_id not in confirmed:
            return f"a service was {reply.kind} before it was confirmed as delivered"
        if service_id in answered:
            return f"a service was {answered[service_id]}, and then {reply.kind}"
        answered[service_id] = reply.kind
    return ""
