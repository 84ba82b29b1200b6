"""Metrics have a port of their own."""

import urllib.request

import pytest

from simpul_agency.sandbox.process import free_port
from simpul_runtime.metrics import serve_metrics


def test_metrics_are_served_while_the_service_runs() -> None:
    port = free_port()

    with serve_metrics("127.0.0.1", port), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert b"simpul_outbox_pending" in answer.read()

    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


def test_a_port_that_is_taken_ends_the_service_with_one_sentence() -> None:
    port = free_port()

    with (
        serve_metrics("127.0.0.1", port),
        pytest.raises(SystemExit, match=f"127.0.0.1:{port}.*SIMPUL_METRICS_PORT"),
        serve_metrics("127.0.0.1", port),
    ):
        pass
