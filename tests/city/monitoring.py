"""Alerts and dashboard as Prometheus itself reads them: each rule fires when it should, none while all is
well.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from gateway.receiver import SEVERITY

PROMTOOL = shutil.which("promtool")
HOME = Path(__file__).parents[2] / "packaging" / "monitoring"
RULES, DASHBOARD = HOME / "submeter-alerts.yml", HOME / "submeter-fleet.json"
STEP, STEPS = 300, 320
"""s between two looks (a value counts for no longer), and how many: longer than any rule waits."""
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


def judged(folder: Path, rules: Path = RULES) -> str:
    """What promtool says against rules and dashboard; empty when they hold."""
    assert PROMTOOL is not None
    groups = yaml.safe_load(rules.read_text())["groups"]
    names = [rule["alert"] for group in groups for rule in group["rules"]]
    panels = [
        {"record": f"panel:{number}", "expr": target["expr"]}
        for number, panel in enumerate(json.loads(DASHBOARD.read_text())["panels"])
        for target in panel["targets"]
    ]
    shown, cases = folder / "dashboard.yml", folder / "alerts.yml"
    shown.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": panels}]}))
    tests = [_case(names, ill=True), _case([], ill=False)]
    cases.write_text(yaml.safe_dump({"rule_files": [str(rules.resolve())], "tests": tests}))
    for words in (["check", "rules", rules, shown], ["test", "rules", cases]):
        done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            return done.stdout + done.stderr
    return ""


def _case(expected: list[str], *, ill: bool) -> dict[str, Any]:
    """That these alerts fire, and no others, after more than a day."""
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected]
    return {
        "interval": f"{STEP}s",
        "input_series": [
            {"series": name, "values": f"{values}x{STEPS}"} for name, values in _series(ill=ill).items()
        ],
        "promql_expr_test": [
            {"expr": FIRING, "eval_time": f"{STEP * (STEPS - 5)}s", "exp_samples": samples},
        ],
    }


def _series(*, ill: bool) -> dict[str, str]:
    """What a platform tells on which all is wrong, or nothing: series → values, in promtool's notation."""
    works, counter, clock = f"{int(not ill)}", f"0+{int(ill)}", f"0+{0 if ill else STEP}"
    return {
        "submeter_receiver_connected": works,
        "submeter_receiver_database_up": works,
        "submeter_fleet_up": works,
        'submeter_receiver_refused_total{reason="malformed"}': counter,
        "submeter_receiver_conflicts_total": counter,
        "submeter_fleet_summary_timestamp_seconds": clock,
        "submeter_fleet_newest_batch_timestamp_seconds": clock,
        "submeter_fleet_gateways": "1000",
        'submeter_fleet_problems{problem="offline"}': f"{100 * ill}",
        "submeter_fleet_changed": f"{60_000 * ill}",
        **{
            f'submeter_gateway_problem{{gateway="izm-konak-017",problem="{name}"}}': f"{int(ill)}"
            for name in SEVERITY
        },
    }
