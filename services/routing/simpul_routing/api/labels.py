"""Sentences of the timeline, in the language of the reader."""

from collections.abc import Mapping, Sequence
from gettext import NullTranslations
from typing import Final

from simpul_agreement.document.dates import format_day
from simpul_agreement.model import Step
from simpul_routing.domain.case_events import (
    AnsweredRight,
    CaseEvent,
    CaseEventKind,
    ChangedReferral,
    ChangedState,
    FoundFull,
    NoPayload,
    OfferedReferral,
    RefusedMediation,
    Replanned,
    TakenCaseStep,
    TakenStep,
)
from simpul_routing.domain.case_lifecycle import CaseAction
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import CancelReason

_BY_HAND: Final = gettext_noop("by the case manager")
_ACTIONS: Final[Mapping[CaseAction, str]] = {
    CaseAction.DECIDED: gettext_noop("referrals were sent"),
    CaseAction.ACCEPTED: gettext_noop("an agency accepted"),
    CaseAction.PLANNED: gettext_noop("the service plan was drawn up"),
    CaseAction.BEGUN: gettext_noop("a service started"),
    CaseAction.SERVED: gettext_noop("all services have ended"),
    CaseAction.REOPENED: gettext_noop("reopened"),
    CaseAction.MERGED: gettext_noop("the same child"),
}
_STEPS: Final[Mapping[Step, str]] = {
    Step.HALF: gettext_noop("half of the time has passed; a reminder was sent"),
    Step.DUE: gettext_noop("overdue; escalated (100 % of the time)"),
    Step.TWICE: gettext_noop("still overdue; escalated again (200 % of the time)"),
}
_KINDS: Final[Mapping[CaseEventKind, str]] = {
    CaseEventKind.OFFERED_BY_HAND: _BY_HAND,
    CaseEventKind.MEDIATION_REFUSED: gettext_noop("mediation was requested and refused"),
    CaseEventKind.MEDIATION_RECORDED: gettext_noop("a mediation was recorded"),
    CaseEventKind.CONSENT_RECORDED: gettext_noop("a consent was recorded"),
    CaseEventKind.CONSENT_WITHDRAWN: gettext_noop("the consent was withdrawn"),
    CaseEventKind.WITHDRAWAL_ACKNOWLEDGED: gettext_noop("an agency confirmed that processing stopped"),
    CaseEventKind.QUESTION_SENT: gettext_noop("the reporting person was asked something"),
    CaseEventKind.TRANSFER_SENT: gettext_noop("a transfer to another party was sent"),
    CaseEventKind.TRANSFER_ACKNOWLEDGED: gettext_noop("the other party acknowledged the transfer"),
    CaseEventKind.TRANSFER_WITHDRAWN: gettext_noop("the transfer was withdrawn"),
    CaseEventKind.PLAN_PROPOSED: gettext_noop("a service plan was proposed"),
    CaseEventKind.PLAN_CONFIRMED: gettext_noop("the service plan was confirmed"),
    CaseEventKind.PLAN_SENT: gettext_noop("the service plan was sent at its deadline"),
    CaseEventKind.SERVICE_LEFT_OUT: gettext_noop("a service was left out of the plan"),
    CaseEventKind.EXCLUSION_SUGGESTED: gettext_noop("an unverified source suggested an exclusion"),
    CaseEventKind.PLAN_STEP_TAKEN: gettext_noop("the service plan is not decided yet"),
    CaseEventKind.EXCLUSION_STEP_TAKEN: gettext_noop("the suggested exclusion is not decided yet"),
}


