"""HTTP responses for the errors of the use cases, which say what to do."""

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from simpul_routing.errors import (
    AgencyExcluded,
    AgencyNotEligible,
    AlreadyServed,
    CaseChanged,
    CaseEnded,
    CaseMerged,
    CaseNotEnded,
    CaseUnknown,
    ExclusionUndecided,
    MediationLocked,
    OtherServiceOutstanding,
    OwnExclusion,
    ReasonMissing,
    ReferralUnknown,
    RightsUnsettled,
    StageNotAllowed,
    SuggestionAlreadyDecided,
    SuggestionUnknown,
)

_RESPONSES: Final[Mapping[type[Exception], tuple[int, str]]] = {
    CaseUnknown: (404, "Kasus ini tidak dikenal. / There is no case of that id."),
    ReferralUnknown: (
        404,
        (
            "Kasus ini tidak punya rujukan terbuka seperti itu; baca lagi. / "
            "The case has no open referral of that id; read the case again."
        ),
    ),
    CaseChanged: (
        412,
        "Kasus ini sudah diubah orang lain; baca lagi. / The case changed after it was read; read it again.",
    ),
    CaseEnded: (409, "Kasus ini sudah ditutup; buka kembali dahulu. / The case has ended; reopen it first."),
    CaseNotEnded: (409, "Kasus ini belum ditutup. / The case has not ended."),
    ReasonMissing: (422, "Alasan wajib diisi. / A reason is required."),
    AgencyExcluded: (
        409,
        "Instansi ini dikecualikan dari kasus ini; pilih yang lain. / The agency is excluded from this case.",
    ),
    SuggestionUnknown: (
        404,
        (
            "Pengecualian instansi ini tidak pernah diusulkan dalam kasus ini; baca lagi. / "
            "No exclusion of this agency was suggested in this case; read the case again."
        ),
    ),
    SuggestionAlreadyDecided: (
        409,
        (
            "Usulan ini sudah diputuskan lain; untuk mengecualikan instansi, pakai exclusions. / "
            "This suggestion was already decided the other way; to exclude the agency, use exclusions."
        ),
    ),
    OwnExclusion: (
        403,
        (
            "Instansi tidak memutuskan pengecualiannya sendiri; serahkan kepada jenjang berikut. / "
            "An agency cannot decide about its own exclusion; the next agency decides."
        ),
    ),
    ExclusionUndecided: (
        409,
        (
            "Putuskan dahulu usulan pengecualian dalam kasus ini. / "
            "A suggested exclusion in this case is undecided; decide it first."
        ),
    ),
    AgencyNotEligible: (
        422,
        (
            "Instansi ini tidak ada, atau layanan itu di luar mandatnya. / "
            "There is no such agency, or the service is not in its mandate."
        ),
    ),
    StageNotAllowed: (409, "Tahap ini tidak mengikuti tahap sekarang. / The case cannot change to this stage now."),
    MediationLocked: (
        403,
        (
            "Mediasi dilarang dalam kasus ini (UU 12/2022 pasal 23); percobaan ini dicatat. / "
            "The law forbids mediation in this case (Law 12/2022 art. 23); the attempt was recorded."
        ),
    ),
}


def add_error_handlers(web: FastAPI) -> None:
    """Adds a handler for each error, with a status and a sentence in both languages."""

    async def respond(_: Request, error: Exception) -> JSONResponse:
        status, detail = _RESPONSES[type(error)]
        return JSONResponse({"detail": detail}, status)

    for refusal in _RESPONSES:
        web.add_exception_handler(refusal, respond)

    @web.exception_handler(RightsUnsettled)
    async def respond_rights_unsettled(_: Request, error: RightsUnsettled) -> JSONResponse:
        rights = ", ".join(f"{right.label('id')} / {right.label('en')}" for right in error.rights)
        detail = f"Hak ini belum terjawab. / These rights are not settled yet: {rights}"
        return JSONResponse({"detail": detail, "rights": [right.value for right in error.rights]}, 409)

    @web.exception_handler(CaseMerged)
    async def respond_case_merged(_: Request, error: CaseMerged) -> JSONResponse:
        detail = "Kasus ini dilanjutkan dalam kasus lain. / The case was merged into another one."
        return JSONResponse({"detail": detail, "into": str(error.into)}, 409)

    @web.exception_handler(OtherServiceOutstanding)
    async def respond_other_service(_: Request, error: OtherServiceOutstanding) -> JSONResponse:
        service = error.service
        detail = (
            f"Triase ini tentang {service.label('id')}: minta layanan itu, atau selesaikan triase dengan hasilnya. / "
            f"This triage is about {service.label('en')}: offer that service, or complete the triage with an outcome."
        )
        return JSONResponse({"detail": detail, "service": service.value}, 409)

    @web.exception_handler(AlreadyServed)
    async def respond_already_served(_: Request, error: AlreadyServed) -> JSONResponse:
        detail = (
            "Anak ini masih mendapat layanan itu; beri alasan bila tetap diminta. / "
            "The child already has an open referral for this service; give a reason to offer another."
        )
        return JSONResponse({"detail": detail, "referral_id": str(error.referral_id)}, 409)
