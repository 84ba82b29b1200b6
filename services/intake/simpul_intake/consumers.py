"""Assigns each consumed event to a use case."""

from collections.abc import Mapping
from typing import Final

from simpul_intake.use_cases import (
    FindAccusations,
    KeepNotes,
    KeepQuestions,
    ReleaseDossiers,
    record_closed_cases,
    record_exclusions,
    record_merged_cases,
    record_reopened_cases,
    record_voided_cases,
)
from simpul_runtime.inbox import Handler
from simpul_runtime.topology import Binding
from simpul_schema import Event
from simpul_schema.messages import (
    CaseAgencyClearedV1,
    CaseAgencyExcludedV1,
    CaseClosedV1,
    CaseMergedV1,
    CaseNoteAddedV1,
    CaseQuestionSentV1,
    CaseReopenedV1,
    CaseVoidedV1,
    DisclosureDecidedV1,
    ReplyDossierDeletedV1,
)
from simpul_schema.names import EVENTS, REPLIES

BINDINGS: Final[tuple[Binding, ...]] = (
    (EVENTS, "case.closed.v1"),
    (EVENTS, "case.voided.v1"),
    (EVENTS, "case.reopened.v1"),
    (EVENTS, "case.merged.v1"),
    (EVENTS, "case.agency_excluded.v1"),
    (EVENTS, "case.agency_cleared.v1"),
    (EVENTS, "case.question_sent.v1"),
    (EVENTS, "case.note_added.v1"),
    (EVENTS, "disclosure.decided.v1"),
    (REPLIES, "reply.*.dossier.deleted.v1"),
)
"""What intake's queue is bound to: parts of streams, so intake consumes without order."""


def handlers(
    release_dossiers: ReleaseDossiers, questions: KeepQuestions, notes: KeepNotes, accusations: FindAccusations
) -> Mapping[type[Event], Handler]:
    """Returns the handler of each message type."""
    return {
        CaseClosedV1: record_closed_cases,
        CaseVoidedV1: record_voided_cases,
        CaseReopenedV1: record_reopened_cases,
        CaseMergedV1: record_merged_cases,
        CaseAgencyExcludedV1: record_exclusions,
        CaseAgencyClearedV1: accusations.record_clearings,
        CaseQuestionSentV1: questions.record_questions,
        CaseNoteAddedV1: notes.record_notes,
        DisclosureDecidedV1: release_dossiers.record_decisions,
        ReplyDossierDeletedV1: release_dossiers.record_deletions,
    }
