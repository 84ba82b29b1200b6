"""Runs the consumers of all agencies, each with its own key and queue, in one process."""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from simpul_agency import Agency, AgencySettings, ReceivedEvent, Reply
from simpul_city import City
from simpul_cli.keys import key_file
from simpul_schema.messages import ReferralAmendedV1, ReferralConsentWithdrawnV1, ReferralOfferedV1


@dataclass(frozen=True, slots=True)
class AgencyKeys:
    """Where the agencies' private keys are, and the public keys of all parties."""

    folder: Path
    directory: Path


async def serve(
    city_dir: Path,
    keys: AgencyKeys,
    addresses: Mapping[str, str],
    ledger: Path,
    *,
    accept_after: float | None,
    only: Collection[str],
) -> None:
    """Receives referrals for these agencies, or for all, until cancelled.

    Writes a line to the ledger for each offer and each amendment.

    Every service is accepted after `accept_after` seconds, within which people read their alerts, and a withdrawn
    consent is acknowledged; None accepts and acknowledges nothing.
    """
    city = City.read(city_dir)
    ready = ledger.parent / "agencies.ready"
    # Left by the process before this one.
    ready.unlink(missing_ok=True)
    with ledger.open("a", buffering=1) as file:

        def note(kind: str, referral: ReceivedEvent[ReferralOfferedV1] | ReceivedEvent[ReferralAmendedV1]) -> None:
            offer = referral.data
            line = {
                "kind": kind,
                "at": time.time(),
                "agency": offer.agency,
                "services": [service.service.value for service in offer.services],
                "referral_id": str(offer.referral_id),
                "case_id": str(offer.case_id),
                "code": referral.code,
            }
            file.write(json.dumps(line) + "\n")

        codes = only or [agency.code for agency in city.agencies]
        stores = ledger.parent / "agencies"
        agencies = [_agency(city, code, keys, addresses[code], stores, note, accept_after) for code in codes]
        await asyncio.gather(*(agency.start() for agency in agencies))
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 20, 50)
        # Each agency has a thread for its store; at the default interval of 5 ms, 55 threads delay one another.
        sys.setswitchinterval(0.0005)
        ready.touch()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.gather(*(agency.stop() for agency in agencies))


def _agency(
    city: City,
    code: str,
    keys: AgencyKeys,
    amqp_url: str,
    stores: Path,
    note: Callable[[str, ReceivedEvent[ReferralOfferedV1] | ReceivedEvent[ReferralAmendedV1]], None],
    accept_after: float | None,
) -> Agency:
    agency = Agency.from_settings(
        AgencySettings(
            city=city.code,
            code=code,
            amqp_url=SecretStr(amqp_url),
            key_file=key_file(keys.folder, code),
            directory_file=keys.directory,
            store_url=f"sqlite:///{stores / code}.db",
        )
    )

    accepting: set[asyncio.Task[None]] = set()

    async def accept_later(referral_id: UUID, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with agency.reply(referral_id) as reply:
            reply.accept()

    def accept_in_time(referral_id: UUID, reply: Reply) -> None:
        if accept_after:
            task = asyncio.create_task(accept_later(referral_id, accept_after))
            accepting.add(task)
            task.add_done_callback(accepting.discard)
        elif accept_after is not None:
            reply.accept()

    @agency.on(ReferralOfferedV1)
    async def receive(referral: ReceivedEvent[ReferralOfferedV1], reply: Reply) -> None:
        note("received", referral)
        accept_in_time(referral.data.referral_id, reply)

    @agency.on(ReferralAmendedV1)
    async def receive_amended(referral: ReceivedEvent[ReferralAmendedV1], reply: Reply) -> None:
        note("amended", referral)
        if referral.data.added:
            accept_in_time(referral.data.referral_id, reply)

    @agency.on(ReferralConsentWithdrawnV1)
    async def stop_processing(_: ReceivedEvent[ReferralConsentWithdrawnV1], reply: Reply) -> None:
        if accept_after is not None:
            reply.acknowledge_withdrawal()

    return agency
