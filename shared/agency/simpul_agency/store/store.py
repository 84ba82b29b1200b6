"""The store: one transaction for each thing that the kit has to keep together."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Optional

from sqlalchemy import Connection, func, select

from simpul_agency.drivers import Driver, Tables
from simpul_agency.records import (
    Account,
    Arrived,
    Draft,
    Due,
    Gap,
    Handled,
    Message,
    Outgoing,
    Parked,
    ParkedBody,
    Standing,
    Stream,
    Unreadable,
)
from simpul_agency.store import inbox, manifests, outbox, parked
from simpul_agency.store.tables import INBOX, OUTBOX, PARKED_MESSAGE, InboxState, is_pending
from simpul_agency.store.version import NEWEST, one_upgrade_at_a_time, version_of

if TYPE_CHECKING:
    from simpul_agency.migrations import Step

Report = Callable[[str, str, Optional[str]], Draft]
"""Makes the reply that reports a parked message to the city: reason, digest, event id where it was read."""

_BACKLOG: Final = select(
    select(func.count()).select_from(INBOX).where(is_pending(INBOX)).scalar_subquery(),
    select(func.count()).select_from(OUTBOX).where(OUTBOX.c.published_at.is_(None)).scalar_subquery(),
    select(func.count()).select_from(INBOX).where(INBOX.c.state == InboxState.PARKED.value).scalar_subquery(),
    select(func.count()).select_from(PARKED_MESSAGE).scalar_subquery(),
)


class Store:
    """One process works on a store at a time."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def open(self) -> None:
        """Connect, and bring the store to this program's version; StoreNewer when a newer program upgraded it."""
        await self.connect()
        try:
            if await self.version() != NEWEST:
                await self.upgrade()
        except BaseException:
            await self.close()
            raise

    async def connect(self) -> None:
        """Connect without a look at the tables."""
        await self._driver.open()

    async def version(self) -> str:
        """The revision of the store, empty where it has no tables; StoreNewer when this program does not know it."""
        return await self._driver.run_exclusively(version_of)

    async def upgrade(self, *, dry_run: bool = False) -> "list[Step]":
        """Carry out what the store lacks, all or nothing; returns the steps. A dry run is rolled back at its end."""
        # Imported here because it takes half a second, and most stores are up to date.
        from simpul_agency.migrations import upgrade  # noqa: PLC0415 - as above

        def work(connection: Connection) -> "list[Step]":
            steps = upgrade(connection)
            transaction = connection.get_transaction()
            if dry_run and transaction is not None:
                transaction.rollback()
            return steps

        async with one_upgrade_at_a_time():
            return await self._driver.run_exclusively(work)

    async def close(self) -> None:
        """Disconnect."""
        await self._driver.close()

    async def take(
        self, messages: Sequence[Message], now: float, report: Report, *, instead_of: str = ""
    ) -> tuple[list[Due], list[Outgoing]]:
        """Store what arrived, each event once, with the replies to it.

        What cannot be used is parked, and reported to the city once, by the reply that `report` makes. An event with
        the id of another and other bytes is parked as altered. The parked message `instead_of` is taken out. Returns
        the new events that wait for nothing, and the replies.
        """
        arrived = [message for message in messages if isinstance(message, Arrived)]
        unusable = [message for message in messages if isinstance(message, Unreadable)]
        accounts = [message for message in messages if isinstance(message, Account)]

        async def work(tables: Tables) -> tuple[list[Due], list[Outgoing]]:
            if instead_of:
                await parked.unpark(tables, instead_of)
            new, altered = await inbox.add_events(tables, arrived, now)
            await parked.park_messages(tables, [*unusable, *altered], now)
            await manifests.add_manifests(tables, accounts, now)
            reports = [report(one.reason, one.digest, None) for one in (*unusable, *altered)]
            reports += [report(event.parked, event.digest, event.event_id) for event in new if event.parked]
            replies = [draft for event in new for draft in event.replies]
            ready = [event for event in new if event.sequence == 1 and not event.parked]
            return [_due(event) for event in ready], await outbox.enqueue_replies(tables, [*reports, *replies])

        return await self._driver.run(work)

    async def due(self, now: float, patience: float, most: int) -> tuple[list[Due], int, float]:
        """Events whose turn has come; how many are pending, those included; and the next moment of one of them.

        Its turn has come when its predecessor was handled, or was awaited in vain for `patience` seconds.
        """
        return await self._driver.run(
            lambda tables: inbox.find_due(tables, now=now, waited_since=now - patience, limit=most),
            survives_power_cut=False,
        )

    async def settle(self) -> list[Standing]:
        """Compare what is here with the city's delivery manifests."""
        return await self._driver.run(manifests.settle, survives_power_cut=False)

    async def gaps(self, until: float) -> tuple[list[Gap], bool]:
        """Events that wait since before `until` for one that never came, and whether others wait since later."""
        return await self._driver.run(lambda tables: inbox.find_gaps(tables, until), survives_power_cut=False)

    async def finish(self, handled: Sequence[Handled]) -> list[Outgoing]:
        """Store the ends of handlers and their replies together; returns the replies."""

        async def work(tables: Tables) -> list[Outgoing]:
            await inbox.record_handled(tables, handled)
            done = [event for event in handled if event.again_at is None]
            return await outbox.enqueue_replies(tables, [draft for event in done for draft in event.replies])

        return await self._driver.run(work)

    async def say(self, drafts: Sequence[Draft]) -> list[Outgoing]:
        """Store replies that are made outside a handler."""
        return await self._driver.run(lambda tables: outbox.enqueue_replies(tables, drafts))

    async def unpublished(self, most: int) -> list[Outgoing]:
        """Replies that the broker has not confirmed, in order."""
        return await self._driver.run(lambda tables: outbox.find_unpublished(tables, most), survives_power_cut=False)

    async def published(self, replies: Sequence[Outgoing], now: float) -> None:
        """The broker has confirmed them; a machine that forgets it sends them again, and the city knows them."""
        await self._driver.run(lambda tables: outbox.mark_published(tables, replies, now), survives_power_cut=False)

    async def first_of(self, subject: str) -> Optional[bytes]:
        """The event that began a stream, such as the offer of a referral; None when it never came."""
        return await self._driver.run(lambda tables: inbox.find_first(tables, subject), survives_power_cut=False)

    async def streams(self, most: int, subject: str = "") -> list[Stream]:
        """The newest referrals with what was sent about them; or one of them."""
        return await self._driver.run(
            lambda tables: inbox.find_streams(tables, most, subject), survives_power_cut=False
        )

    async def of_type(self, wire_name: str, most: int) -> list[bytes]:
        """The newest events of a type."""
        return await self._driver.run(
            lambda tables: inbox.find_newest(tables, wire_name, most), survives_power_cut=False
        )

    async def parked(self) -> list[Parked]:
        """Parked messages, the oldest first."""
        return await self._driver.run(parked.find_parked, survives_power_cut=False)

    async def set_aside(self, name: str) -> Optional[ParkedBody]:
        """The parked message of that name; None when there is none."""
        return await self._driver.run(lambda tables: parked.find_body(tables, name), survives_power_cut=False)

    async def backlog(self) -> tuple[int, int, int]:
        """How many events wait for their handler, how many replies for the broker, how many messages are parked."""

        async def work(tables: Tables) -> tuple[int, int, int]:
            [[pending, unpublished, parked_events, parked_messages]] = await tables.fetch(_BACKLOG)
            return pending, unpublished, parked_events + parked_messages

        return await self._driver.run(work, survives_power_cut=False)


def _due(event: Arrived) -> Due:
    return Due(event.source, event.event_id, event.subject, event.type, event.body, 0)
