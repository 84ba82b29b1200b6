"""How the facts of a case and the clauses of a service are stored, so that a decision can be explained years later."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from simpul_agreement.engine import Origin
from simpul_agreement.facts import SINCE_EVENT, VIOLENCE, Situation, TimeSinceEvent, complete_situation
from simpul_agreement.model import Phase
from simpul_agreement.plan import PlannedReferral
from simpul_agreement.reports import read_72_hours
from simpul_routing.domain.consents import Consent, ConsentGiver, ConsentTerms, ConsentWay
from simpul_routing.domain.exclusions import Suggestion, SuggestionState
from simpul_routing.domain.facts import CaseFacts, ReportedFacts
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.vocabulary import Answer, ReferralRole, Relation, Right, Service


def case_context(case_id: UUID) -> str:
    """The encryption context of a case's stored facts."""
    return f"case_plan/{case_id}"


def note_context(case_id: UUID) -> str:
    """The encryption context of a note in a case's history."""
    return f"note/{case_id}"


def agency_note_context(note_id: UUID) -> str:
    """The encryption context of a note of an agency."""
    return f"agency_note/{note_id}"


def agency_question_context(question_id: UUID) -> str:
    """The encryption context of a question to the agency that referred the child."""
    return f"agency_question/{question_id}"


def question_answer_context(question_id: UUID) -> str:
    """The encryption context of the answer to such a question."""
    return f"question_answer/{question_id}"


def service_context(service_id: UUID) -> str:
    """The encryption context of the stored clauses of a service of a referral."""
    # Services were referrals of their own before 2026-11-27, with the same ids.
    return f"referral/{service_id}"


def transfer_context(transfer_id: UUID) -> str:
    """The encryption context of the names in a transfer."""
    return f"transfer/{transfer_id}"


def encode_facts(facts: CaseFacts) -> bytes:
    """Serializes facts to JSON, which the caller encrypts."""
    return json.dumps(
        {
            "reports": {case_id: _encode_report(report) for case_id, report in facts.reports.items()},
            "excluded": sorted(facts.excluded),
            "excluded_kind": sorted(facts.excluded_kind),
            "mediation_locked": facts.mediation_locked,
            "left_out": sorted(service.value for service in facts.left_out),
            "suggestions": {code: _encode_suggestion(one) for code, one in facts.suggestions.items()},
            "consents": [_encode_consent(one) for one in facts.consents],
        }
    ).encode()


def decode_facts(stored: bytes) -> CaseFacts:
    """Deserializes decrypted facts."""
    found = json.loads(stored)
    # Cases that were stored before 2026-11-26 have the older name.
    reports = found["reports"] if "reports" in found else found["told"]
    return CaseFacts(
        reports={case_id: _decode_report(report) for case_id, report in reports.items()},
        excluded=frozenset(found["excluded"]),
        excluded_kind=frozenset(found["excluded_kind"]),
        mediation_locked=found["mediation_locked"],
        # Cases that an older version stored have no services left out, suggestions or consents.
        left_out=frozenset(Service(code) for code in found.get("left_out", ())),
        suggestions={code: _decode_suggestion(one) for code, one in found.get("suggestions", {}).items()},
        consents=tuple(_decode_consent(one) for one in found.get("consents", ())),
    )


def encode_clauses(clauses: Sequence[str]) -> bytes:
    """Serializes the ids of clauses to JSON, which the caller encrypts."""
    return json.dumps(list(clauses)).encode()


def decode_clauses(stored: bytes) -> tuple[str, ...]:
    """Deserializes the decrypted ids of the clauses that require a service."""
    return tuple(json.loads(stored))


def plan_context(referral_id: UUID) -> str:
    """The encryption context of the stored services of a service plan."""
    return f"service_plan/{referral_id}"


def encode_proposal(proposal: Sequence[PlannedReferral]) -> bytes:
    """Serializes the services of a plan to JSON, which the caller encrypts."""
    return json.dumps(
        [
            {"service": one.service.value, "agency": one.agency, "role": one.role.value, "clauses": list(one.clauses)}
            for one in proposal
        ]
    ).encode()


