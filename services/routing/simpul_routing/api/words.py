"""The timeline of a case as sentences; every code has its words in both languages."""

from collections.abc import Mapping
from typing import Any, Final

from simpul_routing.domain.case_life import CaseState
from simpul_routing.domain.lifecycle import ReferralState
from simpul_schema.vocabulary import (
    CancelReason,
    CaseEnd,
    DeclineReason,
    ReferralRole,
    ReplanReason,
    Right,
    RightState,
    Service,
    Term,
)

_OWN: Final[Mapping[str, tuple[str, str]]] = {
    "decided": ("rujukan dikirim", "referrals were sent"),
    "accepted": ("sebuah instansi menerima", "an agency accepted"),
    "planned": ("rencana layanan disusun", "the service plan was made"),
    "begun": ("layanan dimulai", "a service has begun"),
    "served": ("semua layanan selesai", "all services have ended"),
    "reopened": ("dibuka kembali", "reopened"),
    "merged": ("anak yang sama", "the same child"),
    "by_hand": ("oleh manajer kasus", "by the case manager"),
    "mediation_refused": ("mediasi diminta dan ditolak", "mediation was asked for and refused"),
    "consent_withdrawn": ("persetujuan dicabut", "the consent was withdrawn"),
    "withdrawal_acknowledged": ("penghentian dikonfirmasi", "that processing stopped was confirmed"),
    "exclusion_suggested": (
        "sumber yang tidak dikenal mengusulkan pengecualian",
        "a source that is not known suggests an exclusion",
    ),
    "mediation_recorded": ("mediasi dicatat", "a mediation was recorded"),
}
_SETS: Final[tuple[type[Term], ...]] = (DeclineReason, CancelReason, ReplanReason, CaseEnd)


def offered_words(row: Mapping[str, Any], names: Mapping[str, str], language: str) -> str:
    """A referral was offered."""
    service, agency = Service(row["service"]).label(language), names.get(row["agency"], row["agency"])
    role = ReferralRole(row["role"]).label(language).lower()
    sent = "dikirim ke" if language == "id" else "sent to"
    return f"{service}: {sent} {agency} ({role})"


def change_words(row: Mapping[str, Any], note: str, names: Mapping[str, str], language: str) -> str:
    """A referral or a case changed; `note` is what a person wrote."""
    reason = _reason(row["reason"], names, language)
    why = f" ({reason})" if reason else ""
    written = f": {note}" if note else ""
    if row["service"] is not None:
        service, agency = Service(row["service"]).label(language), names.get(row["agency"], row["agency"])
        return f"{service}: {agency}: {ReferralState(row['after']).label(language)}{why}{written}"
    by = f", {names.get(row['actor'], row['actor'])}{written}"
    right, _, state = row["after"].partition(":")
    if state:
        label = "Hak" if language == "id" else "Right"
        return f"{label} {Right(right).label(language)}: {RightState(state).label(language)}{why}{by}"
    case = "Kasus" if language == "id" else "Case"
    if row["before"] == row["after"]:
        return f"{case}: {reason}{by}"
    return f"{case}: {CaseState(row['after']).label(language)}{why}{by}"


def _reason(code: str, names: Mapping[str, str], language: str) -> str:
    """The words of a code; of a hand-over the agency that follows."""
    if code in _OWN:
        return _OWN[code][language == "en"]
    for terms in _SETS:
        if code in {term.value for term in terms}:
            return terms(code).label(language)
    return names.get(code, code)
