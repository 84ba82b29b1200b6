"""Reads `roster.yaml` and refuses a gap."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import phonenumbers

from simpul_notify.domain import Contact, Roster
from simpul_notify.errors import RosterInvalid
from simpul_runtime.city import City, read_yaml
from simpul_schema.vocabulary import AlertChannel, Urgency


def read_roster(path: Path, city: City) -> Roster:
    """The roster; RosterInvalid names every gap at once."""
    described = read_yaml(path)
    country = described["country"]
    gaps: list[str] = []
    listed = {**described["on_duty"], **described.get("levels", {})}
    on_duty = {
        party: tuple(_contact(entry, country, party, gaps) for entry in entries) for party, entries in listed.items()
    }
    parties = city.agency_codes | {level.code for level in city.levels}
    gaps += [f"{party}: nobody on duty" for party in sorted(parties) if not on_duty.get(party)]
    gaps += [f"{party}: no agency or level of {city.name}" for party in sorted(set(on_duty) - parties)]
    channels = {Urgency(urgency): tuple(map(AlertChannel, listed)) for urgency, listed in described["channels"].items()}
    gaps += [f"urgency {urgency}: no channel" for urgency in Urgency if not channels.get(urgency)]
    contacts = {contact.reference: contact for people in on_duty.values() for contact in people}
    if len(contacts) != sum(map(len, on_duty.values())):
        gaps.append("two people share a contact reference")
    if gaps:
        msg = f"{path}: " + "; ".join(gaps)
        raise RosterInvalid(msg)
    return Roster(on_duty, channels, contacts)


def _contact(entry: Mapping[str, Any], country: str, party: str, gaps: list[str]) -> Contact:
    addresses: dict[AlertChannel, str] = {}
    number = _phone(str(entry.get("sms", "")), country)
    if number:
        addresses[AlertChannel.SMS] = number
    else:
        gaps.append(f"{party}: {entry['contact']} has no phone number that can be dialled")
    if "@" in str(entry.get("mail", "")):
        addresses[AlertChannel.MAIL] = entry["mail"]
    else:
        gaps.append(f"{party}: {entry['contact']} has no mail address")
    return Contact(entry["contact"], entry["language"], addresses)


def _phone(written: str, country: str) -> str:
    """`08…`, `62…` and `+62…` as +62…; empty when it is none of them."""
    if written.startswith("62"):
        written = f"+{written}"
    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
