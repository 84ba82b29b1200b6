"""What a simulated city knows of the referrals that it sent: the services of each, and where they stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Optional

from simpul_schema.vocabulary import ReplyRefusal

_OFFERED: Final = "offered"
_ENDED: Final = "ended"
_ENDING: Final = frozenset({"declined", "rerouted", "completed", "cancelled", "revoked"})
"""Events that end the services that they list."""
_ALLOWED: Final[Mapping[str, tuple[str, ...]]] = {
    "accepted": (_OFFERED,),
    "declined": (_OFFERED, "accepted", "started"),
    "scheduled": ("accepted", "started"),
    "unattended": ("accepted", "started"),
    "started": ("accepted",),
    "completed": ("accepted", "started"),
}
"""The states of a service that each kind of reply can be about."""


@dataclass
class SentReferral:
    """One referral, as the events that were sent have made it."""

    first: dict[str, Any]
    """The event that asked for services first."""
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    """All services that were ever asked for, by their id."""
    states: dict[str, str] = field(default_factory=dict)
    """Where each stands: offered, accepted, started or ended."""
    listed_by: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The services that each event lists, by its id."""

    @property
    def open_services(self) -> list[dict[str, Any]]:
        """The services that have not ended."""
        return [one for service_id, one in self.services.items() if self.states[service_id] != _ENDED]

    def add_event(self, event: dict[str, Any]) -> None:
        """Takes an event into account that is being sent."""
        listed = {one["service_id"]: one for one in event["data"].get("services", ())}
        self.listed_by[event["id"]] = tuple(listed)
        kind = kind_of(event["type"])
        if kind in ("offered", "amended"):
            self.services |= listed
            self.states |= {service_id: _OFFERED for service_id in listed if service_id not in self.states}
        elif kind in _ENDING:
            self.end_services(listed)

    def end_services(self, service_ids: Sequence[str] | Mapping[str, Any]) -> None:
        """Ends services, before or without the event that says so."""
        self.states |= {service_id: _ENDED for service_id in service_ids if service_id in self.states}

    def judge(self, kind: str, service_ids: Sequence[str]) -> tuple[list[str], dict[ReplyRefusal, list[str]]]:
        """Returns the services that a reply changes, and those to which it is refused; by no id it is refused whole."""
        verdicts = {one: self._judge_service(kind, one) for one in service_ids or self.services}
        changed = [one for one, verdict in verdicts.items() if verdict is None and self.states[one] != kind]
        refused: dict[ReplyRefusal, list[str]] = {}
        if service_ids or None not in verdicts.values():
            for service_id, verdict in verdicts.items():
                if verdict is not None:
                    refused.setdefault(verdict, []).append(service_id)
        if refused and not service_ids:
            refused = {next(iter(refused)): []}
        after = _ENDED if kind in _ENDING else kind
        self.states |= {one: after for one in changed if kind not in ("scheduled", "unattended")}
        return changed, refused

    def _judge_service(self, kind: str, service_id: str) -> Optional[ReplyRefusal]:
        state = self.states.get(service_id)
        if state is None:
            return ReplyRefusal.UNKNOWN_SERVICE
        if state in _ALLOWED[kind] or state == kind:
            return None
        if state == _ENDED:
            return ReplyRefusal.ALREADY_ENDED
        return ReplyRefusal.NOT_YET_ACCEPTED if state == _OFFERED else ReplyRefusal.NOT_NOW


def kind_of(wire_name: str) -> str:
    """Returns the short name of an event or a reply about a referral, such as `accepted`."""
    return wire_name.removeprefix("reply.").removeprefix("referral.").removesuffix(".v1")
