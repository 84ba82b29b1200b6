"""What a private server needs before it starts."""

import socket
from pathlib import Path

from simpul_agency.sandbox.process import free_port


def test_free_ports_differ_and_no_outgoing_connection_can_take_one() -> None:
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == len(ports)
    assert max(ports) < first_outgoing
    with socket.socket() as server:
        server.bind(("127.0.0.1", ports[0]))
