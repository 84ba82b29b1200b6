"""Starts private servers that end with the process that started them."""

import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

SERVER_START_TIMEOUT: Final = 240.0
"""Seconds until a server that runs and does not answer counts as hung; one that ends is noticed at once."""
_PR_SET_PDEATHSIG = 1
_FIRST_PORT = 15_000
_OUTGOING_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_used_ports: set[int] = set()
_libc = ctypes.CDLL(None)
_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class BackendsMissing(Exception):
    """No server can be started; the message says what to install or which variable to set."""


def free_port() -> int:
    """Returns a free loopback port, each only once for this process.

    It is below the range from which the kernel takes the ports of outgoing connections, because the kernel could
    otherwise use it between this check and the server's own bind.
    """
    for _ in range(1000):
        port = random.randrange(_FIRST_PORT, _first_outgoing_port())
        if port in _used_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _used_ports.add(port)
        return port
    msg = f"no free port between {_FIRST_PORT} and {_first_outgoing_port()} on 127.0.0.1"
    raise BackendsMissing(msg)


def _first_outgoing_port() -> int:
    try:
        return max(int(_OUTGOING_PORTS.read_text().split()[0]), _FIRST_PORT + 1000)
    except (OSError, ValueError):
        return 32_768


def answers_http(url: str) -> bool:
    """Whether a local server answers with 200; never through a proxy, which could not reach this machine."""
    try:
        with _without_proxy.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def unprivileged(account: str) -> dict[str, Any]:
    """Returns Popen arguments to run as this account; none unless this process is root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def change_owner(folder: Path, account: Mapping[str, Any]) -> None:
    """Makes the account of `unprivileged` the owner of a folder and its content."""
    if account:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account["user"], account["group"])


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str],
    death_signal: signal.Signals,
    account: Mapping[str, Any],
) -> "subprocess.Popen[bytes]":
    """Starts a server in its own session; the kernel sends it `death_signal` when this process ends, however it ends.

    It must be called from the main thread, because the kernel observes the thread that started the server.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=dict(env),
            start_new_session=True,
            preexec_fn=partial(request_parent_death_signal, death_signal),
            **account,
        )


def die_with_parent() -> None:
    """Has the kernel kill this process when the thread that started it ends; for Popen's `preexec_fn`."""
    request_parent_death_signal(signal.SIGKILL)


def request_parent_death_signal(death_signal: signal.Signals) -> None:
    """Has the kernel send this process a signal when the thread that started it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, death_signal)


def wait_until(
    is_ready: Callable[[], bool], process: "subprocess.Popen[bytes]", *, log: Path, timeout: float, name: str
) -> None:
    """Returns when the server is ready; raises BackendsMissing with the end of its log when it is not in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if is_ready():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    process.wait(10)
    msg = f"{name} did not start; the end of its log:\n{log.read_text(errors='replace')[-2000:]}"
    raise BackendsMissing(msg)


def stop_process(process: "subprocess.Popen[bytes]", stop_signal: signal.Signals, *, timeout: float) -> None:
    """Stops a server, and kills it when it does not stop in time."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def delete_folder(folder: Path) -> None:
    """Deletes a server's folder."""
    shutil.rmtree(folder, ignore_errors=True)
