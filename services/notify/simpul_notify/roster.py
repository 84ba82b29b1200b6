"""Reads `roster.yaml` and refuses a gap; whom it must reach beside the agencies, the agreement says."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import phonenumbers

from simpul_city import City, read_yaml
from simpul_notify.domain import Contact, Roster
from simpul_notify.errors import RosterInvalid
from simpul_schema.vocabulary import AlertChannel, Urgency


def read_levels(agreements: Path) -> dict[str, str]:
    """The parties above the agencies to whom a version of the agreement escalates, and the agency each is part of."""
    levels: dict[str, str] = {}
    for path in sorted(agreements.glob("*/agreement.yaml")):
        parties = read_yaml(path)["parties"]
        named = {party.get("above", "") for party in parties} | _named_by_ladders(path.parent / "clauses")
        levels |= {p["party"]: p.get("part_of", "") for p in parties if "kind" not in p and p["party"] in named}
    return levels


def _named_by_ladders(clauses: Path) -> set[str]:
    named: set[str] = set()
    # Reading YAML is slow, and only one of many files holds the ladder.
    for path in (path for path in clauses.glob("*.yaml") if "ladder:" in path.read_text(encoding="utf-8")):
        for effect in (clause["then"] for chapter in read_yaml(path)["chapters"] for clause in chapter["clauses"]):
            for selectors in (effect.get("to", ()), effect.get("also", ())) if "ladder" in effect else ():
                named |= {selectors} if isinstance(selectors, str) else set(selectors)
    return named


def read_roster(path: Path, city: City, levels: Collection[str]) -> Roster:
    """The roster; RosterInvalid names every gap at once."""
    described = read_yaml(path)
    country = described["country"]
    gaps: list[str] = []
    listed = {**described["on_duty"], **described.get("levels", {})}
    on_duty = {
        party: tuple(_contact(entry, country, party, gaps) for entry in entries) for party, entries in listed.items()
    }
    parties = city.agency_codes | set(levels)
    gaps += [f"{party}: nobody on duty" for party in sorted(parties) if not on_duty.get(party)]
    gaps += [
        f"{party}: neither an agency of {city.name} nor a level of its agreement"
        for party in sorted(set(on_duty) - parties)
    ]
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
