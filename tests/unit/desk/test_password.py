"""A password is long and not guessed soon; there are no other rules."""

import pytest

from simpul_desk.access.password import (
    MAX_LENGTH,
    MIN_LENGTH,
    PasswordFault,
    PasswordUnsuitable,
    check_password,
    normalize_password,
)
from simpul_desk.access.password_hashing import Passwords

PERSONAL = ("Wiji Rekaan Paksibumi", "wiji.rekaan")


@pytest.mark.parametrize(
    "password", ["tujuh burung gereja terbang", "kucing makan ikan asin", "Ωmega≠tujuh-belas", "x7#kQ2mZ9!pLw"]
)
def test_a_password_that_nobody_guesses_soon_is_accepted(password: str) -> None:
    check_password(password, PERSONAL)


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("x7#kQ2mZ9!p", PasswordFault.TOO_SHORT),
        ("", PasswordFault.TOO_SHORT),
        ("ab" * MAX_LENGTH, PasswordFault.TOO_LONG),
        ("passwordpassword", PasswordFault.EASY_TO_GUESS),
        ("password1234", PasswordFault.EASY_TO_GUESS),
        ("aaaaaaaaaaaaaaaa", PasswordFault.EASY_TO_GUESS),
        ("qwertyuiop12", PasswordFault.EASY_TO_GUESS),
        ("bismillah123", PasswordFault.EASY_TO_GUESS),
        ("katasandi1945", PasswordFault.EASY_TO_GUESS),
        ("paksibumi2026", PasswordFault.EASY_TO_GUESS),
        ("kedirikediri1", PasswordFault.EASY_TO_GUESS),
    ],
)
def test_a_short_common_or_personal_password_is_refused(password: str, fault: PasswordFault) -> None:
    with pytest.raises(PasswordUnsuitable) as refused:
        check_password(password, PERSONAL)

    assert refused.value.fault is fault


def test_the_shortest_password_has_as_many_characters_as_the_page_says() -> None:
    check_password("x7#kQ2mZ9!pL"[:MIN_LENGTH], PERSONAL)


def test_two_keyboards_write_one_password() -> None:
    assert normalize_password("cafe\u0301 besar") == normalize_password("caf\u00e9 besar")


async def test_a_hash_verifies_its_own_password_only() -> None:
    passwords = Passwords()
    stored = await passwords.hash("tujuh burung gereja terbang")

    assert await passwords.verify("tujuh burung gereja terbang", stored)
    assert not await passwords.verify("tujuh burung gereja", stored)
    assert not await passwords.verify("tujuh burung gereja terbang", None)
    assert not await passwords.verify("tujuh burung gereja terbang", "damaged")


async def test_an_account_that_does_not_exist_takes_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []

    class Counting:
        def verify(self, stored: str, password: str) -> bool:
            verified.append(stored[:30])
            return True

    monkeypatch.setattr("simpul_desk.access.password_hashing._HASHER", Counting())

    assert not await Passwords().verify("anything", None)
    assert verified == ["$argon2id$v=19$m=19456,t=2,p=1"]
