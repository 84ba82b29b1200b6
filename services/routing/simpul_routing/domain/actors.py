"""Who acts on cases: which roles may do what, and which cases a person may see."""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from simpul_agreement.model import Agreement
from simpul_schema.vocabulary import ActorRole


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who acts for an agency in a role."""

    person: UUID
    agency: str
    role: ActorRole

    @property
    def code(self) -> str:
        """The reference of the person as the history stores it."""
        return str(self.person)


class ApiAction(StrEnum):
    """What a person may do through the API."""

    LIST_CASES = "list_cases"
    LIST_TRIAGE = "list_triage"
    READ_CASE = "read_case"
    READ_TIMELINE = "read_timeline"
    LIST_REFERRALS = "list_referrals"
    LIST_SUGGESTED_EXCLUSIONS = "list_suggested_exclusions"
    LIST_OVERLAPS = "list_overlaps"
    READ_INDICATORS = "read_indicators"
    READ_REGISTER = "read_register"
    READ_OPERATIONS = "read_operations"
    LIST_CAPACITIES = "list_capacities"
    STATE_CAPACITY = "state_capacity"
    CLOSE = "close"
    REOPEN = "reopen"
    VOID = "void"
    MERGE = "merge"
    DISMISS_OVERLAP = "dismiss_overlap"
    ANSWER_RIGHT = "answer_right"
    CHANGE_URGENCY = "change_urgency"
    EXCLUDE_AGENCY = "exclude_agency"
    DECIDE_SUGGESTION = "decide_suggestion"
    LIST_CONSENTS = "list_consents"
    RECORD_CONSENT = "record_consent"
    WITHDRAW_CONSENT = "withdraw_consent"
    CHANGE_STAGE = "change_stage"
    SEND_QUESTION = "send_question"
    SEND_AGENCY_QUESTION = "send_agency_question"
    READ_AGENCY_QUESTIONS = "read_agency_questions"
    LIST_AGENCY_QUESTIONS = "list_agency_questions"
    ANSWER_AGENCY_QUESTION = "answer_agency_question"
    RECORD_MEDIATION = "record_mediation"
    OFFER_SERVICE = "offer_service"
    CANCEL_SERVICES = "cancel_services"
    LIST_PLANS = "list_plans"
    READ_NOTES = "read_notes"
    READ_PLAN = "read_plan"
    CONFIRM_PLAN = "confirm_plan"
    LIST_TRANSFERS = "list_transfers"
    READ_LETTER = "read_letter"
    SEND_TRANSFER = "send_transfer"
    ACKNOWLEDGE_TRANSFER = "acknowledge_transfer"
    WITHDRAW_TRANSFER = "withdraw_transfer"


SEE_EVERY_CASE: Final = frozenset({ActorRole.COORDINATOR, ActorRole.OPERATOR})
"""Roles whose work concerns the whole city; everybody else sees the cases of their own agency."""
_READ_ANY_CASE: Final = SEE_EVERY_CASE | {ActorRole.EMERGENCY_READER}
_EVERYBODY: Final = frozenset(ActorRole) - {ActorRole.EMERGENCY_READER}
_MANAGING: Final = frozenset({ActorRole.CASE_MANAGER, ActorRole.COORDINATOR})
_DECIDING: Final = _MANAGING | {ActorRole.AGENCY_LEAD}
READ_FACTS: Final = _MANAGING
"""Roles that read what happened to a child on the page of its case; the kit shows it to every addressed agency."""
_OF_AGENCIES: Final = frozenset({ActorRole.RESPONDER, ActorRole.CASE_MANAGER, ActorRole.AGENCY_LEAD})
PERMITTED: Final[Mapping[ApiAction, frozenset[ActorRole]]] = MappingProxyType(
    {
        ApiAction.LIST_CASES: _EVERYBODY,
        ApiAction.LIST_TRIAGE: _EVERYBODY,
        # The desk asserts the emergency reader for one case only.
        ApiAction.READ_CASE: _EVERYBODY | {ActorRole.EMERGENCY_READER},
        ApiAction.READ_TIMELINE: _EVERYBODY | {ActorRole.EMERGENCY_READER},
        ApiAction.LIST_REFERRALS: _EVERYBODY,
        ApiAction.LIST_SUGGESTED_EXCLUSIONS: _DECIDING | {ActorRole.OPERATOR},
        ApiAction.LIST_OVERLAPS: _MANAGING | {ActorRole.OPERATOR},
        ApiAction.READ_INDICATORS: _DECIDING | {ActorRole.OPERATOR},
        ApiAction.READ_REGISTER: frozenset({ActorRole.COORDINATOR}),
        ApiAction.READ_OPERATIONS: SEE_EVERY_CASE,
        ApiAction.LIST_CAPACITIES: SEE_EVERY_CASE | {ActorRole.AGENCY_LEAD},
        ApiAction.STATE_CAPACITY: frozenset({ActorRole.AGENCY_LEAD}),
        ApiAction.CLOSE: _MANAGING,
        ApiAction.REOPEN: _MANAGING,
        ApiAction.VOID: _MANAGING,
        ApiAction.MERGE: _MANAGING,
        ApiAction.DISMISS_OVERLAP: _MANAGING,
        ApiAction.ANSWER_RIGHT: _MANAGING,
        ApiAction.CHANGE_URGENCY: _MANAGING,
        ApiAction.EXCLUDE_AGENCY: _MANAGING,
        # The agency that reviews a suggestion may be any that the agreement names.
        ApiAction.DECIDE_SUGGESTION: _DECIDING,
        ApiAction.LIST_CONSENTS: _DECIDING,
        ApiAction.RECORD_CONSENT: _DECIDING,
        ApiAction.WITHDRAW_CONSENT: _DECIDING,
        ApiAction.CHANGE_STAGE: _MANAGING,
        ApiAction.SEND_QUESTION: _MANAGING,
        ApiAction.SEND_AGENCY_QUESTION: _OF_AGENCIES,
        ApiAction.READ_AGENCY_QUESTIONS: _OF_AGENCIES,
        ApiAction.LIST_AGENCY_QUESTIONS: _OF_AGENCIES,
        ApiAction.ANSWER_AGENCY_QUESTION: _OF_AGENCIES,
        # The agreement says who may; whoever tries without being named is refused by a clause, and recorded.
        ApiAction.RECORD_MEDIATION: _EVERYBODY,
        ApiAction.OFFER_SERVICE: _MANAGING,
        ApiAction.CANCEL_SERVICES: _MANAGING,
        ApiAction.LIST_PLANS: _DECIDING | {ActorRole.OPERATOR},
        ApiAction.READ_NOTES: _DECIDING | {ActorRole.RESPONDER},
        ApiAction.READ_PLAN: _DECIDING,
        ApiAction.CONFIRM_PLAN: _MANAGING,
        ApiAction.LIST_TRANSFERS: _MANAGING,
        ApiAction.READ_LETTER: _MANAGING,
        ApiAction.SEND_TRANSFER: _MANAGING,
        ApiAction.ACKNOWLEDGE_TRANSFER: _MANAGING,
        ApiAction.WITHDRAW_TRANSFER: _MANAGING,
    }
)
"""Action -> the roles that may do it."""


def is_permitted(role: ActorRole, action: ApiAction) -> bool:
    """Whether a role may do something at all; access to the case is another question."""
    return role in PERMITTED[action]


def may_know_load(actor: Actor, agency: str) -> bool:
    """Whether a person may know how many cases an agency has, and how many it can take."""
    is_own = actor.role is not ActorRole.AGENCY_LEAD or actor.agency == agency
    return is_own and is_permitted(actor.role, ApiAction.LIST_CAPACITIES)


def is_excluded(agency: str, excluded: AbstractSet[str], agreement: Agreement) -> bool:
    """Whether an agency, or a party that it is part of, is among the excluded ones (R6)."""
    return not excluded.isdisjoint(agreement.parts_of(agency))


def has_access(actor: Actor, excluded: AbstractSet[str], involved: Collection[str], agreement: Agreement) -> bool:
    """Whether a person may know of a case.

    `excluded` are the agencies that are excluded from it, `involved` those that were ever addressed in it or have to
    decide something about it. People of the hub see each case, others those in which their agency is involved.
    """
    if is_excluded(actor.agency, excluded, agreement):
        return False
    return sees_every_case(actor, agreement) or actor.agency in involved


def sees_every_case(actor: Actor, agreement: Agreement) -> bool:
    """Whether a person sees each case from which their agency is not excluded."""
    return actor.role in _READ_ANY_CASE or agreement.hub in agreement.parts_of(actor.agency)
