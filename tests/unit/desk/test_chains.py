"""Chains of agencies to which a service was passed on."""

from typing import Any

from simpul_desk.city_pages.chains import Chain, Link, find_chains


def referral(agency_name: str, *services: tuple[str, str, str, str | None]) -> dict[str, Any]:
    """Builds a referral of (id, service, state, the service from which it was rerouted)."""
    names = ("service_id", "service", "state", "rerouted_from")
    return {"agency_name": agency_name, "services": [dict(zip(names, one, strict=True)) for one in services]}


def test_a_chain_begins_with_the_first_agency_and_ends_where_the_service_is_now() -> None:
    referrals = [
        referral("C", ("3", "shelter", "accepted", "2")),
        referral("A", ("1", "shelter", "rerouted", None), ("9", "medical_care", "accepted", None)),
        referral("B", ("2", "shelter", "rerouted", "1")),
    ]

    assert find_chains(referrals) == [
        Chain("shelter", (Link("A", "rerouted"), Link("B", "rerouted"), Link("C", "accepted")))
    ]


def test_a_part_that_the_person_may_not_see_is_left_out() -> None:
    assert find_chains([referral("B", ("2", "shelter", "accepted", "1"))]) == []


def test_a_circle_ends() -> None:
    assert find_chains([referral("A", ("1", "shelter", "offered", "2"), ("2", "shelter", "offered", "1"))]) == []
