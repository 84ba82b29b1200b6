"""A real Kannel with a simulated network operator behind it."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from simpul_agency.sandbox.process import free_port, spawn
from tests.support.debian import need

BEARERBOX, SMSBOX, FAKESMSC = "/usr/sbin/bearerbox", "/usr/sbin/smsbox", "/usr/lib/kannel/test/fakesmsc"
USER, PASSWORD = "simpul", "only-for-this-test"

REPLY_TOKEN = "only-the-gateway-knows"

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
store-type = spool
store-location = {folder}/spool
store-dump-freq = 1
sms-resend-freq = 1

{operators}
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
post-url = http://127.0.0.1:{notify}/gateway/replies/{token}/kannel
send-sender = true
max-messages = 0
"""
FAKE_OPERATORS = """\
group = smsc
smsc = fake
smsc-id = operator
port = {operator}
connect-allow-ip = 127.0.0.1

group = smsc
smsc = fake
smsc-id = replies
port = {replies}
connect-allow-ip = 127.0.0.1
"""
SMPP_OPERATOR = """\
group = smsc
smsc = smpp
smsc-id = operator
host = 127.0.0.1
port = {operator}
transceiver-mode = true
smsc-username = simpul
smsc-password = test
system-type = ""
reconnect-delay = 1
"""


@dataclass(frozen=True)
class Kannel:
    """A running gateway: its address and the texts that the simulated operator received."""

    url: str
    operator_log: Path
    notify_port: int
    """Where the gateway delivers replies."""
    replies_port: int
    """Where a phone that sends connects to the gateway."""

    def delivered_to(self, number: str) -> list[str]:
        """Returns the texts that the operator received for a number, oldest first."""
        log = self.operator_log.read_text(encoding="utf-8", errors="replace")
        return re.findall(rf"Got message \d+: <\S+ {re.escape(number)} text (.*)>$", log, re.MULTILINE)


@pytest.fixture(scope="session")
def kannel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kannel]:
    """Runs bearerbox, smsbox and fakesmsc, each in its own process group."""
    need((BEARERBOX, SMSBOX, FAKESMSC), ("kannel", "kannel-extras"))
    gateway = Gateway(tmp_path_factory.mktemp("kannel"), FAKE_OPERATORS)
    with gateway.running():
        gateway.start(
            "operator", FAKESMSC, "-H", "127.0.0.1", "-r", str(gateway.ports["operator"]), "-m", "0", "1 2 text nop"
        )
        gateway.wait_until(lambda status: re.search(r"FAKE:\d+ \(online", status) is not None, "operator")
        yield Kannel(gateway.url, gateway.folder / "operator.log", gateway.ports["notify"], gateway.ports["replies"])


@pytest.fixture(scope="session")
def smpp_gateway(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Gateway]":
    """Runs a gateway that connects by SMPP to whatever listens on the operator's port."""
    need((BEARERBOX, SMSBOX), ("kannel",))
    gateway = Gateway(tmp_path_factory.mktemp("kannel-smpp"), SMPP_OPERATOR)
    with gateway.running():
        yield gateway


class Gateway:
    """bearerbox and smsbox, each in its own process group."""

    def __init__(self, folder: Path, operators: str) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("admin", "boxes", "operator", "sendsms", "notify", "replies")}
        self.url = f"http://127.0.0.1:{self.ports['sendsms']}/cgi-bin/sendsms"
        self._config = folder / "kannel.conf"
        self._config.write_text(
            CONFIG.format(
                folder=folder,
                user=USER,
                password=PASSWORD,
                token=REPLY_TOKEN,
                operators=operators.format(**self.ports),
                **self.ports,
            )
        )
        (folder / "spool").mkdir()
        self._ending = ExitStack()
        self._processes: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs both."""
        with self._ending:
            self.start_boxes()
            yield

    def start_boxes(self) -> None:
        """Starts bearerbox and smsbox, also after they were killed."""
        self.start("bearerbox", BEARERBOX, "-v", "1", str(self._config))
        self.wait_until(lambda status: "operator" in status, "bearerbox")
        self.start("smsbox", SMSBOX, "-v", "1", str(self._config))
        self.wait_until(lambda status: "smsbox:(none), IP 127.0.0.1" in status, "smsbox")

    def kill(self) -> None:
        """Ends everything at once, as a power failure does."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def start(self, name: str, *command: str) -> None:
        """Starts a program that ends with the gateway."""
        process = spawn(
            command, log=self.folder / f"{name}.log", env={"PATH": os.defpath}, death_signal=signal.SIGKILL, account={}
        )
        self._processes.append(process)
        self._ending.callback(end_group, process)

    def wait_until(self, is_ready: Callable[[str], bool], name: str) -> None:
        """Waits until the gateway's status says so; a failure shows the log of a program."""
        _wait(lambda: is_ready(self._status()), name, self.folder)

    def _status(self) -> str:
        address = f"http://127.0.0.1:{self.ports['admin']}/status.txt?password={PASSWORD}"
        with suppress(OSError), urllib.request.urlopen(address, timeout=2) as answer:
            return str(answer.read().decode())
        return ""


def _wait(is_ready: Callable[[], bool], name: str, folder: Path) -> None:
    deadline = time.monotonic() + 90
    while not is_ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{name} did not come up:\n{(folder / f'{name}.log').read_text()[-2000:]}", pytrace=False)
        time.sleep(0.05)


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Stops process groups, because smsbox forks; bearerbox waits for its boxes, so it gets a few seconds."""
    signal_group = partial(os.killpg, process.pid)
    with suppress(ProcessLookupError):
        signal_group(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(3)
        signal_group(signal.SIGKILL)
    process.wait(5)
