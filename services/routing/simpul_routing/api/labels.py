"""Sentences of the timeline; every code has a label in both languages."""

from collections.abc import Mapping
from typing import Any, Final

from simpul_routing.domain.case_lifecycle import CaseState
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

_LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "decided": ("rujukan dikirim", "referrals were sent"),
    "accepted": ("sebuah instansi menerima", "an agency accepted"),
    "planned": ("rencana layanan disusun", "the service plan was drawn up"),
    "begun": ("layanan dimulai", "a service started"),
    "served": ("semua layanan selesai", "all services have ended"),
    "reopened": ("dibuka kembali", "reopened"),
    "merged": ("anak yang sama", "the same child"),
    "by_hand": ("oleh manajer kasus", "by the case manager"),
    "mediation_refused": ("mediasi diminta dan ditolak", "mediation was requested and refused"),
    "consent_withdrawn": ("persetujuan dicabut", "the consent was withdrawn"),
    "withdrawal_acknowledged": ("penghentian dikonfirmasi", "an agency confirmed that processing stopped"),
    "exclusion_suggested": (
        "sumber yang tidak dikenal mengusulkan pengecualian",
        "an unverified source suggested an exclusion",
    ),
    "mediation_recorded": ("mediasi dicatat", "a mediation was recorded"),
}
_TERMS: Final[tuple[type[Term], ...]] = (DeclineReason, CancelReason, ReplanReason, CaseEnd)


def describe_offer(row: Mapping[str, Any], names: Mapping[str, str], language: str) -> str:
    """Returns the sentence for an offered referral."""
    service, agency = Service(row["service"]).label(language), names.get(row["agency"], row["agency"])
    role = ReferralRole(row["role"]).label(language).lower()
    sent = "dikirim ke" if language == "id" else "sent to"
    return f"{service}: {sent} {agency} ({role})"


def describe_change(row: Mapping[str, Any], note: str, names: Mapping[str, str], language: str) -> str:
    """Returns the sentence for a changed referral or case; `note` is what a person wrote."""
    reason = _label_of(row["reason"], names, language)
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


def _label_of(code: str, names: Mapping[str, str], language: str) -> str:
    """Returns the label of a reason code; the reason of a reroute is the code of the next agency."""
    if code in _LABELS:
        return _LABELS[code][language == "en"]
    for terms in _TERMS:
        if code in {term.value for term in terms}:
            return terms(code).label(language)
    return names.get(code, code)
