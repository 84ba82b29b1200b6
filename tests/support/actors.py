"""People who act on cases in tests."""

from typing import Final
from uuid import NAMESPACE_OID, uuid5

from simpul_routing.domain.actors import Actor
from simpul_schema.vocabulary import ActorRole


def acting(agency: str, role: ActorRole = ActorRole.COORDINATOR) -> Actor:
    """Returns the one person of an agency in a role."""
    return Actor(uuid5(NAMESPACE_OID, f"{agency}/{role.value}"), agency, role)


UPTD: Final = acting("uptd-ppa")
"""The coordinator at the hub."""
BOARD: Final = acting("city-board")
"""A coordinator whose party nobody can exclude."""
