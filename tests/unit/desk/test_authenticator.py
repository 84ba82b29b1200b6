"""Codes of an authenticator: valid for a moment, and once."""

from datetime import UTC, datetime, timedelta

import pytest

from simpul_desk.access.authenticator import authenticator_address, find_step, propose_secret

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""The key of the examples in RFC 6238, in base32."""


@pytest.mark.parametrize(
    ("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")]
)
def test_the_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert find_step(RFC_SECRET, code, datetime.fromtimestamp(seconds, UTC), 0) == seconds // 30


@pytest.mark.parametrize(("late", "is_valid"), [(-31, False), (-30, True), (0, True), (59, True), (60, False)])
def test_a_clock_may_be_wrong_by_half_a_minute(late: int, is_valid: bool) -> None:
    shown = datetime.fromtimestamp(1111111080, UTC)

    assert (find_step(RFC_SECRET, "081804", shown + timedelta(seconds=late), 0) is not None) == is_valid


def test_a_code_is_not_good_twice() -> None:
    now = datetime.fromtimestamp(59, UTC)

    assert find_step(RFC_SECRET, "287082", now, last_step=1) is None
    assert find_step(RFC_SECRET, " 287 082 ", now, last_step=0) == 1


@pytest.mark.parametrize("code", ["", "28708", "2870820", "٢٨٧٠٨٢", "é"])
def test_something_else_is_no_code(code: str) -> None:
    assert find_step(RFC_SECRET, code, datetime.fromtimestamp(59, UTC), 0) is None


def test_a_login_proposes_one_key_however_often_the_page_is_opened() -> None:
    assert propose_secret("a") == propose_secret("a") != propose_secret("b")
    assert len(propose_secret("a")) == 32


def test_the_address_for_the_authenticator_names_city_and_login_name() -> None:
    address = authenticator_address(RFC_SECRET, "wiji.rekaan", "Simpul Kota Kediri")

    assert address.startswith("otpauth://totp/Simpul%20Kota%20Kediri:wiji.rekaan?")
    assert f"secret={RFC_SECRET}" in address
