"""Erased cases, legal holds and the certificate of an erasure: plain data and the rules on them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

INTAKE: Final = "intake"
RECEIVERS: Final = ("routing",)
"""Those to whom intake itself gives data of every case."""
CERTIFICATE: Final = "simpul-erasure-v1"
"""The form of the certificate; a signature covers it, so that it never passes for another document."""
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,59}")


class ErasureReason(StrEnum):
    """Why a case is erased."""

    RETENTION = "retention"
    """Every section has been kept as long as the agreement says."""
    REQUEST = "request"
    """The child, or who acts for the child, asked for it."""
    COURT_ORDER = "court_order"
    ENTERED_IN_ERROR = "entered_in_error"


class HoldReason(StrEnum):
    """Why a case must be kept."""

    POLICE_INVESTIGATION = "police_investigation"
    COURT_PROCEEDINGS = "court_proceedings"
    RESTITUTION = "restitution"
    COMPLAINT = "complaint"
    """Somebody complains about how the case was handled."""


class VaultAction(StrEnum):
    """What was done, or refused, to a case in the vault."""

    HOLD_PLACED = "hold_placed"
    HOLD_RELEASED = "hold_released"
    ERASED = "erased"
    SECTIONS_ERASED = "sections_erased"
    ERASURE_REFUSED = "erasure_refused"
    ERASURE_CONFIRMED = "erasure_confirmed"


@dataclass(frozen=True, slots=True)
class LegalHold:
    """A reason to keep a case, whatever the retention says."""

    case_id: UUID
    reason: HoldReason
    reference: str
    """Number of the file in which the reason is recorded, such as a police report; never a name."""
    placed_by: str
    placed_at: datetime


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased of a case at a moment."""

    case_id: UUID
    is_whole_case: bool
    sections: Sequence[str]
    """The erased sections; empty where the whole case was erased."""
    erased_at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """Who had data of an erased case, and whether they confirmed that it is gone."""

    name: str
    confirmed_at: datetime | None = None
    confirmed_by: str = ""


@dataclass(frozen=True, slots=True)
class ErasedCase:
    """What remains of an erased case."""

    case_id: UUID
    reason: ErasureReason
    erased_by: str
    erased_at: datetime
    key_id: str
    """The master key that wrapped the destroyed data key."""
    sections: Mapping[str, int]
    """Section -> number of its revisions that were erased."""
    holders: Sequence[Holder]
    master_key_retired_at: datetime | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every known holder confirmed."""
        return all(holder.confirmed_at for holder in self.holders)

    def to_certificate(self) -> dict[str, object]:
        """Describes the erasure and everything that it does not cover."""
        return {
            "certificate": CERTIFICATE,
            "case_id": str(self.case_id),
            "reason": self.reason.value,
            "erased_at": self.erased_at.isoformat(),
            "erased_by": self.erased_by,
            "erased_sections": dict(self.sections),
            "holders": [
                {
                    "holder": holder.name,
                    "confirmed_at": holder.confirmed_at.isoformat() if holder.confirmed_at else None,
                    "confirmed_by": holder.confirmed_by,
                }
                for holder in self.holders
            ],
            "every_holder_confirmed": self.is_complete,
            "holders_are": "those to whom intake gave data, with the agencies that hold its dossier; agencies that got "
            "facts from routing alone are not among them",
            "master_key": self.key_id,
            "master_key_retired_at": self.master_key_retired_at.isoformat() if self.master_key_retired_at else None,
            "backups": _describe_backups(self.master_key_retired_at),
        }


def _describe_backups(retired_at: datetime | None) -> str:
    if retired_at:
        return "backups made before the erasure cannot be read, once every copy of the retired master key is destroyed"
    return "backups made before the erasure can be read with the master key until that is retired and destroyed"


def is_reference(text: str) -> bool:
    """Returns whether a text can be the number of a file: without spaces, so that it cannot be a name or a story."""
    return bool(_REFERENCE.fullmatch(text))
