"""The HTTP edge for complaint centres and their systems."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from simpul_city import City
from simpul_intake.centre_tokens import CentreTokens
from simpul_intake.domain import Amendment, Report
from simpul_intake.errors import (
    AmendmentIdReused,
    CentreNotOfToken,
    ReceiptUnknown,
    ReportIdReused,
    TokenUnknown,
)
from simpul_intake.use_cases import AmendReports, TakeReports
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import Answer, Channel, Place, Relation, Reporter, Sex

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000)]
Category = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]

FIRST_YEAR, LAST_YEAR = 2000, 2199
"""A centre may file a report from paper years later, but an earlier year is a slip: SIMFONI PPA and the agencies of
today are younger. What lies in the future counts as now, as long as it can be read in every time zone."""
_EARLIEST: Final = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_AFTER_LATEST: Final = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)


def _in_range(moment: datetime) -> datetime:
    if not _EARLIEST <= moment < _AFTER_LATEST:
        kind, detail = "year_out_of_range", "the year is out of range"
        raise PydanticCustomError(kind, detail, {"ge": FIRST_YEAR, "le": LAST_YEAR})
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]

ANSWERS = (
    "perpetrator_is_child", "perpetrator_lives_with_child", "safe_now", "injured", "sexual_under_72h",
    "suicidal_sign", "trafficking_sign", "pregnant", "disability_need", "in_school",
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class IdentityIn(_Strict):
    """Who the child is; stored encrypted, released only to the agency that accepted."""

    child_name: Line = ""
    birth_date: Line = ""
    nik: Line = ""
    address: Line = ""
    guardian_name: Line = ""
    guardian_phone: Line = ""
    safe_contact: Line = Field(default="", description="a number or address that is safe to use")
    school: Line = ""


class NarrativeIn(_Strict):
    """What happened; stored encrypted."""

    chronology: Words = ""
    perpetrator_description: Words = ""


class ReportIn(_Strict):
    """One report of violence against a child. What is not known is left out or `unknown`."""

    report_id: UUID = Field(description="made by the client, random; sending it again never makes a second case")
    received_at: Moment | None = Field(
        default=None, description="when the centre got it, from the year 2000 on; now if left out"
    )
    channel: Channel = Field(description="how the report came in")
    complaint_centre: Line = Field(default="", description="agency code of the centre that took it")
    reporter: Reporter = Reporter.OTHER
    violence: list[Category] = Field(
        min_length=1, max_length=16,
        description="physical, psychological, sexual, exploitation, trafficking, neglect, other, unknown; "
        "any other word is accepted and goes to manual triage",
    )  # fmt: skip
    place: Place = Place.OTHER
    kelurahan: Line = Field(default="", description="name or code; one outside the city goes to manual triage")
    age: int | None = Field(default=None, ge=0, le=17, description="completed years")
    sex: Sex = Sex.UNKNOWN
    perpetrator_relation: Relation = Relation.UNKNOWN
    perpetrator_is_child: Answer = Answer.UNKNOWN
    perpetrator_lives_with_child: Answer = Answer.UNKNOWN
    safe_now: Answer = Answer.UNKNOWN
    injured: Answer = Answer.UNKNOWN
    sexual_under_72h: Answer = Answer.UNKNOWN
    suicidal_sign: Answer = Answer.UNKNOWN
    trafficking_sign: Answer = Answer.UNKNOWN
    pregnant: Answer = Answer.UNKNOWN
    disability_need: Answer = Answer.UNKNOWN
    in_school: Answer = Answer.UNKNOWN
    excluded_agencies: list[Line] = Field(
        default_factory=list, max_length=16,
        description="codes of agencies that are too close to the suspect: they receive nothing of this case. Without "
        "the token of a complaint centre this is a suggestion that a person decides about",
    )  # fmt: skip
    identity: IdentityIn = IdentityIn()
    narrative: NarrativeIn = NarrativeIn()

    def to_report(self, now: datetime, centre: str = "") -> Report:
        """As the domain understands it; a moment in the future counts as now.

        `centre` is the complaint centre whose token came with the report; empty for an anonymous source. Raises
        CentreNotOfToken when the report names another centre.
        """
        if centre and self.complaint_centre not in ("", centre):
            raise CentreNotOfToken
        named = tuple(dict.fromkeys(self.excluded_agencies))
        return Report(
            report_id=self.report_id,
            received_at=min(self.received_at or now, now),
            channel=self.channel,
            complaint_centre=centre or self.complaint_centre,
            reporter=self.reporter,
            violence=tuple(self.violence),
            place=self.place,
            kelurahan=self.kelurahan,
            age=self.age,
            sex=self.sex,
            perpetrator_relation=self.perpetrator_relation,
            answers={name: getattr(self, name) for name in ANSWERS},
            excluded_agencies=named if centre else (),
            suggested_exclusions=() if centre else named,
            identity=self.identity.model_dump(),
            narrative=self.narrative.model_dump(),
        )


class AmendmentIn(_Strict):
    """What is new or was wrong; whatever is left out stays as it is."""

    amendment_id: UUID = Field(description="made by the client, random; sending it again changes nothing")
    receipt: Line = Field(description="the words that the reporting person got")
    violence: list[Category] | None = Field(default=None, min_length=1, max_length=16)
    place: Place | None = None
    kelurahan: Line | None = None
    age: int | None = Field(default=None, ge=0, le=17, description="completed years")
    sex: Sex | None = None
    perpetrator_relation: Relation | None = None
    perpetrator_is_child: Answer | None = None
    perpetrator_lives_with_child: Answer | None = None
    safe_now: Answer | None = None
    injured: Answer | None = None
    sexual_under_72h: Answer | None = None
    suicidal_sign: Answer | None = None
    trafficking_sign: Answer | None = None
    pregnant: Answer | None = None
    disability_need: Answer | None = None
    in_school: Answer | None = None
    excluded_agencies: list[Line] = Field(
        default_factory=list,
        max_length=16,
        description="agencies that are too close to the suspect, besides those named before: a suggestion that a "
        "person decides about",
    )
    identity: IdentityIn = IdentityIn()
    narrative: NarrativeIn = NarrativeIn()

    def to_amendment(self, case_id: UUID) -> Amendment:
        """As the domain understands it; an empty text is one that was left out."""
        about = {"amendment_id", "receipt", "identity", "narrative"}
        facts = {name: value for name, value in self if name not in about and value not in (None, [], "")}
        if "violence" in facts:
            facts["violence"] = tuple(facts["violence"])
        return Amendment(
            amendment_id=self.amendment_id,
            case_id=case_id,
            receipt=self.receipt,
            facts=facts,
            identity={name: words for name, words in self.identity if words},
            narrative={name: words for name, words in self.narrative if words},
        )


class AmendedOut(BaseModel):
    """The new facts are stored; routing decides again."""

    status: str = "accepted"
    revision: int = Field(description="number of the facts as they stand now; the report was 1")


_UNKNOWN_AGENCY = "Kode instansi tidak dikenal; periksa ejaannya. / No agency has this code; check its spelling."


class ReceiptOut(BaseModel):
    """The report is stored; referrals follow."""

    status: str = "accepted"
    case_id: UUID = Field(description="random reference of the case")
    case_reference: str = Field(description="the same, short enough to read aloud")
    receipt: str = Field(description="words for the reporting person; they prove later who reported")


_REFUSALS: Mapping[type[Exception], tuple[int, str]] = {
    TokenUnknown: (
        401,
        (
            "Token tidak dikenal; mintalah yang baru kepada operator, atau kirim tanpa token. / "
            "No complaint centre has this token; ask the operator for a new one, or send none."
        ),
    ),
    CentreNotOfToken: (
        403,
        (
            "Token ini milik tempat pengaduan lain; kosongkan complaint_centre. / "
            "This token belongs to another complaint centre; leave complaint_centre out."
        ),
    ),
}


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    status, text = _REFUSALS[type(error)]
    return JSONResponse({"detail": text}, status)


def centre_of(authorization: str, tokens: CentreTokens) -> str:
    """The complaint centre that the header proves; empty without a header. Raises TokenUnknown."""
    if not authorization:
        return ""
    scheme, _, token = authorization.partition(" ")
    centre = tokens.centre_of(token.strip()) if scheme.lower() == "bearer" else ""
    if not centre:
        raise TokenUnknown
    return centre


def add_api(
    web: FastAPI, take_reports: TakeReports, amend_reports: AmendReports, city: City, tokens: CentreTokens
) -> None:
    """The routes of the API."""
    for refusal in _REFUSALS:
        web.add_exception_handler(refusal, _refuse)

    def authenticated(
        authorization: Annotated[str, Header(description="`Bearer` and the token of a complaint centre")] = "",
    ) -> str:
        return centre_of(authorization, tokens)

    def check_agencies(codes: list[str]) -> None:
        if not city.agency_codes.issuperset(codes):
            # Passing over an unknown code would let the agency that was meant receive the case after all.
            raise HTTPException(422, [{"field": "excluded_agencies", "problem": _UNKNOWN_AGENCY}])

    @web.post(
        "/reports", status_code=202, tags=["reports"], summary="Report violence against a child",
        responses={
            401: {"description": "the token is not known"}, 403: {"description": "the token is of another centre"},
            409: {"description": "report_id was used for other content"}, 413: {"description": "too large"},
        },
    )  # fmt: skip
    async def report(body: ReportIn, centre: Annotated[str, Depends(authenticated)]) -> ReceiptOut:
        check_agencies(body.excluded_agencies)
        try:
            receipt = await take_reports.take(body.to_report(utc_now(), centre))
        except ReportIdReused as error:
            raise HTTPException(409, str(error)) from error
        return ReceiptOut(case_id=receipt.case_id, case_reference=receipt.case_reference, receipt=receipt.words)

    @web.post(
        "/cases/{case_id}/amendments", status_code=202, tags=["reports"],
        summary="Add facts to a report, or correct them",
        responses={404: {"description": "no such case and receipt"}, 409: {"description": "amendment_id was used"}},
    )  # fmt: skip
    async def amend(case_id: UUID, body: AmendmentIn) -> AmendedOut:
        check_agencies(body.excluded_agencies)
        try:
            revision = await amend_reports.amend(body.to_amendment(case_id))
        except ReceiptUnknown as error:
            words = (
                "Tidak ada kasus dengan tanda terima ini; periksa kata-katanya. / No case has this receipt; check it."
            )
            raise HTTPException(404, words) from error
        except AmendmentIdReused as error:
            words = "amendment_id sudah dipakai untuk isi lain; buat yang baru. / Make a new amendment_id."
            raise HTTPException(409, words) from error
        return AmendedOut(revision=revision)
