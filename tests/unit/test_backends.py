"""A private server names what it lacks before it starts."""

import socket
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from simpul_agency.sandbox.process import BackendsMissing, answers_http, free_port
from simpul_agency.sandbox.rabbitmq import install_rabbitmq


def test_free_ports_differ_and_no_outgoing_connection_can_take_one() -> None:
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == len(ports)
    assert max(ports) < first_outgoing
    with socket.socket() as server:
        server.bind(("127.0.0.1", ports[0]))


def test_requests_to_an_own_server_bypass_the_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"

        answers, missing = answers_http(address), answers_http(f"{address}/nothing")

        server.shutdown()
    assert (answers, missing) == (True, False)
    assert not answers_http(address)


def test_a_server_that_cannot_be_installed_says_what_to_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "apt-get"
    program.write_text("#!/bin/sh\necho 'Certificate verification failed' >&2\nexit 100\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("simpul_agency.sandbox.rabbitmq._SERVER", tmp_path / "none")
    monkeypatch.setattr("os.geteuid", lambda: 0)

    with pytest.raises(BackendsMissing) as refused:
        install_rabbitmq()

    for advice in ("http_proxy", "/etc/apt/apt.conf.d", "update-ca-certificates", "Certificate verification failed"):
        assert advice in str(refused.value)
