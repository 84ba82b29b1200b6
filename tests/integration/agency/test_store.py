"""An agency's store keeps its promises on SQLite and on PostgreSQL alike."""

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from simpul_agency.drivers import StoreMissing, driver_for
from simpul_agency.records import Account, Arrived, Draft, Due, Handled, ParkedBody, SignedBody, Unreadable
from simpul_agency.store import Store
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends

PATIENCE = 60.0


def a_report(reason: str, digest: str, event_id: str | None) -> Draft:
    """What is said of a message that was set aside."""
    return Draft(
        "agency/ylpa",
        "reply.message.parked.v1",
        f"{reason} {digest}",
        "c",
        lambda position: SignedBody(b"%d" % position, "s"),
    )


async def due(store: Store, now: float) -> list[Due]:
    """What is due, without when to look again."""
    return (await store.due(now, PATIENCE, 10))[0]


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


def arrived(subject: str, sequence: int = 1, body: bytes = b"{}", event_id: str = "", *replies: Draft) -> Arrived:
    return Arrived(SOURCE, event_id or str(uuid4()), subject, sequence, "referral.offered.v1", body, "", replies)


def a_draft(subject: str, event_id: str = "") -> Draft:
    return Draft(
        subject,
        "reply.referral.delivered.v1",
        event_id or str(uuid4()),
        str(uuid4()),
        lambda n: SignedBody(str(n).encode(), "s"),
    )


async def test_an_event_is_kept_once_and_its_replies_with_it(store: Store) -> None:
    event = arrived("referral/a", 1, b"{}", "", a_draft("referral/a"))
    ready, said = await store.take([event, event], 1.0, a_report)
    again = await store.take([event], 2.0, a_report)

    assert [one.event_id for one in await due(store, 5.0)] == [event.event_id]
    assert [reply.body for reply in await store.unpublished(10)] == [b"1"]
    assert ([one.event_id for one in ready], said) == ([event.event_id], await store.unpublished(10))
    assert again == ([], [])


async def test_the_same_id_with_other_bytes_is_set_aside_as_altered(store: Store) -> None:
    event_id = str(uuid4())
    await store.take(
        [arrived("referral/a", 1, b"{}", event_id), arrived("referral/a", 1, b"{1}", event_id)], 1.0, a_report
    )
    await store.take([arrived("referral/a", 1, b"{2}", event_id)], 1.0, a_report)

    assert [parked.reason for parked in await store.parked()] == ["id_reused", "id_reused"]
    assert len(await due(store, 5.0)) == 1


async def test_an_event_waits_for_its_predecessor_and_not_for_ever(store: Store) -> None:
    first, second = arrived("referral/a", 1), arrived("referral/a", 2)
    await store.take([second], 1.0, a_report)
    assert await due(store, 5.0) == []
    assert len(await due(store, 1.0 + PATIENCE)) == 1
    await store.take([first], 2.0, a_report)
    assert [one.event_id for one in await due(store, 5.0)] == [first.event_id]
    await store.finish([Handled(SOURCE, first.event_id)])

    assert [one.event_id for one in await due(store, 5.0)] == [second.event_id]


async def test_a_handler_that_failed_is_due_again_at_its_moment(store: Store) -> None:
    event = arrived("referral/a")
    await store.take([event], 1.0, a_report)
    await store.finish([Handled(SOURCE, event.event_id, again_at=30.0, reason="ValueError")])

    assert await store.due(29.0, PATIENCE, 10) == ([], 1, 30.0)
    assert [(one.event_id, one.attempts) for one in await due(store, 30.0)] == [(event.event_id, 1)]


async def test_replies_have_places_without_gaps_and_wait_until_the_broker_has_them(store: Store) -> None:
    event, again = arrived("referral/a", 1, b"{}", "", a_draft("referral/a")), a_draft("referral/a")
    await store.take([event], 1.0, a_report)
    await store.finish([Handled(SOURCE, event.event_id, (a_draft("referral/a"), again))])
    # A commit whose answer was lost is written again.
    await store.finish([Handled(SOURCE, event.event_id, (again,))])
    await store.say([a_draft("referral/b"), a_draft("referral/a")])

    waiting = await store.unpublished(10)
    assert [reply.body for reply in waiting] == [b"1", b"2", b"3", b"1", b"4"]
    await store.published(waiting[:2], 3.0)
    assert [reply.body for reply in await store.unpublished(10)] == [b"3", b"1", b"4"]
    assert await store.backlog() == (0, 3, 0)


