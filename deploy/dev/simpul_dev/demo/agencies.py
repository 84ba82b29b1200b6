"""Every agency of the city as a consumer of its own, with its own key and queue, in one process."""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pydantic import SecretStr

from simpul_agency import Agency, AgencySettings, Received, Reply
from simpul_city import City
from simpul_cli.keys import directory_file, key_file
from simpul_schema.messages import ReferralOfferedV1


async def serve(
    city_dir: Path, keys: Path, addresses: Mapping[str, str], ledger: Path, *, accept: bool, only: Collection[str]
) -> None:
    """Receive for these agencies (all when none is named) until cancelled; each referral is a line in the ledger."""
    city = City.read(city_dir)
    with ledger.open("a", buffering=1) as file:

        def note(kind: str, referral: Received[ReferralOfferedV1]) -> None:
            offer = referral.data
            line = {
                "kind": kind, "at": time.time(), "agency": offer.agency, "service": offer.service.value,
                "referral_id": str(offer.referral_id), "case_id": str(offer.case_id), "code": referral.code,
            }  # fmt: skip
            file.write(json.dumps(line) + "\n")

        codes = only or [agency.code for agency in city.agencies]
        stores = ledger.parent / "agencies"
        agencies = [_agency(city, code, keys, addresses[code], stores, note, accept=accept) for code in codes]
        await asyncio.gather(*(agency.start() for agency in agencies))
        gc.collect()
        gc.freeze()
        # So many agencies in one process, each with a thread for its store, would wait 5 ms for one another's turns.
        sys.setswitchinterval(0.0005)
        (ledger.parent / "agencies.ready").touch()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.gather(*(agency.stop() for agency in agencies))


def _agency(
    city: City,
    code: str,
    keys: Path,
    amqp_url: str,
    stores: Path,
    note: Callable[[str, Received[ReferralOfferedV1]], None],
    *,
    accept: bool,
) -> Agency:
    agency = Agency.from_settings(
        AgencySettings(
            city=city.code, code=code, amqp_url=SecretStr(amqp_url), key_file=key_file(keys, code),
            directory_file=directory_file(keys), store_url=f"sqlite:///{stores / code}.db",
        )
    )  # fmt: skip

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        note("received", referral)
        if accept:
            reply.accept()

    return agency
