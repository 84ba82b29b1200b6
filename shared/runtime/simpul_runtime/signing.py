"""A service's keys at work: sign, verify who says what, seal and open sections."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from simpul_runtime.database import utc_now
from simpul_runtime.errors import ParkReason, Unprocessable
from simpul_schema import Event, Producer
from simpul_schema.catalog import may_publish
from simpul_seal import (
    Directory,
    KeyRing,
    NotForUs,
    SignatureInvalid,
    UnknownKey,
    WatchedKeyRing,
    lock,
    open_section,
    seal_section,
    sign,
    unlock,
    verify,
)

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

    def sign(self, event: dict[str, Any], now: datetime) -> bytes:
        """The signed wire bytes, under the newest of this service's keys that counts now."""
        return sign(event, self._valid_ring(now) or self.ring)

    def _valid_ring(self, now: datetime) -> KeyRing | None:
        ring = self.ring
        valid = self.directory.valid_keys(ring.party, now)
        return next((key for entry in valid if (key := ring.key(entry.keyid))), None)

    def check_author(self, event: dict[str, Any], now: datetime) -> None:
        """Unprocessable unless the event is signed by the party it names, and that party may say this."""
        try:
            signer = verify(event, self.directory, now)
            producer = Producer.of(str(event.get("source")))
        except UnknownKey as error:
            raise Unprocessable(ParkReason.UNKNOWN_KEY) from error
        except SignatureInvalid as error:
            raise Unprocessable(ParkReason.FORGED if event.get("signature") else ParkReason.UNSIGNED) from error
        except ValueError as error:
            raise Unprocessable(ParkReason.MALFORMED, "source") from error
        if signer != producer.party:
            raise Unprocessable(ParkReason.FORGED, "signed by another party than the source")
        if not may_publish(producer.party, is_agency=producer.is_agency, wire_name=str(event["type"])):
            raise Unprocessable(ParkReason.NOT_ITS_TO_SAY)

    def seal(
        self, content: bytes, *, recipient: str, event_id: UUID, case_id: UUID, section: str, now: datetime
    ) -> dict[str, str]:
        """One section sealed to the recipient's current key; UnknownKey when it has none."""
        key = self.directory.current(recipient, now)
        return seal_section(content, key, event_id=event_id, case_id=case_id, section=section)

    def lock(self, content: bytes, *, place: str) -> bytes:
        """Something only this service may read again, bound to the place where it is kept."""
        # The key that also signs: every replica can open it, whenever each of them read the new key file.
        return lock(content, self._valid_ring(utc_now()) or self.ring, place=place)

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
