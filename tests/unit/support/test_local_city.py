"""What a simulated city says of a process that does not start, and when the demo counts as a success."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simpul_dev.demo.play import MESSAGES_OF_FIRST_MODEL, has_all_arrived
from simpul_dev.local_city import show_where_it_waits

ARRIVED = {
    "reports_accepted": 26,
    "reports_sent": 26,
    "referrals_delivered": 85,
    "referrals_offered": 85,
    "alerts_sent": 170,
    "messages": 94,
    "lost": 0,
    "parked": 0,
    "unrouted": 0,
}


def test_the_log_of_a_process_that_does_not_start_shows_what_it_waits_for(tmp_path: Path) -> None:
    log = tmp_path / "handset.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys\nprint('x', file=sys.stderr)\ndef wait(): input()\nwait()"],
            env=os.environ | {"PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
        )
    with process:
        while not log.read_bytes():
            assert process.poll() is None

        show_where_it_waits(process)

    assert "in wait" in log.read_text()


@pytest.mark.parametrize(
    ("changed", "is_success"),
    [
        ({}, True), ({"lost": 1}, False), ({"referrals_delivered": 84}, False),
        ({"messages": MESSAGES_OF_FIRST_MODEL // 3}, False),
    ],
)  # fmt: skip
def test_the_demo_succeeds_if_all_arrives_in_a_third_of_the_messages(changed: dict[str, int], is_success: bool) -> None:
    assert has_all_arrived(ARRIVED | changed) is is_success
