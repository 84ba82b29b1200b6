"""A consumer that runs against a simulated city, the means to disturb it, and the checks of its replies."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NoReturn, Optional

from simpul_agency.conformance.answers_check import CHECKED, find_problem
from simpul_agency.sandbox.city import SimulatedCity
from simpul_agency.sandbox.process import die_with_parent
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_agency.sandbox.replies import AgencyReply
from simpul_schema.names import DEAD
from simpul_schema.vocabulary import ParkReason

REPLY_TIMEOUT = 15.0
"""Seconds within which a reply must come; tests of broken consumers shorten it."""
QUIET_PERIOD: Final = 0.5
"""Seconds without a reply after which no more are expected."""
START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 20.0
GAP_TIMEOUT: Final = 1.0
"""Seconds after which a consumer should request what is missing; it has much longer to do so."""
_LOG_TAIL: Final = 1_500
"""Characters of the consumer's log that a report holds."""


class CaseFailed(Exception):
    """The consumer did not do what the case requires; the message is the reason."""


def fail(reason: str) -> NoReturn:
    """Ends the case with a reason."""
    raise CaseFailed(reason)


def expect(condition: bool, reason: str) -> None:
    """Ends the case with a reason unless the condition is true."""
    if not condition:
        fail(reason)


class Trial:
    """One consumer, which a case may kill, stop and start again."""

    def __init__(
        self,
        city: SimulatedCity,
        broker: PrivateRabbit,
        command: Sequence[str],
        folder: Path,
        settings: Mapping[str, str],
    ) -> None:
        self.city = city
        self._broker = broker
        self._command = command
        self._folder = folder
        self._log = folder / "consumer.log"
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV", "LANG") if name in os.environ}
        self._environment = {**inherited, **settings, "SIMPUL_AGENCY_GAP_TIMEOUT": str(GAP_TIMEOUT)}
        self._checked: list[tuple[dict[str, Any], bool]] = []
        """Events whose replies were checked, and whether they were answered; the last case checks them again."""
        self._process: Optional[subprocess.Popen[bytes]] = None

    @property
    def log_tail(self) -> str:
        """The end of what the consumer printed."""
        return self._log.read_text(errors="replace")[-_LOG_TAIL:] if self._log.exists() else ""

    async def start(self) -> None:
        """Starts the consumer, and waits until it consumes its queue."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - the process outlives this call, and its pid is needed
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT
        while not await self.city.broker.count_consumers():
            if self._process.poll() is not None:
                fail(
                    f"the consumer ended with {self._process.returncode} instead of receiving; the end of its log:\n"
                    f"{self.log_tail}"
                )
            if asyncio.get_running_loop().time() > deadline:
                inbox = self.city.broker.inbox
                fail(f"no consumer on {inbox} within {START_TIMEOUT:.0f} s; the end of its log:\n{self.log_tail}")
            await asyncio.sleep(0.05)

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    async def kill(self) -> None:
        """Kills the consumer, as a power cut would."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        for _ in range(200):
            if not await self.city.broker.count_consumers():
                return
            await asyncio.sleep(0.05)
        fail("the queue still has a consumer after its process was killed: does it start others?")

    async def stop(self) -> int:
        """Stops the consumer with SIGTERM; returns the exit code."""
        process = self._process
        if process is None or process.poll() is not None:
            fail("the consumer was not running")
        process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(process.wait, STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            await self.kill()
            fail(f"the consumer did not end within {STOP_TIMEOUT:.0f} s of SIGTERM")

    async def restart_broker(self) -> None:
        """Restarts the broker, which keeps its queues and messages."""
        await self.city.close()
        await asyncio.to_thread(self._broker.stop)
        # Started from this thread, because the broker ends with the thread that started it.
        self._broker.start()
        await self.city.open()

    async def send_offer(self, scenario: int = 1, **overrides: Any) -> dict[str, Any]:
        """Sends an offer; returns it."""
        offer = self.city.events.create_offer(scenario, **overrides)
        await self.city.send(offer)
        return offer

    async def wait_for_resend_request(self, already_sent: int, why: str, *, timeout: float) -> None:
        """Waits until there are more resend requests than `already_sent`."""
        if not await self.city.reply_log.wait_until(lambda: len(self.resend_requests) > already_sent, timeout):
            fail(f"{why}, and no reply.resend.requested.v1 came within {timeout:.0f} s")

    @property
    def resend_requests(self) -> list[dict[str, Any]]:
        """The resend requests so far."""
        return self.city.reply_log.data_of("reply.resend.requested.v1")

    async def wait_for_reply(self, condition: Callable[[], bool]) -> bool:
        """Returns whether a condition on the replies came true in time."""
        return await self.city.reply_log.wait_until(condition, REPLY_TIMEOUT)

    async def expect_answered(self, *offers: dict[str, Any], timeout: Optional[float] = None) -> None:
        """Expects `delivered` and one answer for each service of these referrals, once and in this order."""
        log, limit = self.city.reply_log, timeout or REPLY_TIMEOUT
        for offer in offers:
            if not await log.wait_until(lambda: not self._problem_of(offer), limit):  # noqa: B023 - awaited here
                self._fail_for(offer, f"within {limit:.0f} s")
        await self.wait_until_quiet()
        for offer in offers:
            self.expect_answered_once(offer)
            self._checked = [one for one in self._checked if one[0] is not offer] + [(offer, True)]

    def expect_answered_once(self, offer: dict[str, Any]) -> None:
        """Expects exactly `delivered` and one answer for each service, numbered without gaps in their stream."""
        replies = self.city.reply_log.replies_to(offer)
        if self._problem_of(offer) or not {one.kind for one in replies} <= CHECKED | {"seen"}:
            self._fail_for(offer, "once each and in this order")
        self.expect_valid(replies)
        sequences = [one.event["sequence"] for one in replies]
        expected = [f"{number:010d}" for number in range(1, len(sequences) + 1)]
        expect(sequences == expected, f"replies are numbered {', '.join(sequences)} instead of {', '.join(expected)}")

    def _problem_of(self, offer: dict[str, Any]) -> str:
        return find_problem(self.city.referral_of(offer), self.city.reply_log.replies_to(offer))

    def _fail_for(self, offer: dict[str, Any], how: str) -> NoReturn:
        received = ", ".join(self.city.reply_log.kinds_of_replies_to(offer)) or "nothing"
        problem = self._problem_of(offer) or "other replies came"
        fail(f"expected delivered and accepted for each service {how}; received {received}: {problem}")

    async def expect_unanswered(self, event: dict[str, Any], why: str) -> None:
        """Expects no reply to an event."""
        await self.wait_until_quiet()
        kinds = self.city.reply_log.kinds_of_replies_to(event)
        expect(not kinds, f"{why}, and yet it was answered with {', '.join(kinds)}")
        self._checked.append((event, False))

    def expect_unchanged(self) -> None:
        """Expects no later replies to the events that were checked before."""
        for event, was_answered in self._checked:
            kinds = [kind for kind in self.city.reply_log.kinds_of_replies_to(event) if kind in CHECKED]
            problem = self._problem_of(event) if was_answered else ", ".join(kinds)
            expect(not problem, f"a later reply changed the answer: {problem}")

    def expect_valid(self, replies: Sequence[AgencyReply]) -> None:
        """Expects replies that follow the contract."""
        for reply in replies:
            expect(not reply.problem, f"{reply.type or 'a message'} is not a valid reply: {reply.problem}")

    async def expect_parked(self, body: bytes, why: str, *reasons: ParkReason) -> None:
        """Expects a message to be taken from the queue and reported to the city, for one of these reasons if given."""

        def reported_reasons() -> list[str]:
            digest = sha256(body).hexdigest()
            reports = self.city.reply_log.data_of("reply.message.parked.v1")
            return [report["reason"] for report in reports if report["digest"] == digest]

        if not await self.wait_for_reply(lambda: bool(reported_reasons())):
            fail(f"{why}: no reply.message.parked.v1 with its digest came within {REPLY_TIMEOUT:.0f} s")
        expected = " or ".join(reason.value for reason in reasons)
        reported = reported_reasons()[-1]
        expect(not reasons or reported in reasons, f"{why}: parked as {reported}, not {expected}")
        dead = await self.city.broker.count_messages(DEAD)
        expect(dead == 0, f"{why}: it was rejected into the dead letters instead of being kept by the agency")
        await self.wait_until_drained()

    def expect_not_parked(self, event: dict[str, Any]) -> None:
        """Expects no report that an event was parked."""
        reports = self.city.reply_log.data_of("reply.message.parked.v1")
        digests = {sha256(one.body).hexdigest() for one in self.city.published if event["id"].encode() in one.body}
        parked = [report["reason"] for report in reports if report["digest"] in digests]
        expect(not parked, f"{event['type']} was parked as {', '.join(parked)}")

    def expect_not_on_disk(self, text: str) -> None:
        """Expects a text in none of the consumer's files, its log included."""
        found = [path.name for path in self._folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
        expect(not found, f"what identifies a child stands in clear in {', '.join(found)}")

    async def wait_until_drained(self) -> None:
        """Waits until the queue is empty."""
        for _ in range(100):
            if await self.city.broker.count_messages(self.city.broker.inbox) == 0:
                return
            await asyncio.sleep(0.1)
        fail("messages stay in the queue: one is requeued again and again, or the consumer has stopped")

    async def wait_until_quiet(self) -> None:
        """Waits until no more replies come."""
        before = -1
        while before != len(self.city.reply_log.replies):
            before = len(self.city.reply_log.replies)
            await asyncio.sleep(QUIET_PERIOD)
