"""How services of a case were passed on from agency to agency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

_Placed: TypeAlias = tuple[Mapping[str, Any], Mapping[str, Any]]
"""A referral, and one of its services."""


@dataclass(frozen=True, slots=True)
class Link:
    """One agency of a chain."""

    agency_name: str
    state: str
    """Where the service stands there."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A service with the agencies that it was passed to, the first one first."""

    service: str
    links: tuple[Link, ...]


def find_chains(referrals: Sequence[Mapping[str, Any]]) -> list[Chain]:
    """Finds the services that were passed on, in the referrals of a case as routing shows them."""
    found: dict[str | None, _Placed] = {
        one["service_id"]: (referral, one) for referral in referrals for one in referral["services"]
    }
    passed_on = {one["rerouted_from"] for _, one in found.values()}
    return [
        Chain(one["service"], links)
        for service_id, (_, one) in found.items()
        if service_id not in passed_on and len(links := _follow_back(service_id, found)) > 1
    ]


def _follow_back(service_id: str | None, found: Mapping[str | None, _Placed]) -> tuple[Link, ...]:
    """Returns the links that end with a service; a service that the person may not see ends the way back."""
    links: list[Link] = []
    while service_id in found and len(links) <= len(found):
        referral, one = found[service_id]
        links.append(Link(referral["agency_name"], one["state"]))
        service_id = one["rerouted_from"]
    return tuple(reversed(links))
