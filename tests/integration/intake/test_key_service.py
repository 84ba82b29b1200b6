"""The master key stays in a real OpenBao server, which can be away, sealed, or have old versions deleted."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from simpul_intake.vault import DecryptionFailed, KeyServiceUnavailable, KeyToWrap, MasterKeyMissing, WrappedKey
from simpul_intake.vault.vault import FULL_RESERVE
from tests.integration.intake.conftest import Room
from tests.integration.intake.test_vault_keys import used_keys
from tests.support.openbao import OpenBao


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    server = OpenBao(tmp_path_factory.mktemp("openbao"))
    yield server
    server.stop()


@pytest.fixture
def server(shared_server: OpenBao) -> OpenBao:
    shared_server.forget_versions_before(1)
    return shared_server


async def test_keys_are_wrapped_in_batches_and_bound_to_their_case(server: OpenBao) -> None:
    keys = server.keys()

    wrapped = await keys.wrap([KeyToWrap(b"1" * 32, b"one"), KeyToWrap(b"2" * 32, b"two")])

    assert await keys.unwrap(wrapped) == [b"1" * 32, b"2" * 32]
    assert await keys.wrap([]) == []
    assert await keys.unwrap([]) == []
    moved = WrappedKey(wrapped[0].key_id, wrapped[0].ciphertext, b"two")
    with pytest.raises(DecryptionFailed):
        await keys.unwrap([wrapped[1], moved])


async def test_a_rotation_in_the_key_service_is_followed_without_a_restart(
    room: Room, server: OpenBao, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simpul_intake.vault.transit.VERSION_LIFETIME", timedelta())
    running = room.use_cases(server.keys())
    cases = [await running.take_report() for _ in range(3)]
    [first_id] = await used_keys(room)

    server.rotate()
    assert await running.rewrap.rewrap_keys() == 3

    [second_id] = await used_keys(room)
    assert int(second_id.rpartition(":v")[2]) == int(first_id.rpartition(":v")[2]) + 1
    for case in cases:
        assert await running.amend_report(case.case_id, case.phrase) == 2


async def test_a_rotation_that_one_process_has_not_seen_yet_harms_nothing(room: Room, server: OpenBao) -> None:
    first, second = room.use_cases(server.keys()), room.use_cases(server.keys())
    before = [await process.take_report() for process in (first, second)]
    await first.rewrap.check_keys()

    server.rotate()
    case = await second.take_report()

    assert await first.amend_report(case.case_id, case.phrase) == 2
    await first.rewrap.check_keys()
    assert first.rewrap.problems() == []
    assert len(await used_keys(room)) == 1
    for older in before:
        assert await second.amend_report(older.case_id, older.phrase) == 2


async def test_a_vault_moves_from_its_file_to_the_key_service(room: Room, server: OpenBao) -> None:
    cases = [await room.use_cases().take_report() for _ in range(3)]

    moving = room.use_cases(server.keys())
    await moving.rewrap.check_keys()
    [problem] = moving.rewrap.problems()
    assert "neither its key file nor its key service" in problem
    both = room.use_cases(server.keys(), room.key_file())
    await both.rewrap.check_keys()

    assert both.rewrap.problems() == []
    room.key_path.unlink()
    for case in cases:
        assert await room.use_cases(server.keys()).amend_report(case.case_id, case.phrase) == 2


async def test_a_forgotten_version_is_named(room: Room, server: OpenBao) -> None:
    case = await room.use_cases(server.keys()).take_report()
    [forgotten] = await used_keys(room)
    server.rotate()
    server.forget_versions_before(int(forgotten.rpartition(":v")[2]) + 1)
    running = room.use_cases(server.keys())

    with pytest.raises(MasterKeyMissing, match=forgotten):
        await running.amend_report(case.case_id, case.phrase)
    await running.rewrap.check_keys()
    [problem] = running.rewrap.problems()
    assert forgotten in problem


async def test_reports_are_taken_while_the_key_service_is_away(room: Room, tmp_path: Path) -> None:
    folder = tmp_path / "openbao"
    folder.mkdir()
    server = OpenBao(folder)
    running = room.use_cases(server.keys())
    await running.rewrap.check_keys()
    server.stop()
    await running.rewrap.check_keys()
    assert running.rewrap.problems() == []

    cases = [await running.take_report() for _ in range(FULL_RESERVE)]
    with pytest.raises(KeyServiceUnavailable, match=server.url):
        await running.vault.create_case_keys(1)
    with pytest.raises(KeyServiceUnavailable):
        await running.amend_report(cases[0].case_id, cases[0].phrase)
    await running.rewrap.check_keys()
    assert "cannot be used" in running.rewrap.problems()[0]

    server.start()
    await running.rewrap.check_keys()
    assert running.rewrap.problems() == []
    for case in (cases[0], await running.take_report()):
        assert await running.amend_report(case.case_id, case.phrase) == 2
    server.stop()


async def test_a_refused_token_and_a_wrong_key_name_are_named(server: OpenBao, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s.nobody")

    with pytest.raises(KeyServiceUnavailable, match="refuses the token in"):
        await server.keys(token_file=tmp_path / "token").current_key_id()
    with pytest.raises(KeyServiceUnavailable, match="refuses the token in"):
        await server.keys(key="another").current_key_id()
    with pytest.raises(KeyServiceUnavailable, match="FileNotFoundError"):
        await server.keys(token_file=tmp_path / "absent").current_key_id()
    (tmp_path / "root").write_text(server.root_token)
    with pytest.raises(KeyServiceUnavailable, match="has no key transit/another"):
        await server.keys(key="another", token_file=tmp_path / "root").current_key_id()


async def test_intake_cannot_rotate_or_read_the_master_key(server: OpenBao) -> None:
    root, server.root_token = server.root_token, (server.folder / "token").read_text().strip()
    try:
        for method, path in (("POST", "transit/keys/simpul/rotate"), ("GET", "transit/export/encryption-key/simpul")):
            with pytest.raises(OSError, match="403"):
                server.request(method, path)
    finally:
        server.root_token = root
