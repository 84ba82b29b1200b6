"""An alarm of Prometheus becomes a mail to operations: a real Alertmanager with the settings that compose gives it."""

import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from simpul_agency.sandbox.process import free_port, spawn, stop_process
from simpul_runtime.database import utc_now
from tests.integration.notify.test_smtp import PASSWORD, USER, Server, an_authority, serving
from tests.support.debian import need
from tests.support.ledger import eventually

SCRIPT = Path(__file__).parents[3] / "deploy" / "observe" / "alertmanager.sh"
PROGRAM = "prometheus-alertmanager"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program under the name that the official image has."""
    need([PROGRAM], [PROGRAM])
    folder = tmp_path_factory.mktemp("programs")
    (folder / "alertmanager").symlink_to(shutil.which(PROGRAM) or PROGRAM)
    return folder


async def test_an_alarm_is_a_mail_to_operations(programs: Path, tmp_path: Path) -> None:
    mailbox, authority, port = Server(), an_authority(tmp_path / "mail"), free_port()
    # The mail server of the tests asks for a login in words that Alertmanager does not know.
    async with serving(mailbox, authority.context, without=["LOGIN"]):
        environment = {
            "PATH": f"{programs}:{os.defpath}",
            "SETTINGS_FOLDER": str(tmp_path),
            "STORAGE_FOLDER": str(tmp_path / "store"),
            "LISTEN": f"127.0.0.1:{port}",
            "OPERATIONS_MAIL": "operations@kota.example",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mailbox.port),
            "SMTP_USER": USER,
            "SMTP_PASSWORD": PASSWORD,
            "SIMPUL_SMTP_CA_FILE": str(authority.ca_file),
            "MAIL_FROM": "robot@kota.example",
        }
        process = spawn(
            ["sh", str(SCRIPT)], log=tmp_path / "log", env=environment, death_signal=signal.SIGKILL, account={}
        )
        try:
            async with aiohttp.ClientSession() as session:
                await eventually(lambda: _fires(session, port), within=60)
                await eventually(lambda: _has_arrived(mailbox), within=60)
        finally:
            stop_process(process, signal.SIGTERM, timeout=10)

    [mail] = mailbox.mails
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert mail["To"] == mailbox.recipients[0] == "operations@kota.example"
    assert mail["Subject"] == "[Simpul] firing: ServiceDown (critical)"
    assert "intake does not answer" in text
    assert "docs/operate/runbooks/ServiceDown.md" in text
    assert mailbox.were_encrypted == [True]


async def _fires(session: aiohttp.ClientSession, port: int) -> bool:
    """Reports an alarm as Prometheus does; returns whether it was taken."""
    alarm = {
        "labels": {"alertname": "ServiceDown", "severity": "critical", "job": "intake"},
        "annotations": {"summary": "intake does not answer", "runbook": "docs/operate/runbooks/ServiceDown.md"},
        "startsAt": utc_now().isoformat(),
        "endsAt": (utc_now() + timedelta(hours=1)).isoformat(),
    }
    try:
        async with session.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=[alarm]) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _has_arrived(mailbox: Server) -> bool:
    return bool(mailbox.mails)


def test_without_an_address_it_says_which_setting_is_missing(tmp_path: Path) -> None:
    process = spawn(
        ["sh", str(SCRIPT)], log=tmp_path / "log", env={"PATH": os.defpath}, death_signal=signal.SIGKILL, account={}
    )

    assert process.wait(10) == 2
    assert "set OPERATIONS_MAIL in .env" in (tmp_path / "log").read_text()
