"""A consumer at work against a simulated city, and the means to disturb it."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NoReturn, Optional

from simpul_agency.sandbox.city import Heard, SimulatedCity
from simpul_agency.sandbox.process import die_with_parent
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_schema.names import DEAD
from simpul_schema.vocabulary import ParkReason

SOON = 15.0
"""Seconds within which what must happen is waited for."""
QUIET: Final = 0.5
"""Seconds without a word after which nothing more is expected."""
START_WITHIN: Final = 30.0
STOP_WITHIN: Final = 20.0
ASK_AFTER: Final = 1.0
"""Seconds after which a consumer asks for what is missing; it is told so, and given much longer."""


class Failed(Exception):
    """The consumer did not do what the case asks; the message is the reason."""


def patience() -> float:
    """Seconds within which what must happen is waited for."""
    return SOON


def fail(reason: str) -> NoReturn:
    """End the case with a reason."""
    raise Failed(reason)


def expect(holds: bool, reason: str) -> None:
    """End the case with a reason unless it holds."""
    if not holds:
        fail(reason)


class Trial:
    """One consumer; killed, stopped and started again as a case wants."""

    def __init__(
        self, city: SimulatedCity, broker: PrivateRabbit, command: Sequence[str], folder: Path,
        settings: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.city = city
        self._broker = broker
        self._command = command
        self._folder = folder
        self._log = folder / "consumer.log"
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV", "LANG") if name in os.environ}
        self._environment = {**inherited, **settings, "SIMPUL_AGENCY_ASK_AFTER": str(ASK_AFTER)}
        self._to_stay: list[tuple[dict[str, Any], bool]] = []
        """Events that were looked at, and whether they were answered: it must stay so."""
        self._process: Optional[subprocess.Popen[bytes]] = None

    @property
    def log_tail(self) -> str:
        """The end of what the consumer wrote."""
        return self._log.read_text(errors="replace")[-1500:] if self._log.exists() else ""

    async def start(self) -> None:
        """Start the consumer and wait until it takes from its queue."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - its own pid is wanted, and it lives long
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        deadline = asyncio.get_running_loop().time() + START_WITHIN
        while not await self.city.consumers():
            if self._process.poll() is not None:
                fail(f"the consumer ended with {self._process.returncode} instead of receiving; its last words:\n"
                     f"{self.log_tail}")  # fmt: skip
            if asyncio.get_running_loop().time() > deadline:
                fail(f"no consumer on {self.city.inbox} within {START_WITHIN:.0f} s; its last words:\n{self.log_tail}")
            await asyncio.sleep(0.05)

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    async def kill(self) -> None:
        """As a power cut ends it."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        for _ in range(200):
            if not await self.city.consumers():
                return
            await asyncio.sleep(0.05)
        fail("the broker still sees a consumer after its process was killed; does it start others?")

    async def stop(self) -> int:
        """Ask it to end; returns the exit code."""
        process = self._process
        if process is None or process.poll() is not None:
            fail("the consumer was not running")
        process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(process.wait, STOP_WITHIN)
        except subprocess.TimeoutExpired:
            await self.kill()
            fail(f"the consumer did not end within {STOP_WITHIN:.0f} s of SIGTERM")

    async def restart_broker(self) -> None:
        """Stop the broker and start it again; queues and messages stay."""
        await self.city.close()
        await asyncio.to_thread(self._broker.stop)
        # From this thread, because the broker ends with the thread that started it.
        self._broker.start()
        await self.city.open()

    async def offered(self, scenario: int = 1, **more: Any) -> dict[str, Any]:
        """An offer that was sent."""
        offer = self.city.offer(scenario, **more)
        await self.city.send(offer)
        return offer

    async def answered(self, *offers: dict[str, Any], within: Optional[float] = None) -> None:
        """Each offer gets `delivered` and one answer, once and in this order."""
        city, limit = self.city, within or SOON
        for offer in offers:
            if not await city.until(lambda: len(city.words_to(offer)) >= 2, limit):  # noqa: B023 - awaited here
                said = ", ".join(city.words_to(offer)) or "nothing"
                fail(f"an offer was not answered within {limit:.0f} s: delivered and accepted wanted, {said} heard")
        await self.quiet()
        for offer in offers:
            self.answered_once(offer)
            self._to_stay = [one for one in self._to_stay if one[0] is not offer] + [(offer, True)]

    def answered_once(self, offer: dict[str, Any]) -> None:
        """It has exactly `delivered` and one answer, in places 1 and 2 of their stream."""
        replies = self.city.replies_to(offer)
        words = [word for word in self.city.words_to(offer) if word != "seen"]
        if words not in (["delivered", "accepted"], ["delivered", "declined"]):
            heard = ", ".join(words) or "nothing"
            fail(f"delivered and accepted wanted, once each and in this order; heard: {heard}")
        self.no_problem(replies)
        places = [one.event["sequence"] for one in replies]
        wanted = [f"{number:010d}" for number in range(1, len(places) + 1)]
        expect(places == wanted, f"replies are numbered {', '.join(places)} instead of {', '.join(wanted)}")

    async def unanswered(self, event: dict[str, Any], why: str) -> None:
        """Nothing is said about it."""
        await self.quiet()
        words = self.city.words_to(event)
        expect(not words, f"{why}, and yet was answered with {', '.join(words)}")
        self._to_stay.append((event, False))

    def stayed_as_it_was(self) -> None:
        """What was right when it was looked at is right still: nobody answered late, or once more."""
        for event, was_answered in self._to_stay:
            words = [word for word in self.city.words_to(event) if word in ("delivered", "accepted", "declined")]
            allowed = (["delivered", "accepted"], ["delivered", "declined"]) if was_answered else ([],)
            expect(words in allowed, f"later it was answered with {', '.join(words)}")

    def no_problem(self, replies: Sequence[Heard]) -> None:
        """All of them are replies of the contract."""
        for heard in replies:
            expect(not heard.problem, f"{heard.type or 'something'} is no reply: {heard.problem}")

    async def parked(self, body: bytes, why: str, *reasons: ParkReason) -> None:
        """It was taken from the queue, reported to the city for one of these reasons, and lost nowhere."""

        def reports() -> list[str]:
            digest = sha256(body).hexdigest()
            return [one["reason"] for one in self.city.said("reply.message.parked.v1") if one["digest"] == digest]

        if not await self.city.until(lambda: bool(reports()), SOON):
            fail(f"{why}: no reply.message.parked.v1 with its digest came within {SOON:.0f} s")
        wanted = " or ".join(reason.value for reason in reasons)
        expect(not reasons or reports()[-1] in reasons, f"{why}: parked as {reports()[-1]}, not {wanted}")
        dead = await self.city.waiting(DEAD)
        expect(dead == 0, f"{why}: it was rejected into the dead letters instead of being kept by the agency")
        await self.drained()

    async def drained(self) -> None:
        """The queue becomes empty, with nothing going round in it."""
        for _ in range(100):
            if await self.city.waiting(self.city.inbox) == 0:
                return
            await asyncio.sleep(0.1)
        fail("messages stay in the queue: one that cannot be used goes round, or the consumer has stopped taking")

    async def quiet(self) -> None:
        """Wait until nothing more is said."""
        before = -1
        while before != len(self.city.heard):
            before = len(self.city.heard)
            await asyncio.sleep(QUIET)
