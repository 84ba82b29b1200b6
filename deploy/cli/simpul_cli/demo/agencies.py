"""Every agency of the city as a consumer of its own, with its own key and queue, in one process."""

import asyncio
import gc
import json
import time
from collections.abc import Callable, Collection
from pathlib import Path

from pydantic import SecretStr

from simpul_agency import Agency, AgencySettings, ReceivedReferral, Reply
from simpul_cli.keys import directory_file, key_file
from simpul_runtime.city import City


async def serve(
    city_dir: Path, keys: Path, amqp_url: str, ledger: Path, *, accept: bool, only: Collection[str]
) -> None:
    """Receive for these agencies (all when none is named) until cancelled; each referral is a line in the ledger."""
    city = City.read(city_dir)
    with ledger.open("a", buffering=1) as file:

        def note(kind: str, referral: ReceivedReferral) -> None:
            offer = referral.offer
            line = {
                "kind": kind, "at": time.time(), "agency": offer.agency, "service": offer.service.value,
                "referral_id": str(offer.referral_id), "case_id": str(offer.case_id), "code": referral.code,
            }  # fmt: skip
            file.write(json.dumps(line) + "\n")

        codes = only or [agency.code for agency in city.agencies]
        agencies = [_agency(city, code, keys, amqp_url, note, accept=accept) for code in codes]
        await asyncio.gather(*(agency.broker.start() for agency in agencies))
        gc.collect()
        gc.freeze()
        (ledger.parent / "agencies.ready").touch()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.gather(*(agency.broker.stop() for agency in agencies))


def _agency(
    city: City, code: str, keys: Path, amqp_url: str, note: Callable[[str, ReceivedReferral], None], *, accept: bool
) -> Agency:
    agency = Agency.from_settings(
        AgencySettings(
            city=city.code, code=code, amqp_url=SecretStr(amqp_url), key_file=key_file(keys, code),
            directory_file=directory_file(keys),
        )
    )  # fmt: skip

    @agency.on_referral
    async def receive(referral: ReceivedReferral, reply: Reply) -> None:
        note("received", referral)
        if accept:
            await reply.accept()

    return agency
