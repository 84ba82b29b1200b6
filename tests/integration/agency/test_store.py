"""The agency's store behaves in the same way on SQLite and PostgreSQL."""

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from simpul_agency.drivers import UnsupportedStore, driver_for
from simpul_agency.records import (
    DeliveryManifest,
    DueEvent,
    HandlerResult,
    IncomingEvent,
    InvalidMessage,
    ParkedMessage,
    ReplyDraft,
    SignedBody,
)
from simpul_agency.store import Store
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends

PREDECESSOR_TIMEOUT = 60.0


def draft_report(reason: str, digest: str, event_id: str | None) -> ReplyDraft:
    """Drafts the report of a parked message."""
    return ReplyDraft(
        "agency/ylpa",
        "reply.message.parked.v1",
        f"{reason} {digest}",
        "c",
        lambda position: SignedBody(b"%d" % position, "s"),
    )


async def due(store: Store, now: float) -> list[DueEvent]:
    """Returns the due events only."""
    return (await store.find_due(now, PREDECESSOR_TIMEOUT, 10))[0]


SOURCE = "/kediri/routing"


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path / 'agency.db'}"
    if request.param == "postgresql":
        backends: Backends = request.getfixturevalue("backends")
        name = f"agency_{uuid4().hex[:8]}"
        await create_databases(backends.postgres_url, {"agency": name})
        url = backends.database_url(name)
    found = Store(driver_for(url))
    await found.open()
    yield found
    await found.close()


def an_event(
    subject: str, sequence: int = 1, body: bytes = b"{}", event_id: str = "", *replies: ReplyDraft
) -> IncomingEvent:
    return IncomingEvent(SOURCE, event_id or str(uuid4()), subject, sequence, "referral.offered.v1", body, "", replies)


def a_draft(subject: str, event_id: str = "") -> ReplyDraft:
    return ReplyDraft(
        subject,
        "reply.referral.delivered.v1",
        event_id or str(uuid4()),
        str(uuid4()),
        lambda n: SignedBody(str(n).encode(), "s"),
    )


async def test_an_event_and_its_replies_are_stored_once(store: Store) -> None:
    event = an_event("referral/a", 1, b"{}", "", a_draft("referral/a"))
    ready, replies = await store.add_messages([event, event], 1.0, draft_report)
    again = await store.add_messages([event], 2.0, draft_report)

    assert [one.event_id for one in await due(store, 5.0)] == [event.event_id]
    assert [reply.body for reply in await store.find_unpublished(10)] == [b"1"]
    assert ([one.event_id for one in ready], replies) == ([event.event_id], await store.find_unpublished(10))
    assert again == ([], [])


async def test_a_known_id_with_other_bytes_is_parked(store: Store) -> None:
    event_id = str(uuid4())
    await store.add_messages(
        [an_event("referral/a", 1, b"{}", event_id), an_event("referral/a", 1, b"{1}", event_id)], 1.0, draft_report
    )
    await store.add_messages([an_event("referral/a", 1, b"{2}", event_id)], 1.0, draft_report)

    assert [parked.reason for parked in await store.list_parked()] == ["id_reused", "id_reused"]
    assert len(await due(store, 5.0)) == 1


async def test_an_event_waits_for_its_predecessor_for_a_limited_time(store: Store) -> None:
    first, second = an_event("referral/a", 1), an_event("referral/a", 2)
    await store.add_messages([second], 1.0, draft_report)
    assert await due(store, 5.0) == []
    assert len(await due(store, 1.0 + PREDECESSOR_TIMEOUT)) == 1
    await store.add_messages([first], 2.0, draft_report)
    assert [one.event_id for one in await due(store, 5.0)] == [first.event_id]
    await store.record_results([HandlerResult(SOURCE, first.event_id)])

    assert [one.event_id for one in await due(store, 5.0)] == [second.event_id]


async def test_a_failed_handler_is_due_again_at_its_retry_time(store: Store) -> None:
    event = an_event("referral/a")
    await store.add_messages([event], 1.0, draft_report)
    await store.record_results([HandlerResult(SOURCE, event.event_id, retry_at=30.0, reason="ValueError")])

    assert await store.find_due(29.0, PREDECESSOR_TIMEOUT, 10) == ([], 1, 30.0)
    assert [(one.event_id, one.attempts) for one in await due(store, 30.0)] == [(event.event_id, 1)]


async def test_replies_are_numbered_without_gaps_and_stay_until_confirmed(store: Store) -> None:
    event, again = an_event("referral/a", 1, b"{}", "", a_draft("referral/a")), a_draft("referral/a")
    await store.add_messages([event], 1.0, draft_report)
    await store.record_results([HandlerResult(SOURCE, event.event_id, (a_draft("referral/a"), again))])
    # A commit whose answer was lost is written again.
    await store.record_results([HandlerResult(SOURCE, event.event_id, (again,))])
    await store.enqueue_replies([a_draft("referral/b"), a_draft("referral/a")])

    waiting = await store.find_unpublished(10)
    assert [reply.body for reply in waiting] == [b"1", b"2", b"3", b"1", b"4"]
    await store.mark_published(waiting[:2], 3.0)
    assert [reply.body for reply in await store.find_unpublished(10)] == [b"3", b"1", b"4"]
    assert await store.count_backlog() == (0, 3, 0)


