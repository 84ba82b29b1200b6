"""Runs notify's sender against a gateway and kills itself (SIGKILL) in the middle of its n-th message.

    python -m tests.support.doomed_sender postgresql://… http://… after_acceptance 3

The points are patched in here, so that the product contains no switch for them; `never` sends everything.
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from datetime import timedelta

from simpul_notify.channels import KannelSms, OutgoingMessage
from simpul_notify.domain.deliveries import Attempt
from simpul_notify.use_cases import Dispatch, SendAlerts
from simpul_runtime.database import create_engine
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema.vocabulary import AlertChannel
from simpul_seal import Directory, generate
from tests.integration.notify.conftest import PASSWORD, USER
from tests.integration.notify.room import ROSTER, START, TEXTS, UNLIMITED

POINTS = ("before_handover", "after_acceptance", "never")
TIMEOUT = 5.0
"""Seconds that the gateway has to answer."""


class DoomedSms(KannelSms):
    """The gateway's client, which dies at a point of its n-th message."""

    point = "never"
    left = 0

    async def send(self, message: OutgoingMessage) -> Attempt:
        type(self).left -= 1
        if self.point == "before_handover" and self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        attempt = await super().send(message)
        if self.point == "after_acceptance" and self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return attempt


async def main(database_url: str, gateway_url: str, point: str, count: int) -> None:
    """Sends what is due, one message after the other, until killed."""
    DoomedSms.point, DoomedSms.left = point, count
    engine = create_engine(database_url, connections=4)
    ring, public = generate("notify", not_before=START - timedelta(days=400), not_after=START + timedelta(days=4000))
    transactions = Transactions(engine, Outbox("kediri", "notify", Keys(ring, Directory([public]))), lambda _: None)
    roster = replace(ROSTER, channels=dict.fromkeys(ROSTER.channels, (AlertChannel.SMS,)))
    gateway = DoomedSms(gateway_url, USER, PASSWORD, "Simpul", TIMEOUT, concurrency=1)
    dispatch = Dispatch([gateway], lambda: UNLIMITED, timedelta(seconds=TIMEOUT))
    await SendAlerts(transactions, lambda: roster, TEXTS, dispatch, timedelta(seconds=1)).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
