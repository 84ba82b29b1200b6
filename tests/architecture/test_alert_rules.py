"""Alert rules fire on their faults, name metrics that exist, and each has a runbook page."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.architecture.test_alarms import calls, first_column
from tests.support.debian import need

ROOT = Path(__file__).parents[2]
OBSERVE = ROOT / "deploy" / "observe"
RUNBOOKS = ROOT / "docs" / "operate" / "runbooks"
RULES: list[dict[str, Any]] = YAML(typ="safe").load((OBSERVE / "alerts.yml").read_text())["groups"][0]["rules"]
_METRIC = re.compile(r"\bsimpul_\w+")


def known_metrics() -> set[str]:
    counters = {f"{name}_total" for name in calls("Counter")}
    return counters | set(calls("Gauge")) | set(calls("Histogram"))


@pytest.mark.slow
def test_every_rule_fires_on_its_fault_and_none_in_a_healthy_city() -> None:
    need(["promtool"], ["prometheus"])
    for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run(["promtool", *arguments], cwd=OBSERVE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried_and_has_a_runbook_page() -> None:
    names = [rule["alert"] for rule in RULES]
    tried = {
        case["alertname"]
        for test in YAML(typ="safe").load((OBSERVE / "alerts.test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }

    assert len(set(names)) == len(names)
    assert tried == set(names)
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {*names, "README"}
    assert all(rule["annotations"]["runbook"] == f"docs/operate/runbooks/{rule['alert']}.md" for rule in RULES)


def test_rules_and_dashboards_name_metrics_that_exist() -> None:
    known = known_metrics()
    dashboards = sorted((OBSERVE / "grafana" / "dashboards").glob("*.json"))
    shown = [
        target["expr"]
        for path in dashboards
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]

    assert [path.stem for path in dashboards] == ["agencies", "city", "hosts", "messaging", "notify"]
    assert {name for text in (*shown, *(rule["expr"] for rule in RULES)) for name in _METRIC.findall(text)} <= known


def test_dashboards_have_the_form_that_grafana_reads() -> None:
    """No package of Grafana can be had here; tests/integration/operate/test_dashboards.py tries what panels ask for."""
    yaml = YAML(typ="safe")
    [source] = yaml.load((OBSERVE / "grafana/provisioning/datasources/simpul.yml").read_text())["datasources"]
    boards = [json.loads(path.read_text()) for path in sorted(OBSERVE.glob("grafana/dashboards/*.json"))]

    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == len(boards)
    for board in boards:
        panels, taken = board["panels"], set[tuple[int, int]]()
        assert board["schemaVersion"] >= 39
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in panels:
            assert panel["type"] in ("timeseries", "stat", "table", "gauge"), panel["title"]
            position = panel["gridPos"]
            cells = {(position["x"] + x, position["y"] + y) for x in range(position["w"]) for y in range(position["h"])}
            assert max(x for x, _ in cells) < 24
            assert not cells & taken, f"{panel['title']} lies on another panel"
            taken |= cells
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references) > 0
            for used in (panel, *panel["targets"]):
                assert used["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_every_metric_alarm_of_the_manual_has_a_rule() -> None:
    used = {name for rule in RULES for name in _METRIC.findall(rule["expr"])}

    assert {name for name in first_column() if name.startswith("simpul_")} <= used
