"""Transfers by HTTP: who waits for whom, the letter to print or mail, and its receipt."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field, StringConstraints

from simpul_city import City
from simpul_routing import repository
from simpul_routing.api.actions import ActionIn, Version, version_number
from simpul_routing.api.authentication import Authentication
from simpul_routing.api.codes import Codes
from simpul_routing.api.paging import Cursor, Limit, Without, decode_cursor, encode_cursor
from simpul_routing.api.queries import transfer_out
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.domain.case import Case
from simpul_routing.domain.transfer import Acknowledgement, ExternalParty, Transfer, TransferSubject, TransferWay
from simpul_routing.errors import TransferUnknown
from simpul_routing.use_cases import SeeCases, TransferCases
from simpul_runtime.service import Service
from simpul_schema.names import subject_of_case
from simpul_schema.references import case_reference, referral_code
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import ReferralRole
from simpul_schema.vocabulary import Service as CareService

OfficeText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=300)]
_LETTER: Final[dict[TransferSubject, str]] = {
    TransferSubject.CHILD: gettext_noop(
        "{party}\n{address}\n\n"
        "Transfer {code}, {day}\n\n"
        "The agencies of {city} ask you to take over a child who needs protection (reference {case}, urgency"
        " {urgency}). They care for the child until you have acknowledged this letter.\n\n"
        "This letter contains no name. {agency} hands over names and papers to the person whom you name.\n\n"
        "Please acknowledge to {agency} before {due}, with name, office and date, and with the reference {code}.\n"
    ),
    TransferSubject.SUSPECT: gettext_noop(
        "{party}\n{address}\n\n"
        "Transfer {code}, {day}\n\n"
        "The agencies of {city} ask you to take over a suspect (reference {case}, urgency {urgency}). Whoever serves"
        " the child does not serve the suspect.\n\n"
        "This letter contains no name. {agency} hands over names and papers to the person whom you name.\n\n"
        "Please acknowledge to {agency} before {due}, with name, office and date, and with the reference {code}.\n"
    ),
}
"""The letter; it names nobody, because it leaves the vault."""


class TransferIn(ActionIn):
    """A letter to a party outside the agreement."""

    subject: TransferSubject = Field(default=TransferSubject.CHILD, description="whom the party takes over")
    way: TransferWay = Field(description="how the letter travels")
    party: OfficeText = Field(description="name of the institution; stored encrypted")
    address: OfficeText = Field(description="address of its office, by mail or on paper; stored encrypted")


class TransferOut(BaseModel):
    """The new transfer."""

    transfer_id: UUID = Field(description="random reference of the transfer")
    code: str = Field(description="short form of the reference, for the letter")


class AcknowledgementIn(BaseModel):
    """Who received the letter, as a person notes it."""

    model_config = ActionIn.model_config

    name: OfficeText = Field(description="name of the person who received it; stored encrypted")
    office: OfficeText = Field(description="office of that person; stored encrypted")
    received_on: date = Field(description="day of the receipt")


def add_transfer_routes(
    web: FastAPI,
    service: Service,
    city: City,
    transfer_cases: TransferCases,
    see_cases: SeeCases,
    authentication: Authentication,
    codes: Codes,
    documented: dict[str, Any],
) -> None:
    """Adds the routes about transfers."""
    names = {agency.code: agency.name for agency in city.agencies}
    guarded: dict[str, Any] = {**documented, "tags": ["cases"]}
    permit, find_case = authentication.permit, Depends(codes.find_case)
    recorded = record_reads(service.engine)

    @web.get("/transfers", summary="Transfers that nobody has acknowledged, by deadline", **guarded)
    async def open_transfers(
        by: Annotated[Actor, permit(ApiAction.LIST_TRANSFERS)],
        after: Cursor = "",
        limit: Limit = 50,
        without: Without = None,
    ) -> dict[str, Any]:
        async with recorded(by, ApiAction.LIST_TRANSFERS) as connection:
            scope = await see_cases.find_scope(connection, by, without or ())
            found = await repository.list_open_transfers(
                connection, service.keys, decode_cursor(after), limit + 1, scope
            )
            total = await repository.count_open_transfers(connection, scope)
        shown = found[:limit]
        return {
            "transfers": [transfer_out(one, by) for one in shown],
            "total": total,
            "next": encode_cursor(shown[-1].due_at, shown[-1].transfer_id) if len(found) > limit else None,
        }

    @web.post(
        "/cases/{case_id}/transfers",
        status_code=201,
        summary="Ask a party outside the agreement to take over",
        **guarded,
    )
    async def send(
        by: Annotated[Actor, permit(ApiAction.SEND_TRANSFER)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: TransferIn,
    ) -> TransferOut:
        party = ExternalParty(body.party, body.address)
        transfer_id = await transfer_cases.send_transfer(
            case_id, version_number(version), body.subject, body.way, party, by=by, reason=body.reason
        )
        return TransferOut(transfer_id=transfer_id, code=referral_code(transfer_id))

    @web.post(
        "/cases/{case_id}/transfers/{transfer_id}/acknowledge",
        status_code=204,
        summary="Note the receipt of a letter",
        **guarded,
    )
    async def acknowledge(
        by: Annotated[Actor, permit(ApiAction.ACKNOWLEDGE_TRANSFER)],
        case_id: Annotated[UUID, find_case],
        transfer_id: UUID,
        version: Version,
        body: AcknowledgementIn,
    ) -> None:
        acknowledgement = Acknowledgement(body.name, body.office, body.received_on)
        await transfer_cases.acknowledge_transfer(case_id, version_number(version), transfer_id, acknowledgement, by=by)

    @web.post(
        "/cases/{case_id}/transfers/{transfer_id}/withdraw", status_code=204, summary="Withdraw a letter", **guarded
    )
    async def withdraw(
        by: Annotated[Actor, permit(ApiAction.WITHDRAW_TRANSFER)],
        case_id: Annotated[UUID, find_case],
        transfer_id: UUID,
        version: Version,
        body: ActionIn,
    ) -> None:
        await transfer_cases.withdraw_transfer(case_id, version_number(version), transfer_id, by=by, reason=body.reason)

    @web.get(
        "/cases/{case_id}/transfers/{transfer_id}/letter",
        summary="The letter, which names nobody",
        response_class=PlainTextResponse,
        **guarded,
    )
    async def letter(
        by: Annotated[Actor, permit(ApiAction.READ_LETTER)],
        case_id: Annotated[UUID, find_case],
        transfer_id: UUID,
        language: Literal["id", "en"] = "id",
    ) -> PlainTextResponse:
        async with recorded(by, ApiAction.READ_LETTER, subject_of_case(case_id)) as connection:
            case = await see_cases.find_case(connection, case_id, by)
            found = await repository.list_transfers(connection, service.keys, case_id)
            referrals = await repository.list_referrals(connection, case_id)
        transfer = next((one for one in found if one.transfer_id == transfer_id), None)
        if transfer is None:
            raise TransferUnknown
        managing = [one.agency for one in referrals if any(_manages_case(row) for row in one.services)]
        agency = names.get(managing[-1], managing[-1]) if managing else city.name
        return PlainTextResponse(write_letter(case, transfer, agency, city.name, city.zone, language))


def _manages_case(row: Mapping[str, Any]) -> bool:
    is_lead = row["service"] == CareService.CASE_MANAGEMENT and row["role"] == ReferralRole.LEAD
    return is_lead and not row["ended_at"]


def write_letter(case: Case, transfer: Transfer, agency: str, city: str, zone: ZoneInfo, language: str) -> str:
    """Writes the letter without any personal data."""
    party = transfer.read_party()
    text = load_translations("simpul_routing")[language].gettext(_LETTER[transfer.subject])
    return text.format(
        party=party.name,
        address=party.address,
        code=referral_code(transfer.transfer_id),
        agency=agency,
        city=city,
        case=case_reference(case.case_id),
        urgency=case.urgency.label(language),
        day=_write_moment(transfer.sent_at, zone),
        due=_write_moment(transfer.due_at, zone),
    )


def _write_moment(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
