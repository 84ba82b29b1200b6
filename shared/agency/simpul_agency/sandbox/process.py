"""Starting a private server that ends with whoever started it."""

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
from typing import Any

_PR_SET_PDEATHSIG = 1
_FIRST_PORT = 15_000
_OUTGOING_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()
_libc = ctypes.CDLL(None)
_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class BackendsMissing(Exception):
    """No server to be had; the message says what to install or which variable to set."""


def free_port() -> int:
    """A loopback port nobody listens on, each only once for this process.

    It lies below the range from which the kernel takes the ports of outgoing connections: one of those could
    otherwise be given away between this look and the server's own bind.
    """
    for _ in range(1000):
        port = random.randrange(_FIRST_PORT, _first_outgoing_port())
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    msg = f"no free port between {_FIRST_PORT} and {_first_outgoing_port()} on 127.0.0.1"
    raise BackendsMissing(msg)


def _first_outgoing_port() -> int:
    try:
        return max(int(_OUTGOING_PORTS.read_text().split()[0]), _FIRST_PORT + 1000)
    except (OSError, ValueError):
        return 32_768


def answers_http(url: str) -> bool:
    """Whether a server of ours answers with success; never by way of a proxy, which could not reach this machine."""
    try:
        with _without_proxy.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def unprivileged(account: str) -> dict[str, Any]:
    """Popen arguments to run as this account; nothing when we are not root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give_to(folder: Path, who: Mapping[str, Any]) -> None:
    """Make the account of `unprivileged` the owner of everything in a folder."""
    if who:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, who["user"], who["group"])


def spawn(
    command: Sequence[str | Path], *, log: Path, env: Mapping[str, str], death: signal.Signals, who: Mapping[str, Any]
) -> "subprocess.Popen[bytes]":
    """Start a server in a session of its own; the kernel sends it `death` when this process ends, however it ends.

    Call it from the main thread: the kernel watches the thread that started it.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=dict(env),
            start_new_session=True, preexec_fn=partial(request_parent_death_signal, death), **who,
        )  # fmt: skip


def die_with_parent() -> None:
    """For Popen's preexec_fn: the kernel kills the child when the thread that started it ends."""
    request_parent_death_signal(signal.SIGKILL)


def request_parent_death_signal(sent: signal.Signals) -> None:
    """Let the kernel send this process a signal when the thread that started it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, sent)


def wait_until(
    is_ready: Callable[[], bool], process: "subprocess.Popen[bytes]", *, log: Path, within: float, what: str
) -> None:
    """Return when the server answers; BackendsMissing with its last words when it does not."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if is_ready():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    msg = f"{what} did not start; the end of its log:\n{log.read_text(errors='replace')[-2000:]}"
    raise BackendsMissing(msg)


def end(process: "subprocess.Popen[bytes]", how: signal.Signals, *, within: float) -> None:
    """Ask a server to stop, and kill it when it does not."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def remove(folder: Path) -> None:
    """Delete a server's folder."""
    shutil.rmtree(folder, ignore_errors=True)
