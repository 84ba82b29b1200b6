"""HTTP responses for the errors of the use cases, which say what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from simpul_agreement.model import Agreement, Clause
from simpul_agreement.phrases import clause_sentence, describe_source
from simpul_routing.errors import (
    AgencyExcluded,
    AgencyNotEligible,
    AlreadyServed,
    CaseChanged,
    CaseEnded,
    CaseMerged,
    CaseNotEnded,
    CaseUnknown,
    CodeAmbiguous,
    CodeInvalid,
    ConsentFromSuspect,
    ConsentTextUnknown,
    CursorInvalid,
    DayTooFar,
    DecisionOutstanding,
    ExclusionUndecided,
    GuardianRelationMissing,
    MediationLocked,
    MediationRefused,
    MediationReserved,
    MonthNotOver,
    MonthsReversed,
    NobodyToAnswer,
    OtherServiceOutstanding,
    OverlapUnknown,
    PlanUnknown,
    QuestionAnswered,
    QuestionOpen,
    QuestionUnknown,
    ReasonMissing,
    ReferralUnknown,
    RightsUnsettled,
    RoleNotPermitted,
    ServiceNotPlanned,
    SettledServiceAmbiguous,
    StageNotAllowed,
    SuggestionAlreadyDecided,
    SuggestionUnknown,
    TransferNotAcknowledged,
    TransferUnknown,
)
from simpul_runtime.assertions import AssertionFault, AssertionInvalid
from simpul_runtime.failure_responses import FailureOut
from simpul_runtime.failures import Refusal
from simpul_schema.translations import SOURCE_LANGUAGE, gettext_noop, load_translations
from simpul_schema.vocabulary import Term

_REFUSALS: Final[Mapping[type[Exception], Refusal]] = {
    CodeInvalid: Refusal(
        422, "code_invalid", gettext_noop("That is neither an id nor a code; write it as in K-7K3Q-2M9F or R-7K3Q2M.")
    ),
    CodeAmbiguous: Refusal(409, "code_ambiguous", gettext_noop("Two have this code; give the whole id instead.")),
    CursorInvalid: Refusal(422, "cursor_invalid", gettext_noop("The cursor is not valid; start without a cursor.")),
    DayTooFar: Refusal(
        422, "day_too_far", gettext_noop("An agency can be full for a year at most. Enter an earlier day.")
    ),
    MonthsReversed: Refusal(422, "months_reversed", gettext_noop("The first month is after the last.")),
    MonthNotOver: Refusal(422, "month_not_over", gettext_noop("That month is not over yet.")),
    CaseUnknown: Refusal(
        404,
        "case_unknown",
        gettext_noop(
            "There is no case of that id that you may see; check the id in the list of cases. A new report is a case"
            " once routing has decided it."
        ),
    ),
    ReferralUnknown: Refusal(
        404, "referral_unknown", gettext_noop("The case has no open referral of that id; read the case again.")
    ),
    SettledServiceAmbiguous: Refusal(
        409,
        "settled_service_ambiguous",
        gettext_noop("Several services of the referral may be settled; name one by its `service_id`."),
    ),
    CaseChanged: Refusal(412, "case_changed", gettext_noop("The case changed after it was read; read it again.")),
    CaseEnded: Refusal(409, "case_ended", gettext_noop("The case has ended; reopen it first.")),
    CaseNotEnded: Refusal(409, "case_not_ended", gettext_noop("The case has not ended.")),
    ReasonMissing: Refusal(422, "reason_missing", gettext_noop("A reason is required.")),
    AgencyExcluded: Refusal(
        409, "agency_excluded", gettext_noop("The agency is excluded from this case; choose another.")
    ),
    SuggestionUnknown: Refusal(
        404,
        "suggestion_unknown",
        gettext_noop("No exclusion of this agency was suggested in this case; read the case again."),
    ),
    OverlapUnknown: Refusal(
        404, "overlap_unknown", gettext_noop("The case has no open overlap of that id; read the case again.")
    ),
    QuestionOpen: Refusal(
        409,
        "question_open",
        gettext_noop("Your agency's last question about this case is not answered yet; wait for the answer."),
    ),
    QuestionUnknown: Refusal(
        404, "question_unknown", gettext_noop("No question of this id waits for your agency; list them again.")
    ),
    QuestionAnswered: Refusal(
        409, "question_answered", gettext_noop("A colleague has answered this question already.")
    ),
    NobodyToAnswer: Refusal(
        409,
        "nobody_to_answer",
        gettext_noop("No other agency referred this child or manages the case; use the city's hotline instead."),
    ),
    SuggestionAlreadyDecided: Refusal(
        409,
        "suggestion_already_decided",
        gettext_noop("This suggestion was already decided the other way; to exclude the agency, use exclusions."),
    ),
    ConsentFromSuspect: Refusal(
        409,
        "consent_from_suspect",
        gettext_noop(
            "This person may be the suspect, or is related to the child as the suspect is, so no consent is asked;"
            " what protects the child rests on another basis."
        ),
    ),
    GuardianRelationMissing: Refusal(
        422,
        "guardian_relation_missing",
        gettext_noop("Enter what the guardian is to the child; without it nobody can rule out the suspect."),
    ),
    ConsentTextUnknown: Refusal(
        422,
        "consent_text_unknown",
        gettext_noop("The city has no consent text of this version in this language; list them first."),
    ),
    ExclusionUndecided: Refusal(
        409,
        "exclusion_undecided",
        gettext_noop("A suggested exclusion in this case, or in the case to merge, is undecided; decide it first."),
    ),
    DecisionOutstanding: Refusal(
        409,
        "decision_outstanding",
        gettext_noop("Another agency has yet to decide something in this case; try again later."),
    ),
    PlanUnknown: Refusal(
        404, "plan_unknown", gettext_noop("The case has no service plan that awaits a decision; read the case again.")
    ),
    TransferUnknown: Refusal(
        404, "transfer_unknown", gettext_noop("The case has no open transfer of that id; read the case again.")
    ),
    TransferNotAcknowledged: Refusal(
        409,
        "transfer_not_acknowledged",
        gettext_noop(
            "The child is in danger: the case stays with the city until the other party has acknowledged the transfer."
        ),
    ),
    StageNotAllowed: Refusal(409, "stage_not_allowed", gettext_noop("The case cannot change to this stage now.")),
}
_RIGHTS_UNSETTLED: Final = Refusal(409, "rights_unsettled", gettext_noop("These rights are not settled yet: {rights}."))
_CASE_MERGED: Final = Refusal(409, "case_merged", gettext_noop("The case was merged into another one."))
_OTHER_SERVICE: Final = Refusal(
    409,
    "other_service_outstanding",
    gettext_noop("This triage is about {service}: offer that service, or complete the triage with an outcome."),
)
_NOT_PLANNED: Final = Refusal(
    422, "service_not_planned", gettext_noop("The service plan does not propose {service}; read it again.")
)
_ALREADY_SERVED: Final = Refusal(
    409,
    "already_served",
    gettext_noop("The child already has an open referral for this service; give a reason to offer another."),
)
_OUTSIDE_MANDATE: Final = Refusal(
    422, "agency_not_eligible", gettext_noop("{service} is not in the mandate of {agency}. These may: {eligible}.")
)
_NO_AGENCY_FOR: Final = Refusal(
    422, "agency_not_eligible", gettext_noop("There is no agency of that code. {service} is for: {eligible}.")
)
_NO_AGENCY: Final = Refusal(422, "agency_not_eligible", gettext_noop("There is no agency of that code; check it."))
_MAX_NAMED: Final = 12
"""Agencies that a refusal names; more are a kind with one in every kelurahan."""
_MEDIATION: Final[Mapping[type[MediationRefused], Refusal]] = {
    MediationLocked: Refusal(
        403,
        "mediation_locked",
        gettext_noop("The agreement forbids mediation in this case: {clauses} The attempt was recorded."),
    ),
    MediationReserved: Refusal(
        403,
        "mediation_reserved",
        gettext_noop("People in other roles may open a mediation: {clauses} The attempt was recorded."),
    ),
}
_MEDIATION_NOT_OPENED: Final = Refusal(
    403,
    "mediation_locked",
    gettext_noop("No clause of the agreement opens mediation in this case. The attempt was recorded."),
)
_ROLE_NOT_PERMITTED: Final = Refusal(
    403, "role_not_permitted", gettext_noop("Your role does not permit this; it is for: {roles}.")
)
_ASSERTION_FAULTS: Final[Mapping[AssertionFault, str]] = {
    AssertionFault.MISSING: gettext_noop(
        "The request does not say who acts; sign in, or use a token of `simpul token`."
    ),
    AssertionFault.UNREADABLE: gettext_noop(
        "The assertion of who acts cannot be read; update the program that sent it."
    ),
    AssertionFault.UNKNOWN_KEY: gettext_noop(
        "The key that says who acts is not accepted here, or no longer; ask the operator for a new token."
    ),
    AssertionFault.FORGED: gettext_noop("The signature of the assertion of who acts is wrong."),
    AssertionFault.OTHER_AUDIENCE: gettext_noop("The assertion of who acts is for another service."),
    AssertionFault.OTHER_REQUEST: gettext_noop("The assertion of who acts is for another request."),
    AssertionFault.EXPIRED: gettext_noop("The assertion of who acts has expired; send the request again."),
    AssertionFault.NOT_YET_VALID: gettext_noop(
        "The assertion of who acts is from the future; set the clock of the machine that sent it."
    ),
}
_TEXT_PACKAGES: Final = ("simpul_routing", "simpul_runtime")


def add_error_handlers(web: FastAPI, names: Mapping[str, str]) -> None:  # noqa: C901 - one line per error
    """Adds a handler for each error, with a status, a stable code and the sentence in every language.

    `names` are the names of the city's agencies by code.
    """

    async def respond(_: Request, error: Exception) -> JSONResponse:
        return _respond(_REFUSALS[type(error)])

    for error in _REFUSALS:
        web.add_exception_handler(error, respond)

    @web.exception_handler(RightsUnsettled)
    async def respond_rights_unsettled(_: Request, error: RightsUnsettled) -> JSONResponse:
        return _respond(_RIGHTS_UNSETTLED, {"rights": error.rights}, rights=[right.value for right in error.rights])

    @web.exception_handler(AssertionInvalid)
    async def respond_assertion_invalid(_: Request, error: AssertionInvalid) -> JSONResponse:
        refusal = Refusal(401, "assertion_invalid", _ASSERTION_FAULTS[error.fault])
        return _respond(refusal, fault=error.fault.value)

    @web.exception_handler(RoleNotPermitted)
    async def respond_role_not_permitted(_: Request, error: RoleNotPermitted) -> JSONResponse:
        return _respond(_ROLE_NOT_PERMITTED, {"roles": error.roles}, roles=[role.value for role in error.roles])

    for refused in _MEDIATION:
        web.add_exception_handler(refused, _respond_mediation_refused)

    @web.exception_handler(CaseMerged)
    async def respond_case_merged(_: Request, error: CaseMerged) -> JSONResponse:
        return _respond(_CASE_MERGED, into=str(error.into))

    @web.exception_handler(OtherServiceOutstanding)
    async def respond_other_service(_: Request, error: OtherServiceOutstanding) -> JSONResponse:
        return _respond(_OTHER_SERVICE, {"service": [error.service]}, service=error.service.value)

    @web.exception_handler(ServiceNotPlanned)
    async def respond_not_planned(_: Request, error: ServiceNotPlanned) -> JSONResponse:
        return _respond(_NOT_PLANNED, {"service": [error.service]}, service=error.service.value)

    @web.exception_handler(AgencyNotEligible)
    async def respond_agency_not_eligible(_: Request, error: AgencyNotEligible) -> JSONResponse:
        if error.service is None:
            return _respond(_NO_AGENCY)
        refusal = _OUTSIDE_MANDATE if error.agency in names else _NO_AGENCY_FOR
        named = [_AgencyName(code, names[code]) for code in error.eligible[:_MAX_NAMED]]
        # An unknown code is not repeated: somebody may have written a name.
        agency = [_AgencyName(error.agency, names[error.agency])] if error.agency in names else []
        terms: _Terms = {"service": [error.service], "agency": agency, "eligible": named}
        return _respond(refusal, terms, eligible=error.eligible)

    @web.exception_handler(AlreadyServed)
    async def respond_already_served(_: Request, error: AlreadyServed) -> JSONResponse:
        return _respond(_ALREADY_SERVED, referral_id=str(error.referral_id))


async def _respond_mediation_refused(_: Request, error: Exception) -> JSONResponse:
    """Names each clause with its text, in every language."""
    assert isinstance(error, MediationRefused)  # noqa: S101 - registered for this class only
    texts = [_ClauseText(clause, error.agreement) for clause in error.clauses]
    refusal = _MEDIATION[type(error)] if texts else _MEDIATION_NOT_OPENED
    return _respond(
        refusal,
        {"clauses": texts},
        agreement=error.agreement.version,
        clauses=[{"id": text.clause.id, "messages": text.messages()} for text in texts],
    )


@dataclass(frozen=True, slots=True)
class _ClauseText:
    """A clause as a refusal quotes it."""

    clause: Clause
    agreement: Agreement

    def label(self, language: str) -> str:
        """The id, the sentence and the source of the clause."""
        sentence = clause_sentence(self.clause, self.agreement, language)
        return f"{self.clause.id}: {sentence} ({describe_source(self.clause.source, language)})"

    def messages(self) -> dict[str, str]:
        """The text in every language."""
        return {language: self.label(language) for language in load_translations(*_TEXT_PACKAGES)}


@dataclass(frozen=True, slots=True)
class _AgencyName:
    """An agency as a refusal names it."""

    code: str
    name: str

    def label(self, _: str) -> str:
        """The name, which is the same in every language, and the code to write."""
        return f"{self.name} ({self.code})"


_Terms: TypeAlias = Mapping[str, Sequence[Term | _ClauseText | _AgencyName]]
"""Placeholder -> what is named in its place."""


def _respond(refusal: Refusal, terms: _Terms | None = None, **details: object) -> JSONResponse:
    """Answers with the refusal; `terms` fill its placeholders with their labels, `details` are for programs."""
    messages = {
        language: texts.gettext(refusal.message).format_map(
            {name: ", ".join(term.label(language) for term in named) for name, named in (terms or {}).items()}
        )
        for language, texts in load_translations(*_TEXT_PACKAGES).items()
    }
    failure = FailureOut(code=refusal.code, detail=messages[SOURCE_LANGUAGE], messages=messages)
    return JSONResponse(failure.model_dump(mode="json", exclude_none=True) | details, refusal.status)
