"""No message leaves notify except through the function that enforces the contact rules."""

import re
from pathlib import Path

NOTIFY = Path(__file__).parents[2] / "services" / "notify" / "simpul_notify"
_CALLS = re.compile(r"\.send\(|send_message\(|(?<!web)\.post\(|\.notify\(|OutgoingMessage\(")


def callers() -> dict[str, list[str]]:
    """The lines that hand a message over, by file, without the providers themselves."""
    # The heartbeat says to a monitor that notify works, and nothing to a person.
    files = [path for path in NOTIFY.rglob("*.py") if "channels" not in path.parts and path.name != "heartbeat.py"]
    found = {path.relative_to(NOTIFY).as_posix(): _CALLS.findall(path.read_text()) for path in files}
    return {name: calls for name, calls in found.items() if calls}


def test_only_dispatch_calls_a_provider_and_only_sender_drill_and_weekly_test_call_dispatch() -> None:
    assert callers() == {
        "use_cases/check_reach.py": [".send("],
        "use_cases/dispatch.py": ["OutgoingMessage(", ".send("],
        "use_cases/play_drill.py": [".send("],
        "use_cases/send_alerts.py": [".send("],
    }


def test_dispatch_checks_the_contact_rules_before_anything_else() -> None:
    source = (NOTIFY / "use_cases" / "dispatch.py").read_text()
    body = source.partition("    async def send(")[2].partition("    def _order_for(")[0]

    assert body.index("find_hindrance(") < body.index("self._try(")
    assert source.count("self._call_provider(") == 1
