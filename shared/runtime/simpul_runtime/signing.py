"""A service's keys: signs and verifies events, seals and opens sections, encrypts what the service stores."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from pydantic import ValidationError

from simpul_runtime.database import utc_now
from simpul_runtime.errors import Unprocessable
from simpul_schema import Event, SectionContent
from simpul_schema.vocabulary import ParkReason
from simpul_seal import (
    Directory,
    KeyRing,
    NotForUs,
    Rejection,
    VerifiedEvent,
    WatchedKeyRing,
    decrypt,
    encrypt,
    open_section,
    seal_section,
    sign,
    verify_event,
)
from simpul_seal.embedded import sign_again

Content = TypeVar("Content", bound=SectionContent)


@dataclass(frozen=True, slots=True)
class Keys:
    """This service's private keys and every party's public keys."""

    source: KeyRing | WatchedKeyRing
    directory: Directory

    @property
    def ring(self) -> KeyRing:
        """This service's current private keys."""
        return self.source.ring if isinstance(self.source, WatchedKeyRing) else self.source

    @property
    def party(self) -> str:
        """The service that owns the private keys."""
        return self.ring.party

    def freeze(self) -> "Keys":
        """Returns the keys as they are now, for a batch of messages: their files are looked at once."""
        return Keys(self.ring, self.directory.freeze())

    def can_sign(self, now: datetime) -> bool:
        """Whether receivers accept the service's signatures now."""
        return self._find_valid_ring(now) is not None

    def has_usable_key(self, party: str, now: datetime) -> bool:
        """Whether a section can be sealed to that party now."""
        return bool(self.directory.valid_keys(party, now))

    def sign(self, body: bytes, now: datetime) -> str:
        """Signs a body with the newest of this service's keys that is valid now."""
        return sign(body, self.choose_ring(now))

    def sign_again(self, body: bytes, now: datetime) -> tuple[bytes, str]:
        """Removes the signature that an earlier version embedded in a body; returns the rest and its signature."""
        return sign_again(body, self.choose_ring(now))

    def choose_ring(self, now: datetime) -> KeyRing:
        """Returns the keys with which the service signs now: the newest that receivers accept."""
        return self._find_valid_ring(now) or self.ring

    def _find_valid_ring(self, now: datetime) -> KeyRing | None:
        ring = self.ring
        valid = self.directory.valid_keys(ring.party, now)
        return next((key for entry in valid if (key := ring.key(entry.keyid))), None)

    def verify(self, body: bytes, signature: str, now: datetime) -> VerifiedEvent | Rejection:
        """Verifies an event of another party."""
        return verify_event(body, signature, self.directory, now)

    def seal_section(
        self, content: bytes, *, recipient: str, event_id: UUID, case_id: UUID, section: str, now: datetime
    ) -> dict[str, str]:
        """Seals a section to the recipient's current key; raises UnknownKey if it has none."""
        key = self.directory.current(recipient, now)
        return seal_section(content, key, event_id=event_id, case_id=case_id, section=section)

    def open_section(self, event: Event, section: str, content: type[Content]) -> Content:
        """Opens a section sealed to this service.

        Raises Unprocessable if the section is missing, sealed to somebody else or not valid.
        """
        sealed = event.data.sealed.get(section)  # type: ignore[attr-defined]  # every message class has data
        if sealed is None:
            raise Unprocessable(ParkReason.INVALID, f"no sealed section {section}")
        try:
            opened = open_section(
                sealed.ciphertext, self.ring, event_id=event.id, case_id=event.correlationid, section=section
            )
            return content.read_json(opened)
        except NotForUs as error:
            raise Unprocessable(ParkReason.CANNOT_OPEN, section) from error
        except ValidationError as error:
            raise Unprocessable(ParkReason.INVALID, section) from error

    def encrypt(self, content: bytes, *, associated_data: str) -> bytes:
        """Encrypts content that only this service reads; `associated_data` names the row and column that keep it."""
        # With the key that also signs: it is in every replica's ring, whenever each of them read the new key file.
        return encrypt(content, self.choose_ring(utc_now()), associated_data=associated_data)

    def decrypt(self, encrypted: bytes, *, associated_data: str) -> bytes:
        """Decrypts content; raises NotForUs if it was altered or moved to another row or column."""
        return decrypt(encrypted, self.ring, associated_data=associated_data)
