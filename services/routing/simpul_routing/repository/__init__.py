"""All SQL of routing.

Transactions lock rows in one order, so that none waits for another in a circle: cases by id, then whatever belongs to
them, the streams of the outbox, agencies in `agency_manifest`. Rows of the outbox are locked only if they are free.
"""

from simpul_routing.repository.access import (
    Scope,
    find_situations,
    list_cases_with_exclusions,
    list_involved_agencies,
    list_merged_cases,
    list_reviewed_cases,
)
from simpul_routing.repository.agency_questions import (
    add_question,
    answer_question,
    count_open_questions,
    erase_questions,
    find_question,
    list_addressed_questions,
    list_questions,
    withdraw_questions,
)
from simpul_routing.repository.audit_heads import list_audit_heads, store_audit_heads
from simpul_routing.repository.capacities import count_open_cases, list_capacities, load_capacities, state_capacity
from simpul_routing.repository.case_files import CaseFiles
from simpul_routing.repository.case_lists import count_cases, count_open_triage, list_cases, list_open_triage
from simpul_routing.repository.cases import find_cases
from simpul_routing.repository.clocks import (
    UnreachedStep,
    bring_steps_forward,
    find_cases_with_due_decision,
    find_due_referrals,
    postpone_due_clocks,
    postpone_due_decisions,
)
from simpul_routing.repository.codes import find_cases_by_code, find_referrals_by_code
from simpul_routing.repository.dossiers import empty_withdrawn_releases, find_agency_of_referral
from simpul_routing.repository.earlier_disclosures import (
    find_earlier_disclosures,
    postpone_earlier_disclosure,
    take_earlier_disclosure,
)
from simpul_routing.repository.exclusions import count_open_reviews, find_open_review, list_open_reviews
from simpul_routing.repository.history import StoredCaseEvent, list_case_events
from simpul_routing.repository.indicators import NESTED_COUNTS, IndicatorKey, count_clocks, count_rights, count_services
from simpul_routing.repository.manifests import (
    MAX_NUMBERED,
    ResendRequest,
    SentEvent,
    add_resend_request,
    count_missed_manifests,
    delete_old_manifests,
    exclude_manifests_from_numbering,
    find_events_to_resend,
    find_last_number,
    find_reachable_agencies,
    number_sent_events,
    postpone_resend_request,
    raise_silence_alarms,
    requeue_events,
    reset_missed_manifests,
    take_resend_request,
    try_advisory_lock,
)
from simpul_routing.repository.notes import add_note, erase_notes, is_erased, list_notes
from simpul_routing.repository.operations import list_parked_messages, list_silent_agencies
from simpul_routing.repository.overlaps import (
    count_open_overlaps,
    dismiss_overlap,
    list_open_overlaps,
    list_overlaps_of_case,
    record_overlaps,
)
from simpul_routing.repository.referrals import add_refused_reply, find_ended_referrals
from simpul_routing.repository.register import list_registered_cases
from simpul_routing.repository.service_plans import count_open_plans, find_open_plan, list_open_plans
from simpul_routing.repository.transfers import count_open_transfers, list_open_transfers, list_transfers
from simpul_routing.repository.views import (
    ReferralView,
    count_open_referrals,
    list_clocks,
    list_open_referrals,
    list_referrals,
)

__all__ = [
    "MAX_NUMBERED",
    "NESTED_COUNTS",
    "CaseFiles",
    "IndicatorKey",
    "ReferralView",
    "ResendRequest",
    "Scope",
    "SentEvent",
    "StoredCaseEvent",
    "UnreachedStep",
    "add_note",
    "add_question",
    "add_refused_reply",
    "add_resend_request",
    "answer_question",
    "bring_steps_forward",
    "count_cases",
    "count_clocks",
    "count_missed_manifests",
    "count_open_cases",
    "count_open_overlaps",
    "count_open_plans",
    "count_open_questions",
    "count_open_referrals",
    "count_open_reviews",
    "count_open_transfers",
    "count_open_triage",
    "count_referrals",
    "count_rights",
    "count_services",
    "delete_old_manifests",
    "dismiss_overlap",
    "empty_withdrawn_releases",
    "erase_notes",
    "erase_questions",
    "exclude_manifests_from_numbering",
    "find_agency_of_referral",
    "find_cases",
    "find_cases_by_code",
    "find_cases_with_due_decision",
    "find_due_referrals",
    "find_earlier_disclosures",
    "find_ended_referrals",
    "find_events_to_resend",
    "find_last_number",
    "find_open_plan",
    "find_open_review",
    "find_question",
    "find_reachable_agencies",
    "find_referrals_by_code",
    "find_situations",
    "is_erased",
    "list_addressed_questions",
    "list_audit_heads",
    "list_capacities",
    "list_case_events",
    "list_cases",
    "list_cases_with_exclusions",
    "list_clocks",
    "list_involved_agencies",
    "list_merged_cases",
    "list_notes",
    "list_open_overlaps",
    "list_open_plans",
    "list_open_referrals",
    "list_open_reviews",
    "list_open_transfers",
    "list_open_triage",
    "list_overlaps_of_case",
    "list_parked_messages",
    "list_questions",
    "list_referrals",
    "list_registered_cases",
    "list_reviewed_cases",
    "list_silent_agencies",
    "list_transfers",
    "load_capacities",
    "number_sent_events",
    "postpone_due_clocks",
    "postpone_due_decisions",
    "postpone_earlier_disclosure",
    "postpone_resend_request",
    "raise_silence_alarms",
    "record_overlaps",
    "requeue_events",
    "reset_missed_manifests",
    "state_capacity",
    "store_audit_heads",
    "take_earlier_disclosure",
    "take_resend_request",
    "try_advisory_lock",
    "withdraw_questions",
]
