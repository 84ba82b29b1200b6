"""What waits at once after an outage leaves in few messages, the urgent ones first, while one provider is dead."""

from pathlib import Path

from simpul_dev.backends import Backends
from tests.bench.surge import measure


async def test_a_surge_is_bundled_and_loses_and_doubles_nothing_while_a_provider_hangs(
    backends: Backends, tmp_path: Path
) -> None:
    found = await measure(backends, tmp_path, 1000)

    assert (found.alerts, found.messages) == (1000, 200)
    assert found.broken_rules() == []
