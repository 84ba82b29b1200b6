"""Tokens of complaint centres: issued, listed, withdrawn, and recognised by intake."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_intake.centre_tokens import CentreTokens, add_token, list_tokens, token_id

CENTRES = frozenset({"ylpa", "uptd-ppa"})
KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"


def centre(*arguments: str, file: Path) -> tuple[int, str, str]:
    """Runs `simpul centre` and returns its exit code, output and errors."""
    options = ["--file", str(file)] + ([] if arguments[0] == "revoke-token" else ["--city-dir", str(KEDIRI)])
    ended = CliRunner().invoke(app, ["centre", *arguments, *options])
    return ended.exit_code, ended.stdout, ended.stderr


def test_an_issued_token_is_known_at_once_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "centre-tokens.json"
    tokens = CentreTokens(path, CENTRES)
    assert tokens.find_centre("anything") == ""
    first, second, other = add_token(path, "ylpa"), add_token(path, "ylpa"), add_token(path, "uptd-ppa")

    assert [tokens.find_centre(token) for token in (first, second, other)] == ["ylpa", "ylpa", "uptd-ppa"]
    assert tokens.find_centre(first[:-1]) == ""
    assert not {first, second, other} & set(path.read_text().split('"'))
    assert path.stat().st_mode & 0o022 == 0
    path.unlink()
    assert tokens.find_centre(first) == ""


def test_a_token_is_printed_once_and_the_file_keeps_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "centre-tokens.json"

    code, token, notice = centre("add-token", "ylpa", file=path)

    assert code == 0
    assert CentreTokens(path, CENTRES).find_centre(token.strip()) == "ylpa"
    assert token.strip() not in path.read_text()
    assert list_tokens(path)[0][1] in notice


@pytest.mark.parametrize("code", ["Y L P A", "ylpaa", "sapa129"])
def test_an_unknown_centre_gets_no_token(tmp_path: Path, code: str) -> None:
    refused, _, reason = centre("add-token", code, file=tmp_path / "centre-tokens.json")

    assert refused == 2
    assert f"the city has no agency {code}" in reason
    assert not list(tmp_path.iterdir())


def test_a_token_of_a_centre_that_left_the_city_is_unknown_and_logged(tmp_path: Path) -> None:
    path = tmp_path / "centre-tokens.json"
    token = add_token(path, "ylpa")

    with capture_logs() as logged:
        found = CentreTokens(path, {"uptd-ppa"}).find_centre(token)

    assert found == ""
    assert [(line["event"], line["party"]) for line in logged] == [("centre_tokens_ignored", "ylpa")]


def test_tokens_are_listed_and_withdrawn_by_their_id_or_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "centre-tokens.json"
    tokens = CentreTokens(path, CENTRES)
    first, second, other = add_token(path, "ylpa"), add_token(path, "ylpa"), add_token(path, "uptd-ppa")

    _, listed, _ = centre("list-tokens", file=path)
    one, _, _ = centre("revoke-token", "ylpa", token_id(first), file=path)
    after_one = [tokens.find_centre(token) for token in (first, second, other)]
    again, _, reason = centre("revoke-token", "ylpa", token_id(first), file=path)
    every, _, _ = centre("revoke-token", "ylpa", "all", file=path)

    assert all(token_id(token) in listed for token in (first, second, other))
    assert (one, again, every) == (0, 2, 0)
    assert after_one == ["", "ylpa", "uptd-ppa"]
    assert "simpul centre list-tokens" in reason
    assert list_tokens(path) == [("uptd-ppa", token_id(other))]


def test_another_kind_of_file_is_neither_listed_nor_changed(tmp_path: Path) -> None:
    path = tmp_path / "directory.json"
    path.write_text('{"keys": [{"party": "ylpa"}]}')

    codes = [
        centre(command, *more, file=path)[0]
        for command, *more in (("add-token", "ylpa"), ("list-tokens",), ("revoke-token", "ylpa", "all"))
    ]

    assert codes == [2, 2, 2]
    assert path.read_text() == '{"keys": [{"party": "ylpa"}]}'
