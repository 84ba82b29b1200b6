"""Plays an emergency with the real channels: no case, no event, and every message says that it is a drill."""

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import DeliveryState, Problem
from simpul_notify.domain.drill import DrillMessage, DrillState, PartyDrill, drill_text
from simpul_notify.domain.escalation import AlertNext, Exhausted, Stage, ladder_of, next_step
from simpul_notify.domain.links import ALPHABET, TOKEN_LENGTH, token_for, token_from
from simpul_notify.domain.responders import Recipient, Roster
from simpul_notify.repository import drills
from simpul_notify.use_cases.dispatch import Dispatch, Message
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import Urgency

POLL_INTERVAL: Final = timedelta(seconds=1)
"""Time between two looks at what providers reported and people answered."""
URGENCY: Final = Urgency.HIGH
"""A drill plays an emergency."""


def find_ladder(roster: Roster, party: str) -> list[Stage]:
    """Returns whom an emergency of a party alerts, in order."""
    return ladder_of(roster, party, URGENCY, roster.policies[URGENCY])


class PlayDrill:
    """Alerts people by the escalation policy until somebody of each party confirms, everybody was tried or time is up.

    Contact rules, providers, delivery reports, links and replies are those of real alerts. What waits for the same
    people is neither delayed nor ended by it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        roster: Roster,
        dispatch: Dispatch,
        public_url: str,
        report: Callable[[PartyDrill, DrillMessage], None] = lambda *_: None,
    ) -> None:
        """`report` is called after each message."""
        self._engine = engine
        self._roster = roster
        self._dispatch = dispatch
        self._public_url = public_url
        self._report = report

    async def run(self, parties: Sequence[str], limit: timedelta) -> list[PartyDrill]:
        """Plays the drill with these parties at the same time; returns what was found for each."""
        began = utc_now()
        played = [PartyDrill(party, began) for party in parties]
        for one in played:
            if not find_ladder(self._roster, one.party):
                one.state = DrillState.NOBODY
        try:
            while running := [one for one in played if one.state is DrillState.RUNNING]:
                now = utc_now()
                await self._read_outcomes(running)
                await asyncio.gather(*(self._take_step(one, now) for one in running))
                if now >= began + limit:
                    for one in running:
                        one.end_at_limit()
                    break
                await asyncio.sleep(POLL_INTERVAL.total_seconds())
        finally:
            await self._dispatch.close()
        return played

    async def _take_step(self, drill: PartyDrill, now: datetime) -> None:
        if drill.confirmed_at:
            drill.state = DrillState.CONFIRMED
            return
        tried = [message.as_tried() for message in drill.messages]
        match next_step(
            find_ladder(self._roster, drill.party), self._roster.policies[URGENCY], tried, drill.began_at, now
        ):
            case AlertNext(recipients=recipients, party=party):
                await asyncio.gather(*(self._send(drill, recipient, party) for recipient in recipients))
            case Exhausted():
                drill.state = DrillState.EXHAUSTED

    async def _send(self, drill: PartyDrill, recipient: Recipient, party: str) -> None:
        responder = self._roster.responders[recipient.responder]
        notification_id, report_token, now = uuid4(), token_from(_draw()), utc_now()
        link_token = token_for(responder.language, _draw)
        message = DrillMessage(notification_id, recipient, party, now)
        drill.messages.append(message)
        if recipient.channel not in self._dispatch.channels:
            message.problem = Problem.NO_PROVIDER
            self._report(drill, message)
            return
        async with self._engine.begin() as connection:
            digest = self._roster.digest_of(recipient)
            await drills.add_message(connection, notification_id, recipient, digest, report_token, link_token, now)
        text = drill_text(recipient.channel, responder.language, drill.party, self._public_url, link_token)
        dispatched = await self._dispatch.send(
            Message(
                notification_id,
                recipient.channel,
                self._roster.address_of(recipient),
                text,
                URGENCY,
                report_token,
                safe_hours=responder.safe_hours,
            )
        )
        attempt = dispatched.attempt
        if attempt.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
            message.provider = dispatched.provider
            is_accepted = attempt.outcome is Outcome.ACCEPTED
            state = DeliveryState.ACCEPTED if is_accepted else DeliveryState.QUEUED
            async with self._engine.begin() as connection:
                await drills.record_delivery(
                    connection, notification_id, dispatched.provider, state, attempt.reference, utc_now()
                )
        else:
            message.problem = attempt.problem if attempt.problem is not Problem.NONE else Problem.REFUSED
        self._report(drill, message)

    async def _read_outcomes(self, running: Sequence[PartyDrill]) -> None:
        messages = {message.notification_id: message for message in _messages_of(running)}
        if not messages:
            return
        async with self._engine.connect() as connection:
            for found in await drills.find_outcomes(connection, list(messages)):
                message = messages[found.notification_id]
                message.delivery = found.delivery
                message.delivered_at = found.delivery_at if found.delivery.has_arrived else None
                message.answer, message.answered_at = found.answer, found.answered_at


def _messages_of(played: Sequence[PartyDrill]) -> Iterator[DrillMessage]:
    for drill in played:
        yield from drill.messages


def _draw() -> int:
    return secrets.randbelow(len(ALPHABET) ** TOKEN_LENGTH)
