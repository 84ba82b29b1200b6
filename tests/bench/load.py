"""The load: one reference report about ever another child, sent by a fixed number of clients or at a fixed rate."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

from tests.bench import bare_http

SIZE: Final = 1500
"""Bytes of one report."""
REFERRALS: Final = 3
"""The referrals that Kediri's agreement makes of it at once, one for each of AGENCIES; medium urgency."""
AGENCIES: Final = ("uptd-ppa", "polres-ppa", "rs-rujukan")
GIVE_UP: Final = 60.0
"""Seconds for which a client tries to send one report."""

_FACTS: Final[dict[str, Any]] = {
    "channel": "phone",
    "reporter": "other",
    "violence": ["sexual"],
    "place": "other",
    "sex": "female",
    "safe_now": "yes",
    "injured": "no",
    "sexual_under_72h": "no",
    "suicidal_sign": "no",
    "trafficking_sign": "no",
    "pregnant": "no",
    "disability_need": "yes",
    "in_school": "yes",
    "perpetrator_relation": "unknown",
    "perpetrator_is_child": "no",
    "perpetrator_lives_with_child": "no",
}
_WARDS: Final = ("Bujel", "Mojoroto", "Banjaran", "Ngronggo", "Burengan", "Tinalan", "Pojok", "Semampir")
"""No city has thousands of children of one age in one ward."""
_CONSONANTS: Final = "bcdfghjklmnprstw"


def report(report_id: str) -> bytes:
    """Builds the reference report with this id, about a child of its own, exactly SIZE bytes long."""
    number = UUID(report_id).int
    body = {
        "report_id": report_id,
        **_FACTS,
        "kelurahan": _WARDS[number % len(_WARDS)],
        "age": 12 + number % 3,
        "identity": _identity(UUID(report_id)),
        "narrative": {"chronology": ""},
    }
    missing = SIZE - len(json.dumps(body))
    body["narrative"] = {"chronology": ("Anak bercerita kepada guru. " * 60)[:missing].replace(" ", "_")}
    return json.dumps(body).encode()


def _identity(report_id: UUID) -> dict[str, str]:
    """Invents a child for each report; otherwise every report would be a duplicate of all others."""
    number = report_id.int
    given, family = (
        "".join(_CONSONANTS[letter % 16] + "aeiou"[letter % 5] for letter in letters).capitalize()
        for letters in (report_id.bytes[:4], report_id.bytes[10:14])
    )
    return {
        "child_name": f"{given} {family}",
        "nik": f"99{number % 10**14:014}",
        "safe_contact": f"0800{number % 10**8:08}",
    }


@dataclass(slots=True)
class Accepted:
    """The cases, and when their report was first sent."""

    sent_at: dict[str, float] = field(default_factory=dict)
    retries: int = 0


class Client:
    """A complaint centre with a persistent connection; repeats a report until it is accepted."""

    def __init__(self, port: int, accepted: Accepted) -> None:
        self._port = port
        self._accepted = accepted
        self._connection: bare_http.ClientConnection | None = None

    async def hand_in(self) -> None:
        """Sends one new report; a repetition has the same report_id."""
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
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()


async def closed_loop(port: int, cases: int, clients: int) -> Accepted:
    """Sends reports by a number of clients, each when its previous report was accepted."""
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
    """Sends reports at a fixed rate, independently of earlier ones."""
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