async def test_what_was_set_aside_can_be_taken_out_and_read_again(store: Store) -> None:
    parked = replace(arrived("referral/a", 1, b"{sealed}"), parked="cannot_open", signature="good")
    await store.take([Unreadable(b"nonsense", "malformed", signature="bad"), parked], 1.0, a_report)
    names = {entry.reason: entry.name for entry in await store.parked()}

    # Each was also reported, once.
    assert await store.backlog() == (0, 2, 2)
    assert await store.first_of("referral/a") is None
    assert await store.set_aside(names["malformed"]) == ParkedBody(b"nonsense", "bad", was_verified=False)
    assert await store.set_aside(names["cannot_open"]) == ParkedBody(b"{sealed}", "good", was_verified=True)
    assert await store.set_aside("nothing") is None
    # Read again it is an event now; what was set aside goes in the same transaction.
    usable = replace(parked, parked="")
    ready, _ = await store.take([usable], 2.0, a_report, instead_of=names["cannot_open"])
    await store.take(
        [Unreadable(b"nonsense", "malformed", signature="bad")], 2.0, a_report, instead_of=names["malformed"]
    )
    assert [one.event_id for one in ready] == [parked.event_id]
    assert [entry.reason for entry in await store.parked()] == ["malformed"]
    assert (await store.backlog())[1] == 2


async def test_a_copy_with_a_bad_signature_takes_the_place_of_no_good_one(store: Store) -> None:
    good, bad = (Unreadable(b"the same", "unknown_type", signature=signature) for signature in ("good", "bad"))
    await store.take([bad], 1.0, a_report)
    await store.take([good, bad, replace(bad, signature="")], 2.0, a_report)

    kept = [await store.set_aside(entry.name) for entry in await store.parked()]
    assert sorted(one.signature for one in kept if one) == ["", "bad", "good"]
    # It is one message to the city.
    assert (await store.backlog())[1] == 1


async def test_an_event_that_cannot_be_used_is_not_missing_and_every_hole_is_seen(store: Store) -> None:
    first, third, fifth = (arrived(f"referral/{n}", 1, b"{%d}" % n) for n in (1, 3, 5))
    unusable = Unreadable(b"{2}", "unknown_type", SOURCE, "event-2")
    listed = tuple(
        enumerate((first.event_id, "event-2", third.event_id, "lost", fifth.event_id, "gone", "gone-too"), 1)
    )
    account = Account(SOURCE, 1, 9, 1.0, 60.0, tuple((number, name, False) for number, name in listed))
    await store.take([first, unusable, third, fifth, account], 1.0, a_report)

    [city] = await store.settle()
    assert (city.settled, city.holes) == (3, ((4, 4), (6, 9)))
    await store.take([replace(account, sequence=2, events=((4, "lost", True),))], 2.0, a_report)
    [city] = await store.settle()
    assert (city.settled, city.holes, city.hole) == (5, ((6, 9),), (6, 9))


async def test_a_store_opened_again_has_everything(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'folder' / 'agency.db'}"
    first = Store(driver_for(url))
    await first.open()
    await first.take([arrived("referral/a", 1, b"{}", "", a_draft("referral/a"))], 1.0, a_report)
    await first.close()
    second = Store(driver_for(url))
    await second.open()

    assert await second.backlog() == (1, 1, 0)
    assert (tmp_path / "folder" / "agency.db").stat().st_mode & 0o077 == 0
    await second.close()


def test_an_unknown_store_is_refused_with_what_is_known() -> None:
    with pytest.raises(StoreMissing, match="sqlite:///"):
        driver_for("mysql://somewhere")


async def test_whether_an_event_is_known_is_looked_up_and_not_searched_for(tmp_path: Path) -> None:
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
        ):
            [plan] = database.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            assert str(plan[3]).startswith("SEARCH"), (query, plan)
