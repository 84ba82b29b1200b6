"""A service's keys at work: sign, verify, seal and open sections."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from simpul_runtime.database import utc_now
from simpul_runtime.errors import Unprocessable
from simpul_schema import Event
from simpul_schema.vocabulary import ParkReason
from simpul_seal import (
    Directory,
    KeyRing,
    NotForUs,
    Rejection,
    VerifiedEvent,
    WatchedKeyRing,
    lock,
    open_section,
    seal_section,
    sign,
    unlock,
    verify_event,
)
from simpul_seal.embedded import sign_again

Content = TypeVar("Content", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Keys:
    """This service's private keys and everybody's public ones."""

    source: KeyRing | WatchedKeyRing
    directory: Directory

    @property
    def ring(self) -> KeyRing:
        """This service's private keys as they are now."""
        return self.source.ring if isinstance(self.source, WatchedKeyRing) else self.source

    @property
    def party(self) -> str:
        """The service whose keys these are."""
        return self.ring.party

    def can_sign(self, now: datetime) -> bool:
        """Whether others accept what this service signs now."""
        return self._valid_ring(now) is not None

    def has_usable_key(self, party: str, now: datetime) -> bool:
        """Whether something can be sealed to that party now."""
        return bool(self.directory.valid_keys(party, now))

    def sign(self, body: bytes, now: datetime) -> str:
        """The signature that travels beside a body, under the newest of this service's keys that counts now."""
        return sign(body, self._signing_ring(now))

    def sign_again(self, body: bytes, now: datetime) -> tuple[bytes, str]:
        """An event of a version that signed inside the body: without that signature, and with one beside it."""
        return sign_again(body, self._signing_ring(now))

    def _signing_ring(self, now: datetime) -> KeyRing:
        return self._valid_ring(now) or self.ring

    def _valid_ring(self, now: datetime) -> KeyRing | None:
        ring = self.ring
        valid = self.directory.valid_keys(ring.party, now)
        return next((key for entry in valid if (key := ring.key(entry.keyid))), None)

    def verify(self, body: bytes, signature: str, now: datetime) -> VerifiedEvent | Rejection:
        """The event that somebody else has published, or why it is none."""
        return verify_event(body, signature, self.directory, now)

    def seal(
        self, content: bytes, *, recipient: str, event_id: UUID, case_id: UUID, section: str, now: datetime
    ) -> dict[str, str]:
        """One section sealed to the recipient's current key; UnknownKey when it has none."""
        key = self.directory.current(recipient, now)
        return seal_section(content, key, event_id=event_id, case_id=case_id, section=section)

    def lock(self, content: bytes, *, place: str) -> bytes:
        """Something only this service may read again, bound to the place where it is kept."""
        # The key that also signs: every replica can open it, whenever each of them read the new key file.
        return lock(content, self._signing_ring(utc_now()), place=place)

    def unlock(self, locked: bytes, *, place: str) -> bytes:
        """What `lock` gave; NotForUs when it was altered or moved."""
        return unlock(locked, self.ring, place=place)

    def open(self, event: Event, section: str, content: type[Content]) -> Content:
        """A section sealed to this service; Unprocessable when it is missing, not for us or not as agreed."""
        sealed = event.data.sealed.get(section)  # type: ignore[attr-defined]  # every message class has data
        if sealed is None:
            raise Unprocessable(ParkReason.INVALID, f"no sealed section {section}")
        try:
            opened = open_section(
                sealed.ciphertext, self.ring, event_id=event.id, case_id=event.correlationid, section=section
            )
            return content.model_validate_json(opened)
        except NotForUs as error:
            raise Unprocessable(ParkReason.CANNOT_OPEN, section) from error
        except ValidationError as error:
            raise Unprocessable(ParkReason.INVALID, section) from error
