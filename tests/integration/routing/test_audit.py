"""Routing records every change of a case with the person, the role and the agency behind it."""

from simpul_runtime.audit import AuditFilter, StoredEntry, find_entries, verify_audit
from simpul_schema.vocabulary import CaseEnd
from tests.integration.routing.conftest import Room
from tests.support.actors import UPTD

REASON = "keluarga Wenthilora pindah"


async def entries_of(room: Room, actor: str) -> list[StoredEntry]:
    async with room.engine.connect() as connection:
        return (await find_entries(connection, AuditFilter(actor), limit=200)).entries


async def test_changes_of_a_case_are_recorded_with_person_role_and_agency(room: Room) -> None:
    case_id = await room.report(safe_now="no")

    await room.end.close_case(case_id, await room.version(case_id), CaseEnd.CLOSED, by=UPTD, reason=REASON)

    closed = [one for one in await entries_of(room, UPTD.code) if one.subject == f"case/{case_id}"]
    assert {one.action for one in closed} == {"case.state_changed", "case.referral_changed"}
    assert {one.role for one in closed} == {UPTD.role.value}
    assert all(one.detail.startswith(f"{UPTD.agency},") for one in closed)
    assert any(one.is_about(REASON) for one in closed)
    assert "Wenthilora" not in repr(closed)
    assert {one.action for one in await entries_of(room, "routing")} >= {"case.referral_offered"}
    async with room.engine.connect() as connection:
        assert (await verify_audit(connection)).problems == ()
