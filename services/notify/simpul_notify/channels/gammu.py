"""Sends SMS through gammu-smsd and its PostgreSQL tables, for a small city with a USB modem and a SIM card."""

from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from simpul_notify.channels.provider import Incoming, OutgoingMessage
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import Attempt, Capabilities, DeliveryReport, DeliveryState, Problem, Reply
from simpul_schema.vocabulary import AlertChannel

_SEND: Final = """
    INSERT INTO outbox ("DestinationNumber", "TextDecoded", "CreatorID", "Coding", "DeliveryReport", "Priority")
    VALUES ($1, $2, $3, 'Default_No_Compression', 'yes', 10) RETURNING "ID"
"""
_FIND_SENT: Final = """
    SELECT "CreatorID" AS creator, "Status" AS status FROM sentitems
    WHERE "CreatorID" LIKE 'simpul/%' AND "UpdatedInDB" > LOCALTIMESTAMP - $1::interval
"""
_FIND_RECEIVED: Final = """
    SELECT "ID" AS id, "SenderNumber" AS sender, "TextDecoded" AS text FROM inbox
    WHERE NOT "Processed" ORDER BY "ID" LIMIT 100
"""
_CONFIRM: Final = """UPDATE inbox SET "Processed" = true WHERE "ID" = ANY($1)"""
_FIRST_PERIOD: Final = timedelta(days=5)
"""How far back the first search for sent messages reaches."""
_PERIOD: Final = timedelta(minutes=10)
"""How far back the following ones reach, because the clocks of two machines differ."""
_STATES: Final = {
    "SendingOK": DeliveryState.IN_NETWORK,
    "SendingOKNoReport": DeliveryState.IN_NETWORK,
    "DeliveryPending": DeliveryState.DELAYED,
    "DeliveryUnknown": DeliveryState.DELAYED,
    "DeliveryOK": DeliveryState.ON_HANDSET,
    "SendingError": DeliveryState.FAILED,
    "DeliveryFailed": DeliveryState.FAILED,
    "Error": DeliveryState.FAILED,
}
"""gammu-smsd's `sentitems.Status`."""
_CREATOR: Final = "simpul/"
"""Marks the rows of notify, because other programs may use the same modem."""


class GammuSettings(BaseSettings):
    """Settings of a modem."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr = Field(description="postgresql://user:password@host:port/smsd, the database of gammu-smsd")
    max_per_minute: int = Field(default=15, ge=1, description="messages that the modem sends in a minute")
    timeout: float = Field(
        default=10.0,
        gt=0,
        validation_alias="SIMPUL_PROVIDER_TIMEOUT",
        description="seconds until an attempt times out",
    )


def create(name: str, prefix: str) -> "GammuSms":
    """Starts a modem from the environment."""
    given = GammuSettings(_env_prefix=prefix)
    return GammuSms(
        given.database_url.get_secret_value(), given.timeout, name=name, max_per_minute=given.max_per_minute
    )


class GammuSms:
    """Rows for gammu-smsd, which keeps what it sent and received until notify fetches it."""

    def __init__(
        self, database_url: str, timeout: float, *, name: str = "gammu", max_per_minute: int | None = None
    ) -> None:
        self.name = name
        self.capabilities = Capabilities(
            AlertChannel.SMS, concurrency=2, reports_delivery=True, takes_replies=True, max_per_minute=max_per_minute
        )
        self._database_url = database_url
        self._timeout = timeout
        self._pool: asyncpg.Pool | None = None
        self._period = _FIRST_PERIOD

    async def send(self, message: OutgoingMessage) -> Attempt:
        """Adds a row to the outbox; once it is committed, gammu-smsd sends it as long as it takes."""
        try:
            pool = await self._open()
            row = await pool.fetchval(
                _SEND,
                message.address,
                message.text.body,
                f"{_CREATOR}{message.notification_id}",
                timeout=self._timeout,
            )
        except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
            return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.WRONG_CREDENTIALS)
        except TimeoutError:
            return Attempt(Outcome.UNKNOWN, Problem.NO_ANSWER)
        except OSError:
            return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.UNREACHABLE)
        except asyncpg.DataError:
            return Attempt(Outcome.REJECTED_PERMANENTLY, Problem.REFUSED)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.BUSY)
        return Attempt(Outcome.ACCEPTED, reference=str(row))

    async def fetch_incoming(self) -> Incoming:
        """Returns the states of the messages that changed lately, and the replies in the inbox."""
        pool = await self._open()
        sent = await pool.fetch(_FIND_SENT, self._period, timeout=self._timeout)
        received = await pool.fetch(_FIND_RECEIVED, timeout=self._timeout)
        self._period = _PERIOD
        reports = []
        for row in sent:
            with suppress(ValueError, KeyError):
                notification_id = UUID(row["creator"].removeprefix(_CREATOR))
                reports.append(DeliveryReport(notification_id, self.name, _STATES[row["status"]]))
        replies = tuple(Reply(row["sender"], row["text"]) for row in received)
        return Incoming(tuple(reports), replies, tuple(row["id"] for row in received))

    async def confirm(self, incoming: Incoming) -> None:
        """Marks the replies in the inbox as processed."""
        if incoming.reply_ids:
            pool = await self._open()
            await pool.execute(_CONFIRM, list(incoming.reply_ids), timeout=self._timeout)

    async def close(self) -> None:
        """Closes the connections; the next message opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _open(self) -> asyncpg.Pool:
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                self._database_url, min_size=0, max_size=3, timeout=self._timeout, statement_cache_size=0
            )
        return self._pool