def decode_proposal(stored: bytes) -> tuple[PlannedReferral, ...]:
    """Deserializes the decrypted services of a plan."""
    return tuple(
        PlannedReferral(
            Service(one["service"]), one["agency"], ReferralRole(one["role"]), tuple(one["clauses"]), Phase.PLANNED
        )
        for one in json.loads(stored)
    )


def _encode_report(report: ReportedFacts) -> dict[str, Any]:
    return {
        "situation": {fact: sorted(values) for fact, values in report.situation.items()},
        "satgas": report.origin.satgas,
        "kecamatan": report.origin.kecamatan,
        "centre": report.origin.centre,
        "excluded": sorted(report.origin.excluded),
        "shared": report.shared.model_dump(mode="json"),
        "received_at": _encode_moment(report.received_at),
        "happened_at": _encode_moment(report.happened_at),
        "named": list(report.named),
    }


def _decode_report(found: Mapping[str, Any]) -> ReportedFacts:
    return ReportedFacts(
        situation=_decode_situation(found["situation"]),
        origin=Origin(found["satgas"], found["kecamatan"], found["centre"], frozenset(found["excluded"])),
        shared=ReferralFacts.model_validate(found["shared"]),
        # Cases that were stored before 2026-11-27 have neither.
        received_at=_decode_moment(found.get("received_at", "")),
        happened_at=_decode_moment(found.get("happened_at", "")),
        # Nor have those that were stored before 2026-11-28 what they named.
        named=tuple(found.get("named", ())),
    )


def _decode_situation(found: Mapping[str, Sequence[str]]) -> Situation:
    """A case that was stored before a fact was added has the fact's default.

    Cases that were stored before 2026-11-27 have an answer about sexual violence in the last 72 hours instead of the
    time since the event.
    """
    situation = {fact: frozenset(values) for fact, values in found.items()}
    for answer in situation.pop("sexual_under_72h", frozenset()):
        violence, since = read_72_hours(Answer(answer), situation[VIOLENCE.name], TimeSinceEvent.UNKNOWN)
        situation |= {VIOLENCE.name: violence, SINCE_EVENT.name: frozenset({since.value})}
    return complete_situation(situation)


def _encode_moment(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _decode_moment(stored: str) -> datetime | None:
    return datetime.fromisoformat(stored) if stored else None


def _encode_suggestion(one: Suggestion) -> dict[str, Any]:
    return {
        "namings": one.namings,
        "state": one.state.value,
        "suggested_at": one.suggested_at.isoformat(),
        "decided_at": _encode_moment(one.decided_at),
        "decided_by": one.decided_by,
    }


def _decode_suggestion(found: Mapping[str, Any]) -> Suggestion:
    suggested_at, decided_at = datetime.fromisoformat(found["suggested_at"]), _decode_moment(found["decided_at"])
    # Before 2026-11-28 a report named an agency once at most.
    namings = found.get("namings", int(decided_at is not None))
    return Suggestion(SuggestionState(found["state"]), suggested_at, decided_at, found["decided_by"], namings)


def _encode_consent(one: Consent) -> dict[str, str]:
    terms = one.terms
    return {
        "purpose": one.purpose.value,
        "given_by": terms.given_by.value,
        "relation": terms.relation.value,
        "way": terms.way.value,
        "text": terms.text,
        "language": terms.language,
        "text_digest": terms.text_digest,
        "given_at": terms.given_at.isoformat(),
        "recorded_by": one.recorded_by,
        "recorded_for": one.recorded_for,
        "recorded_at": one.recorded_at.isoformat(),
        "withdrawn_at": _encode_moment(one.withdrawn_at),
        "withdrawn_by": one.withdrawn_by,
    }


def _decode_consent(found: Mapping[str, str]) -> Consent:
    terms = ConsentTerms(
        ConsentGiver(found["given_by"]),
        Relation(found["relation"]),
        ConsentWay(found["way"]),
        found["text"],
        found["language"],
        found["text_digest"],
        datetime.fromisoformat(found["given_at"]),
    )
    return Consent(
        Right(found["purpose"]),
        terms,
        found["recorded_by"],
        found["recorded_for"],
        datetime.fromisoformat(found["recorded_at"]),
        _decode_moment(found["withdrawn_at"]),
        found["withdrawn_by"],
    )
