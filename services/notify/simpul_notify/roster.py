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
    on_duty = {
        agency: tuple(_contact(entry, country, agency, gaps) for entry in entries)
        for agency, entries in described["on_duty"].items()
    }
    gaps += [f"{agency}: nobody on duty" for agency in sorted(city.agency_codes) if not on_duty.get(agency)]
    gaps += [f"{agency}: no agency of {city.name}" for agency in sorted(set(on_duty) - city.agency_codes)]
    channels = {Urgency(urgency): tuple(map(AlertChannel, listed)) for urgency, listed in described["channels"].items()}
    gaps += [f"urgency {urgency}: no channel" for urgency in Urgency if not channels.get(urgency)]
    contacts = {contact.reference: contact for people in on_duty.values() for contact in people}
    if len(contacts) != sum(map(len, on_duty.values())):
        gaps.append("two people share a contact reference")
    if gaps:
        msg = f"{path}: " + "; ".join(gaps)
        raise RosterInvalid(msg)
    return Roster(on_duty, channels, contacts)


def _contact(entry: Mapping[str, Any], country: str, agency: str, gaps: list[str]) -> Contact:
    addresses: dict[AlertChannel, str] = {}
    number = _phone(str(entry.get("sms", "")), country)
    if number:
        addresses[AlertChannel.SMS] = number
    else:
        gaps.append(f"{agency}: {entry['contact']} has no phone number that can be dialled")
    if "@" in str(entry.get("mail", "")):
        addresses[AlertChannel.MAIL] = entry["mail"]
    else:
        gaps.append(f"{agency}: {entry['contact']} has no mail address")
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