def describe_events(  # noqa: PLR0911 - one return per kind
    events: Sequence[CaseEvent], names: Mapping[str, str], language: str
) -> str:
    """Returns the sentence for entries of the history that differ only in the service."""
    event, texts = events[0], _texts(language)
    written = f": {event.note}" if event.note else ""
    by = f", {_name_actor(event, names, language)}{written}"
    case = texts.gettext("Case")
    match event.payload:
        case OfferedReferral(agency=agency):
            return texts.gettext("{services}: sent to {agency}").format(
                services=_name_services(events, language), agency=names.get(agency, agency)
            )
        case ChangedReferral() as change:
            agency, why = names.get(change.agency, change.agency), _in_brackets(_why_of(change, names, language))
            services = _name_services(events, language)
            return f"{services}: {agency}: {change.after.label(language)}{why}{written}"
        case TakenStep(agency=agency, clock=clock, step=step):
            services = _name_services(events, language)
            return f"{services}: {names.get(agency, agency)}: {clock.label(language)}: {texts.gettext(_STEPS[step])}"
        case TakenCaseStep(agency=agency, step=step):
            why = _in_brackets(names.get(agency, agency))
            return f"{case}: {texts.gettext(_KINDS[event.kind])}{why}: {texts.gettext(_STEPS[step])}"
        case ChangedState(after=after) as change:
            return f"{case}: {after.label(language)}{_in_brackets(_why_state_changed(change, language))}{by}"
        case Replanned(reason=reason):
            return f"{case}: {reason.label(language)}{by}"
        case FoundFull() as full:
            return _describe_full(full, names, language)
        case AnsweredRight(right=right, after=state):
            label = texts.gettext("Right {right}").format(right=right.label(language))
            return f"{label}: {state.label(language)}{_in_brackets(texts.gettext(_BY_HAND))}{by}"
        case NoPayload() | RefusedMediation():
            clauses = ", ".join(event.payload.clauses) if isinstance(event.payload, RefusedMediation) else ""
            return f"{case}: {texts.gettext(_KINDS[event.kind])}{_in_brackets(clauses)}{by}"


def _describe_full(full: FoundFull, names: Mapping[str, str], language: str) -> str:
    texts = _texts(language)
    if full.full_until:
        why = texts.gettext("full until {day}").format(day=format_day(full.full_until, language))
    elif full.max_open is not None:
        why = texts.gettext("{count} open cases, limit {limit}").format(count=full.open_cases, limit=full.max_open)
    else:
        why = ""
    if full.chosen == full.agency:
        sentence = texts.gettext("{service}: {agency} is full{why}, and no other agency can take it")
    else:
        sentence = texts.gettext("{service}: {agency} was passed over because it is full{why}; next: {chosen}")
    return sentence.format(
        service=full.service.label(language),
        agency=names.get(full.agency, full.agency),
        why=_in_brackets(why),
        chosen=names.get(full.chosen, full.chosen),
    )


def _name_actor(event: CaseEvent, names: Mapping[str, str], language: str) -> str:
    """Names a person by role, agency and the start of the reference; anybody else by the agency."""
    if event.actor_role is None:
        return names.get(event.actor, event.actor)
    agency = names.get(event.actor_agency, event.actor_agency)
    return f"{event.actor_role.label(language)} {agency} [{event.actor[:8]}]"


def _name_services(events: Sequence[CaseEvent], language: str) -> str:
    """Names the services of the entries, and for new ones the role of the agency."""
    named = []
    for event in events:
        match event.payload:
            case OfferedReferral(service=service, role=role):
                named.append(f"{service.label(language)} ({role.label(language).lower()})")
            case ChangedReferral(service=service) | TakenStep(service=service):
                named.append(service.label(language))
    return ", ".join(named)


def _in_brackets(why: str) -> str:
    return f" ({why})" if why else ""


def _why_of(change: ChangedReferral, names: Mapping[str, str], language: str) -> str:
    if change.reason:
        return change.reason.label(language)
    by_hand = _texts(language).gettext(_BY_HAND)
    return by_hand if change.is_by_hand else names.get(change.next_agency, change.next_agency)


def _why_state_changed(change: ChangedState, language: str) -> str:
    if change.action is CaseAction.VOIDED:
        return CancelReason.ENTERED_IN_ERROR.label(language)
    reason = change.end or change.replan_reason
    if reason:
        return reason.label(language)
    return _texts(language).gettext(_ACTIONS[change.action]) if change.action in _ACTIONS else ""


def _texts(language: str) -> NullTranslations:
    return load_translations("simpul_routing")[language]
