"""What only a demonstration needs: the private keys of every agency, and where their consumers find the broker."""

import json
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from simpul_agency.enrolment import EnrolmentRequest, EnrolmentResponse, make_certificate_request, make_keys, write_json
from simpul_cli.agency.accounts import address_for
from simpul_cli.agency.bulk import REQUEST, RESPONSE
from simpul_cli.keys import key_file

INSIDE: Final = "amqp://rabbitmq:5672/"
"""The broker's address in the network of the containers."""
MAIL_AUTHORITY: Final = "mail-ca.pem"
STATE_FOLDERS: Final = ("handset", "state")
"""Folders in which the simulated handset and the agencies' consumers write."""


def create_agency_keys(folder: Path, requests: Path, city: str, codes: Collection[str], now: datetime) -> int:
    """Creates the keys of agencies that have none, and their enrolment requests; returns how many."""
    keys = folder / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    for name in STATE_FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    missing = [code for code in sorted(codes) if not (requests / f"{code}{REQUEST}").exists()]
    for code in missing:
        ring, public = make_keys(code, now)
        certificate_key = keys / f"{code}.tls.key"
        for left in (key_file(keys, code), certificate_key):
            left.unlink(missing_ok=True)
        ring.write(key_file(keys, code))
        request = EnrolmentRequest(
            city=city,
            agency=code,
            keys=public.to_json(),
            certificate_request=make_certificate_request(code, certificate_key),
        )
        # Last, so that a run that was killed creates this agency's keys again.
        write_json(requests / f"{code}{REQUEST}", request)
    return len(missing)


def write_addresses(folder: Path, responses: Path, codes: Collection[str]) -> None:
    """Writes the broker's address for each agency, with the password of its response, for the consumers inside."""
    addresses = {}
    for code in codes:
        response = EnrolmentResponse.model_validate_json((responses / f"{code}{RESPONSE}").read_text())
        if response.amqp_url is not None:
            password = urlsplit(response.amqp_url.get_secret_value()).password or ""
            addresses[code] = address_for(INSIDE, code, password)
    unfinished = folder / "keys" / "addresses.new"
    unfinished.write_text(json.dumps(addresses, indent=1))
    unfinished.replace(folder / "keys" / "addresses.json")
