"""What cannot be done, as an answer that says what to do."""

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from simpul_routing.errors import (
    AgencyExcluded,
    AgencyUnable,
    CaseChanged,
    CaseHasEnded,
    CaseIsOpen,
    CaseMerged,
    CaseUnknown,
    DecidesAboutItself,
    ExclusionUndecided,
    MediationLocked,
    NotFromHere,
    OtherServiceOwed,
    ReasonMissing,
    ReferralUnknown,
    RightsLacking,
    StillServed,
    SuggestionDecided,
    SuggestionUnknown,
)

_REFUSALS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    CaseUnknown: (404, "Kasus ini tidak dikenal. / This case is not known."),
    ReferralUnknown: (
        404,
        (
            "Kasus ini tidak punya rujukan terbuka seperti itu; baca lagi. / "
            "The case has no such open referral; read it again."
        ),
    ),
    CaseChanged: (
        412,
        "Kasus ini sudah diubah orang lain; baca lagi. / The case was changed meanwhile; read it again.",
    ),
    CaseHasEnded: (409, "Kasus ini sudah ditutup; buka kembali dahulu. / The case has ended; reopen it first."),
    CaseIsOpen: (409, "Kasus ini belum ditutup. / The case has not ended."),
    ReasonMissing: (422, "Alasan wajib diisi. / A reason is required."),
    AgencyExcluded: (
        409,
        "Instansi ini dikecualikan dari kasus ini; pilih yang lain. / The agency is excluded from this case.",
    ),
    SuggestionUnknown: (
        404,
        (
            "Pengecualian instansi ini tidak pernah diusulkan dalam kasus ini; baca lagi. / "
            "Nobody has suggested to exclude this agency from the case; read it again."
        ),
    ),
    SuggestionDecided: (
        409,
        (
            "Usulan ini sudah diputuskan lain; untuk mengecualikan instansi, pakai exclusions. / "
            "This suggestion was decided otherwise; to exclude the agency, use exclusions."
        ),
    ),
    DecidesAboutItself: (
        403,
        (
            "Instansi tidak memutuskan pengecualiannya sendiri; serahkan kepada jenjang berikut. / "
            "An agency does not decide about its own exclusion; let the next one decide."
        ),
    ),
    ExclusionUndecided: (
        409,
        (
            "Putuskan dahulu usulan pengecualian dalam kasus ini. / "
            "First decide about the suggested exclusion in this case."
        ),
    ),
    AgencyUnable: (
        422,
        (
            "Instansi ini tidak ada, atau layanan itu di luar mandatnya. / "
            "There is no such agency, or the service is not in its mandate."
        ),
    ),
    NotFromHere: (409, "Tahap ini tidak mengikuti tahap sekarang. / This stage does not follow the present one."),
    MediationLocked: (
        403,
        (
            "Mediasi dilarang dalam kasus ini (UU 12/2022 pasal 23); percobaan ini dicatat. / "
            "Nobody may mediate in this case (Law 12/2022 art. 23); the attempt was recorded."
        ),
    ),
}


def add_refusals(web: FastAPI) -> None:
    """A status and a sentence in both languages for each refusal."""

    async def refuse(_: Request, error: Exception) -> JSONResponse:
        status, words = _REFUSALS[type(error)]
        return JSONResponse({"detail": words}, status)

    for refusal in _REFUSALS:
        web.add_exception_handler(refusal, refuse)

    @web.exception_handler(RightsLacking)
    async def lacking(_: Request, error: RightsLacking) -> JSONResponse:
        words = ", ".join(f"{right.label('id')} / {right.label('en')}" for right in error.rights)
        detail = f"Hak ini belum terjawab. / These rights are not settled yet: {words}"
        return JSONResponse({"detail": detail, "rights": [right.value for right in error.rights]}, 409)

    @web.exception_handler(CaseMerged)
    async def merged(_: Request, error: CaseMerged) -> JSONResponse:
        detail = "Kasus ini dilanjutkan dalam kasus lain. / The case goes on in another one."
        return JSONResponse({"detail": detail, "into": str(error.into)}, 409)

    @web.exception_handler(OtherServiceOwed)
    async def other(_: Request, error: OtherServiceOwed) -> JSONResponse:
        service = error.service
        detail = (
            f"Triase ini tentang {service.label('id')}: minta layanan itu, atau selesaikan triase dengan hasilnya. / "
            f"This triage is about {service.label('en')}: ask for that, or complete the triage with an outcome."
        )
        return JSONResponse({"detail": detail, "service": service.value}, 409)

    @web.exception_handler(StillServed)
    async def overlap(_: Request, error: StillServed) -> JSONResponse:
        detail = (
            "Anak ini masih mendapat layanan itu; beri alasan bila tetap diminta. / "
            "The child still has this service; give a reason to ask all the same."
        )
        return JSONResponse({"detail": detail, "referral_id": str(error.referral_id)}, 409)
