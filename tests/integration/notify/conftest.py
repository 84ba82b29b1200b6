"""A real Kannel with a simulated network operator behind it."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from simpul_agency.sandbox.process import free_port, spawn
from tests.support.debian import need

BEARERBOX, SMSBOX, FAKESMSC = "/usr/sbin/bearerbox", "/usr/sbin/smsbox", "/usr/lib/kannel/test/fakesmsc"
USER, PASSWORD = "simpul", "only-for-this-test"

# A blank line ends a group.
CONFIG = """\
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = {password}
status-password = {password}
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
log-file = {folder}/bearerbox-messages.log
log-level = 1

group = smsc
smsc = fake
smsc-id = operator
port = {operator}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-file = {folder}/smsbox-messages.log
log-level = 1

group = sendsms-user
username = {user}
password = {password}
max-messages = 1

group = sms-service
keyword = default
text = unused
max-messages = 0
"""


@dataclass(frozen=True)
class Kannel:
    """Address of the gateway, and what the operator's side got."""

    url: str
    operator_log: Path

    def delivered_to(self, number: str) -> list[str]:
        """Texts that reached the operator for a number, oldest first."""
        log = self.operator_log.read_text(encoding="utf-8", errors="replace")
        return re.findall(rf"Got message \d+: <\S+ {re.escape(number)} text (.*)>$", log, re.MULTILINE)


@pytest.fixture(scope="session")
def kannel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kannel]:
    """bearerbox, smsbox and fakesmsc, each its own process group."""
    need((BEARERBOX, SMSBOX, FAKESMSC), ("kannel", "kannel-extras"))
    folder = tmp_path_factory.mktemp("kannel")
    ports = {name: free_port() for name in ("admin", "boxes", "operator", "sendsms")}
    config = folder / "kannel.conf"
    config.write_text(CONFIG.format(folder=folder, user=USER, password=PASSWORD, **ports))
    with ExitStack() as ending:

        def start(name: str, *command: str) -> None:
            process = spawn(command, log=folder / f"{name}.log", env={"PATH": os.defpath}, death=signal.SIGKILL, who={})
            ending.callback(_end_group, process)

        def status() -> str:
            address = f"http://127.0.0.1:{ports['admin']}/status.txt?password={PASSWORD}"
            with suppress(OSError), urllib.request.urlopen(address, timeout=2) as answer:
                return str(answer.read().decode())
            return ""

        start("bearerbox", BEARERBOX, "-v", "1", str(config))
        _wait(lambda: "operator" in status(), "bearerbox", folder)
        start("operator", FAKESMSC, "-H", "127.0.0.1", "-r", str(ports["operator"]), "-m", "0", "1 2 text nop")
        start("smsbox", SMSBOX, "-v", "1", str(config))
        _wait(lambda: re.search(r"FAKE:\d+ \(online", status()) is not None, "operator", folder)
        _wait(lambda: "smsbox:(none), IP 127.0.0.1" in status(), "smsbox", folder)
        yield Kannel(f"http://127.0.0.1:{ports['sendsms']}/cgi-bin/sendsms", folder / "operator.log")


def _wait(is_ready: Callable[[], bool], name: str, folder: Path) -> None:
    deadline = time.monotonic() + 20
    while not is_ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{name} did not come up:\n{(folder / f'{name}.log').read_text()[-2000:]}", pytrace=False)
        time.sleep(0.05)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """By group, because smsbox forks again; bearerbox may wait for its boxes, so it gets a few seconds."""
    signal_group = partial(os.killpg, process.pid)
    with suppress(ProcessLookupError):
        signal_group(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(3)
        signal_group(signal.SIGKILL)
    process.wait(5)
