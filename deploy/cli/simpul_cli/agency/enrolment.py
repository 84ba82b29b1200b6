"""Enrols, rotates and ends an agency's public keys in the city's directory."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from simpul_agency.enrolment import VALIDITY, EnrolmentRequest
from simpul_seal import Directory, PublicKeys


class NotEnrolled(Exception):
    """The enrolment request does not belong to this agency; the message gives the reason."""


def read_enrolment(path: Path, city: str, agency: str) -> EnrolmentRequest:
    """Reads an enrolment request; raises NotEnrolled when it belongs to another agency or has no keys."""
    try:
        enrolment = EnrolmentRequest.model_validate_json(path.read_text())
        keys = enrolment.public_keys()
    except (ValidationError, ValueError, KeyError) as error:
        msg = f"{path} is not an enrolment request; the agency creates one with `simpul-agency init`"
        raise NotEnrolled(msg) from error
    if (enrolment.city, enrolment.agency, keys.party) != (city, agency, agency):
        msg = f"{path} enrols {enrolment.agency} in {enrolment.city}, not {agency} in {city}"
        raise NotEnrolled(msg)
    expected = f"{agency}.{hashlib.sha256(keys.signing.public_bytes_raw()).hexdigest()[:16]}"
    if keys.keyid != expected:
        msg = f"{path}: the key id does not match the key; the agency creates a new request with `simpul-agency init`"
        raise NotEnrolled(msg)
    if not keys.can_be_sealed_to:
        msg = f"{path}: nothing can be sealed to these keys; the agency creates new ones with `simpul-agency init`"
        raise NotEnrolled(msg)
    return enrolment


def enrol(directory: Directory, keys: PublicKeys, now: datetime, *, overlap: timedelta) -> Directory:
    """Returns the directory with these keys valid from now; the agency's others end after `overlap`.

    Nothing changes when the key is already enrolled.
    """
    if any(entry.keyid == keys.keyid for entry in directory.entries):
        return directory
    until = now + overlap
    ended = _each(directory, keys.party, lambda entry: replace(entry, not_after=min(entry.not_after, until)))
    return Directory([*ended, replace(keys, not_before=now - timedelta(minutes=5), not_after=now + VALIDITY)])


def end_keys(directory: Directory, agency: str, now: datetime) -> Directory:
    """Returns the directory with the agency's keys ended; they stay, so that older messages can be verified."""
    return Directory(_each(directory, agency, lambda entry: replace(entry, not_after=min(entry.not_after, now))))


def keys_of(directory: Directory, agency: str) -> list[PublicKeys]:
    """Lists the agency's keys, the newest first."""
    found = [entry for entry in directory.entries if entry.party == agency]
    return sorted(found, key=lambda entry: entry.not_before, reverse=True)


def _each(directory: Directory, agency: str, change: Callable[[PublicKeys], PublicKeys]) -> list[PublicKeys]:
    return [change(entry) if entry.party == agency else entry for entry in directory.entries]