async def test_a_parked_message_can_be_replayed(store: Store) -> None:
    parked = replace(an_event("referral/a", 1, b"{sealed}"), park_reason="cannot_open", signature="good")
    await store.add_messages([InvalidMessage(b"nonsense", "malformed", signature="bad"), parked], 1.0, draft_report)
    names = {entry.reason: entry.name for entry in await store.list_parked()}

    # Each was also reported, once.
    assert await store.count_backlog() == (0, 2, 2)
    assert await store.find_streams(10) == []
    assert await store.find_parked(names["malformed"]) == ParkedMessage(b"nonsense", "bad", was_verified=False)
    assert await store.find_parked(names["cannot_open"]) == ParkedMessage(b"{sealed}", "good", was_verified=True)
    assert await store.find_parked("nothing") is None
    # Replayed, it is an event; the parked message is deleted in the same transaction.
    usable = replace(parked, park_reason="")
    ready, _ = await store.add_messages([usable], 2.0, draft_report, replaces=names["cannot_open"])
    await store.add_messages(
        [InvalidMessage(b"nonsense", "malformed", signature="bad")], 2.0, draft_report, replaces=names["malformed"]
    )
    assert [one.event_id for one in ready] == [parked.event_id]
    assert [entry.reason for entry in await store.list_parked()] == ["malformed"]
    assert (await store.count_backlog())[1] == 2


async def test_a_copy_with_a_bad_signature_does_not_replace_a_good_one(store: Store) -> None:
    good, bad = (InvalidMessage(b"the same", "unknown_type", signature=signature) for signature in ("good", "bad"))
    await store.add_messages([bad], 1.0, draft_report)
    await store.add_messages([good, bad, replace(bad, signature="")], 2.0, draft_report)

    kept = [await store.find_parked(entry.name) for entry in await store.list_parked()]
    assert sorted(one.signature for one in kept if one) == ["", "bad", "good"]
    # The city gets one report.
    assert (await store.count_backlog())[1] == 1


async def test_a_parked_event_is_not_missing_and_every_missing_range_is_found(store: Store) -> None:
    first, third, fifth = (an_event(f"referral/{n}", 1, b"{%d}" % n) for n in (1, 3, 5))
    unusable = InvalidMessage(b"{2}", "unknown_type", SOURCE, "event-2")
    listed = tuple(
        enumerate((first.event_id, "event-2", third.event_id, "lost", fifth.event_id, "gone", "gone-too"), 1)
    )
    manifest = DeliveryManifest(SOURCE, 1, 9, 1.0, 60.0, tuple((number, name, False) for number, name in listed))
    await store.add_messages([first, unusable, third, fifth, manifest], 1.0, draft_report)

    [city] = await store.compare_manifests()
    assert (city.settled_number, city.missing_ranges) == (3, ((4, 4), (6, 9)))
    await store.add_messages([replace(manifest, sequence=2, events=((4, "lost", True),))], 2.0, draft_report)
    [city] = await store.compare_manifests()
    assert (city.settled_number, city.missing_ranges, city.first_missing) == (5, ((6, 9),), (6, 9))


async def test_a_reopened_store_is_complete(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'folder' / 'agency.db'}"
    first = Store(driver_for(url))
    await first.open()
    await first.add_messages([an_event("referral/a", 1, b"{}", "", a_draft("referral/a"))], 1.0, draft_report)
    await first.close()
    second = Store(driver_for(url))
    await second.open()

    assert await second.count_backlog() == (1, 1, 0)
    assert (tmp_path / "folder" / "agency.db").stat().st_mode & 0o077 == 0
    await second.close()


def test_an_unsupported_store_is_refused_with_what_is_supported() -> None:
    with pytest.raises(UnsupportedStore, match="sqlite:///"):
        driver_for("mysql://somewhere")


async def test_known_events_are_found_by_an_index(tmp_path: Path) -> None:
    path = tmp_path / "agency.db"
    store = Store(driver_for(f"sqlite:///{path}"))
    await store.open()
    await store.close()

    with sqlite3.connect(path) as database:
        for query in (
            "SELECT digest FROM inbox_message WHERE event_id IN ('a', 'b', 'c')",
            "UPDATE inbox_message SET state = 'done' WHERE source = 'a' AND event_id = 'b'",
            "SELECT body FROM inbox_message WHERE subject = 'a' AND sequence = 1",
            "SELECT body FROM inbox_message WHERE type = 'a' ORDER BY received_at DESC LIMIT 5",
            "SELECT body FROM outbox_message WHERE subject IN ('a', 'b', 'c') ORDER BY position",
        ):
            plan, *_ = database.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            assert str(plan[3]).startswith("SEARCH"), (query, plan)
