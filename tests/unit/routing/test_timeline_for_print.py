"""The history on paper holds neither what people wrote nor who is suspected."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from simpul_routing.api.timeline import leave_out_for_print
from simpul_routing.domain.case_events import CaseEvent, CaseEventKind, ChangedReferral, Replanned
from simpul_routing.domain.lifecycle import ServiceState
from simpul_routing.repository import StoredCaseEvent
from simpul_schema.vocabulary import DeclineReason, ReplanReason, Service

NOW = datetime(2026, 11, 27, tzinfo=UTC)
DECLINED = ChangedReferral("ylpa", Service.SHELTER, ServiceState.OFFERED, ServiceState.DECLINED)
SUSPICIONS = (
    CaseEvent(UUID(int=1), CaseEventKind.EXCLUSION_SUGGESTED, "routing"),
    CaseEvent(UUID(int=1), CaseEventKind.REPLANNED, "routing", Replanned(ReplanReason.AGENCY_EXCLUDED)),
)


def for_print(*events: CaseEvent) -> list[CaseEvent]:
    return [one.event for one in leave_out_for_print([StoredCaseEvent(event, NOW) for event in events])]


def test_what_people_wrote_is_left_out() -> None:
    event = CaseEvent(UUID(int=1), CaseEventKind.CONSENT_RECORDED, "routing", note="Ibu Rekaan, kakak korban")

    assert for_print(event) == [replace(event, note="")]


def test_suspicions_are_left_out() -> None:
    replanned = CaseEvent(UUID(int=1), CaseEventKind.REPLANNED, "routing", Replanned(ReplanReason.FACTS_AMENDED))

    assert for_print(*SUSPICIONS, replanned) == [replanned]


def test_a_reason_that_names_a_suspicion_is_left_out_of_its_line() -> None:
    conflict, excluded, full = (
        replace(DECLINED, **reason)
        for reason in (
            {"decline_reason": DeclineReason.CONFLICT_OF_INTEREST},
            {"replan_reason": ReplanReason.AGENCY_EXCLUDED},
            {"decline_reason": DeclineReason.NO_CAPACITY},
        )
    )

    shown = for_print(
        *(CaseEvent(UUID(int=1), CaseEventKind.REFERRAL_CHANGED, "ylpa", one) for one in (conflict, excluded, full))
    )

    assert [one.payload for one in shown] == [DECLINED, DECLINED, full]
