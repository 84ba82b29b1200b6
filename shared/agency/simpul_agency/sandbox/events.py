"""Creates the unsigned events of a simulated city, each with the next sequence of its stream."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Optional
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from simpul_agency.sandbox.scenarios import SCENARIOS
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.names import subject_of_agency, subject_of_dossier, subject_of_referral, subject_of_reply
from simpul_schema.vocabulary import ReplyRefusal, Urgency
from simpul_seal import Directory, seal_section

CITY: Final = "kediri"
_URGENCIES: Final = [urgency.value for urgency in Urgency]
"""The highest first."""
_ANSWER_WITHIN: Final[Mapping[str, timedelta]] = {
    Urgency.HIGH.value: timedelta(minutes=15),
    Urgency.MEDIUM.value: timedelta(hours=6),
    Urgency.LOW.value: timedelta(days=3),
}
"""Urgency -> time to answer, as in Kota Kediri, except that a city counts office hours and working days."""


def utc_now() -> datetime:
    """Returns the current time with its zone."""
    return datetime.now(timezone.utc)


def wire_time(moment: datetime) -> str:
    """Formats a time as events have it."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def references_to(services: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the references by which most events list services."""
    return [{name: one[name] for name in ("service_id", "service")} for one in services]


def _listing(services: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns what an offer or an amendment says about services: the most urgent first, a lead before a support."""
    ranked = sorted(services, key=lambda one: (_URGENCIES.index(one["urgency"]), one["role"]))
    return {
        "services": ranked,
        "urgency": ranked[0]["urgency"],
        "answer_by": min(one["answer_by"] for one in ranked),
        "agreement": "2026-11",
    }


class EventFactory:
    """Creates routing's events for one agency."""

    def __init__(self, agency: str, directory: Directory) -> None:
        self._agency = agency
        self._directory = directory
        self._last_sequences: dict[str, int] = {}

    def create_service(self, service: str, role: str = "lead", urgency: str = "low", **more: Any) -> dict[str, Any]:
        """Creates a service to ask for; `more` replaces its fields."""
        answer_by = wire_time(utc_now() + _ANSWER_WITHIN[urgency])
        known = {"service_id": str(uuid4()), "service": service, "role": role, "urgency": urgency}
        return known | {"answer_by": answer_by, "reroute_count": 0} | more

    def create_offer(
        self,
        scenario: int = 1,
        *,
        services: Optional[Sequence[dict[str, Any]]] = None,
        answer_by: Optional[datetime] = None,
        **overrides: Any,
    ) -> dict[str, Any]:
        """Creates `referral.offered.v1` about an invented child.

        `services` replaces those of the scenario, `answer_by` their deadlines, and `overrides` fields of the data.
        """
        child = SCENARIOS[(scenario - 1) % len(SCENARIOS)]
        deadline = {"answer_by": wire_time(answer_by)} if answer_by else {}
        requested = services or [self.create_service(**one, **deadline) for one in child["services"]]
        referral_id, case_id = uuid4(), uuid4()
        data = {"referral_id": str(referral_id), "case_id": str(case_id), "agency": self._agency, **_listing(requested)}
        event = self.create_event(subject_of_referral(referral_id), case_id, "referral.offered.v1", data | overrides)
        return event | {"data": event["data"] | {"sealed": {"facts": self.seal_facts(event, child["facts"])}}}

    def create_amendment(
        self,
        offer: dict[str, Any],
        services: Sequence[dict[str, Any]],
        *,
        added: Sequence[str] = (),
        facts: Optional[Mapping[str, Any]] = None,
    ) -> dict[str, Any]:
        """Creates `referral.amended.v1`: all services that have not ended, the ids of the new ones, and the facts."""
        data = {**_listing(services), "added": list(added)}
        event = self.create_next(offer, "referral.amended.v1", **data)
        event["data"]["sealed"] = {"facts": self.seal_facts(event, facts or {"injured": "yes"})}
        return event

    def create_ending(
        self, offer: dict[str, Any], wire_name: str, services: Sequence[dict[str, Any]], why: str
    ) -> dict[str, Any]:
        """Creates `referral.cancelled.v1` or `referral.revoked.v1` of these services."""
        moment = {f"{wire_name.split('.')[1]}_at": wire_time(utc_now())}
        return self.create_next(offer, wire_name, services=references_to(services), why=why, **moment)

    def create_consent_withdrawal(self, offer: dict[str, Any], services: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Creates `referral.consent_withdrawn.v1` of these services, to be acknowledged within 3 x 24 hours."""
        moments = {"withdrawn_at": wire_time(utc_now()), "acknowledge_by": wire_time(utc_now() + timedelta(days=3))}
        return self.create_next(offer, "referral.consent_withdrawn.v1", services=references_to(services), **moments)

    def create_clock_step(self, offer: dict[str, Any], step: int, services: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Creates the event of a step of the answer clock of these services: 50, 100 or 200 percent."""
        listing = _listing(services)
        return self.create_next(
            offer,
            {50: "referral.reminded.v1", 100: "referral.overdue.v1", 200: "referral.escalated.v1"}[step],
            services=references_to(services),
            clock="answer",
            step=step,
            due_at=listing["answer_by"],
            urgency=listing["urgency"],
            escalation_targets=[self._agency],
        )

    def create_next(self, offer: dict[str, Any], wire_name: str, **data: Any) -> dict[str, Any]:
        """Creates the next event about an offered referral."""
        known = {name: offer["data"][name] for name in ("referral_id", "case_id", "agency")}
        event = self.create_event(offer["subject"], UUID(offer["correlationid"]), wire_name, known | data)
        return event | {"causationid": offer["id"]}

    def create_refusal(
        self,
        reply: dict[str, Any],
        reason: ReplyRefusal = ReplyRefusal.UNKNOWN_REFERRAL,
        service_ids: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Creates `referral.reply_refused.v1` about a reply, as a whole or for these services."""
        data = {
            "referral_id": reply["data"]["referral_id"],
            "agency": self._agency,
            "service_ids": list(service_ids),
            "reply_id": reply["id"],
            "reason": reason.value,
            "explanation": reason.label("id"),
        }
        subject, case_id = subject_of_reply(UUID(reply["id"])), UUID(reply["correlationid"])
        return self.create_event(subject, case_id, "referral.reply_refused.v1", data)

    def create_release(self, offer: dict[str, Any], contents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Creates intake's `dossier.released.v1` with the contents of sections, each sealed to the agency."""
        revision = self._last_sequences.get(self._dossier_of(offer), 0) + 1
        sections = [{"section": name, "revision": revision, "basis": "public_task"} for name in contents]
        event = self._create_dossier_event(
            offer, "dossier.released.v1", sections=sections, released_at=wire_time(utc_now())
        )
        event["data"]["sealed"] = {name: self._seal(event, name, content) for name, content in contents.items()}
        return event

    def create_withdrawal(self, offer: dict[str, Any], sections: Sequence[str]) -> dict[str, Any]:
        """Creates intake's `dossier.withdrawn.v1` of these sections."""
        moments = {"withdrawn_at": wire_time(utc_now()), "confirm_by": wire_time(utc_now() + timedelta(days=3))}
        return self._create_dossier_event(
            offer, "dossier.withdrawn.v1", withdrawal_id=str(uuid4()), sections=list(sections), **moments
        )

    def _create_dossier_event(self, offer: dict[str, Any], wire_name: str, **data: Any) -> dict[str, Any]:
        known = {name: offer["data"][name] for name in ("referral_id", "case_id", "agency")}
        event = self.create_event(self._dossier_of(offer), UUID(offer["correlationid"]), wire_name, known | data)
        return event | {"source": f"/{CITY}/intake"}

    @staticmethod
    def _dossier_of(offer: dict[str, Any]) -> str:
        return subject_of_dossier(UUID(offer["data"]["referral_id"]))

    def create_manifest(
        self, last_number: int, events: Mapping[int, dict[str, Any]], max_silence: float
    ) -> dict[str, Any]:
        """Creates a delivery manifest that lists events by their numbers; the next comes in `max_silence` seconds."""
        data = {
            "agency": self._agency,
            "last_manifest_number": last_number,
            "events": [
                {"manifest_number": number, "event_id": event["id"], "is_withheld": False}
                for number, event in events.items()
            ],
            "next_by": wire_time(utc_now() + timedelta(seconds=max_silence)),
        }
        stream = uuid5(NAMESPACE_OID, self._agency)
        return self.create_event(subject_of_agency(self._agency), stream, "agency.manifest.v1", data)

    def create_event(self, subject: str, case_id: UUID, wire_name: str, data: dict[str, Any]) -> dict[str, Any]:
        """Creates an event with the next sequence of its stream."""
        self._last_sequences[subject] = self._last_sequences.get(subject, 0) + 1
        return {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": f"/{CITY}/routing",
            "type": wire_name,
            "subject": subject,
            "time": wire_time(utc_now()),
            "datacontenttype": "application/json",
            "sequence": f"{self._last_sequences[subject]:010d}",
            "correlationid": str(case_id),
            "data": {**data, "sealed": {}},
        }

    def seal_facts(self, event: dict[str, Any], facts: Mapping[str, Any], recipient: str = "") -> dict[str, str]:
        """Seals facts to the agency or to another recipient; facts that are not given are unknown."""
        all_facts: dict[str, Any] = dict.fromkeys(ReferralFacts.model_fields, "unknown")
        all_facts |= {
            "violence": ["physical"],
            "implied_violence": [],
            "happened_at": "",
            "place": "other",
            "event_kecamatan": "",
            "kecamatan": "Mojoroto",
            "mediation_locked": True,
        }
        return self._seal(event, "facts", all_facts | dict(facts), recipient)

    def _seal(
        self, event: dict[str, Any], section: str, content: Mapping[str, Any], recipient: str = ""
    ) -> dict[str, str]:
        key = self._directory.current(recipient or self._agency, utc_now())
        event_id, case_id = UUID(event["id"]), UUID(event["correlationid"])
        return seal_section(json.dumps(content).encode(), key, event_id=event_id, case_id=case_id, section=section)
