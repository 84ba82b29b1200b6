"""What the pages of referrals share: which ones a person may open, and how a referral is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from fastapi import Request, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_agency.agency import ReferralUnknown
from simpul_agency.referral_view import ServiceView
from simpul_agreement.phrases import clause_sentence, describe_source
from simpul_city import City
from simpul_desk.access import User
from simpul_desk.hosting import repository
from simpul_desk.hosting.agencies import HostedAgencies, HostedAgency, OpenReferral
from simpul_desk.hosting.records import MAX_TEXT, RecordKind
from simpul_desk.hosting.steps import ServiceStep, step_of
from simpul_desk.hosting.worklist import Pressure
from simpul_desk.live import LiveChannels
from simpul_desk.rendering import page_language, render
from simpul_desk.service_api import RoutingApi
from simpul_desk.wording import Wording
from simpul_desk.work_pages.texts import PROBLEMS, STEPS, Problem, describe_dossier, describe_facts, list_files
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_schema.messages.case import MAX_QUESTION
from simpul_schema.messages.reply import MAX_NOTE
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import DeclineReason, DossierSection, ReferralOutcome, Right, RightState, Urgency
from simpul_schema.vocabulary import Service as Need

DOCUMENTS: Final = "/work/documents"


@dataclass(frozen=True)
class WorkPages:
    """Renders the work pages."""

    service: Service
    city: City
    hosted: HostedAgencies
    live: LiveChannels
    routing: RoutingApi
    has_guide: bool = False
    """Whether the city has a guide for people who meet a child in need."""

    def wording(self, request: Request) -> Wording:
        """Returns how times are written on the page that answers a request."""
        return Wording(page_language(request), self.city.zone, utc_now())

    @property
    def agency_names(self) -> Mapping[str, str]:
        """Code -> name."""
        return {agency.code: agency.name for agency in self.city.agencies}

    def agency_of(self, user: User, code: str) -> HostedAgency:
        """Returns a hosted agency of the person; any other answers as one that does not exist."""
        found = self.hosted.find(code) if code in user.memberships else None
        if found is None:
            raise HTTPException(404)
        return found

    async def open(self, user: User, code: str, referral_id: UUID) -> tuple[HostedAgency, OpenReferral]:
        """Opens a referral that the person may read; any other answers as one that does not exist."""
        agency = self.agency_of(user, code)
        try:
            found = await agency.read(referral_id)
        except ReferralUnknown as error:
            raise HTTPException(404) from error
        if user.is_excluded(found.view.first.data.case_id):
            raise HTTPException(404)
        return agency, found

    async def render_referral(
        self,
        request: Request,
        user: User,
        code: str,
        found: OpenReferral,
        *,
        problem: Problem | None = None,
        refusal: str = "",
        given: FormData | None = None,
    ) -> Response:
        """Renders the page of a referral, and records that the person read the dossier on it.

        `given` is what the person chose in a form that was not sent on; `refusal` is why the city does not take it.
        """
        hosted = self.agency_of(user, code)
        await hosted.record_dossier_read(found, user)
        records = await hosted.list_records(found, user)
        async with self.service.engine.connect() as connection:
            entry = await repository.find_entry(connection, code, found.view.referral_id, user.id)
        language = page_language(request)
        known, unknown = describe_facts(found.facts, language) if found.facts else ([], [])
        return render(
            request,
            "work/referral.html",
            status=409 if problem is Problem.CHANGED else 422 if problem or refusal else 200,
            agency=code,
            agency_name=self.agency_names[code],
            found=found,
            view=found.view,
            entry=entry,
            records=records,
            steps={one.service_id: step_of(one) for one in found.view.services},
            facts=known,
            unknown_facts=unknown,
            dossier=describe_dossier(found.dossier, language),
            dossier_files=list_files(found.dossier),
            wording=self.wording(request),
            problem=PROBLEMS[problem] if problem else "",
            refusal=refusal,
            has_letter=any(map(stands_in_letter, found.view.services)),
            given=given,
            chosen=given.getlist("service_ids") if given else None,
            is_safety_open=_is_in_danger(found),
            clause_text=lambda clause: self.clause_text(found, clause, language),
            mediation_locks=self.hosted.find_mediation_locks(found),
            source_text=lambda source: describe_source(source, language),
            people=[name for name in self.live.list_people(f"{code}/{found.view.referral_id}") if name != user.name],
            **TERMS,
        )

    def clause_text(self, found: OpenReferral, clause: Any, language: str) -> str:
        """Returns a clause of the agreement of a referral as a sentence; empty if that version is not known."""
        engines = self.hosted.engines_of(found.view.first.data.agreement)
        return clause_sentence(clause, engines.agreement, language) if engines else ""


TERMS: Final[Mapping[str, Any]] = {
    "case_reference": case_reference,
    "referral_code": referral_code,
    "Need": Need,
    "Urgency": Urgency,
    "Right": Right,
    "RightState": RightState,
    "Pressure": Pressure,
    "STEPS": STEPS,
    "ServiceStep": ServiceStep,
    "RecordKind": RecordKind,
    "max_text": MAX_TEXT,
    "max_note": MAX_NOTE,
    "max_question": MAX_QUESTION,
    "dossier_sections": tuple(DossierSection),
    "DossierSection": DossierSection,
    "documents_address": DOCUMENTS,
    "decline_reasons": tuple(DeclineReason),
    "outcomes": tuple(ReferralOutcome),
}
"""What every template of these pages may use."""


def stands_in_letter(service: ServiceView) -> bool:
    """Whether the agency is to provide a service, or has provided it."""
    return service.is_open or step_of(service) is ServiceStep.COMPLETED


def _is_in_danger(found: OpenReferral) -> bool:
    """Whether the child may not be safe, so that first aid comes before passing the service on."""
    return found.view.urgency is Urgency.HIGH
