"""Reads `roster.yaml` and refuses it when a party is without a responder; the agreement names the parties."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import phonenumbers

from simpul_city import City, read_yaml
from simpul_notify.domain import Responder, Roster
from simpul_notify.errors import RosterInvalid
from simpul_schema.vocabulary import AlertChannel, Urgency


def read_escalation_levels(agreements: Path) -> dict[str, str]:
    """Reads the escalation levels of all versions of the agreement: level -> the agency that it is part of, or ''."""
    levels: dict[str, str] = {}
    for path in sorted(agreements.glob("*/agreement.yaml")):
        parties = read_yaml(path)["parties"]
        named = {party.get("above", "") for party in parties} | _parties_in_escalation_policies(path.parent / "clauses")
        levels |= {p["party"]: p.get("part_of", "") for p in parties if "kind" not in p and p["party"] in named}
    return levels


def _parties_in_escalation_policies(clauses: Path) -> set[str]:
    named: set[str] = set()
    # Parsing YAML is slow, and only one of many files contains the escalation policy.
    for path in (path for path in clauses.glob("*.yaml") if "escalation_level:" in path.read_text(encoding="utf-8")):
        for effect in (clause["then"] for chapter in read_yaml(path)["chapters"] for clause in chapter["clauses"]):
            for selectors in (effect.get("to", ()), effect.get("also", ())) if "escalation_level" in effect else ():
                named |= {selectors} if isinstance(selectors, str) else set(selectors)
    return named


def read_roster(path: Path, city: City, levels: Collection[str]) -> Roster:
    """Reads the roster; raises RosterInvalid with all gaps at once."""
    described = read_yaml(path)
    country = described["country"]
    gaps: list[str] = []
    listed = {**described["on_duty"], **described.get("levels", {})}
    on_duty = {
        party: tuple(_read_responder(entry, country, party, gaps) for entry in entries)
        for party, entries in listed.items()
    }
    parties = city.agency_codes | set(levels)
    gaps += [f"{party}: nobody on duty" for party in sorted(parties) if not on_duty.get(party)]
    gaps += [
        f"{party}: neither an agency of {city.name} nor a level of its agreement"
        for party in sorted(set(on_duty) - parties)
    ]
    channels = {Urgency(urgency): tuple(map(AlertChannel, listed)) for urgency, listed in described["channels"].items()}
    gaps += [f"urgency {urgency}: no channel" for urgency in Urgency if not channels.get(urgency)]
    responders = {responder.reference: responder for people in on_duty.values() for responder in people}
    if len(responders) != sum(map(len, on_duty.values())):
        gaps.append("two people share a responder reference")
    if gaps:
        msg = f"{path}: " + "; ".join(gaps)
        raise RosterInvalid(msg)
    return Roster(on_duty, channels, responders)


def _read_responder(entry: Mapping[str, Any], country: str, party: str, gaps: list[str]) -> Responder:
    addresses: dict[AlertChannel, str] = {}
    number = _normalize_phone_number(str(entry.get("sms", "")), country)
    if number:
        addresses[AlertChannel.SMS] = number
    else:
        gaps.append(f"{party}: {entry['responder']} has no valid phone number")
    if "@" in str(entry.get("mail", "")):
        addresses[AlertChannel.MAIL] = entry["mail"]
    else:
        gaps.append(f"{party}: {entry['responder']} has no mail address")
    return Responder(entry["responder"], entry["language"], addresses)


def _normalize_phone_number(written: str, country: str) -> str:
    """Normalizes `08…`, `62…` and `+62…` to `+62…`; returns an empty string for an invalid number."""
    if written.startswith("62"):
        written = f"+{written}"
    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
