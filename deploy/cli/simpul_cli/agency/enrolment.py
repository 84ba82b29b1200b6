"""An agency's public keys in the city's directory: enrolled, rotated, ended."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from simpul_agency.enrolment import VALIDITY, Enrolment
from simpul_seal import Directory, PublicKeys


class NotEnrolled(Exception):
    """The enrolment is not one of this agency; the message says what is wrong with it."""


def read_enrolment(path: Path, city: str, agency: str) -> Enrolment:
    """What the agency sent; NotEnrolled when it is about another one or holds no keys."""
    try:
        enrolment = Enrolment.model_validate_json(path.read_text())
        keys = enrolment.public_keys()
    except (ValidationError, ValueError, KeyError) as error:
        msg = f"{path} is no enrolment; the agency makes one with `simpul-agency init`"
        raise NotEnrolled(msg) from error
    if (enrolment.city, enrolment.agency, keys.party) != (city, agency, agency):
        msg = f"{path} enrols {enrolment.agency} in {enrolment.city}, not {agency} in {city}"
        raise NotEnrolled(msg)
    expected = f"{agency}.{hashlib.sha256(keys.signing.public_bytes_raw()).hexdigest()[:16]}"
    if keys.keyid != expected:
        msg = f"{path}: the key id does not follow from the key; the agency makes a new one with `simpul-agency init`"
        raise NotEnrolled(msg)
    if not keys.can_be_sealed_to:
        msg = f"{path}: nothing can be sealed to these keys; the agency makes new ones with `simpul-agency init`"
        raise NotEnrolled(msg)
    return enrolment


def enrol(directory: Directory, keys: PublicKeys, now: datetime, *, overlap: timedelta) -> Directory:
    """The directory with these keys valid from now; the agency's others end after `overlap`.

    With a key that is there already nothing changes.
    """
    if any(entry.keyid == keys.keyid for entry in directory.entries):
        return directory
    until = now + overlap
    ended = _each(directory, keys.party, lambda entry: replace(entry, not_after=min(entry.not_after, until)))
    return Directory([*ended, replace(keys, not_before=now - timedelta(minutes=5), not_after=now + VALIDITY)])


def end_keys(directory: Directory, agency: str, now: datetime) -> Directory:
    """The directory in which none of the agency's keys counts any more; they stay, so that the past can be read."""
    return Directory(_each(directory, agency, lambda entry: replace(entry, not_after=min(entry.not_after, now))))


def keys_of(directory: Directory, agency: str) -> list[PublicKeys]:
    """The agency's keys, the newest first."""
    found = [entry for entry in directory.entries if entry.party == agency]
    return sorted(found, key=lambda entry: entry.not_before, reverse=True)


def _each(directory: Directory, agency: str, change: Callable[[PublicKeys], PublicKeys]) -> list[PublicKeys]:
    return [change(entry) if entry.party == agency else entry for entry in directory.entries]
