"""The store: one transaction for each change that must happen as a whole."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Optional

from sqlalchemy import Connection, func, select

from simpul_agency.drivers import Driver, Tables
from simpul_agency.records import (
    DeliveryManifest,
    DeliveryStatus,
    DueEvent,
    HandlerResult,
    IncomingEvent,
    IncomingMessage,
    InvalidMessage,
    OutgoingReply,
    ParkedEntry,
    ParkedMessage,
    ReferralStream,
    ReplyDraft,
    StreamGap,
)
from simpul_agency.store import dossiers, heads, inbox, manifests, outbox, parked
from simpul_agency.store.tables import INBOX, OUTBOX, PARKED_MESSAGE, InboxState, is_pending
from simpul_agency.store.version import NEWEST, one_upgrade_at_a_time, read_version
from simpul_seal import ContradictedHead, SignedHead

if TYPE_CHECKING:
    from simpul_agency.migrations import Step

DraftReport = Callable[[str, str, Optional[str]], ReplyDraft]
"""Drafts the report of a parked message for the city: park reason, digest, event id if the message was read."""

_BACKLOG: Final = select(
    select(func.count()).select_from(INBOX).where(is_pending(INBOX)).scalar_subquery(),
    select(func.count()).select_from(OUTBOX).where(OUTBOX.c.published_at.is_(None)).scalar_subquery(),
    select(func.count()).select_from(INBOX).where(INBOX.c.state == InboxState.PARKED.value).scalar_subquery(),
    select(func.count()).select_from(PARKED_MESSAGE).scalar_subquery(),
)


class Backlog(NamedTuple):
    """How much work is left in a store."""

    pending_events: int
    """Events whose handler has not succeeded yet."""
    unpublished_replies: int
    parked_messages: int


class Store:
    """Keeps received events and replies; one process works on a store at a time."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def open(self) -> None:
        """Connects, and upgrades the store; raises StoreNewer when a newer program has upgraded it."""
        await self.connect()
        try:
            if await self.read_version() != NEWEST:
                await self.upgrade()
        except BaseException:
            await self.close()
            raise

    async def connect(self) -> None:
        """Connects without reading the tables."""
        await self._driver.open()

    async def read_version(self) -> str:
        """Returns the revision of the store, empty when it has no tables; raises StoreNewer for an unknown revision."""
        return await self._driver.run_exclusively(read_version)

    async def upgrade(self, *, dry_run: bool = False) -> "list[Step]":
        """Runs the missing migrations, all or none; returns them. A dry run is rolled back at its end."""
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
        """Disconnects."""
        await self._driver.close()

    async def add_messages(
        self, messages: Sequence[IncomingMessage], now: float, draft_report: DraftReport, *, replaces: str = ""
    ) -> tuple[list[DueEvent], list[OutgoingReply]]:
        """Stores messages, each event once, together with the replies to them.

        Messages that cannot be used are parked, and reported to the city once. An event with the id of another event
        and a different body is parked as `id_reused`. The parked message named `replaces` is deleted. Returns the new
        events that wait for nothing, and the replies.
        """
        events = [message for message in messages if isinstance(message, IncomingEvent)]
        invalid = [message for message in messages if isinstance(message, InvalidMessage)]
        manifest_messages = [message for message in messages if isinstance(message, DeliveryManifest)]

        async def work(tables: Tables) -> tuple[list[DueEvent], list[OutgoingReply]]:
            if replaces:
                await parked.delete_parked(tables, replaces)
            new, altered = await inbox.add_events(tables, events, now)
            await parked.park_messages(tables, [*invalid, *altered], now)
            await manifests.add_manifests(tables, manifest_messages, now)
            await heads.add_heads(tables, [head for one in manifest_messages for head in one.heads], now)
            reports = [draft_report(one.park_reason, one.digest, None) for one in (*invalid, *altered)]
            reports += [
                draft_report(event.park_reason, event.digest, event.event_id) for event in new if event.park_reason
            ]
            replies = [draft for event in new for draft in event.replies]
            ready = [event for event in new if event.sequence == 1 and not event.park_reason]
            return [_due(event) for event in ready], await outbox.enqueue_replies(tables, [*reports, *replies])

        return await self._driver.run(work)

    async def find_due(self, now: float, predecessor_timeout: float, limit: int) -> tuple[list[DueEvent], int, float]:
        """Returns the due events, the number of pending events, and the earliest time at which one is due.

        An event is due once its predecessor was handled, or has not come for `predecessor_timeout` seconds.
        """
        return await self._driver.run(
            lambda tables: inbox.find_due(tables, now=now, waited_since=now - predecessor_timeout, limit=limit),
            survives_power_cut=False,
        )

    async def compare_manifests(self) -> list[DeliveryStatus]:
        """Compares the received events with the delivery manifests of every source."""
        return await self._driver.run(manifests.compare_manifests, survives_power_cut=False)

    async def list_heads(self) -> list[SignedHead]:
        """Lists the kept heads of the city's audits, by service and moment."""
        return await self._driver.run(heads.list_heads, survives_power_cut=False)

    async def acknowledge(self, contradictions: Sequence[ContradictedHead], now: float) -> None:
        """Records that a person has seen contradictions of the kept heads; the heads stay."""
        await self._driver.run(lambda tables: heads.acknowledge(tables, contradictions, now))

    async def list_acknowledged(self) -> frozenset[str]:
        """Lists the ids of the contradictions that a person has seen; see `ContradictedHead.compute_id`."""
        return await self._driver.run(heads.list_acknowledged, survives_power_cut=False)

    async def find_gaps(self, until: float) -> tuple[list[StreamGap], bool]:
        """Returns the gaps that have lasted since before `until`, and whether there are newer ones."""
        return await self._driver.run(lambda tables: inbox.find_gaps(tables, until), survives_power_cut=False)

    async def record_results(self, results: Sequence[HandlerResult]) -> list[OutgoingReply]:
        """Stores the results of handlers together with their replies; returns the replies."""

        async def work(tables: Tables) -> list[OutgoingReply]:
            await inbox.record_results(tables, results)
            done = [result for result in results if result.retry_at is None]
            return await outbox.enqueue_replies(tables, [draft for result in done for draft in result.replies])

        return await self._driver.run(work)

    async def enqueue_replies(self, drafts: Sequence[ReplyDraft]) -> list[OutgoingReply]:
        """Stores replies given outside a handler; returns those that are new."""
        return await self._driver.run(lambda tables: outbox.enqueue_replies(tables, drafts))

    async def find_unpublished(self, limit: int) -> list[OutgoingReply]:
        """Returns the replies that the broker has not confirmed, in order."""
        return await self._driver.run(lambda tables: outbox.find_unpublished(tables, limit), survives_power_cut=False)

    async def mark_published(self, replies: Sequence[OutgoingReply], now: float) -> None:
        """Marks confirmed replies; if a power cut undoes this, they are published again and the city ignores them."""
        await self._driver.run(lambda tables: outbox.mark_published(tables, replies, now), survives_power_cut=False)

    async def find_streams(self, limit: int, subject: str = "") -> list[ReferralStream]:
        """Returns the referrals that were offered or amended last, or the one with this subject, with their replies."""
        return await self._driver.run(
            lambda tables: inbox.find_streams(tables, limit, subject), survives_power_cut=False
        )

    async def count_streams(self) -> int:
        """Returns how many referrals were offered to this agency."""
        return await self._driver.run(inbox.count_streams, survives_power_cut=False)

    async def delete_outdated_sections(self, subject: str) -> None:
        """Deletes the sections of a dossier that were withdrawn or replaced."""
        await self._driver.run(lambda tables: dossiers.delete_outdated_sections(tables, subject))

    async def list_parked(self) -> list[ParkedEntry]:
        """Lists the parked messages, the oldest first."""
        return await self._driver.run(parked.list_parked, survives_power_cut=False)

    async def find_parked(self, name: str) -> Optional[ParkedMessage]:
        """Returns the parked message with this name; None when there is none."""
        return await self._driver.run(lambda tables: parked.find_parked(tables, name), survives_power_cut=False)

    async def count_backlog(self) -> Backlog:
        """Counts pending events, unpublished replies and parked messages."""

        async def work(tables: Tables) -> Backlog:
            [[pending, unpublished, parked_events, parked_messages]] = await tables.fetch(_BACKLOG)
            return Backlog(pending, unpublished, parked_events + parked_messages)

        return await self._driver.run(work, survives_power_cut=False)


def _due(event: IncomingEvent) -> DueEvent:
    return DueEvent(event.source, event.event_id, event.subject, event.type, event.body, 0)
