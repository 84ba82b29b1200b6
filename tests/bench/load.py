"""The load: one reference report, sent by clients that wait for each other's turn or by the clock."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from tests.bench import bare_http

SIZE: Final = 1500
"""Bytes of one report."""
REFERRALS: Final = 3
"""What the rules of Kediri make of it: intake at the hub, legal aid, social assessment; medium urgency."""
AGENCIES: Final = ("uptd-ppa", "ylpa", "dinsos-peksos")
GIVE_UP: Final = 60.0
"""Seconds a client keeps trying to hand in one report."""

_FACTS: Final[dict[str, Any]] = {
    "channel": "phone", "reporter": "other", "violence": ["physical"], "place": "other", "kelurahan": "Bujel",
    "age": 13, "sex": "female", "safe_now": "yes", "injured": "no", "sexual_under_72h": "no", "suicidal_sign": "no",
    "trafficking_sign": "no", "pregnant": "no", "disability_need": "yes", "in_school": "yes",
    "perpetrator_relation": "unknown", "perpetrator_is_child": "no", "perpetrator_lives_with_child": "no",
    "identity": {"child_name": "Velqira Zamboreth", "nik": "9900000000107919", "safe_contact": "080000050419"},
}  # fmt: skip


def report(report_id: str) -> bytes:
    """The reference report with this id, exactly SIZE bytes long."""
    body = {"report_id": report_id, **_FACTS, "narrative": {"chronology": ""}}
    missing = SIZE - len(json.dumps(body))
    body["narrative"] = {"chronology": ("Anak bercerita kepada guru. " * 60)[:missing].replace(" ", "_")}
    return json.dumps(body).encode()


@dataclass(slots=True)
class Accepted:
    """Which cases exist, and when their report was first sent."""

    sent_at: dict[str, float] = field(default_factory=dict)
    retries: int = 0


class Client:
    """One complaint centre with one kept connection; tries again until its report is accepted."""

    def __init__(self, port: int, accepted: Accepted) -> None:
        self._port = port
        self._accepted = accepted
        self._connection: bare_http.ClientConnection | None = None

    async def hand_in(self) -> None:
        """Send one new report; a repetition carries the same report_id."""
        raw = bare_http.message(
            "POST /reports HTTP/1.1", report(str(uuid4())), "host: 127.0.0.1", "content-type: application/json"
        )
        sent_at = time.time()
        while time.time() < sent_at + GIVE_UP:
            try:
                if self._connection is None or not self._connection.is_open:
                    self._connection = await bare_http.connect(self._port)
                status, body = await self._connection.request(raw)
            except OSError:
                status, body = 0, b""
            if status == 202:
                self._accepted.sent_at[json.loads(body)["case_id"]] = sent_at
                return
            if 400 <= status < 500:
                msg = f"intake refuses the reference report: {status} {body[:500].decode()}"
                raise ValueError(msg)
            self._accepted.retries += 1
            await asyncio.sleep(0.1)
        msg = f"intake did not take a report within {GIVE_UP:.0f} s"
        raise TimeoutError(msg)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()


async def closed_loop(port: int, cases: int, clients: int) -> Accepted:
    """So many clients, each sending its next report as soon as the last was accepted."""
    accepted = Accepted()
    left = iter(range(cases))

    async def keep_sending() -> None:
        client = Client(port, accepted)
        for _ in left:
            await client.hand_in()
        client.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(keep_sending())
    return accepted


async def open_loop(port: int, rate: float, seconds: float) -> Accepted:
    """Reports by the clock, whatever becomes of the earlier ones."""
    accepted = Accepted()
    idle: list[Client] = []

    async def send() -> None:
        client = idle.pop() if idle else Client(port, accepted)
        await client.hand_in()
        idle.append(client)

    async with asyncio.TaskGroup() as tasks:
        async for _ in _ticks(rate, seconds):
            tasks.create_task(send())
    for client in idle:
        client.close()
    return accepted


async def _ticks(rate: float, seconds: float) -> AsyncIterator[int]:
    clock: Callable[[], float] = asyncio.get_running_loop().time
    start = clock()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(start + number / rate - clock(), 0))
        yield number
